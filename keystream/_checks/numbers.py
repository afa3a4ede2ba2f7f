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

from keystream._checks.values import (
    check_not_donated,
    is_integer_dtype,
    is_symbolic,
    is_traced,
    size_of,
    static_int,
)
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    error,
    summary,
)
from keystream._impl import NARROW_END, POSITIONS_END, Impl, is_typed_key


def check_integer(argument: str, value: Any) -> int | None:
    """Return a concrete integer, a JAX or NumPy scalar's too, as an int; else None."""
    number = static_int(value)
    if number is not None:
        return number
    check_not_donated(argument, value)
    scalar = isinstance(value, (jax.Array, np.ndarray)) and value.shape == ()
    return int(value) if scalar and is_integer_dtype(value) else None


def check_count(argument: str, value: object, *, most: int | None = None, cure: str = "") -> int:
    """Return a count: a static integer of zero or more, and of `most` at most; or symbolic."""
    if most is None and is_symbolic(value):
        return cast("int", value)
    number = static_int(value)
    wanted = "a count" if most is None else f"a count of at most {most}"
    if number is None:
        if is_traced(value):
            wanted = "a static count"
        cure = _to_int(argument, value) or cure
        raise error(ArgumentTypeError, argument, wanted, value, cure)
    if number < 0:
        raise error(ArgumentValueError, argument, f"{wanted}, zero or more", number)
    if most is not None and number > most:
        raise error(ArgumentValueError, argument, wanted, number, cure)
    return number


def check_shape(value: object, *, argument: str = "shape") -> tuple[int, ...]:
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
        raise error(ArgumentTypeError, argument, wanted, value, cure)
    if any(size < 0 for size in sizes if size is not None and not is_symbolic(size)):
        wanted = "sizes of zero or more"
        raise error(ArgumentValueError, argument, wanted, value, must="hold")
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


def check_start(value: Any, size: int, impl: Impl, *, argument: str = "start") -> Any:
    """Return a start: an int from which `size` positions fit, or a traced integer scalar."""
    end = POSITIONS_END if impl.cipher else NARROW_END
    number = static_int(value)
    if number is not None:
        if number < 0:
            raise error(ArgumentValueError, argument, "zero or more", number)
        if not is_symbolic(size) and number + size > end:
            last = f"below 2**{end.bit_length() - 1}"
            wanted = last if size == 1 else f"such that {summary(size)} positions end {last}"
            raise error(ArgumentValueError, argument, wanted, number)
        return number
    if is_symbolic(value):
        return jnp.asarray(value)
    if isinstance(value, (jax.Array, np.ndarray)) and not is_typed_key(value):
        if value.shape == () and is_integer_dtype(value) and value.dtype != np.uint64:
            if is_traced(value):
                return value
            check_not_donated(argument, value)
            return check_start(int(value), size, impl, argument=argument)
        if value.shape == () and value.dtype == np.uint64:
            cure = f"For 63 bits: {argument}.astype('int64')."
            raise error(ArgumentTypeError, argument, "an integer of at most 63 bits", value, cure)
    raise error(ArgumentTypeError, argument, "an integer, static or traced", value)


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
