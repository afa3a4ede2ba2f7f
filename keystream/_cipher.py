"""The threefry2x32 cipher written out, in NumPy or JAX.

In NumPy it makes keys without a compilation; `accelerate` lowers JAX's primitive to it.
"""

from __future__ import annotations

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
        key: uint32 of shape (2,), or (n, 2) for a key to each counter.
        hi: The high words of the counters, uint32 of shape (n,).
        lo: Their low words, uint32 of shape (n,).

    Returns:
        uint32 of shape (n, 2).
    """
    return np.stack(rounds((key[..., 0], key[..., 1]), hi, lo), axis=-1)
