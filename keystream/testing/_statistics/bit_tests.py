"""Test words that should be uniform bits: balance, evenness, repetitions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import special

from keystream.testing._statistics.p_values import (
    binomial,
    cells_squared,
    least,
    poisson,
    two_sided,
)
from keystream.testing._statistics.rule import Found

LAGS = (1, 2, 3, 4, 8, 16, 64, 256)
DAYS = 2.0**32
BIRTHDAYS = 2048


def all_tests(words: np.ndarray, found: Found) -> None:
    """Add the p-values of every test of unsigned words in the order in which they came."""
    octets = words.view(np.uint8).reshape(len(words), -1)
    flat = octets.ravel()
    whole = flat[: flat.size // 4 * 4].view(np.uint32)
    _repeats(whole, found)
    _bits(words, found)
    _cells("bytes", (octets[:, i].astype(np.int64) for i in range(octets.shape[1])), 256, found)
    _serial(whole, found)
    _gaps(whole, found)
    _order(whole, found)
    _lagged(whole, found)
    _spacings(whole, found)


def _bits(words: np.ndarray, found: Found) -> None:
    """Each bit is one half of the time, whatever the others and the next word's are."""
    n, width = len(words), words.dtype.itemsize * 8
    ones = np.zeros(width, np.int64)
    inside, along = np.zeros((2, width, width))
    for first in range(0, n, 2**16):
        part = words[first : first + 2**16 + 1]
        octets = np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)
        bits = np.unpackbits(octets, axis=1, bitorder="little")
        signs = 1 - 2 * bits.astype(np.float32)
        ones += bits[: 2**16].sum(0, dtype=np.int64)
        # Sums of at most 2**16 signs are exact in float32.
        inside += signs[: 2**16].T @ signs[: 2**16]
        along += signs[:-1].T @ signs[1:]
    for many, p in zip((True, False), binomial(ones, n, 0.5), strict=True):
        place = int(ones.argmax() if many else ones.argmin())
        told = f"bit {place} is one in {ones[place] / n:.5f} of the words"
        found.add("balance", least(p), told)
    pairs = inside[np.triu_indices(width, 1)] / np.sqrt(n)
    _most("two bits of a word", inside * np.tri(width, width, -1).T, pairs, n, found)
    _most("a bit and one of the next word", along, along.ravel() / np.sqrt(n - 1), n, found)


def _most(name: str, sums: np.ndarray, z: np.ndarray, n: int, found: Found) -> None:
    for sign, p in zip((1, -1), two_sided(z), strict=True):
        i, j = np.unravel_index(int((sign * sums).argmax()), sums.shape)
        told = f"bits {i} and {j} are correlated by {sums[i, j] / n:+.5f}"
        found.add(name, least(p), told)


def _cells(name: str, several: Iterable[np.ndarray], cells: int, found: Found) -> None:
    """Each of rows of numbers below `cells` takes all values equally often."""
    seen = []
    for values in several:
        expected = values.size / cells
        counts = np.bincount(values, minlength=cells)
        seen.append(((counts - expected) ** 2).sum() / expected)
    for far, p in zip((max, min), cells_squared(np.array(seen), cells), strict=True):
        told = f"chi-squared {far(seen):,.1f} over {cells} cells"
        found.add(name, least(p), told)


