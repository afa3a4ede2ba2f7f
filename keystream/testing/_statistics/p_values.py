"""Compute one-sided p-values of the statistics that the checks use."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def two_sided(z: Any) -> np.ndarray:
    """Return both one-sided p-values of normal z, too large first, as new first axis."""
    return np.stack([special.ndtr(-np.asarray(z)), special.ndtr(np.asarray(z))])


def chi_squared(found: Any, free: Any) -> np.ndarray:
    """Return both one-sided p-values of chi-squared: too large first, then too small."""
    return np.stack([special.chdtrc(free, found), special.chdtr(free, found)])


def cells_squared(found: Any, cells: int) -> np.ndarray:
    """Return both one-sided p-values of Pearson's chi-squared of counts in cells.

    Few counts may well hit what is expected exactly, for which chi-squared has no chance at
    all: only in MANY_CELLS or more is it a sign that they are too even.
    """
    if cells < 2:
        return np.ones((2, *np.shape(found)))
    p = chi_squared(found, cells - 1)
    return p if cells >= MANY_CELLS else np.stack([p[0], np.ones_like(p[1])])


MANY_CELLS = 16


def binomial(found: Any, n: Any, chance: Any) -> np.ndarray:
    """Return both exact one-sided p-values of a count: too many first, then too few."""
    found, n = np.asarray(found, float), np.asarray(n, float)
    many = np.where(found > 0, special.betainc(np.maximum(found, 1), n - found + 1, chance), 1.0)
    few = np.where(found < n, special.betaincc(found + 1, np.maximum(n - found, 1), chance), 1.0)
    return np.stack([many, few])


def poisson(found: Any, mean: Any) -> np.ndarray:
    """Return both exact one-sided p-values of a rare count: too many first, then too few."""
    found = np.asarray(found, float)
    many = np.where(found > 0, special.gammainc(np.maximum(found, 1), mean), 1.0)
    return np.stack([many, special.gammaincc(found + 1, mean)])


def least(p: np.ndarray) -> float:
    """Return Bonferroni's p-value of the smallest of several."""
    return min(1.0, float(p.min()) * p.size)
