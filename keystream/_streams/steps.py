"""Compute what a stream holds: how its key and position begin and move on.

Each step is one dispatch eagerly. It clones the key, which costs nothing under `jit`, so
that no two streams share a buffer: an output that is not the input itself gets one of its
own.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from keystream._checks.key import check_impl
from keystream._checks.values import is_traced
from keystream._impl import IMPLS, is_typed_key
from keystream._keys import children
from keystream._keys.scheme import Counter, advance, narrow, widen

T = TypeVar("T")

WIDE = IMPLS["threefry2x32"]
"""Steps are counted in 64 bits, whatever the implementation; the end is checked apart."""


def make_begun(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return what a stream at position 0 holds: the key, and the position in two words."""
    # Zeros that are laid out as the key is, also where `vmap` maps over keys of a mesh.
    words = jax.random.key_data(key)[:2] * np.uint32(0)
    return jax.random.clone(children.settle(key)), words


def _make_step(key: jax.Array, words: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the key at the position, and what the stream one further holds."""
    place = Counter(words[0], words[1])
    use = children.child(key, _own(place, key))
    return use, jax.random.clone(key), _moved(place, Counter(None, np.uint32(1)))


def _make_take(key: jax.Array, words: jax.Array, n: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the next `n` keys, and what the stream `n` further holds."""
    place = Counter(words[0], words[1])
    keys = children.row(key, (n,), _own(place, key))
    offset = children.start_counter(n, 0, WIDE)
    return keys, jax.random.clone(key), _moved(place, offset) if offset else jnp.copy(words)


def _make_skip(
    key: jax.Array, words: jax.Array, offset: Counter | None
) -> tuple[jax.Array, jax.Array]:
    place = Counter(words[0], words[1])
    return jax.random.clone(key), _moved(place, offset) if offset else jnp.copy(words)


def _moved(place: Counter, offset: Counter) -> jax.Array:
    return jnp.stack(advance(place, offset))


def _own(place: Counter, key: jax.Array) -> Counter:
    impl = check_impl(key)
    return place if impl.cipher else narrow(place)


def copy_arrays(tree: T) -> T:
    """Return a pytree of keys and arrays in buffers of its own, also while tracing."""
    made: T = jax.tree.map(_copied, tree)
    return made


def _copied(leaf: Any) -> Any:
    if is_typed_key(leaf):
        return jax.random.clone(leaf)
    return jnp.copy(leaf) if isinstance(leaf, jax.Array) else copy.deepcopy(leaf)


begun = children.one_dispatch(make_begun)
step = children.one_dispatch(_make_step)
take = children.one_dispatch(_make_take, static="n")
_skip = children.one_dispatch(_make_skip)


def skip(key: jax.Array, words: jax.Array, n: Any) -> tuple[jax.Array, jax.Array]:
    """Return what the stream a checked `n` further holds."""
    offset = children.start_counter(n, 0, WIDE)
    if offset and not is_traced(key, words):
        offset = widen(offset)
    return _skip(key, words, offset)
