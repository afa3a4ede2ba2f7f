"""Bootstrap a real data set: how sure are a mean, a median and a correlation?

    python docs/examples/bootstrap.py                           100,000 resamples
    python docs/examples/bootstrap.py --small                   2,000
    python docs/examples/bootstrap.py --picture bootstrap.svg   and their distributions

442 patients with diabetes (Efron et al., 2004; it comes with scikit-learn): how far the illness
had gone a year later, and the body mass index at the start.

Resample i draws its patients from child i of one key. It is the same one in whatever batches
and on however many devices: exactly so here, since patients are drawn as integers, and the sum
and the median of whole numbers are exact.

What the bootstrap would say with infinitely many resamples is known for the mean and the median,
so that the error which comes from having only so many can be seen.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import binom
from sklearn.datasets import load_diabetes

import keystream as ks


class Patients(NamedTuple):
    """The data, by how far the illness had gone."""

    outcome: jax.Array
    """(442,) int32, from least to most."""
    index: jax.Array
    """(442,) float32, body mass index, standardized."""


class Statistics(NamedTuple):
    """Of one resample, or of an array of them."""

    total: jax.Array
    """The outcomes' sum, int32."""
    median: jax.Array
    """The lower median of the outcomes, int32."""
    correlation: jax.Array
    """Between outcome and body mass index, float32."""


def load() -> Patients:
    """Load the patients, sorted by outcome."""
    features, outcome = load_diabetes(return_X_y=True)
    order = np.argsort(outcome, kind="stable")
    index = features[order, 2] / features[:, 2].std()
    return Patients(jnp.asarray(outcome[order], jnp.int32), jnp.asarray(index, jnp.float32))


def statistics(rows: jax.Array, patients: Patients) -> Statistics:
    """Compute the statistics of some rows of the table."""
    outcome, index = patients.outcome[rows], patients.index[rows]
    middle = (len(rows) - 1) // 2
    return Statistics(
        total=outcome.sum(),
        median=jnp.sort(outcome)[middle],
        correlation=jnp.corrcoef(outcome.astype(jnp.float32), index)[0, 1],
    )


def resample(key: jax.Array, patients: Patients) -> Statistics:
    """Draw as many patients as there are, with replacement; return their statistics."""
    count = len(patients.outcome)
    return statistics(jax.random.randint(key, (count,), 0, count), patients)


def ideal(patients: Patients) -> tuple[float, float, np.ndarray]:
    """Return the bootstrap's answer from infinitely many resamples, for mean and median.

    A resample's k-th smallest value is at most the j-th smallest of the data when at least k of
    its n patients are among the first j, each with chance j/n: a binomial probability.

    Returns:
        Standard errors of the mean and of the median, and the median's 95 % interval.
    """
    outcome = np.asarray(patients.outcome, np.float64)
    count = len(outcome)
    mean = np.sqrt(outcome.var() / count)
    rank = (count - 1) // 2 + 1
    up_to = binom.sf(rank - 1, count, np.arange(count + 1) / count)
    chance = np.diff(up_to)
    center = chance @ outcome
    spread = np.sqrt(chance @ (outcome - center) ** 2)
    ends = outcome[np.searchsorted(up_to[1:], [0.025, 0.975])]
    return float(mean), float(spread), ends


def error_of_spread(values: np.ndarray) -> float:
    """Return the standard error of a standard deviation that was estimated from some values."""
    off = (values - values.mean()) ** 2
    return float(off.std() / (2 * values.std() * np.sqrt(len(values))))


def again(key: jax.Array, patients: Patients, count: int, devices: int) -> Statistics:
    """Draw the first resamples once more: in batches of 7, on some devices."""
    mesh = jax.make_mesh((devices,), ("resamples",), devices=jax.devices()[:devices])
    sharding = jax.sharding.NamedSharding(mesh, jax.P("resamples"))
    drawn = ks.sample(resample, key, count, patients, batch_size=7, out_sharding=sharding)
    return jax.tree.map(np.asarray, drawn)


class Result(NamedTuple):
    """What a run found."""

    drawn: Statistics
    """Of each resample."""
    sigmas: list[float]
    """How far the standard errors of mean and median are from the ideal ones, in units of
    what so many resamples leave open."""
    intervals: tuple[np.ndarray, np.ndarray]
    """The median's, as resampled and ideal."""
    others: dict[int, Statistics]
    """The first 256 resamples again, by the number of devices."""


def main(arguments: list[str] | None = None) -> Result:
    """Resample, compare with what is known, and resample the first ones again otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few resamples, in a few seconds")
    parser.add_argument("--resamples", type=int)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    resamples = options.resamples or (2_000 if options.small else 100_000)

    patients = load()
    key = ks.derive(ks.key(options.seed), "resamples")
    drawn = ks.sample(resample, key, resamples, patients, batch_size=1_000)
    drawn = jax.tree.map(np.asarray, drawn)

    count = len(patients.outcome)
    whole = statistics(jnp.arange(count), patients)
    rows = {
        "mean": (float(whole.total) / count, drawn.total / count),
        "median": (float(whole.median), drawn.median.astype(float)),
        "correlation": (float(whole.correlation), drawn.correlation.astype(float)),
    }
    print(f"{resamples:,} resamples of {count} patients")
    for name, (value, many) in rows.items():
        low, high = np.quantile(many, [0.025, 0.975])
        print(f"{name:12}{value:8.3f}   standard error {many.std():7.4f}", end=" ")
        print(f"± {error_of_spread(many):.4f}   95 % interval {low:7.3f} ... {high:7.3f}")

    mean_error, median_error, interval = ideal(patients)
    print("with infinitely many: standard error of the mean", end=" ")
    print(f"{mean_error:.4f}, of the median {median_error:.4f}", end=", ")
    print(f"its interval {interval[0]:.0f} ... {interval[1]:.0f}")
    sigmas = [
        (many.std() - known) / error_of_spread(many)
        for (_, many), known in ((rows["mean"], mean_error), (rows["median"], median_error))
    ]

    others = {devices: again(key, patients, 256, devices) for devices in (1, jax.device_count())}
    for devices, other in others.items():
        same = [np.array_equal(*pair) for pair in zip(other, (f[:256] for f in drawn), strict=True)]
        print(f"256 of them again, in batches of 7 on {devices} device(s): same", *same)
    if options.picture:
        draw(rows, options.picture)
    intervals = np.quantile(rows["median"][1], [0.025, 0.975]), interval
    return Result(drawn, sigmas, intervals, others)


def draw(rows: dict[str, tuple[float, np.ndarray]], file: str) -> None:
    """Save the distribution of each statistic over the resamples."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    figure, panels = plt.subplots(1, len(rows), figsize=(9, 3), layout="constrained")
    for axes, (name, (value, many)) in zip(panels, rows.items(), strict=True):
        bins = np.arange(many.min() - 0.5, many.max() + 1) if name == "median" else 60
        axes.hist(many, bins=bins, density=True)
        axes.axvline(value, color="black", linestyle="--", label="all patients")
        axes.set(title=name, yticks=[])
    panels[0].legend()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)  # a CPU counts as eight devices, for the show
    main()
