"""The questions asked at every door: is this one typed key? a count? a name? an axis?

Everything here looks at Python values, dtypes and shapes alone, so under `jit` it runs
once, while tracing, and leaves no equation behind.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    KeyImplError,
    KeystreamError,
    KeyTypeError,
    MeshAxisError,
    Words,
    error,
)


class Impl(NamedTuple):
    """What keystream knows about one of JAX's key implementations."""

    words: int
    """uint32 words in one key."""
    cipher: bool = False
    """Is its block function public, so that 64-bit counters can be reached?"""
    lanes: bool = True
    """Does `vmap` over keys draw what a loop over them draws?"""
    ambient_split: bool = False
    """Is its split another function with jax_threefry_partitionable off?"""
    shards: bool = True
    """Can JAX compile it inside a body that is mapped over several devices?"""
    refused: str = ""
    """Why its keys are not accepted at all."""


IMPLS = {
    "threefry2x32": Impl(words=2, cipher=True, ambient_split=True),
    "threefry4x32": Impl(words=4),
    # lax.mulhi does not lower there ("failed to legalize", jax 0.10.2 and 0.12.0).
    "philox4x32": Impl(words=2, shards=False),
    "rbg": Impl(words=4, lanes=False, ambient_split=True),
    "unsafe_rbg": Impl(words=4, refused="unsafe_rbg folds commute and cancel"),
    "philox2x32": Impl(words=1, refused="philox2x32 keys have 32 bits, 10,000 of them collide"),
}

POSITIONS_END = 2**63
NARROW_END = 2**32


def is_typed_key(value: object) -> TypeGuard[jax.Array]:
    """Is this an array of typed keys, of whatever shape?"""
    return isinstance(value, jax.Array) and _is_key_dtype(value.dtype)


# What is asked of every key at every door is asked of each dtype once: JAX takes five
# microseconds for it, as long as for half a split.
@functools.lru_cache(maxsize=64)
def _is_key_dtype(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


@functools.lru_cache(maxsize=64)
def accepted(dtype: Any) -> Impl | None:
    """Return the implementation of a key dtype, or None for one to be refused."""
    found: list[Any] = []

    def look(key: jax.Array) -> None:
        found.append(jax.random.key_impl(key))

    jax.eval_shape(look, jax.ShapeDtypeStruct((), dtype))
    known = IMPLS.get(found[0]) if isinstance(found[0], str) else None
    return known if known and not known.refused else None


def is_legacy_key(value: object) -> bool:
    """Could this be a raw uint32 key, as `jax.random.PRNGKey` makes them?"""
    return isinstance(value, (jax.Array, np.ndarray)) and value.dtype == np.uint32


def is_traced(*values: object) -> bool:
    """Is any leaf of these a tracer, so that its value can't be looked at?"""
    for value in values:
        if type(value) in _UNTRACED:
            continue
        if isinstance(value, jax.Array):
            if isinstance(value, jax.core.Tracer):
                return True
        elif isinstance(value, tuple):
            if is_traced(*value):
                return True
        elif any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value)):
            return True
    return False


_UNTRACED = frozenset((int, bool, str, bytes, type(None), np.uint32, np.ndarray))
"""Types that are no tracer and hold none."""


def is_integer_dtype(value: Any) -> bool:
    """Has this an integer dtype, as JAX counts them (int4 too, bool not)?"""
    kind = value.dtype
    # NumPy counts timedelta64 among its integers.
    return bool(jnp.issubdtype(kind, np.integer) and not jnp.issubdtype(kind, np.timedelta64))


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


def static_int(value: object) -> int | None:
    """Return a Python or NumPy integer as an int; None for anything else, bools too."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, np.integer)):
        return None
    return operator.index(value)


def whole(value: Any) -> int | None:
    """Return a concrete integer, a JAX or NumPy scalar's too, as an int; else None."""
    number = static_int(value)
    if number is not None:
        return number
    scalar = isinstance(value, (jax.Array, np.ndarray)) and value.shape == ()
    return int(value) if scalar and is_integer_dtype(value) else None


