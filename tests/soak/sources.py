"""Where words come from: a layout, or one of the faulty sources that the batteries must find."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import keystream as ks
from keystream.cli._bits import layouts, reading

SPAN = 2**32
"""Words between the beginnings of two tests of one seed: 16 GiB, more than any test reads."""
CHUNK = 2**18


def words(name: str, seed: int, number: int, *, reverse: bool) -> Iterator[np.ndarray]:
    """Return the words that test `number` of a battery reads, without end."""
    if name in FAULTY:
        made = FAULTY[name](seed + 1000 * number)
        return map(reading.reverse_bits, made) if reverse else made
    layout = layouts.LAYOUTS[name]
    return reading.read(layout, ks.key(seed), number * SPAN, reverse=reverse)


def randu(seed: int) -> Iterator[np.ndarray]:
    """RANDU, x -> 65539 x modulo 2**31: its triples lie in 15 planes (G. Marsaglia, 1968)."""
    state = np.uint64(2 * seed + 1)
    # Products wrap modulo 2**64, which 2**31 divides.
    powers = np.cumprod(np.full(CHUNK, 65539, np.uint64)) % np.uint64(2**31)
    while True:
        made = state * powers % np.uint64(2**31)
        state = made[-1]
        yield (made << np.uint64(1)).astype(np.uint32)


def short(seed: int) -> Iterator[np.ndarray]:
    """Sound words of NumPy's own, and the same ones again after 65,536 of them."""
    made = np.random.default_rng(seed).integers(0, 2**32, 2**16, dtype=np.uint32)
    while True:
        yield made


def biased(seed: int) -> Iterator[np.ndarray]:
    """Sound words of NumPy's own, in each of which bit 7 is one with probability 0.505."""
    source = np.random.default_rng(seed)
    while True:
        made = source.integers(0, 2**32, CHUNK, dtype=np.uint32)
        made[source.random(CHUNK) < 0.01] |= np.uint32(2**7)
        yield made


FAULTY = {made.__name__: made for made in (randu, short, biased)}