def _serial(whole: np.ndarray, found: Found) -> None:
    """Neighbors take all pairs of their four high bits equally often, and of their low ones."""
    pairs = whole[: whole.size // 2 * 2].reshape(-1, 2).astype(np.int64)
    high, low = pairs >> 28, pairs & 15
    _cells("serial", (both[:, 0] * 16 + both[:, 1] for both in (high, low)), 256, found)
    weights = np.bincount(np.bitwise_count(whole), minlength=33)
    chances = special.binom(32, np.arange(33)) / DAYS
    _expected("weights", weights, chances, found)


def _expected(name: str, counts: np.ndarray, chances: np.ndarray, found: Found) -> None:
    """Counts are as expected; rare cells at the ends are joined."""
    total = counts.sum()
    number = np.minimum((chances.cumsum() - chances / 2) * total // 128, 10**6).astype(np.int64)
    place = np.unique(number, return_inverse=True)[1]
    seen, expected = np.bincount(place, counts), np.bincount(place, chances) * total
    kept = expected >= 32
    if kept.sum() < 2:
        return
    chi = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    for p in cells_squared(chi, int(kept.sum()) + (not kept.all())):
        found.add(name, float(p), f"chi-squared {chi:,.1f} over {kept.sum()} cells")


def _gaps(whole: np.ndarray, found: Found) -> None:
    """Between two words with three given bits zero lie as many others as chance has it."""
    for name, bits in (("gaps, high bits", whole >> 29), ("gaps, low bits", whole & 7)):
        gaps = np.diff(np.flatnonzero(bits == 0)) - 1
        lengths = np.arange(256)
        chances = np.append(0.125 * 0.875**lengths, 0.875**256)
        counts = np.bincount(np.minimum(gaps, 256), minlength=257)
        _expected(name, counts, chances, found)


def _order(whole: np.ndarray, found: Found) -> None:
    """Four words are in each order equally often; runs up and down are as many as they should."""
    fours = whole[: whole.size // 4 * 4].reshape(-1, 4)
    ranks = np.argsort(fours, axis=1) @ np.array([64, 16, 4, 1])
    kinds = np.unique([a * 64 + b * 16 + c * 4 + 6 - a - b - c for a, b, c in _orders()])
    _cells("order of four", [np.searchsorted(kinds, ranks)], 24, found)
    n = whole.size
    runs = 1 + int(np.diff(whole[1:] > whole[:-1]).sum())
    mean, spread = (2 * n - 1) / 3, np.sqrt((16 * n - 29) / 90)
    for p in two_sided((runs - mean) / spread):
        found.add("runs", float(p), f"{runs:,} runs up and down, where {mean:,.0f} should be")


def _orders() -> list[tuple[int, int, int]]:
    every = range(4)
    return [(a, b, c) for a in every for b in every for c in every if len({a, b, c}) == 3]


def _lagged(whole: np.ndarray, found: Found) -> None:
    """Words as numbers aren't correlated with those a few places on."""
    u = whole / DAYS - 0.5
    lags = [lag for lag in LAGS if lag < u.size // 2]
    z = np.array([(u[:-lag] * u[lag:]).sum() * 12 / np.sqrt(u.size - lag) for lag in lags])
    for far, p in zip((np.argmax, np.argmin), two_sided(z), strict=True):
        place = int(far(z))
        r = z[place] / np.sqrt(u.size)
        found.add("lagged correlation", least(p), f"words {lags[place]} apart: r = {r:+.5f}")


def _repeats(whole: np.ndarray, found: Found) -> None:
    """Words come again as often as birthdays do, and three in a row never."""
    n = whole.size
    wide = whole.astype(np.uint64)
    rows = wide[:-1] << np.uint64(32) | wide[1:]
    order = np.lexsort((whole[2:], rows[:-1]))
    same = (np.diff(rows[:-1][order]) == 0) & (np.diff(whole[2:][order].astype(np.int64)) == 0)
    told = "no three words in a row come again"
    if same.any():
        apart = np.abs(np.diff(order)[same])
        told = f"{same.sum():,} times three words in a row come again, {apart.min():,} words later"
    found.add("period", float(poisson(same.sum(), n**2 / 2.0**97)[0]), told)
    again = n - np.unique(whole).size
    # n - m (1 - (1 - 1/m)**n), without cancellation
    mean = n + DAYS * np.expm1(n * np.log1p(-1 / DAYS))
    for p in poisson(again, mean):
        told = f"{again:,} words came before, where {mean:,.1f} should have"
        found.add("repeated words", float(p), told)


def _spacings(whole: np.ndarray, found: Found) -> None:
    """Spacings between sorted words are equal as often as Marsaglia and Tsang say."""
    groups = whole.size // BIRTHDAYS
    if not groups:
        return
    rows = whole[: groups * BIRTHDAYS].reshape(groups, BIRTHDAYS)
    mean = groups * BIRTHDAYS**3 / (4 * DAYS)
    for name, days in (("high", rows), ("low", rows.byteswap())):
        spaces = np.sort(np.diff(np.sort(days.astype(np.int64), 1), axis=1), 1)
        equal = int((np.diff(spaces, axis=1) == 0).sum())
        for p in poisson(equal, mean):
            told = f"{equal:,} equal spacings, where {mean:,.1f} should be"
            found.add(f"birthday spacings, {name} bits", float(p), told)
