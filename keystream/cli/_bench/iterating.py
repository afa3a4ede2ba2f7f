"""Time a key of `ks.iter_keys` beside `key, use = jax.random.split(key)`, both warmed up."""

from __future__ import annotations

import itertools
import time
from typing import NamedTuple

import jax

import keystream as ks

SETTLED = 2000
"""Keys of a long loop in a fresh process."""


class Round(NamedTuple):
    """Seconds for each key in one round: by splitting, and by the iterator."""

    split: float
    iterated: float

    @property
    def ratio(self) -> float:
        """How many times cheaper the iterator is."""
        return self.split / self.iterated


def splitting(count: int) -> float:
    """Return the seconds for each key of the loop that people write by hand."""
    key = jax.random.key(42)
    begin = time.perf_counter()
    for _ in range(count):
        key, use = jax.random.split(key)
    use.block_until_ready()
    return (time.perf_counter() - begin) / count


def iterating(count: int) -> float:
    """Return the seconds for each key of an iterator, from its first one on."""
    key = ks.key(42)
    begin = time.perf_counter()
    keys = ks.iter_keys(key)
    for _ in itertools.islice(keys, count - 1):
        pass
    next(keys).block_until_ready()
    return (time.perf_counter() - begin) / count


def rounds(count: int, repeats: int) -> list[Round]:
    """Let the two take turns, after both have compiled what they need."""
    splitting(10)
    iterating(10)
    return [Round(splitting(count), iterating(count)) for _ in range(repeats)]
