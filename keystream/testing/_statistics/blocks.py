"""Draws that come more often than chance allows: of the same key, counter or period."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from keystream.testing._statistics.two_stage_rule import Found, poisson

RARE = 1e-3
"""Single equal draws are looked at where two independent ones are equal less often."""


def hashes(draws: np.ndarray) -> np.ndarray:
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


def repeated(marks: np.ndarray, found: Found) -> None:
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
    _runs(marks, chance, found)


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


def _runs(marks: np.ndarray, chance: float, found: Found) -> None:
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
