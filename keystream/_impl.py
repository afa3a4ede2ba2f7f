"""Tell key implementations apart, and read and write the words of keys.

What JAX doesn't tell of an implementation is a row of `KNOWN`; what it tells slowly is asked
once for each dtype.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from keystream import _compat
from keystream._known import KNOWN, Impl

IMPLS = {name: impl for name, impl in KNOWN.items() if _compat.has_impl(name)}
"""Those that this version of JAX has."""


def is_typed_key(value: object) -> TypeGuard[jax.Array]:
    """Is this an array of typed keys, of whatever shape?"""
    return isinstance(value, jax.Array) and is_key_dtype(value.dtype)


# What is asked of every key at every door is asked of each dtype once: JAX takes five
# microseconds for it, as long as for half a split.
@functools.lru_cache(maxsize=64)
def is_key_dtype(dtype: Any) -> bool:
    """Is this the dtype of typed keys?"""
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


WINDOW = "window"
"""How the names of the implementations of windows begin."""


@functools.lru_cache(maxsize=64)
def is_window_dtype(dtype: Any) -> bool:
    """Is this the dtype of a key that `window` made?"""
    return is_key_dtype(dtype) and dtype.name.startswith(f"key<{WINDOW}[")


def window_name(shape: tuple[int, ...]) -> str:
    """Return the name of the implementation of windows of draws of a shape."""
    return f"{WINDOW}[{','.join(map(str, shape))}]"


def window_shape(impl: str) -> tuple[int, ...] | None:
    """Return the shape that the name of an implementation of windows tells; None of others."""
    if not impl.startswith(f"{WINDOW}["):
        return None
    sizes = impl.removeprefix(f"{WINDOW}[").removesuffix("]")
    return tuple(map(int, sizes.split(","))) if sizes else ()


class Kind(NamedTuple):
    """What JAX knows of an implementation of keys."""

    impl: Any
    """Its name, or JAX's own value for one that isn't registered."""
    words: int
    """uint32 words in one key."""


@functools.lru_cache(maxsize=64)
def kind_of(dtype: Any) -> Kind:
    """Return the implementation of a key dtype; nothing is computed."""
    found: list[Any] = []

    def look(key: jax.Array) -> jax.Array:
        found.append(jax.random.key_impl(key))
        return jax.random.key_data(key)

    words = jax.eval_shape(look, jax.ShapeDtypeStruct((), dtype))
    return Kind(found[0], words.shape[-1])


@functools.lru_cache(maxsize=64)
def accepted_impl(dtype: Any) -> Impl | None:
    """Return the implementation of a key dtype, or None for one to be refused."""
    name = kind_of(dtype).impl
    known = IMPLS.get(name) if isinstance(name, str) else None
    return known if known and not known.refused else None


def is_legacy_key(value: object) -> TypeGuard[jax.Array | np.ndarray]:
    """Could this be a raw uint32 key, as `jax.random.PRNGKey` makes them?"""
    return isinstance(value, (jax.Array, np.ndarray)) and value.dtype == np.uint32


def concrete_words(keys: jax.Array) -> jax.Array:
    """Return the words of concrete keys, also where something else is being traced."""
    with jax.ensure_compile_time_eval():
        return jax.random.key_data(keys)


def wrap(words: Any, impl: Any) -> jax.Array:
    """Wrap words as typed keys of an implementation, given by name or as a key dtype."""
    name = impl if isinstance(impl, str) else kind_of(impl).impl
    keys: jax.Array = jax.random.wrap_key_data(words, impl=name)
    return keys
