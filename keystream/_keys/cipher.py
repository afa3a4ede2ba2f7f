"""The threefry2x32 cipher written out, in NumPy or JAX.

In NumPy it makes keys without a compilation; `accelerate` lowers JAX's primitive to it. One
block is written in Python's integers, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


def rounds(key: tuple[Any, Any], hi: Any, lo: Any) -> tuple[Any, Any]:
    """Encrypt counters: 20 rounds, as in `jax.extend.random.threefry2x32_p`.

    Args:
        key: The two words of a key, or of a key for each counter; NumPy's or JAX's uint32.
        hi: The high words of the counters, uint32 arrays (of one dimension or more in NumPy).
        lo: Their low words.

    Returns:
        The two words of each child.

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random
        numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
    """
    first, second = key
    schedule = (first, second, first ^ second ^ PARITY)
    # NumPy's scalars warn where they wrap around, its arrays don't.
    x, y = hi + schedule[0], lo + schedule[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = (y << np.uint32(turn) | y >> np.uint32(32 - turn)) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3]
        y = y + np.uint32(group + 1)
    return x, y


def threefry2x32(key: np.ndarray, hi: np.ndarray, lo: np.ndarray) -> np.ndarray:
    """Return children in NumPy: one row of two words for each counter.

    Args:
        key: uint32 of shape (2,), or (n, 2) for a key to each counter; one for all, or one
            counter for all keys, has the shape (1, 2) or (1,).
        hi: The high words of the counters, uint32 of shape (n,).
        lo: Their low words, uint32 of shape (n,).

    Returns:
        uint32 of shape (n, 2).
    """
    if key.ndim > 1 and len(key) != len(lo):
        count = np.broadcast_shapes(key.shape[:1], lo.shape)
        key = np.broadcast_to(key, (*count, 2))
        hi, lo = (np.broadcast_to(word, count) for word in (hi, lo))
    if len(lo) <= _FEW:
        keys = key.tolist() if key.ndim > 1 else [key.tolist()] * len(lo)
        rows = zip(keys, hi.tolist(), lo.tolist(), strict=True)
        blocks = [block(each, high << 32 | low) for each, high, low in rows]
        return np.array(blocks, np.uint32).reshape(-1, 2)
    made = np.empty((len(lo), 2), np.uint32)
    for first in range(0, len(lo), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        words = key if key.ndim == 1 else key[part]
        made[part, 0], made[part, 1] = rounds((words[..., 0], words[..., 1]), hi[part], lo[part])
    return made


_FEW, _AT_ONCE = 24, 2**14
"""Counters up to which Python's integers are quicker, and those whose words stay in a
processor's cache in all that `rounds` makes of them."""


def block(key: Sequence[int], counter: int) -> tuple[int, int]:
    """Return one child, as `threefry2x32` does, in Python's integers.

    NumPy takes about 150 us for a block, a microsecond for each of its operations however few
    words they are given; this takes 5.
    """
    first, second = key
    schedule = (first, second, first ^ second ^ _PARITY)
    x = (counter >> 32) + first  # grows by a bit or so in each turn: cut at the end
    y = (counter & _MASK) + second & _MASK
    for group, (one, two, three, four) in enumerate(_GROUPS):
        # A word that is written twice, side by side, rotates by a shift.
        x += y
        y = (y * _TWICE >> one ^ x) & _MASK
        x += y
        y = (y * _TWICE >> two ^ x) & _MASK
        x += y
        y = (y * _TWICE >> three ^ x) & _MASK
        x += y
        y = (y * _TWICE >> four ^ x) & _MASK
        x += schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + group + 1 & _MASK
    return x & _MASK, y


_MASK, _TWICE, _PARITY = 2**32 - 1, 2**32 + 1, int(PARITY)
_GROUPS = tuple(tuple(32 - turn for turn in ROTATIONS[group % 2]) for group in range(5))