def count(
    function: str, argument: str, value: object, *, most: int | None = None, cure: str = ""
) -> int:
    """Return a count: a static integer of zero or more, and of `most` at most."""
    number = static_int(value)
    wanted = "a count" if most is None else f"a count of at most {most}"
    if number is None:
        if is_traced(value):
            wanted = "a static count"
            cure = f"To mark it static: jax.jit(fun, static_argnames={argument!r})."
        raise error(ArgumentTypeError, function, argument, wanted, value, cure)
    if number < 0:
        raise error(ArgumentValueError, function, argument, f"{wanted}, zero or more", number)
    if most is not None and number > most:
        raise error(ArgumentValueError, function, argument, wanted, number, cure)
    return number


def shape(function: str, value: object, *, argument: str = "shape") -> tuple[int, ...]:
    """Return a shape as a tuple: from an int, or a sequence of sizes of zero or more."""
    one = static_int(value)
    if one is not None:
        sizes: tuple[int | None, ...] = (one,)
    elif isinstance(value, (tuple, list)):
        sizes = tuple(static_int(v) for v in value)
    else:
        sizes = (None,)
    if any(size is None for size in sizes):
        raise error(
            ArgumentTypeError, function, argument, "an int or a tuple of static ints", value
        )
    if any(size < 0 for size in sizes if size is not None):
        wanted = "sizes of zero or more"
        raise error(ArgumentValueError, function, argument, wanted, value, must="hold")
    return tuple(size for size in sizes if size is not None)


def name(
    function: str, value: object, *, argument: str = "name", what: str = "name"
) -> str | bytes:
    """Return a name: a non-empty str that UTF-8 can encode, or non-empty bytes."""
    if not isinstance(value, (str, bytes)):
        raise error(ArgumentTypeError, function, argument, "a str or bytes", value)
    if not value:
        raise error(ArgumentValueError, function, argument, f"a {what} that is not empty", value)
    if isinstance(value, bytes):
        return bytes(value)
    try:
        # The plain text of a str of whatever class, such as an enum's.
        return value.encode().decode()
    except UnicodeEncodeError:
        cure = f"For its bytes: {value.encode('utf-8', 'surrogatepass')!r}."
        raise error(
            ArgumentValueError, function, argument, "text that UTF-8 can encode", value, cure
        ) from None


def distinct_names(
    function: str, values: Iterable[object], *, argument: str = "names"
) -> tuple[str | bytes, ...]:
    """Return names, each a name and none given twice."""
    names = tuple(name(function, v, argument=argument) for v in values)
    seen: set[str | bytes] = set()
    for each in names:
        if each in seen:
            raise error(
                ArgumentValueError,
                function,
                argument,
                "distinct",
                Words(f"{each!r} twice"),
                f"For the same key at two places: key = ks.derive(key, {each!r}).",
            )
        seen.add(each)
    return names


def start(function: str, value: Any, size: int, impl: Impl, *, argument: str = "start") -> Any:
    """Return a start: an int from which `size` positions fit, or a traced integer scalar."""
    end = POSITIONS_END if impl.cipher else NARROW_END
    number = static_int(value)
    if number is not None:
        if number < 0:
            raise error(ArgumentValueError, function, argument, "zero or more", number)
        if number + size > end:
            last = f"below 2**{end.bit_length() - 1}"
            wanted = last if size == 1 else f"such that {size} positions end {last}"
            raise error(ArgumentValueError, function, argument, wanted, number)
        return number
    if isinstance(value, (jax.Array, np.ndarray)) and not is_typed_key(value):
        if value.shape == () and is_integer_dtype(value) and value.dtype != np.uint64:
            if is_traced(value):
                return value
            return start(function, int(value), size, impl, argument=argument)
        if value.shape == () and value.dtype == np.uint64:
            cure = f"For 63 bits: {argument}.astype('int64')."
            raise error(
                ArgumentTypeError, function, argument, "an integer of at most 63 bits", value, cure
            )
    raise error(ArgumentTypeError, function, argument, "an integer, static or traced", value)


