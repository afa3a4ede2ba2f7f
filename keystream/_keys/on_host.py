"""Make keys in NumPy, and hand them over to JAX.

Nothing here is compiled for a number of keys or for a structure: one call without arithmetic,
compiled in 20 to 40 ms, hands out keys of one implementation and placement.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from keystream import _compat, _impl
from keystream._checks.values import is_traced, read_setting
from keystream._keys import children, cipher
from keystream._keys.scheme import Counter

HANDED_OUT = 16
"""Keys that one call hands out: more take longer to compile, and cost as much each."""

FOLDED = 64
"""Keys that one call makes where there is no public cipher."""


def read_words(key: jax.Array) -> np.ndarray | None:
    """Return the words of one key, or None where they can't be looked at here and now.

    They can't for a traced key, for one that a function being traced closes over, and for
    one with parts on other processes.
    """
    if is_traced(key) or not key.is_fully_addressable:
        return None
    words = jax.random.key_data(key)
    return None if is_traced(words) else np.asarray(jax.device_get(words))


def child_words(words: np.ndarray, counters: Counter, dtype: Any) -> np.ndarray:
    """Return the words of child `counters[i]` of the key of words `words[i]`, a row each."""
    impl = _impl.accepted_impl(dtype)
    if impl and impl.cipher:
        hi = np.zeros_like(counters.lo) if counters.hi is None else counters.hi
        return cipher.threefry2x32(words, hi, counters.lo)
    made = []
    for first in range(0, len(words), FOLDED):
        some, lo = (x[first : first + FOLDED] for x in (words, counters.lo))
        missing = FOLDED - len(lo)  # filled up, so that one length is compiled
        filled = np.pad(some, ((0, missing), (0, 0))), np.pad(lo, (0, missing))
        # Over whatever mesh is in context JAX couldn't read the result back.
        with jax.ensure_compile_time_eval(), _compat.no_mesh():
            made.append(jax.device_get(_folded(*filled, dtype))[: len(lo)])
    return np.concatenate(made)


@functools.partial(jax.jit, static_argnums=2)
def _folded(words: jax.Array, lo: jax.Array, dtype: Any) -> jax.Array:
    return jax.random.key_data(children.children(_impl.wrap(words, dtype), Counter(None, lo)))


def place_of(key: jax.Array) -> Any:
    """Return where a concrete key is committed to: a sharding, or None for nowhere."""
    return key.sharding if key.committed else None


def put(words: np.ndarray, dtype: Any, place: Any) -> list[jax.Array]:
    """Return an array at a place for each row of words: keys, if given their dtype."""
    rows: list[jax.Array] = jax.device_put(list(words), place)
    return rows if dtype is None else [_impl.wrap(row, dtype) for row in rows]


def hand_over(words: np.ndarray, dtype: Any, place: Any) -> list[jax.Array]:
    """Return what `put` does, five times as fast where JAX may compile."""
    elsewhere = place is not None and not jax.sharding.get_abstract_mesh().empty
    if read_setting("jax_disable_jit") or os.getpid() != _IMPORTED_BY or elsewhere:
        return put(words, dtype, place)
    hand_out = _hand_out(dtype, place)
    made: list[jax.Array] = []
    for first in range(0, len(words), HANDED_OUT):
        rows = list(words[first : first + HANDED_OUT])
        made.extend(hand_out(*rows, *rows[:1] * (HANDED_OUT - len(rows))))
    return made[: len(words)]


_IMPORTED_BY = os.getpid()
"""In a fork of this process the threads of XLA's compiler are missing: it would wait for ever."""


@functools.lru_cache(maxsize=64)
def _hand_out(dtype: Any, place: Any) -> Callable[..., tuple[jax.Array, ...]]:
    # What goes in comes out as an array: a function without arithmetic compiles fast.
    def hand_out(*rows: jax.Array) -> tuple[jax.Array, ...]:
        return rows if dtype is None else tuple(_impl.wrap(row, dtype) for row in rows)

    return jax.jit(hand_out) if place is None else jax.jit(hand_out, out_shardings=place)
