"""Follow a hidden level by particles, and hold the answer against the Kalman filter's.

    python docs/examples/particle_filter.py                        1,000 filters of 1,000 particles
    python docs/examples/particle_filter.py --small                100 of 200
    python docs/examples/particle_filter.py --picture filter.svg   and what they saw

The flow of the Nile at Aswan from 1871 to 1970, seen as a level that drifts and a measurement
with noise (Durbin and Koopman, 2012). Everything is Gaussian, so the Kalman filter gives the
exact likelihood and levels. A particle filter estimates them from random particles, and two of
its estimates have no bias (Del Moral, 2004): the likelihood, and the likelihood times the level.
So their means over many filters must meet Kalman's numbers within their error bars.

Filter i runs on child i of one key, year t of it on child t of that. So filters can be added to
those that there are (`start=`). They run one after another (`ks.map`), each by the same program:
side by side (`ks.vmap`) they would draw by the same keys, but a resampling that turns on a last
digit may go another way there, and 100 years on it is another run, as good as the first.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import keystream as ks

# 1e8 cubic meters a year; Cobb (1978), as in R's `Nile` and statsmodels' `nile`.
# fmt: off
FLOWS = np.float32([
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
    799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
    701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768,
    845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010,
    771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918,
    986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
])
# fmt: on
MEASURED, DRIFT = 15099.0, 1469.1  # variances, as Durbin and Koopman estimate them
BLOCK = 50  # filters between two looks at the progress
START, SPREAD = 1000.0, 200.0  # mean and standard deviation of the first level


class Filtered(NamedTuple):
    """What a filter says after each year, from the flows up to then."""

    log_likelihood: Any
    level: Any


def particle_filter(key: jax.Array, particles: int) -> Filtered:
    """Run one filter: weigh the particles by each flow, resample them, let them drift."""
    first_key, years_key = ks.split(key)

    def year(key: jax.Array, level: jax.Array, flow: jax.Array) -> tuple[jax.Array, Any]:
        choose_key, drift_key = ks.split(key)
        log_weights = jax.scipy.stats.norm.logpdf(flow, level, jnp.sqrt(MEASURED))
        seen = Filtered(
            jax.nn.logsumexp(log_weights) - jnp.log(particles),
            jax.nn.softmax(log_weights) @ level,
        )
        # Systematic resampling: one uniform number, and a comb of as many teeth as particles.
        teeth = (jnp.arange(particles) + jax.random.uniform(choose_key)) / particles
        chosen = jnp.searchsorted(jnp.cumsum(jax.nn.softmax(log_weights)), teeth)
        drift = jnp.sqrt(DRIFT) * jax.random.normal(drift_key, (particles,))
        return level[jnp.minimum(chosen, particles - 1)] + drift, seen

    level = START + SPREAD * jax.random.normal(first_key, (particles,))
    _, seen = ks.scan(year, level, jnp.asarray(FLOWS), key=years_key)
    return Filtered(jnp.cumsum(seen.log_likelihood), seen.level)


@functools.partial(jax.jit, static_argnames=("count", "particles"))
def many(key: jax.Array, first: jax.Array, count: int, particles: int) -> Filtered:
    """Run some filters, the first of which is number `first`."""

    def one(key: jax.Array, _: Any) -> Filtered:
        return particle_filter(key, particles)

    return ks.map(one, jnp.zeros(count), key=key, start=first)


def kalman() -> Filtered:
    """Return the exact answer, in float64."""
    mean, variance, total = START, SPREAD**2, 0.0
    totals, levels = [], []
    for flow in FLOWS.astype(np.float64):
        expected = variance + MEASURED
        total -= (np.log(2 * np.pi * expected) + (flow - mean) ** 2 / expected) / 2
        mean += variance / expected * (flow - mean)
        variance *= MEASURED / expected
        totals.append(total)
        levels.append(mean)
        variance += DRIFT
    return Filtered(np.array(totals), np.array(levels))


class Result(NamedTuple):
    """What a run found."""

    runs: Filtered
    """(filters, years) each."""
    exact: Filtered
    likelihood: float
    """The mean estimate of the likelihood, in units of the exact one: 1 if all is well."""
    likelihood_error: float
    """Its standard error."""
    sigmas: np.ndarray
    """(years,), how far likelihood times level is from the exact product, in its standard
    errors."""
    again: Filtered
    """The last ten filters once more, without the others."""


def main(arguments: list[str] | None = None) -> Result:
    """Run many filters, and compare them with the exact answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few and small, in a few seconds")
    parser.add_argument("--filters", type=int)
    parser.add_argument("--particles", type=int)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    filters = options.filters or (100 if options.small else 1_000)
    particles = options.particles or (200 if options.small else 1_000)

    key = ks.derive(ks.key(options.seed), "filters")
    parts = [
        many(key, first, BLOCK, particles)
        for first in tqdm(range(0, filters, BLOCK), desc="filters", unit_scale=BLOCK, disable=None)
    ]
    runs = jax.tree.map(lambda *fields: np.concatenate(fields).astype(np.float64), *parts)
    exact = kalman()

    ratios = np.exp(runs.log_likelihood - exact.log_likelihood)
    root = np.sqrt(filters)
    likelihood, error = ratios[:, -1].mean(), ratios[:, -1].std(ddof=1) / root
    off = ratios * runs.level - exact.level
    sigmas = off.mean(axis=0) / (off.std(axis=0, ddof=1) / root)
    print(f"{filters:,} filters of {particles:,} particles, {len(FLOWS)} years")
    print(f"log-likelihood by Kalman's formula: {exact.log_likelihood[-1]:.3f}")
    print(f"likelihood, estimated / exact: {likelihood:.4f} ± {error:.4f}")
    print(f"levels: the farthest of {len(FLOWS)} is {np.abs(sigmas).max():.1f} sigma away")

    again = many(key, filters - 10, 10, particles)
    same = np.array_equal(again.log_likelihood, runs.log_likelihood[-10:])
    print(f"the last ten again, without the others: same {same}")
    if options.picture:
        draw(runs, exact, options.picture)
    return Result(runs, exact, float(likelihood), float(error), sigmas, again)


def draw(runs: Filtered, exact: Filtered, file: str) -> None:
    """Save the flows, the exact level, and the levels of twenty filters."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    years = 1871 + np.arange(len(FLOWS))
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.plot(years, FLOWS, ".", color="gray", label="measured")
    axes.plot(years, runs.level[:20].T, color="tab:blue", alpha=0.25, linewidth=1)
    axes.plot([], [], color="tab:blue", alpha=0.5, label="particle filters")
    axes.plot(years, exact.level, color="black", linestyle="--", label="Kalman filter")
    axes.set(xlabel="year", ylabel="flow, 1e8 m³", title="The Nile at Aswan")
    axes.legend()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main()
