"""The questions asked of every key: is this one typed key? alive? of an accepted implementation?

Everything here looks at Python values, dtypes and shapes alone, so under `jit` it runs
once, while tracing, and leaves no equation behind.
"""

from __future__ import annotations

import jax
import numpy as np

from keystream._errors import ArgumentValueError, KeyImplError, KeyTypeError, Words, error
from keystream._impl import IMPLS, Impl, accepted, is_legacy_key, is_typed_key


def one_key(function: str, key: object, *, each: str = "", argument: str = "key") -> Impl:
    """Refuse all but one typed key; `each` is the cure for an array of them."""
    if not is_typed_key(key):
        raise error(KeyTypeError, function, argument, "one typed key", key, _to_key(key))
    if key.shape:
        cure = f"For one {function} per key: {each or f'jax.vmap(ks.{function})(keys)'}."
        raise error(KeyTypeError, function, argument, "one typed key", key, cure)
    _not_donated(function, key, argument)
    return implementation(function, key, argument=argument)


def key_array(function: str, keys: object, *, argument: str = "keys") -> Impl:
    """Refuse all but an array of typed keys; a single key is an array of shape ()."""
    if not is_typed_key(keys):
        raise error(KeyTypeError, function, argument, "typed keys", keys, _to_key(keys))
    _not_donated(function, keys, argument)
    return implementation(function, keys, argument=argument)


def _not_donated(function: str, keys: jax.Array, argument: str) -> None:
    if not isinstance(keys, jax.core.Tracer) and keys.is_deleted():
        wanted = "one that wasn't donated (donate a copy: jax.random.clone(key))"
        raise error(ArgumentValueError, function, argument, wanted, Words("a donated one"))


def _to_key(value: object) -> str:
    if is_legacy_key(value):
        if getattr(value, "shape", ()) == (2,):
            return "To wrap a legacy key: ks.key(key)."
        return "To wrap legacy keys: jax.random.wrap_key_data(keys, dtype='threefry2x32')."
    if isinstance(value, (int, str, bytes, np.random.SeedSequence)) and not isinstance(value, bool):
        return "To make a key from a seed: ks.key(seed)."
    return "To make one: ks.key(42)."


def implementation(function: str, keys: jax.Array, *, argument: str = "key") -> Impl:
    """Look up the implementation of typed keys; refuse what breaks the laws everywhere."""
    known = accepted(keys.dtype)
    if known:
        return known
    name = jax.random.key_impl(keys)
    known = IMPLS.get(name) if isinstance(name, str) else None
    cure = "To make a key of the default one: ks.key(42)."
    if known is None:
        which = "of " + ", ".join(n for n, impl in IMPLS.items() if not impl.refused)
        raise error(KeyImplError, function, argument, which, keys, cure)
    if known.refused:
        which = f"of an implementation with independent children ({known.refused})"
        raise error(KeyImplError, function, argument, which, keys, cure)
    return known


def lanes(function: str, impl: Impl, key: object, *, argument: str = "key") -> None:
    """Refuse implementations whose draws under `vmap` are not those of a loop."""
    if not impl.lanes:
        raise error(
            KeyImplError,
            function,
            argument,
            "of an implementation that draws alike under vmap and in a loop "
            "(under vmap only the first rbg key draws)",
            key,
            "For a loop: ks.map(body, xs, key=key).",
        )


def shards(function: str, impl: Impl, key: object) -> None:
    """Refuse implementations that JAX can't compile inside a mapped body."""
    if not impl.shards:
        wanted = "of an implementation that JAX can map over devices (philox4x32 is not one)"
        cure = "To make a key of the default one: ks.key(42)."
        raise error(KeyImplError, function, "key", wanted, key, cure)
