"""Test draws of two samplers against each other, where nobody knows their distribution.

A pilot of the other kind, drawn apart and not looked at again, makes a rising map to the
unit interval. What it maps to isn't quite uniform; but where both are of one distribution it
does the same to both, and the statistics compare them with each other alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import stats

import keystream as ks
from keystream.testing._statistics import tally
from keystream.testing._statistics.p_values import chi_squared, two_sided
from keystream.testing._statistics.rule import Reading
from keystream.testing._statistics.sampler import labels

PILOT = 2**14
"""Draws of the pilot at most."""
Rows = Iterator[np.ndarray]


class TwoSamples(NamedTuple):
    """Where both kinds of draws come from."""

    one: Callable[[jax.Array, int, int], Rows]
    """Of a key, the number of the look and a number of draws the draws, in batches."""
    other: Callable[[jax.Array, int, int], Rows]
    shape: tuple[int, ...]
    num: int

    @property
    def names(self) -> list[str]:
        """What each column is called."""
        made = [" of the sum of all coordinates"] if len(labels(self.shape)) > 1 else []
        return labels(self.shape) + made

    def looker(self) -> Callable[[jax.Array, int], Reading]:
        """Return the look of `two_stage`, which counts how often it was called."""
        calls = iter(range(3))
        return lambda key, num: self._look(key, num, next(calls))

    def _look(self, key: jax.Array, num: int, number: int) -> Reading:
        size = min(PILOT, self.num)
        pilot = np.concatenate(list(self.other(ks.derive(key, "pilot"), -1, size)))
        table = np.sort(_with_sum(pilot, pilot), 0)
        far = max(tally.far_tail(self.num), 32 / size)
        cuts = np.linspace(0, 1, int(np.clip(self.num // 64, 4, 256)) + 1)
        tallies = []
        for name, draws in (("one", self.one), ("other", self.other)):
            total = None
            for rows in draws(ks.derive(key, name), number, num):
                seen = tally.tally(_ranks(table, _with_sum(rows, pilot)), far, cuts)
                total = seen if total is None else total + seen
            assert total is not None
            tallies.append(total)
        return self._reading(tallies[0], tallies[1], table, far)

    def _reading(self, a: tally.Tally, b: tally.Tally, table: np.ndarray, far: float) -> Reading:
        p, told = _compare(a, b), self.names

        def say(i: int) -> str:
            row, column = divmod(i, len(told))
            return f"{NAMES[row]}{told[column]}: {_describe(a, b, row, column, table, far)}"

        return Reading(p.ravel(), say, np.repeat(NAMES, len(told)).tolist())


NAMES = (
    *("NaN", "NaN", "location", "location", "scale", "scale"),
    *("CDF", "CDF", "far lower tail", "far lower tail", "lower tail", "lower tail"),
    *("upper tail", "upper tail", "far upper tail", "far upper tail", "cells"),
)
"""The statistics of a column, a name for each direction: more, larger or wider first."""


def _with_sum(rows: np.ndarray, pilot: np.ndarray) -> np.ndarray:
    """Append the sum of the coordinates, each in units of the middle half of the pilot's."""
    if rows.shape[1] == 1:
        return rows
    low, middle, high = np.nanquantile(pilot, (0.25, 0.5, 0.75), axis=0)
    wide = np.where(np.isfinite(high - low) & (high > low), high - low, 1.0)
    with np.errstate(invalid="ignore"):
        return np.concatenate([rows, ((rows - middle) / wide).sum(1, keepdims=True)], 1)


