"""Find places in a random order on the host: `index_shuffle`, `index_unshuffle`."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from keystream._checks.static import check_count, check_index
from keystream._keys import cipher, scheme, shuffle
from keystream.host._check import check_key, public


@overload
def index_shuffle(key: np.ndarray, /, n: int, index: int) -> np.signedinteger[Any]: ...
@overload
def index_shuffle(key: np.ndarray, /, n: int, index: np.ndarray) -> np.ndarray: ...
@public
def index_shuffle(key: np.ndarray, /, n: int, index: Any) -> Any:
    """Return the place of each index in a random order of 0 .. n-1, without making it.

    Reach for it in a loader that reads its own examples in the order of the epoch; see
    `ks.index_shuffle`.

    `host.index_shuffle(host.from_jax(key), n, i) == ks.index_shuffle(key, n, i)`, of one dtype.

    Args:
        key: A host key.
        n: How many numbers are ordered: an int up to 2**62.
        index: An integer from 0 to n - 1, or a NumPy array of them of any shape and
            integer dtype.

    Returns:
        An array of the shape of `index`, or a NumPy integer for one: int32 for n up to
        2**31, above it int64.

    Key use:
        Uses up one child, another one for each n, and not the key: ask again for other
        indices, derive from it, but never also make a generator of it, split it or hand it on.

    Guarantees:
        As `ks.index_shuffle`, for every n whatever JAX's settings are. One place costs about
        0.4 ms, each of many at once below 2 us.

    Raises:
        KeyTypeError: `key` isn't one host key.
        ArgumentTypeError: `n` isn't an int, or `index` no integer.
        ArgumentValueError: `n` is below 0 or too large, or an index is out of range.

    Example:
        >>> import numpy as np
        >>> from keystream import host
        >>> order = host.derive(host.key(42), "order", 0)
        >>> places = host.index_shuffle(order, 10**12, np.arange(4))
        >>> host.index_unshuffle(order, 10**12, places).tolist()
        [0, 1, 2, 3]

    References:
        See `ks.index_shuffle`.
    """
    return _find(key, n, index, "index", inverse=False)


@overload
def index_unshuffle(key: np.ndarray, /, n: int, place: int) -> np.signedinteger[Any]: ...
@overload
def index_unshuffle(key: np.ndarray, /, n: int, place: np.ndarray) -> np.ndarray: ...
@public
def index_unshuffle(key: np.ndarray, /, n: int, place: Any) -> Any:
    """Return which index is at each place: the inverse of `index_shuffle`.

    `host.index_unshuffle(key, n, host.index_shuffle(key, n, i)) == i`.

    Args:
        key: A host key.
        n: As in `index_shuffle`.
        place: An integer from 0 to n - 1, or a NumPy array of them.

    Returns:
        An array of the shape of `place`, or a NumPy integer for one: int32 for n up to
        2**31, above it int64.

    Key use:
        Uses up the child that `index_shuffle` with the same n does, and not the key.

    Guarantees:
        As `index_shuffle`.

    Raises:
        KeyTypeError, ArgumentTypeError, ArgumentValueError: As `index_shuffle`.

    Example:
        >>> from keystream import host
        >>> order = host.derive(host.key(42), "order", 0)
        >>> int(host.index_unshuffle(order, 1000, host.index_shuffle(order, 1000, 17)))
        17
    """
    return _find(key, n, place, "place", inverse=True)


def _find(key: Any, n: Any, index: Any, argument: str, *, inverse: bool) -> Any:
    held = check_key(key)
    length = check_count("n", n, most=shuffle.MOST)
    array = isinstance(index, np.ndarray)
    check_index(argument, index, length, (lambda value: [value]) if array else None)
    hi, lo = scheme.widen(scheme.shuffle_counter(length))
    child = cipher.threefry2x32(held, np.array([hi]), np.array([lo]))
    places = np.asarray(index)
    words = (child[:, 0], child[:, 1])
    found = shuffle.find(words, length, places.ravel(), inverse=inverse)
    return found.reshape(places.shape)[()]