def axis_names(value: object) -> tuple[Any, ...]:
    """Return one axis name or a tuple of them as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list, set, frozenset)) else (value,)


def axes(
    function: str, argument: str, value: object, known: Sequence[Any], *, what: str = "the mesh"
) -> tuple[Any, ...]:
    """Return axis names, each one of `known` and none given twice."""
    names = axis_names(value)
    for each in names:
        if not isinstance(each, str):
            raise error(ArgumentTypeError, function, argument, "axis names", value)
    listed = ", ".join(map(repr, known)) or "none"
    for each in names:
        if each not in known:
            raise error(
                MeshAxisError,
                function,
                argument,
                f"among the axes of {what} ({listed})",
                Words(repr(each)),
            )
    if len(set(names)) < len(names):
        raise error(MeshAxisError, function, argument, "distinct axes", Words(repr(names)))
    return names


def function_of(function: str, argument: str, value: object, form: str) -> None:
    """Refuse what can't be called; `form` is how it will be."""
    if not callable(value):
        raise error(ArgumentTypeError, function, argument, f"a function {form}", value)


def arrays(
    function: str,
    argument: str,
    tree: Any,
    *,
    cls: type[KeystreamError] = ArgumentTypeError,
    must: str = "hold",
) -> None:
    """Refuse a pytree with leaves that JAX can't make arrays of."""
    for leaf in jax.tree.leaves(tree):
        try:
            jax.typeof(leaf)
        except (TypeError, ValueError, OverflowError):
            wanted = "arrays and numbers that fit JAX's types"
            raise error(cls, function, argument, wanted, leaf, must=must) from None


_SEVERAL_CALLS = {
    "keys": "For several calls: ks.keys(key, n, start=first).",
    "sample": "For several calls: ks.sample(sampler, key, n, start=first).",
    "vmap": "For several calls: ks.vmap(fun, start=first, axis_size=n)(key).",
    "Stream.take": "For several calls: keys, stream = stream.take(2**20).",
    "scan": "For several calls: ks.scan(body, init, key=key, length=n, start=first).",
    "scan_carried": "For several calls: ks.scan_carried(body, init, key=key, length=n).",
    "map": "For several calls: ks.map(body, xs, key=key, start=first).",
}


def items(function: str, dims: Sequence[int], *, argument: str = "shape") -> None:
    """Refuse more items than one device can number in a word."""
    if size_of(dims) > NARROW_END:
        cure = _SEVERAL_CALLS[function]
        wanted = "of at most 2**32 items on one device"
        raise error(ArgumentValueError, function, argument, wanted, tuple(dims), cure)


def batch_size(function: str, value: object) -> int:
    """Return a batch size: a count of one or more."""
    number = static_int(value)
    if number is not None and number < 1:
        raise error(ArgumentValueError, function, "batch_size", "one or more, or None", number)
    return count(function, "batch_size", value)


def setting(name: str) -> Any:
    """Read one of JAX's settings, as it is in this thread and context."""
    return getattr(jax.config, name)


def concrete_words(keys: jax.Array) -> jax.Array:
    """Return the words of concrete keys, also where something else is being traced."""
    with jax.ensure_compile_time_eval():
        return jax.random.key_data(keys)


def wrap(words: Any, impl: Any) -> jax.Array:
    """Wrap words as typed keys of an implementation, given by name or as a key dtype."""
    keys: jax.Array = jax.random.wrap_key_data(words, dtype=impl)
    return keys


def size_of(dims: Sequence[int]) -> int:
    """Return how many items a shape holds, as an exact Python int."""
    return math.prod(dims)
