"""Compute statistics of numbers that should be uniform: location, scale, tails, cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from keystream.testing._statistics.p_values import binomial, cells_squared, chi_squared, two_sided

FINE = 1024
"""On how fine a grid CDFs are compared; a finer one finds no more worth telling."""
EDGE = 2.0**-25
"""Scores are those of numbers at least so far from 0 and 1, which JAX draws exactly at times."""
NEAR = 2.0**-6


def far_tail(num: int) -> float:
    """Return the probability of the far tail, where 32 draws are expected, or more.

    Below 2**-16 the grid of 2**-23 on which JAX's float32 uniforms lie would be seen.
    """
    return max(32 / num, 2.0**-16)


def scores(u: np.ndarray) -> np.ndarray:
    """Return the normal scores of uniform numbers."""
    return np.asarray(special.ndtri(np.clip(u, EDGE, 1 - EDGE)))


class Tally(NamedTuple):
    """What is kept of numbers in columns; tallies of several batches are added."""

    known: np.ndarray
    impossible: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    fourths: np.ndarray
    tails: np.ndarray
    """Below the far and the near lower tail, above the near and the far upper one."""
    fine: np.ndarray
    cells: np.ndarray

    def __add__(self, other: Tally) -> Tally:  # type: ignore[override]
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))

    def together(self, columns: int) -> Tally:
        """Append what the first columns are as a single one."""
        return Tally(
            *(np.concatenate([a, a[..., :columns].sum(-1, keepdims=True)], -1) for a in self)
        )


def tally(u: np.ndarray, far: float, cuts: np.ndarray, z: np.ndarray | None = None) -> Tally:
    """Count rows of uniform numbers, column by column; NaN is none of them."""
    known = ~np.isnan(u)
    u = np.where(known, u, 0.5)
    z = np.where(known, scores(u) if z is None else z, 0.0)
    marks = (u < far, u < NEAR, u > 1 - NEAR, u > 1 - far)
    fine = np.minimum((u * FINE).astype(np.int64), FINE - 1)
    cells = np.searchsorted(cuts[1:-1], u, "right")
    return Tally(
        known.sum(0),
        (~known).sum(0),
        z.sum(0),
        (z**2).sum(0),
        (z**4).sum(0),
        np.stack([mark.sum(0) for mark in marks]),
        _histogram(fine, known, FINE),
        _histogram(cells, known, len(cuts) - 1),
    )


def _histogram(places: np.ndarray, known: np.ndarray, most: int) -> np.ndarray:
    """Count, column by column, how many known places are 0, 1, ... and `most` - 1."""
    columns = places.shape[1]
    flat = np.where(known, places, most) * columns + np.arange(columns)
    found = np.bincount(flat.ravel(), minlength=(most + 1) * columns)
    return found.reshape(most + 1, columns)[:most]


KINDS = (
    ("impossible draws",),
    ("location", "location"),
    ("scale", "scale"),
    ("CDF", "CDF"),
    ("far lower tail", "far lower tail"),
    ("lower tail", "lower tail"),
    ("upper tail", "upper tail"),
    ("far upper tail", "far upper tail"),
    ("cells", "cells"),
)
"""The statistics of a column, with a name for each direction."""
NAMES = tuple(name for names in KINDS for name in names)


def p_values(seen: Tally, far: float, cuts: np.ndarray) -> np.ndarray:
    """Return the one-sided p-values of a tally: a row for each of NAMES.

    Location and scale are exact, since scores of uniform numbers are exactly normal; so are
    tails, which are binomial. That of the CDF is the bound of Massart (1990), valid for any
    number of draws. That of the cells is Pearson's approximation, for 64 draws a cell or more.
    """
    n = np.maximum(seen.known, 1)
    location = two_sided(seen.total / np.sqrt(n))
    scale = chi_squared(seen.squares, n)
    chances = np.array([far, NEAR, NEAR, far])[:, None]
    tails = binomial(seen.tails, n, chances).swapaxes(0, 1).reshape(8, -1)
    above, below = apart(seen)
    cdf = np.stack([np.exp(-2 * n * np.maximum(gap, 0) ** 2) for gap in (above, below)])
    expected = np.diff(cuts)[:, None] * n
    found = ((seen.cells - expected) ** 2 / expected).sum(0)
    cells = cells_squared(found, len(cuts) - 1)
    impossible = np.where(seen.impossible > 0, 0.0, 1.0)[None]
    p = np.concatenate([impossible, location, scale, cdf, tails, cells])
    p[1:, seen.known == 0] = 1.0
    return p


def apart(seen: Tally) -> np.ndarray:
    """Return how far the draws' CDF rises above the diagonal, and how far it falls below."""
    gap = seen.fine.cumsum(0) / np.maximum(seen.known, 1) - (np.arange(FINE)[:, None] + 1) / FINE
    return np.stack([gap.max(0), -gap.min(0)])


def describe(
    seen: Tally,
    row: int,
    column: int,
    far: float,
    cuts: np.ndarray,
    at: Callable[[float, int], str],
) -> str:
    """Say in words what a statistic of a column shows; `at` words a quantile."""
    n, name = int(seen.known[column]), NAMES[row]
    if name == "impossible draws":
        every = n + int(seen.impossible[column])
        return f"{int(seen.impossible[column]):,} of {every:,} draws that can't be"
    if name == "location":
        mean = seen.total[column] / n
        return f"shifted by {mean:+.3g} standard deviations (z = {mean * np.sqrt(n):+.1f})"
    if name == "scale":
        return f"{np.sqrt(seen.squares[column] / n):.4g} times as wide as the reference"
    if name.endswith("tail"):
        which = (row - 7) // 2
        chance = (far, NEAR, NEAR, far)[which]
        level, side = (chance, "below") if which < 2 else (1 - chance, "above")
        found = int(seen.tails[which, column])
        return f"{found:,} draws lie {side} {at(level, column)}, where {n * chance:,.1f} should"
    if name == "CDF":
        gap = seen.fine[:, column].cumsum() / n - (np.arange(FINE) + 1) / FINE
        place = int(gap.argmax() if row % 2 else gap.argmin())
        level = (place + 1) / FINE
        return (
            f"CDFs are farthest apart at {at(level, column)}: {level + gap[place]:.5f} of the "
            f"draws lie below, {level:.5f} should"
        )
    expected = np.diff(cuts) * n
    off = (seen.cells[:, column] - expected) / np.sqrt(expected)
    place = int(np.abs(off).argmax())
    how = "uneven" if (row - len(NAMES)) % 2 == 0 else "more even than chance"
    return (
        f"{how} over {len(expected)} cells (chi-squared {(off**2).sum():,.1f}); between "
        f"{at(cuts[place], column)} and {at(cuts[place + 1], column)} lie "
        f"{int(seen.cells[place, column]):,} draws, where {expected[place]:,.1f} should"
    )
