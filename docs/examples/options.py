"""Price an option, and its sensitivities, by simulation: each path has a key of its own.

    python docs/examples/options.py                         16 million paths
    python docs/examples/options.py --small                 262 thousand
    python docs/examples/options.py --picture options.svg   and how the price settles

The price of a European call is known (Black and Scholes, 1973), so are its derivatives by the
price and by the volatility of the stock, and every estimate is printed beside its own error bar.

Path i draws from child i of one key. So a run that wants a smaller error adds paths to those
that it has (`start=`), and neither the blocks nor the devices that made a path change its key.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm
from tqdm import tqdm

import keystream as ks

SPOT, STRIKE, RATE, VOLATILITY, YEARS = 100.0, 105.0, 0.03, 0.25, 1.5
NAMES = ("price", "delta", "vega")


def payoff(key: jax.Array, spot: jax.Array, volatility: jax.Array) -> jax.Array:
    """Follow the stock to the day of exercise; return what the option pays, in today's money."""
    drift = (RATE - volatility**2 / 2) * YEARS
    noise = volatility * jnp.sqrt(YEARS) * jax.random.normal(key)
    end = spot * jnp.exp(drift + noise)
    return jnp.exp(-RATE * YEARS) * jax.nn.relu(end - STRIKE)


def path(key: jax.Array) -> jax.Array:
    """Return one path's price, delta and vega: a draw has derivatives like anything else."""
    value, slopes = jax.value_and_grad(payoff, argnums=(1, 2))(key, SPOT, VOLATILITY)
    return jnp.stack([value, *slopes])


class Tally(NamedTuple):
    """What is known after some paths. This is also all that a run has to save to go on."""

    paths: int = 0
    sums: Any = np.zeros(3)  # in float64, on the host: float32 loses digits over so many paths
    squares: Any = np.zeros(3)

    @property
    def mean(self) -> np.ndarray:
        """The estimates: price, delta and vega."""
        return self.sums / self.paths

    @property
    def error(self) -> np.ndarray:
        """Their standard errors."""
        variance = self.squares / self.paths - self.mean**2
        return np.sqrt(variance / (self.paths - 1))


def extend(tally: Tally, key: jax.Array, paths: int, devices: int) -> Tally:
    """Add the next paths, shared out over the first devices."""
    mesh = jax.make_mesh((devices,), ("paths",), devices=jax.devices()[:devices])
    sharding = jax.sharding.NamedSharding(mesh, jax.P("paths"))
    drawn = ks.sample(path, key, paths, start=tally.paths, out_sharding=sharding)
    values = np.asarray(drawn, np.float64)
    return Tally(
        tally.paths + paths,
        tally.sums + values.sum(axis=0),
        tally.squares + (values**2).sum(axis=0),
    )


def known() -> np.ndarray:
    """Return what Black and Scholes' formula says: price, delta and vega."""
    spread = VOLATILITY * np.sqrt(YEARS)
    d1 = (np.log(SPOT / STRIKE) + (RATE + VOLATILITY**2 / 2) * YEARS) / spread
    discounted = STRIKE * np.exp(-RATE * YEARS)
    price = SPOT * norm.cdf(d1) - discounted * norm.cdf(d1 - spread)
    return np.array([price, norm.cdf(d1), SPOT * norm.pdf(d1) * np.sqrt(YEARS)])


class Result(NamedTuple):
    """What a run found."""

    tallies: list[Tally]
    """After each block."""
    sigmas: np.ndarray
    """How many standard errors price, delta and vega are from the formula."""
    moved: float
    """How far another block size on one device moves a price, in standard errors."""


def main(arguments: list[str] | None = None) -> Result:
    """Simulate, compare with the formula, and simulate the first paths again otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few paths, in a second or two")
    parser.add_argument("--blocks", type=int, help="how many blocks of paths")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    block = 2**14 if options.small else 2**18
    blocks = options.blocks or (16 if options.small else 64)

    key = ks.derive(ks.key(options.seed), "paths")
    devices = jax.device_count()
    tallies = [Tally()]
    for _ in tqdm(range(blocks), desc="blocks", disable=None):
        tallies.append(extend(tallies[-1], key, block, devices))
    last = tallies.pop()
    tallies = [*tallies[1:], last]

    sigmas = (last.mean - known()) / last.error
    print(f"{last.paths:,} paths on {devices} devices")
    for name, mean, error, exact, off in zip(
        NAMES, last.mean, last.error, known(), sigmas, strict=True
    ):
        print(f"{name:6} {mean:9.5f} ± {error:.5f}   formula {exact:9.5f}   {off:+.1f} sigma")

    again = Tally()
    while again.paths < block:
        again = extend(again, key, block // 8, devices=1)
    moved = float(np.abs((again.mean - tallies[0].mean) / last.error).max())
    print(f"the first block again, in eighths on one device: moved by {moved:.0e} standard errors")
    if options.picture:
        draw(tallies, options.picture)
    return Result(tallies, sigmas, moved)


def draw(tallies: list[Tally], file: str) -> None:
    """Save how the price settles, with the interval that holds the truth 95 times in 100."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    paths = [tally.paths for tally in tallies]
    mean = np.array([tally.mean[0] for tally in tallies])
    width = 1.96 * np.array([tally.error[0] for tally in tallies])
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.fill_between(paths, mean - width, mean + width, alpha=0.25, label="95 % interval")
    axes.plot(paths, mean, label="estimate")
    axes.axhline(known()[0], color="black", linestyle="--", label="formula")
    axes.set(xscale="log", xlabel="paths", ylabel="price", title="A European call")
    axes.legend()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)  # a CPU counts as eight devices, for the show
    main()
