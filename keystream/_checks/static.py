"""Validate Python's and NumPy's integers, counts, shapes and starts, without importing JAX.

`numbers` asks the same of what JAX traces, and comes here for the rest. An array of JAX's is
told by its shape and dtype.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, error, summary
from keystream._known import NARROW_END

UNPACK_LIMIT = 64
"""Above this, a jitted tuple of keys takes seconds to compile, anew for each length."""


class Integer(NamedTuple):
    """What is known of an integer dtype."""

    bits: int
    signed: bool

    @property
    def least(self) -> int:
        """The least value."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def end(self) -> int:
        """One above the largest value."""
        return 1 << self.bits - self.signed


@functools.lru_cache(maxsize=64)
def integer_type(dtype: Any) -> Integer | None:
    """Return what an integer dtype is, as JAX counts them (int4 too, bool not), or None."""
    found = re.fullmatch(r"(u?)int(\d+)", str(getattr(dtype, "name", "")))
    return Integer(int(found[2]), not found[1]) if found else None


def is_integer_dtype(value: Any) -> bool:
    """Has this array an integer dtype, as JAX counts them (int4 too, bool not)?"""
    return integer_type(getattr(value, "dtype", None)) is not None


def is_typed(value: Any) -> bool:
    """Is this an array of typed keys? `_impl.is_typed_key` asks JAX."""
    return str(getattr(getattr(value, "dtype", None), "name", "")).startswith("key<")


def static_int(value: object) -> int | None:
    """Return a Python or NumPy integer as an int; None for anything else, bools too."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, np.integer)):
        return None
    return operator.index(value)


def is_scalar(value: Any) -> bool:
    """Is this an integer array of shape ()?"""
    return getattr(value, "shape", None) == () and is_integer_dtype(value)


def concrete_int(value: Any) -> int | None:
    """Return an integer, or an integer array of shape (), as an int; None for anything else."""
    number = static_int(value)
    return int(value) if number is None and is_scalar(value) else number


def size_of(dims: Sequence[int]) -> int:
    """Return how many items a shape holds, as an exact Python int, or symbolic."""
    return math.prod(dims)


def to_int(argument: str, value: object) -> str:
    """Return the cure for what stands in the place of static ints and could be one."""
    whole = isinstance(value, (float, np.floating)) and value.is_integer()
    an_int = whole or is_scalar(value)
    return f"To make it an int: int({argument})." if an_int else ""


def check_count(argument: str, value: object, *, most: int | None = None, cure: str = "") -> int:
    """Return a count: a static integer of zero or more, and of `most` at most."""
    number = static_int(value)
    wanted = "a count" if most is None else f"a count of at most {most}"
    if number is None:
        raise error(ArgumentTypeError, argument, wanted, value, to_int(argument, value) or cure)
    if number < 0:
        raise error(ArgumentValueError, argument, f"{wanted}, zero or more", number)
    if most is not None and number > most:
        raise error(ArgumentValueError, argument, wanted, number, cure)
    return number


def check_shape(
    value: object,
    *,
    argument: str = "shape",
    size: Callable[[object], int | None] = static_int,
    cure: Callable[[str, object], str] = to_int,
) -> tuple[int, ...]:
    """Return a shape as a tuple: from an int, or a sequence of sizes of zero or more.

    `size` reads one of them.
    """
    one = size(value)
    if one is not None:
        sizes: tuple[int | None, ...] = (one,)
    elif isinstance(value, (tuple, list)):
        sizes = tuple(size(v) for v in value)
    else:
        sizes = (None,)
    if any(size is None for size in sizes):
        wanted = "an int or a tuple of static ints"
        raise error(ArgumentTypeError, argument, wanted, value, cure(argument, value))
    if any(size < 0 for size in sizes if isinstance(size, int)):
        wanted = "sizes of zero or more"
        raise error(ArgumentValueError, argument, wanted, value, must="hold")
    return tuple(size for size in sizes if size is not None)


def check_start(argument: str, value: Any, size: int, end: int, wanted: str = "an integer") -> int:
    """Return a start: an int from which `size` positions, or a symbolic number, end by `end`."""
    number = static_int(value)
    if number is None and is_scalar(value) and value.dtype == np.uint64:
        cure = f"For 63 bits: {argument}.astype('int64')."
        raise error(ArgumentTypeError, argument, "an integer of at most 63 bits", value, cure)
    number = concrete_int(value)
    if number is None:
        raise error(ArgumentTypeError, argument, wanted, value)
    if number < 0:
        raise error(ArgumentValueError, argument, "zero or more", number)
    if isinstance(size, int) and number + size > end:
        last = f"below 2**{end.bit_length() - 1}"
        wanted = last if size == 1 else f"such that {summary(size)} positions end {last}"
        raise error(ArgumentValueError, argument, wanted, number)
    return number


def check_index(
    argument: str, value: Any, n: int, held: Callable[[Any], list[np.ndarray]] | None
) -> None:
    """Refuse all but an integer below `n` and an array of such, `held` in pieces on the host."""
    number = static_int(value)
    if number is not None:
        inside, got = 0 <= number < n, Phrase(summary(number))
    else:
        masked = isinstance(value, np.ma.MaskedArray)
        kind = integer_type(value.dtype) if held and not masked else None
        if kind is None or held is None:
            listed = isinstance(value, (list, tuple))
            cure = f"For an array: np.asarray({argument})." if listed else ""
            raise error(ArgumentTypeError, argument, "an integer or an integer array", value, cure)
        # Only types that can leave the range are looked at.
        pieces = [] if kind.least >= 0 and kind.end <= n else held(value)
        inside = all(int(each.min()) >= 0 and int(each.max()) < n for each in pieces if each.size)
        got = Phrase(f"{summary(value)} with others among them")
    if not inside:
        cure = f"To begin again after n: ks.{{caller}}(key, n, {argument} % n)." if n else ""
        raise error(ArgumentValueError, argument, f"in range({n})", got, cure)


def check_num(value: object) -> int | tuple[object, ...]:
    """Return what a key is split into: a count of at most 64, or names that aren't checked yet."""
    if isinstance(value, (str, bytes)):
        name = repr(value) if len(value) <= 40 else "name"
        cure = f"For one named child: ks.{{beside}}derive(key, {name})."
        raise error(ArgumentTypeError, "num", "a count or a tuple of names", value, cure)
    if isinstance(value, (tuple, list)):
        if value and all(static_int(n) is not None for n in value):
            shape = tuple(int(n) for n in value)
            cure = f"For a key array of that shape: ks.{{beside}}keys(key, {summary(shape)})."
            raise error(ArgumentTypeError, "num", "a count or a tuple of names", value, cure)
        return tuple(value)
    many = static_int(value) or 0
    several = UNPACK_LIMIT < many <= NARROW_END
    cure = f"For a key array: ks.{{beside}}keys(key, {many})." if several else ""
    return check_count("num", value, most=UNPACK_LIMIT, cure=cure)
