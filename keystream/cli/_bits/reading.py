"""Read a layout as a stream of words, from any place on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax
import numpy as np

from keystream.cli._bits.layouts import WORDS, Layout

SWAPS = ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0x0000FFFF))


def read(
    layout: Layout, key: jax.Array, start: int = 0, *, reverse: bool = False
) -> Iterator[np.ndarray]:
    """Yield a layout's words from place `start` on, as arrays of uint32, without end."""
    turn, skipped = divmod(start, WORDS)
    following = _block(layout, key, turn, reverse)
    for index in itertools.count(turn + 1):
        words, following = following, _block(layout, key, index, reverse)  # made meanwhile
        yield np.asarray(words)[skipped:]
        skipped = 0


def words(
    layout: Layout, key: jax.Array, count: int, start: int = 0, *, reverse: bool = False
) -> np.ndarray:
    """Return `count` of a layout's words, from place `start` on."""
    found, missing = [], count
    for some in read(layout, key, start, reverse=reverse):
        found.append(some[:missing])
        missing -= len(found[-1])
        if not missing:
            break
    return np.concatenate(found)


def _block(layout: Layout, key: jax.Array, index: int, reverse: bool) -> jax.Array:
    # The words of one seed are the same under every setting of the process.
    with jax.threefry_partitionable(True):
        made = layout.block(key, index)
    return reverse_bits(made) if reverse else made


@jax.jit
def reverse_bits(words: jax.Array) -> jax.Array:
    """Reverse the bits of each word: most batteries look at the upper ones more closely."""
    for width, mask in SWAPS:
        by, kept = np.uint32(width), np.uint32(mask)
        words = (words >> by) & kept | (words & kept) << by
    return words
