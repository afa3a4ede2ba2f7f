"""The questions asked at every door of what is no key: is this a count? a name? an axis?

Everything here looks at Python values, dtypes and shapes alone, so under `jit` it runs
once, while tracing, and leaves no equation behind.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    MeshAxisError,
    Words,
    error,
    summary,
)
from keystream._impl import NARROW_END, POSITIONS_END, Impl, is_typed_key


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
        elif any(isinstance(leaf, jax.core.Tracer) for leaf in _leaves(value)):
            return True
    return False


def _leaves(value: object) -> list[Any]:
    try:
        return jax.tree.leaves(value)
    except (
        RecursionError,
        SystemError,
        TypeError,
        ValueError,
    ):  # no pytree, so no place for a tracer
        return []


_UNTRACED = frozenset((int, bool, str, bytes, type(None), np.uint32, np.ndarray))
"""Types that are no tracer and hold none."""


def is_integer_dtype(value: Any) -> bool:
    """Has this an integer dtype, as JAX counts them (int4 too, bool not)?"""
    kind = value.dtype
    # NumPy counts timedelta64 among its integers.
    return bool(jnp.issubdtype(kind, np.integer) and not jnp.issubdtype(kind, np.timedelta64))


def static_int(value: object) -> int | None:
    """Return a Python or NumPy integer as an int; None for anything else, bools too."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, np.integer)):
        return None
    return operator.index(value)


def is_symbolic(value: Any) -> bool:
    """Is this a size that `jax.export` leaves open, so that it can't be compared?"""
    return export.is_symbolic_dim(value)


def is_donated(value: object) -> bool:
    """Is this an array whose buffers are gone?"""
    if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
        return False
    return value.is_deleted()


def not_donated(function: str, argument: str, value: Any) -> None:
    """Refuse an array whose buffers are gone."""
    if is_donated(value):
        got = Words(f"a donated one, {summary(value)}")
        wanted = "an array that still has its buffers"
        raise error(ArgumentValueError, function, argument, wanted, got)


def whole(function: str, argument: str, value: Any) -> int | None:
    """Return a concrete integer, a JAX or NumPy scalar's too, as an int; else None."""
    number = static_int(value)
    if number is not None:
        return number
    not_donated(function, argument, value)
    scalar = isinstance(value, (jax.Array, np.ndarray)) and value.shape == ()
    return int(value) if scalar and is_integer_dtype(value) else None


def count(
    function: str, argument: str, value: object, *, most: int | None = None, cure: str = ""
) -> int:
    """Return a count: a static integer of zero or more, and of `most` at most; or symbolic."""
    if most is None and is_symbolic(value):
        return cast("int", value)
    number = static_int(value)
    wanted = "a count" if most is None else f"a count of at most {most}"
    if number is None:
        if is_traced(value):
            wanted = "a static count"
        cure = _to_int(argument, value) or cure
        raise error(ArgumentTypeError, function, argument, wanted, value, cure)
    if number < 0:
        raise error(ArgumentValueError, function, argument, f"{wanted}, zero or more", number)
    if most is not None and number > most:
        raise error(ArgumentValueError, function, argument, wanted, number, cure)
    return number


def shape(function: str, value: object, *, argument: str = "shape") -> tuple[int, ...]:
    """Return a shape as a tuple: from an int, or a sequence of sizes of zero or more.

    A symbolic size is one of `jax.export`'s, and counts as an int.
    """
    one = _size(value)
    if one is not None:
        sizes: tuple[int | None, ...] = (one,)
    elif isinstance(value, (tuple, list)):
        sizes = tuple(_size(v) for v in value)
    else:
        sizes = (None,)
    if any(size is None for size in sizes):
        wanted, cure = "an int or a tuple of static ints", _to_int(argument, value)
        raise error(ArgumentTypeError, function, argument, wanted, value, cure)
    if any(size < 0 for size in sizes if size is not None and not is_symbolic(size)):
        wanted = "sizes of zero or more"
        raise error(ArgumentValueError, function, argument, wanted, value, must="hold")
    return tuple(size for size in sizes if size is not None)


def _size(value: object) -> int | None:
    return cast("int", value) if is_symbolic(value) else static_int(value)


def _to_int(argument: str, value: object) -> str:
    """Return the cure for what stands in the place of static ints and could be one."""
    if is_traced(value) and not is_typed_key(value):
        return "To mark it static, by the name of your argument: jax.jit(fun, static_argnames='n')."
    if isinstance(value, (jax.Array, np.ndarray)):
        an_int = value.shape == () and is_integer_dtype(value)
    else:
        an_int = isinstance(value, (float, np.floating)) and value.is_integer()
    return f"To make it an int: int({argument})." if an_int else ""


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
            got = Words(f"{summary(each)} twice")
            cure = f"For each of them once: ks.{function}(key, tuple(dict.fromkeys(names)))."
            raise error(ArgumentValueError, function, argument, "distinct", got, cure)
        seen.add(each)
    return names


def start(function: str, value: Any, size: int, impl: Impl, *, argument: str = "start") -> Any:
    """Return a start: an int from which `size` positions fit, or a traced integer scalar."""
    end = POSITIONS_END if impl.cipher else NARROW_END
    number = static_int(value)
    if number is not None:
        if number < 0:
            raise error(ArgumentValueError, function, argument, "zero or more", number)
        if not is_symbolic(size) and number + size > end:
            last = f"below 2**{end.bit_length() - 1}"
            wanted = last if size == 1 else f"such that {summary(size)} positions end {last}"
            raise error(ArgumentValueError, function, argument, wanted, number)
        return number
    if is_symbolic(value):
        return jnp.asarray(value)
    if isinstance(value, (jax.Array, np.ndarray)) and not is_typed_key(value):
        if value.shape == () and is_integer_dtype(value) and value.dtype != np.uint64:
            if is_traced(value):
                return value
            not_donated(function, argument, value)
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
    function: str,
    argument: str,
    value: object,
    known: Sequence[Any],
    *,
    what: str = "the mesh",
    cure: str = "",
) -> tuple[Any, ...]:
    """Return axis names, each one of `known` and none given twice."""
    names = axis_names(value)
    for each in names:
        if not isinstance(each, str):
            raise error(ArgumentTypeError, function, argument, "axis names", value)
    # The axes of vmap have no public list: that none is known doesn't say that there is none.
    listed = ", ".join(map(repr, known)) or ("none" if what == "the mesh" else "")
    for each in names:
        if each not in known:
            wanted = f"among the axes of {what}{f' ({listed})' if listed else ''}"
            raise error(MeshAxisError, function, argument, wanted, each, cure)
    if len(set(names)) < len(names):
        raise error(MeshAxisError, function, argument, "distinct axes", names)
    return names


def function_of(function: str, argument: str, value: object, form: str) -> None:
    """Refuse what can't be called; `form` is how it will be."""
    if not callable(value):
        raise error(ArgumentTypeError, function, argument, f"a function {form}", value)


def items(function: str, dims: Sequence[int], *, argument: str = "shape") -> None:
    """Refuse more items than one device can number in a word."""
    total = size_of(dims)
    if not is_symbolic(total) and total > NARROW_END:
        wanted = "of at most 2**32 items on one device"
        cure = "Make them in several calls, each from where the one before ended."
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


def size_of(dims: Sequence[int]) -> int:
    """Return how many items a shape holds, as an exact Python int, or symbolic."""
    return math.prod(dims)
