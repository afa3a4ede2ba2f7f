"""Validate arguments that must be typed keys.

Everything here looks at Python values, dtypes and shapes alone, so under `jit` it runs
once, while tracing, and leaves no equation behind.
"""

from __future__ import annotations

import jax
import numpy as np

from keystream import _impl
from keystream._checks.static import static_int
from keystream._checks.values import is_donated
from keystream._errors import ArgumentValueError, KeyImplError, KeyTypeError, Phrase, error
from keystream._impl import IMPLS, accepted_impl, is_legacy_key, is_typed_key
from keystream._known import Impl


def check_key(
    key: object,
    *others: object,
    call: str = "",
    each: str = "",
    several: str = "",
    argument: str = "key",
) -> Impl:
    """Refuse all but one typed key.

    `call` is the helper's call as it should be, the cure where the key is among the `others`,
    the arguments by position; `each`, or in other words `several`, cures an array of keys.
    """
    if not is_typed_key(key):
        cure = _to_key(key, others, call)
        raise error(KeyTypeError, argument, "one typed key", key, cure)
    if key.shape:
        mapped = f"lambda key: {call}" if call else "ks.{caller}"
        cure = several or f"For one {{caller}} per key: {each or f'jax.vmap({mapped})(keys)'}."
        raise error(KeyTypeError, argument, "one typed key", key, cure)
    _not_donated(key, argument)
    return check_impl(key, argument=argument)


def check_keys(keys: object, *, argument: str = "keys") -> Impl:
    """Refuse all but an array of typed keys; a single key is an array of shape ()."""
    if not is_typed_key(keys):
        cure = _STACK if _hold_keys(keys) else _to_key(keys)
        raise error(KeyTypeError, argument, "a typed key or a key array", keys, cure)
    _not_donated(keys, argument)
    return check_impl(keys, argument=argument)


def _not_donated(keys: jax.Array, argument: str) -> None:
    if is_donated(keys):
        wanted = "one that wasn't donated (donate a copy: jax.random.clone(key))"
        raise error(ArgumentValueError, argument, wanted, Phrase("a donated one"))


def _to_key(value: object, others: tuple[object, ...] = (), call: str = "") -> str:
    if cure := legacy_cure(value):
        return cure
    if _hold_keys(value):
        return f"To unpack what split returned: key, use = ks.split(key). {_STACK}"
    if isinstance(value, tuple) and _hold_keys(value[:1]):
        return "To unpack what next returned: key, stream = stream.next()."
    if hasattr(value, "next"):
        return "For its next key: key, stream = stream.next()."
    if call and any(is_typed_key(other) and not other.shape for other in others):
        return f"The key comes {'first' if '(key' in call else 'second'}: {call}."
    a_seed = isinstance(value, (str, bytes, np.random.SeedSequence))
    if a_seed or static_int(value) is not None:
        return "To make a key from a seed: ks.key(seed)."
    return "To make one: ks.key(42)."


_STACK = "For an array of them: jnp.stack(keys)."

_LEGACY = {2: "threefry2x32", 4: "rbg"}
"""What raw keys are taken for by the number of their words."""


def legacy_cure(value: object, name: str = "key", impl: str = "") -> str:
    """Return the cure for what could be raw uint32 keys, of `impl` if that fits; else nothing."""
    if not is_legacy_key(value):
        return ""
    words = value.shape[-1] if value.shape else 0
    kind = impl if impl and IMPLS[impl].words == words else _LEGACY.get(words)
    if kind is None:
        return ""
    if len(value.shape) > 1:
        return f"To wrap legacy keys: jax.random.wrap_key_data(keys, impl={kind!r})."
    if words == 2:
        return f"To wrap a legacy key: ks.key({name})."
    return f"For a legacy {kind} key: ks.key({name}, impl={kind!r})."


def _hold_keys(value: object) -> bool:
    return (
        isinstance(value, (tuple, list))
        and bool(value)
        and all(is_typed_key(v) and not v.shape for v in value)
    )


def check_concrete(keys: jax.Array, cure: str, argument: str = "key") -> jax.Array:
    """Return the words of keys; refuse those that are known later only."""
    if not isinstance(keys, jax.core.Tracer):
        words = _impl.concrete_words(keys)
        if not isinstance(words, jax.core.Tracer):
            return words
        # Closed over in an eager mapped body even a concrete key's words are traced.
        keys = words
    raise error(KeyTypeError, argument, "concrete", keys, cure)


def check_impl(keys: jax.Array, *, argument: str = "key") -> Impl:
    """Look up the implementation of typed keys; refuse what breaks the laws everywhere."""
    known = accepted_impl(keys.dtype)
    if known:
        return known
    name = jax.random.key_impl(keys)
    known = IMPLS.get(name) if isinstance(name, str) else None
    cure = "To make a key of the default one: ks.key(42)."
    if known is None:
        which = "of " + ", ".join(n for n, impl in IMPLS.items() if not impl.refused)
        if _impl.is_window_dtype(keys.dtype):
            cure = "To derive before it is cut: ks.window(ks.derive(key, part), shape, start)."
        raise error(KeyImplError, argument, which, keys, cure)
    if known.refused:
        which = f"of an implementation with independent children ({known.refused})"
        raise error(KeyImplError, argument, which, keys, cure)
    return known


def check_draws_in_lanes(impl: Impl, key: object, *, argument: str = "key") -> None:
    """Refuse implementations whose draws under `vmap` are not those of a loop."""
    if not impl.lanes:
        raise error(
            KeyImplError,
            argument,
            "of an implementation that draws alike under vmap and in a loop "
            "(under vmap only the first rbg key draws)",
            key,
            "For a loop: ks.map(body, xs, key=key).",
        )


def check_key_in_context(impl: Impl, key: jax.Array, *, argument: str = "key") -> None:
    """Refuse a key with which JAX can't compute under the mesh in context."""
    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.empty and mesh.size > 1 and not impl.shards:
        wanted = "of an implementation that JAX can compute under a mesh (philox4x32 is not one)"
        cure = "To make a key of the default one: ks.key(42)."
        raise error(KeyImplError, argument, wanted, key, cure)


def check_cipher(impl: Impl, key: object) -> None:
    """Refuse implementations of which JAX doesn't publish the cipher."""
    if not impl.cipher:
        wanted = "of threefry2x32, the only implementation with a public cipher"
        cure = "To make a key of it: ks.key(42)."
        raise error(KeyImplError, "key", wanted, key, cure)


def check_maps_over_devices(impl: Impl, key: object) -> None:
    """Refuse implementations that JAX can't compile inside a mapped body."""
    if not impl.shards:
        wanted = "of an implementation that JAX can map over devices (philox4x32 is not one)"
        cure = "To make a key of the default one: ks.key(42)."
        raise error(KeyImplError, "key", wanted, key, cure)
