"""Keys one after the other for eager code, many per dispatch."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NoReturn

import jax
import numpy as np

from keystream import _check, _check_key, _children, _cipher, _impl
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error
from keystream._impl import NARROW_END, POSITIONS_END
from keystream._scheme import Counter, narrow

BLOCK = 64
"""Keys in one compiled call: more are slower to compile and no cheaper each."""

PATIENCE = 0.1
"""Seconds that one `next` waits at most for the compiler."""


def iter_keys(key: jax.Array, /, *, start: Any = 0) -> Iterator[jax.Array]:
    """Return an iterator over the children of one key, for eager code.

    Reach for it in a plain Python loop, such as one over batches or episodes, where a key
    a turn is wanted and nothing else is known. Inside `jit` use `scan` or `keys`; where the
    place must be saved use `Stream`.

    `list(itertools.islice(ks.iter_keys(key, start=s), n)) == list(ks.keys(key, n, start=s))`.

    Args:
        key: One typed key, concrete.
        start: The position of the first key: a concrete integer of zero or more.

    Returns:
        An iterator over typed keys of shape (), without end before the last position. They
        are committed to a device, or laid out over a mesh, where `key` is.

    Key use:
        Consumes `key`; iterators over disjoint ranges of positions are one consumption.

    Guarantees:
        The first 64 keys are made without compiling anything (threefry2x32). Then a call
        that makes 64 at a time is compiled, once in a process for each placement of the
        key, in a thread beside the program: a `next` waits for it for 0.1 s at most, and
        hands out a key of the slower kind meanwhile. It costs less and less the more keys
        are asked for; docs/measure_iter_keys.py measures it. Threads that share an iterator
        get different keys, in the order of their calls. Under `jax_disable_jit` nothing is
        compiled.

    Raises:
        KeyTypeError: Not one typed key, or a traced one.
        KeyImplError: An implementation that keystream refuses.
        ArgumentTypeError: `start` is no concrete integer.
        ArgumentValueError: `start` isn't a position. Also raised by `next` after the last
            position: 2**63 - 1, or 2**32 - 1 without a public cipher.

    Example:
        >>> import keystream as ks
        >>> keys = ks.iter_keys(ks.key(42), start=5)
        >>> bool(next(keys) == ks.derive(ks.key(42), 5))
        True
        >>> for step, key in zip(range(3), keys):
        ...     pass
        >>> bool(key == ks.derive(ks.key(42), 8))
        True
    """
    impl = _check_key.one_key("iter_keys", key, each="[ks.iter_keys(key) for key in keys]")
    words = _check_key.concrete_words(
        "iter_keys", key, "Inside a traced function: ks.keys(key, n)."
    )
    if _check.is_traced(start):
        cure = "Inside a traced function: ks.keys(key, n, start=start)."
        raise error(ArgumentTypeError, "iter_keys", "start", "concrete", start, cure)
    _check_key.here("iter_keys", impl, key)
    first = int(_check.start("iter_keys", start, 1, impl))
    return KeyIterator(key, words, first, wide=impl.cipher)


class KeyIterator(Iterator[jax.Array]):
    """What `iter_keys` returns: a position, and the keys that are made and not yet handed out.

    No generator: that would end for good at the first interrupt, without a word.
    """

    def __init__(self, key: jax.Array, words: jax.Array, first: int, *, wide: bool) -> None:
        self._key = key
        self._next = first
        self._end = POSITIONS_END if wide else NARROW_END
        self._early = first + BLOCK
        self._single = _on_host(key, words) if wide else _on_device(key)
        self._ready: Iterator[jax.Array] = iter(())
        self._compiling: Future[Any] | None = None
        # Threads may share an iterator, and each key goes to one of them.
        self._turn = threading.RLock()

    def __next__(self) -> jax.Array:
        for use in self._ready:
            return use
        with self._turn:
            for use in self._ready:  # another thread was here before
                return use
            made = self._made(self._next)
            use, *ready = made
            self._next, self._ready = self._next + len(made), iter(ready)
            return use

    def __reduce__(self) -> NoReturn:
        # A copy would hand out the same keys once more.
        wanted, got = "one, not copied or pickled", Words("a copy")
        cure = "For a place that can be saved: ks.Stream(key)."
        raise error(ArgumentTypeError, "iter_keys", "iterator", wanted, got, cure)

    def _made(self, i: int) -> tuple[jax.Array, ...]:
        """Return the keys from position `i` on that come in one go."""
        if i >= self._end:
            cure = "For keys of their own: ks.iter_keys(ks.derive(key, 'more'))."
            got = Words(f"a call after position {self._end - 1}")
            raise error(ArgumentValueError, "iter_keys", "position", "below its end", got, cure)
        late = self._early <= i <= self._end - BLOCK
        if not late or _check.setting("jax_disable_jit"):
            return self._single(i)
        if self._compiling is None:
            place = self._key.sharding if self._key.committed else None
            default = _check.setting("jax_default_device")
            self._compiling = _compiled(self._key.dtype, place, default)
        elif not self._compiling.done():
            wait([self._compiling], PATIENCE)
        if not self._compiling.done():
            return self._single(i)
        words = np.uint32(i >> 32), np.uint32(i & 0xFFFFFFFF)
        with jax.transfer_guard_host_to_device("allow"):
            made: tuple[jax.Array, ...] = self._compiling.result()(self._key, *words)
        return made


def _on_host(key: jax.Array, at_hand: jax.Array) -> Callable[[int], tuple[jax.Array]]:
    """Return what makes one key at a time without compiling."""
    words = np.asarray(at_hand)
    place = key.sharding if key.committed else None

    def single(i: int) -> tuple[jax.Array]:
        hi, lo = np.array([[i >> 32], [i & 0xFFFFFFFF]], np.uint32)
        (made,) = _cipher.threefry2x32(words, hi, lo)
        return (_impl.wrap(jax.device_put(made, place), key.dtype),)

    return single


def _on_device(key: jax.Array) -> Callable[[int], tuple[jax.Array]]:
    """Return what makes one key at a time in one dispatch."""

    def single(i: int) -> tuple[jax.Array]:
        return (_children.eager_walk(key, (Counter(None, np.uint32(i)),)),)

    return single


@functools.lru_cache(maxsize=64)
def _compiled(dtype: Any, place: Any, default_device: Any) -> Future[Any]:
    """Compile `_make_block` in a thread; trace it here and now, in the caller's settings."""
    del default_device  # Where keys go that are committed to no place.
    key = jax.ShapeDtypeStruct((), dtype, sharding=place)
    word = jax.ShapeDtypeStruct((), np.uint32)
    lowered = jax.jit(_make_block).lower(key, word, word)
    pool = ThreadPoolExecutor(1, "keystream-iter_keys")
    compiling = pool.submit(lowered.compile)
    pool.shutdown(wait=False)
    return compiling


def _make_block(key: jax.Array, hi: jax.Array, lo: jax.Array) -> tuple[jax.Array, ...]:
    counter = Counter(hi, lo)
    wide = _check_key.implementation("iter_keys", key).cipher
    return tuple(_children.row(key, (BLOCK,), counter if wide else narrow(counter)))
