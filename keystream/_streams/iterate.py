"""Iterate over the keys of one key in eager code: `iter_keys`, many keys per dispatch."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from keystream import _impl
from keystream._checks.key import check_concrete, check_key, check_key_in_context
from keystream._checks.numbers import check_start
from keystream._checks.values import is_traced
from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, error, public
from keystream._keys import children, on_host
from keystream._keys.scheme import Counter
from keystream._known import NARROW_END, POSITIONS_END
from keystream._types import Position

BLOCK = 64
"""Keys that are made at a time: more are no cheaper each."""


@public
def iter_keys(key: jax.Array, /, *, start: Position = 0) -> Iterator[jax.Array]:
    """Return an iterator over the children of one key, for eager code.

    Reach for it in a plain Python loop, such as one over batches or episodes, where each
    step wants one key and nothing else is known. Inside `jit` use `scan` or `keys`; where the
    place must be saved use `Stream`.

    `list(itertools.islice(ks.iter_keys(key, start=s), n)) == list(ks.keys(key, n, start=s))`.

    Args:
        key: One typed key, concrete.
        start: The position of the first key: a concrete integer of zero or more.

    Returns:
        An iterator over typed keys of shape (), without end before the last position. They
        are committed to a device, or laid out over a mesh, where `key` is.

    Key use:
        Consumes `key`: use it again only for ranges of positions that don't overlap.

    Guarantees:
        The keys of threefry2x32 are made in NumPy, 64 at a time, and handed over to JAX by
        a call without arithmetic, which is compiled in a few hundredths of a second once in
        a process for each placement; docs/measure_iter_keys.py measures what a key costs.
        Keys that are committed nowhere lie on the device that is the default one when their
        64 are made. Threads that share an iterator get each key once. It works in `atexit`
        handlers, and after a fork as far as JAX does there. An iterator holds a copy of the
        key's words, so donating the key does it no harm.

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
    impl = check_key(key, each="[ks.iter_keys(key) for key in keys]")
    words = check_concrete(key, "Inside a traced function: ks.keys(key, n).")
    if is_traced(start):
        cure = "Inside a traced function: ks.keys(key, n, start=start)."
        raise error(ArgumentTypeError, "start", "concrete", start, cure)
    check_key_in_context(impl, key)
    first = int(check_start(start, 1, impl))
    end = POSITIONS_END if impl.cipher else NARROW_END
    return KeyIterator(np.array(words), key.dtype, on_host.place_of(key), first, end)


class _Block(NamedTuple):
    """Keys that are made and not yet handed out, the next of them last, and what follows."""

    keys: list[jax.Array]
    end: int
    """The position behind the last of them."""
    after: dict[int, _Block]
    """The block from there on, once it is made."""


class KeyIterator(Iterator[jax.Array]):
    """What `iter_keys` returns.

    No generator: that would end for good at the first interrupt, without a word. Threads may
    share an iterator without a lock: `list.pop` gives each key to one of them, and of two
    blocks that two threads have made for the same positions `dict.setdefault` keeps one.
    """

    def __init__(self, words: np.ndarray, dtype: Any, place: Any, first: int, end: int) -> None:
        self._words, self._dtype, self._place = words, dtype, place
        self._end = end
        self._block = _Block([], first, {})

    def __next__(self) -> jax.Array:
        while True:
            block = self._block
            try:
                return block.keys.pop()
            except IndexError:
                if not block.after:
                    block.after.setdefault(block.end, self._made(block.end))
                self._block = block.after[block.end]

    @functools.partial(public, name="iter_keys")
    def __reduce__(self) -> NoReturn:
        # A copy would hand out the same keys once more.
        wanted, got = "one, not copied or pickled", Phrase("a copy")
        cure = "For a place that can be saved: ks.Stream(key)."
        raise error(ArgumentTypeError, "iterator", wanted, got, cure)

    @functools.partial(public, name="iter_keys")
    def _made(self, first: int) -> _Block:
        """Return the keys from a position on that are made in one go."""
        if first >= self._end:
            cure = "For keys of their own: ks.iter_keys(ks.derive(key, 'more'))."
            got = Phrase(f"a call after position {self._end - 1}")
            raise error(ArgumentValueError, "position", "below its end", got, cure)
        count = min(BLOCK, self._end - first)
        places = np.uint64(first) + np.arange(count, dtype=np.uint64)
        hi, lo = (places >> np.uint64(32)).astype(np.uint32), places.astype(np.uint32)
        # Also where something else is being traced, or transfers are guarded against.
        with jax.ensure_compile_time_eval(), jax.transfer_guard_host_to_device("allow"):
            key = _impl.wrap(self._words, self._dtype)
            if is_traced(key):  # in an eager mapped body, where nothing is concrete
                here = Counter(hi[0], lo[0]) if self._end == POSITIONS_END else Counter(None, lo[0])
                return _Block([children.child(key, here)], first + 1, {})
            parents = np.broadcast_to(self._words, (count, *self._words.shape))
            words = on_host.child_words(parents, Counter(hi, lo), self._dtype)
            # Compiled under a mesh, what is committed nowhere would be committed to the mesh.
            free = self._place is None and not jax.sharding.get_abstract_mesh().empty
            hand_over = on_host.put if free else on_host.hand_over
            keys = hand_over(words, self._dtype, self._place)
        return _Block(keys[::-1], first + count, {})
