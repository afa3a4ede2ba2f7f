"""Correlations of many streams: of every two, along each, and of their sums."""

from __future__ import annotations

import numpy as np
from scipy import special

from keystream.testing._statistics.two_stage_rule import Found, chi_squared, two_sided


def normal_scores(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Return the normal scores of the ranks of all values, equal ones in a random order.

    Whatever distribution independent draws have, their ranks are a random permutation.
    """
    order = np.lexsort((ties.ravel(), values.ravel()))
    ranks = np.empty(order.size)
    ranks[order] = np.arange(order.size)
    return np.asarray(special.ndtri((ranks + 0.5) / order.size)).reshape(values.shape)


def correlated(z: np.ndarray, lags: tuple[int, ...], found: Found, what: str) -> None:
    """Add the p-values of streams of scores, a row each.

    A correlation of two independent rows of n normal numbers has Student's distribution with
    n - 1 degrees of freedom, as their mean is known; the largest of many is judged by
    Bonferroni's inequality. The sum of all squared ones is that of Schott (2005).
    """
    n = z.shape[1]
    _pairs(_products(z, z), n, found, what)
    _sums(z, found, what)
    usable = [lag for lag in lags if lag <= n // 4]
    likely = [_lagged(z, lag) for lag in usable]
    for i in range(4 if usable else 0):
        p, told = min(at_lag[i] for at_lag in likely)
        kind = "lagged correlation" if i < 2 else "common lagged correlation"
        found.add(f"{kind}{what}", p * len(usable), told)


def _lagged(z: np.ndarray, lag: int) -> list[tuple[float, str]]:
    """Return the p-values at one lag of any two streams, and of what all have in common."""
    n = z.shape[1]
    r = _products(z[:, :-lag], z[:, lag:])
    likely = []
    for sign in (1, -1):
        i, j = np.unravel_index(int((sign * r).argmax()), r.shape)
        p = float(_student(sign * r[i, j], n - lag)) * r.size
        likely.append((p, f"stream {i} and stream {j} {lag} draws later: r = {r[i, j]:+.4f}"))
    named = (("itself", r.diagonal()), ("the next one", r.diagonal(1)))
    means = [line.mean() * np.sqrt(line.size * (n - lag)) for _, line in named]
    for p_both in two_sided(means):
        which = int(p_both.argmin())
        name, line = named[which]
        told = f"each stream and {name} {lag} draws later: r = {line.mean():+.5f} on average"
        likely.append((float(p_both[which]) * 2, told))
    return likely


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlations of all rows of one with all rows of the other."""
    sizes = np.sqrt((one**2).sum(1)[:, None] * (other**2).sum(1)[None])
    return np.asarray(one @ other.T / sizes)


def _student(r: np.ndarray, free: int) -> np.ndarray:
    """Return the chance of a correlation of `r` or more of rows of `free` normal numbers."""
    half = special.betainc((free - 1) / 2, 0.5, np.clip(1 - r**2, 0, 1)) / 2
    return np.asarray(np.where(r > 0, half, 1 - half))


def _pairs(r: np.ndarray, n: int, found: Found, what: str) -> None:
    streams = len(r)
    above = np.triu_indices(streams, 1)
    values = r[above]
    for sign in (1, -1):
        place = int((sign * values).argmax())
        told = f"streams {above[0][place]} and {above[1][place]}: r = {values[place]:+.4f}"
        p = _student(sign * values[place], n) * values.size
        found.add(f"correlation of two streams{what}", float(p), told)
    root = np.sqrt((values**2).mean())
    told = f"r of two streams is {root:.4f} in the root mean square, where {n**-0.5:.4f} should be"
    for p in chi_squared((values**2).sum() * n, values.size):
        found.add(f"correlations together{what}", float(p), told)
    siblings = r.diagonal(1)
    for p in two_sided(siblings.mean() * np.sqrt(siblings.size * n)):
        told = f"streams i and i + 1: r = {siblings.mean():+.5f} on average"
        found.add(f"correlation of siblings{what}", float(p), told)


def _sums(z: np.ndarray, found: Found, what: str) -> None:
    streams, n = z.shape
    for name, sums, most in (("over streams", z.sum(0), streams), ("over draws", z.sum(1), n)):
        square = (sums**2).sum() / most
        told = f"sums {name} vary {square / (sums.size - 1):.4f} times as much as they should"
        for p in chi_squared(square, sums.size - 1):
            found.add(f"sums {name}{what}", float(p), told)
