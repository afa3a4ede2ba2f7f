"""Validate counts, shapes, positions and batch sizes.

Everything here looks at Python values, dtypes and shapes alone, so under `jit` it runs
once, while tracing, and leaves no equation behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from keystream._checks import static
from keystream._checks.static import size_of, static_int
from keystream._checks.values import check_not_donated, is_symbolic, is_traced, pieces_of
from keystream._errors import ArgumentTypeError, ArgumentValueError, error
from keystream._impl import is_typed_key
from keystream._known import NARROW_END, POSITIONS_END, Impl


def check_integer(argument: str, value: Any) -> int | None:
    """Return a concrete integer, a JAX or NumPy scalar's too, as an int; else None."""
    if static_int(value) is None:
        check_not_donated(argument, value)
    return static.concrete_int(value)


def check_count(argument: str, value: object, *, most: int | None = None, cure: str = "") -> int:
    """Return a count: a static integer of zero or more, and of `most` at most; or symbolic."""
    if most is None and is_symbolic(value):
        return cast("int", value)
    check_untraced(argument, value, "a static count")
    return static.check_count(argument, value, most=most, cure=cure)


def check_untraced(argument: str, value: object, wanted: str) -> None:
    """Refuse what is traced where a static integer is wanted."""
    if static_int(value) is None and is_traced(value):
        raise error(ArgumentTypeError, argument, wanted, value, _to_int(argument, value))


def check_shape(value: object, *, argument: str = "shape") -> tuple[int, ...]:
    """Return a shape as a tuple: from an int, or a sequence of sizes of zero or more.

    A symbolic size is one of `jax.export`'s, and counts as an int.
    """
    return static.check_shape(value, argument=argument, size=_size, cure=_to_int)


def _size(value: object) -> int | None:
    return cast("int", value) if is_symbolic(value) else static_int(value)


def _to_int(argument: str, value: object) -> str:
    """Return the cure for what stands in the place of static ints and could be one."""
    if not is_traced(value):
        return static.to_int(argument, value)
    if is_typed_key(value):
        return ""
    return "To mark it static, by the name of your argument: jax.jit(fun, static_argnames='n')."


def check_start(value: Any, size: int, impl: Impl, *, argument: str = "start") -> Any:
    """Return a start: an int from which `size` positions fit, or a traced integer scalar."""
    if static_int(value) is None:
        if is_symbolic(value):
            return jnp.asarray(value)
        check_not_donated(argument, value)
        traced = isinstance(value, jax.core.Tracer)
        if traced and static.is_scalar(value) and value.dtype != np.uint64:
            return value
    end = POSITIONS_END if impl.cipher else NARROW_END
    return static.check_start(argument, value, size, end, "an integer, static or traced")


def check_index(argument: str, value: Any, n: int, dtype: Any) -> Any:
    """Return an index below `n`, or an array of them: JAX's own, or NumPy's of a dtype."""
    if is_symbolic(value):
        return jnp.asarray(value)
    check_not_donated(argument, value)
    array = isinstance(value, (jax.Array, np.ndarray))
    static.check_index(argument, value, n, pieces_of if array else None)
    return value if isinstance(value, jax.Array) else np.asarray(value).astype(dtype)


def check_size(dims: Sequence[int], *, argument: str = "shape") -> None:
    """Refuse more items than one device can number in a word."""
    total = size_of(dims)
    if not is_symbolic(total) and total > NARROW_END:
        wanted = "of at most 2**32 items on one device"
        cure = "Make them in several calls, each from where the one before ended."
        raise error(ArgumentValueError, argument, wanted, tuple(dims), cure)


def check_batch_size(value: object) -> int:
    """Return a batch size: a count of one or more."""
    number = static_int(value)
    if number is not None and number < 1:
        raise error(ArgumentValueError, "batch_size", "one or more, or None", number)
    return check_count("batch_size", value)
