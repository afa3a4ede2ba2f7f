"""The threefry2x32 cipher in NumPy: for keys that are wanted before anything is compiled."""

from __future__ import annotations

import numpy as np

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def threefry2x32(key: np.ndarray, hi: np.ndarray, lo: np.ndarray) -> np.ndarray:
    """Encrypt counters under one key: 20 rounds, as in `jax.extend.random.threefry2x32_p`.

    Args:
        key: uint32 of shape (2,).
        hi: The high words of the counters, uint32 of shape (n,).
        lo: Their low words, uint32 of shape (n,).

    Returns:
        uint32 of shape (n, 2), a child's words in each row.

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random
        numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
    """
    first, second = key
    schedule = (first, second, first ^ second ^ _PARITY)
    # Scalars warn where they wrap around, arrays don't.
    x, y = hi + schedule[0], lo + schedule[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x = x + y
            y = (y << np.uint32(turn) | y >> np.uint32(32 - turn)) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3]
        y = y + np.uint32(group + 1)
    return np.stack([x, y], axis=-1)
