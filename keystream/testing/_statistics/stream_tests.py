"""Test many streams: correlations of every two and along each, and draws that come again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from keystream.testing._statistics.p_values import chi_squared, poisson, two_sided
from keystream.testing._statistics.rule import Found

RARE = 1e-3
"""Single equal draws are looked at where two independent ones are equal less often."""


def normal_scores(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Return the normal scores of the ranks of all values, equal ones in a random order.

    Whatever distribution independent draws have, their ranks are a random permutation.
    """
    order = np.lexsort((ties.ravel(), values.ravel()))
    ranks = np.empty(order.size)
    ranks[order] = np.arange(order.size)
    return np.asarray(special.ndtri((ranks + 0.5) / order.size)).reshape(values.shape)


def add_correlations(z: np.ndarray, lags: tuple[int, ...], found: Found, what: str) -> None:
    """Add the p-values of streams of scores, a row each.

    A correlation of two independent rows of n normal numbers has Student's distribution with
    n - 1 degrees of freedom, as their mean is known; the largest of many is judged by
    Bonferroni's inequality. The sum of all squared ones is that of Schott (2005).
    """
    n = z.shape[1]
    _add_pairs(_products(z, z), n, found, what)
    _add_sums(z, found, what)
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


def _add_pairs(r: np.ndarray, n: int, found: Found, what: str) -> None:
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


def _add_sums(z: np.ndarray, found: Found, what: str) -> None:
    streams, n = z.shape
    for name, sums, most in (("over streams", z.sum(0), streams), ("over draws", z.sum(1), n)):
        square = (sums**2).sum() / most
        told = f"sums {name} vary {square / (sums.size - 1):.4f} times as much as they should"
        for p in chi_squared(square, sums.size - 1):
            found.add(f"sums {name}{what}", float(p), told)


def hash_draws(draws: np.ndarray) -> np.ndarray:
    """Return 64 bits for each draw: equal for equal bytes, and otherwise as good as never."""
    rows = np.ascontiguousarray(draws).reshape(*draws.shape[:2], -1)
    octets = rows.view(np.uint8).reshape(*draws.shape[:2], -1)
    padded = np.zeros((*octets.shape[:2], -(-octets.shape[2] // 8) * 8), np.uint8)
    padded[..., : octets.shape[2]] = octets
    words = padded.view(np.uint64)
    mixed = np.full(words.shape[:2], 0x243F6A8885A308D3, np.uint64)
    for word in range(words.shape[2]):
        mixed = _mix(mixed ^ words[..., word])
    return mixed


def _mix(words: np.ndarray) -> np.ndarray:
    """Mix 64 bits one to one: the finalizer of Steele, Lea and Flood's SplitMix (2014)."""
    words = (words + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def add_repeats(marks: np.ndarray, found: Found) -> None:
    """Add the p-values of equal draws, of marks with a row for each stream.

    The chance q that two draws are equal is taken from all pairs at different times, with an
    upper limit that is exceeded once in a million; then equal draws at one time, of all
    pairs and of any single pair, are rarer than Poisson, and so are equal runs of w draws
    anywhere, where w is such that one is expected less than once in a million.
    """
    streams, n = marks.shape
    pairs = streams * (streams - 1) // 2
    together = _aligned(marks)
    everywhere = _equal(marks)
    rest = marks.size * (marks.size - 1) / 2 - n * pairs
    others = max(everywhere - float(together.total), 0.0)
    chance = min(1.0, float(special.gammaincinv(others + 1, 1 - 1e-6)) / rest)
    constant = bool((marks == marks[0, 0]).all())
    found.add("constant draws", 0.0 if constant else 1.0, "all draws are one and the same")
    if chance < RARE:
        most = f"{together.most:,} draws in the same places, as from place {together.first}"
        p = poisson(together.most, n * chance)[0] * pairs
        told = f"streams {together.pair[0]} and {together.pair[1]} share {most}"
        found.add("equal draws of two streams", float(p), told)
        told = f"{together.total:,} draws of two streams are equal in the same places"
        found.add("equal draws", float(poisson(together.total, n * pairs * chance)[0]), told)
    _add_runs(marks, chance, found)


class _Aligned(NamedTuple):
    total: int
    most: int
    pair: tuple[int, int]
    first: int


def _aligned(marks: np.ndarray) -> _Aligned:
    """Count equal marks in one column: each with the next equal one."""
    order = np.argsort(marks, 0, kind="stable")
    ordered = np.take_along_axis(marks, order, 0)
    row, column = np.nonzero(ordered[1:] == ordered[:-1])
    if not row.size:
        return _Aligned(0, 0, (0, 1), 0)
    one, other = order[row, column], order[row + 1, column]
    pair = one.astype(np.int64) * len(marks) + other
    kinds, counts = np.unique(pair, return_counts=True)
    best = int(counts.argmax())
    where = int(kinds[best])
    starts = column[pair == where].min()
    return _Aligned(
        row.size, int(counts[best]), (where // len(marks), where % len(marks)), int(starts)
    )


def _equal(marks: np.ndarray) -> float:
    counts = np.unique(marks, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1) / 2).sum())


def _add_runs(marks: np.ndarray, chance: float, found: Found) -> None:
    streams, n = marks.shape
    pairs = marks.size**2 / 2
    length = 1 if chance == 0 else int(np.ceil(np.log(1e-6 / pairs) / np.log(min(chance, 0.999))))
    length = min(max(length, 1), n // 2)
    kept = n - length + 1
    runs = np.zeros((streams, kept), np.uint64)
    for shift in range(length):
        runs = _mix(runs ^ marks[:, shift : shift + kept])
    order = np.argsort(runs.ravel(), kind="stable")
    same = np.flatnonzero(np.diff(runs.ravel()[order]) == 0)
    mean = pairs * chance**length
    told = f"no two runs of {length} draws are equal"
    if same.size:
        one, other = sorted((int(order[same[0]]), int(order[same[0] + 1])))
        told = (
            f"{same.size:,} runs of {length} draws come again: stream {other // kept} from draw "
            f"{other % kept} on is stream {one // kept} from draw {one % kept} on"
        )
    found.add("equal runs of draws", float(poisson(same.size, mean)[0]), told)