def _ranks(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return where in the pilot numbers stand, in the middle of those that are equal."""
    known = ~np.isnan(rows)
    u = np.full(rows.shape, np.nan)
    for column in range(rows.shape[1]):
        values, inside = table[:, column], rows[known[:, column], column]
        values = values[~np.isnan(values)]
        if not values.size:
            u[known[:, column], column] = 0.5
            continue
        low = np.searchsorted(values, inside, "left")
        # Half a place from the ends, so that no score is infinite.
        at = low + np.searchsorted(values, inside, "right") + 1
        u[known[:, column], column] = at / (2 * values.size + 2)
    return u


def _compare(a: tally.Tally, b: tally.Tally) -> np.ndarray:
    """Return the one-sided p-values, a row for each of NAMES: more in `a` comes first.

    Counts are compared by Fisher's exact test; CDFs by what Gnedenko and Korolyuk's exact
    probability for two samples of one size tends to; means by their difference, whose
    distribution is symmetric where both are alike.
    """
    n, m = np.maximum(a.known, 1), np.maximum(b.known, 1)
    nan = _fisher(a.impossible, a.impossible + a.known, b.impossible, b.impossible + b.known)
    location = two_sided(_z(a.total, a.squares, n, b.total, b.squares, m))
    scale = two_sided(_z(a.squares, a.fourths, n, b.squares, b.fourths, m))
    tails = np.stack(_fisher(a.tails, n, b.tails, m), 1).reshape(8, -1)
    gap = a.fine.cumsum(0) / n - b.fine.cumsum(0) / m
    cdf = np.exp(-2 * n * m / (n + m) * np.stack([gap.max(0), gap.min(0)]) ** 2)
    cells = [_cells(a.cells[:, i], b.cells[:, i]) for i in range(len(n))]
    return np.concatenate([nan, location, scale, cdf, tails, [cells]])


def _z(a: Any, a2: Any, n: Any, b: Any, b2: Any, m: Any) -> np.ndarray:
    """Return the z of a difference of two means, from sums and sums of squares."""
    mean = (a + b) / (n + m)
    spread = np.maximum((a2 + b2) / (n + m) - mean**2, 1e-300)
    return np.asarray((a / n - b / m) / np.sqrt(spread * (1 / n + 1 / m)))


def _fisher(a: Any, n: Any, b: Any, m: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact p-values of `a` of `n` beside `b` of `m`: too many, too few."""
    law = stats.hypergeom(n + m, a + b, n)
    return np.asarray(law.sf(a - 1)), np.asarray(law.cdf(a))


def _cells(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p-value of chi-squared of two rows of counts, neighbors pooled where few."""
    both, first = _pool(a + b, a, b)
    if len(both) < 2:
        return 1.0
    expected = both * first.sum() / both.sum()
    rest = both - expected
    found = ((first - expected) ** 2 * (1 / expected + 1 / np.maximum(rest, 1e-9))).sum()
    return float(chi_squared(found, len(both) - 1)[0])


def _pool(both: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join neighboring cells until each holds 128 of both, which tells nothing of either."""
    if not a.sum() or not b.sum():
        return np.empty(0), np.empty(0)
    number = ((both.cumsum() - both / 2) // 128).astype(np.int64)
    kept = np.unique(number, return_inverse=True)[1]
    sums, first = np.bincount(kept, both), np.bincount(kept, a)
    enough = sums >= 64
    return sums[enough], first[enough]


def _describe(
    a: tally.Tally, b: tally.Tally, row: int, column: int, table: np.ndarray, far: float
) -> str:
    """Say in words in what the first sampler's draws differ from the other's."""
    name = NAMES[row]
    n, m = max(int(a.known[column]), 1), max(int(b.known[column]), 1)
    values = table[:, column]

    def at(level: float) -> str:
        return f"{np.nanquantile(values, level):.5g}"

    if name == "NaN":
        return f"{int(a.impossible[column]):,} of the draws, {int(b.impossible[column]):,} others"
    if name in {"location", "scale"}:
        mean, other = a.total[column] / n, b.total[column] / m
        wide = np.sqrt(max(a.squares[column] / n - mean**2, 0))
        narrow = np.sqrt(max(b.squares[column] / m - other**2, 1e-300))
        if name == "location":
            return f"shifted by {(mean - other) / narrow:+.3g} standard deviations of the other"
        return f"{wide / narrow:.4g} times as wide as the other"
    if name.endswith("tail"):
        which = (row - 8) // 2
        level = (far, tally.NEAR, 1 - tally.NEAR, 1 - far)[which]
        side, found = "below" if which < 2 else "above", a.tails[which, column]
        expected = b.tails[which, column] * n / m
        return f"{found:,} draws lie {side} {at(level)}, where the other has {expected:,.1f}"
    ours, theirs = a.fine[:, column].cumsum() / n, b.fine[:, column].cumsum() / m
    place = int(np.abs(ours - theirs).argmax())
    found = (
        f"farthest apart at {at((place + 1) / tally.FINE)}: {ours[place]:.5f} of the draws lie "
        f"below, {theirs[place]:.5f} of the other's"
    )
    return f"CDFs are {found}" if name == "CDF" else f"uneven beside the other; CDFs are {found}"
