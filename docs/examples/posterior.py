"""Sample a posterior with blackjax, and hold it against the exact one.

    python docs/examples/posterior.py                          8 chains of 2,000 draws
    python docs/examples/posterior.py --small                  4 of 300
    python docs/examples/posterior.py --state chains.npz       save each block, and go on from there
    python docs/examples/posterior.py --picture posterior.svg  and the weights' intervals

A linear regression on the diabetes patients of Efron et al. (2004), which come with
scikit-learn: ten measurements, and how far the illness had gone a year later. With a conjugate
prior, the posterior is known in closed form, so each of NUTS's answers can be held
against the truth, within the error that its effective number of draws allows.

Chain i warms up on `derive(key, "warm up", i)`, and its draw t has `derive(key, "draws", i, t)`.
So chains can be added to those that there are, and a run that was killed goes on bit for bit from
the last block that it saved.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.diagnostics import effective_sample_size, potential_scale_reduction
from sklearn.datasets import load_diabetes
from tqdm import tqdm

import keystream as ks

DATA = load_diabetes(scaled=False)
NAMES = DATA.feature_names
X = ((DATA.data - DATA.data.mean(axis=0)) / DATA.data.std(axis=0)).astype(np.float32)
Y = ((DATA.target - DATA.target.mean()) / DATA.target.std()).astype(np.float32)
# weights ~ normal(0, WIDE * sigma), sigma ** 2 ~ inverse gamma(SHAPE, SCALE)
WIDE, SHAPE, SCALE = 1.0, 2.0, 1.0
BLOCK = 100


def log_density(at: dict[str, jax.Array]) -> jax.Array:
    """Return the posterior's log density, up to a constant, at weights and log sigma."""
    weights, sigma = at["weights"], jnp.exp(at["log sigma"])
    misfit = ((Y - X @ weights) ** 2).sum() + (weights**2).sum() / WIDE**2
    powers = len(Y) + len(weights) + 2 * SHAPE  # the change of variables to log sigma is in it
    return -(misfit + 2 * SCALE) / (2 * sigma**2) - powers * jnp.log(sigma)


def exact() -> tuple[np.ndarray, np.ndarray]:
    """Return the exact posterior means and standard deviations of the weights."""
    x, y = X.astype(np.float64), Y.astype(np.float64)
    precision = x.T @ x + np.eye(x.shape[1]) / WIDE**2
    mean = np.linalg.solve(precision, x.T @ y)
    shape = SHAPE + len(y) / 2
    scale = SCALE + (y @ y - mean @ precision @ mean) / 2
    variance = np.diag(np.linalg.inv(precision)) * scale / (shape - 1)
    return mean, np.sqrt(variance)


@jax.jit
def warm_up(keys: jax.Array) -> Any:
    """Let each chain find its place and its step size, on a key of its own."""
    adapt = blackjax.window_adaptation(blackjax.nuts, log_density)

    def one(key: jax.Array) -> Any:
        start_key, adapt_key = ks.split(key)
        start = {"weights": 0.1 * jax.random.normal(start_key, X.shape[1:]), "log sigma": 0.0}
        (state, parameters), _ = adapt.run(adapt_key, start, num_steps=400)
        return state, parameters

    return jax.vmap(one)(keys)


@jax.jit
def draw_block(keys: jax.Array, chains: Any, first: jax.Array) -> tuple[Any, jax.Array]:
    """Let each chain take the next steps, the first of which is number `first`."""

    def one(key: jax.Array, state: Any, parameters: Any) -> tuple[Any, jax.Array]:
        kernel = blackjax.nuts(log_density, **parameters).step

        def step(key: jax.Array, state: Any, _: None) -> tuple[Any, jax.Array]:
            state, _ = kernel(key, state)
            return state, state.position["weights"]

        return ks.scan(step, state, key=key, length=BLOCK, start=first)

    states, draws = jax.vmap(one)(keys, *chains)
    return (states, chains[1]), draws


class Result(NamedTuple):
    """What a run found."""

    draws: np.ndarray
    """(chains, draws, weights)."""
    sigmas: np.ndarray
    """How far each weight's mean is from the exact one, in its standard errors."""
    spreads: np.ndarray
    """Each weight's standard deviation, as a share of the exact one."""
    effective: np.ndarray
    """How many independent draws these are worth, for each weight."""
    r_hat: float
    """The largest of the weights' potential scale reductions; 1 if the chains agree."""


def main(arguments: list[str] | None = None) -> Result:
    """Sample, and compare with the exact posterior."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few draws")
    parser.add_argument("--chains", type=int)
    parser.add_argument("--draws", type=int, help=f"of each chain, a multiple of {BLOCK}")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--state", metavar="FILE", type=pathlib.Path, help="save here, and go on")
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    count = options.chains or (4 if options.small else 8)
    length = options.draws or (300 if options.small else 2_000)

    key, ids = ks.key(options.seed), np.arange(count)
    warm_keys, draw_keys = (ks.derive(key, part, ids) for part in ("warm up", "draws"))
    if options.state and options.state.exists():
        with np.load(options.state) as file:
            draws, *leaves = (file[name] for name in file.files)
        chains = jax.tree.unflatten(jax.tree.structure(jax.eval_shape(warm_up, warm_keys)), leaves)
        print(f"goes on after draw {draws.shape[1]} of {options.state}")
    else:
        chains, draws = warm_up(warm_keys), np.zeros((count, 0, X.shape[1]), np.float32)
    for first in tqdm(range(draws.shape[1], length, BLOCK), unit_scale=BLOCK, disable=None):
        chains, block = draw_block(draw_keys, chains, first)
        draws = np.concatenate([draws, block], axis=1)
        if options.state:
            np.savez(options.state, draws, *jax.tree.leaves(chains))

    mean, spread = exact()
    effective = np.asarray(effective_sample_size(draws))
    r_hat = float(potential_scale_reduction(draws).max())
    sampled, error = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1)) / np.sqrt(effective)
    sigmas, spreads = (sampled - mean) / error, draws.std(axis=(0, 1)) / spread
    print(f"{count} chains of {length:,} draws, R-hat at most {r_hat:.3f}")
    print("           exact posterior     mean of the draws    sigma  effective draws")
    for row in zip(NAMES, mean, spread, sampled, error, sigmas, effective, strict=True):
        print("{:6}  {:+8.4f} ± {:.4f}   {:+8.4f} ± {:.4f}   {:+7.1f}   {:13,.0f}".format(*row))
    if options.picture:
        draw(draws, options.picture)
    return Result(draws, sigmas, spreads, effective, r_hat)


def draw(draws: np.ndarray, file: str) -> None:
    """Save the 95 % intervals of the weights, sampled and exact."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975], axis=(0, 1))
    mean, spread = exact()
    places = np.arange(len(mean))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.errorbar(places - 0.1, mean, 1.96 * spread, fmt="o", color="black", label="exact")
    axes.errorbar(places + 0.1, middle, [middle - low, high - middle], fmt="o", label="sampled")
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set(xticks=places, xticklabels=NAMES, ylabel="weight", title="95 % intervals")
    axes.legend(loc="lower right")
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main()
