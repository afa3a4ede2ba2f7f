"""A call with its arguments bound: as it is, over keys, or so that equal calls compile once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from keystream import _check, _check_tree
from keystream._called import drawn
from keystream._errors import ArgumentValueError, Words, error


def bound(
    function: str, sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[jax.Array], Any]:
    """Return what still wants its key."""
    form = "sampler(key, *args)"
    return lambda key: drawn(function, "sampler", sampler, form, key, *args, **kwargs)


_MOST_DIMS = 32
"""Dimensions of a key array: Python's stack holds about 60 `vmap`s inside of each other."""


def few_dims(function: str, argument: str, shape: tuple[int, ...]) -> None:
    """Refuse a key array of more dimensions than there can be `vmap`s."""
    if len(shape) > _MOST_DIMS:
        wanted, got = f"of at most {_MOST_DIMS} dimensions", Words(f"{len(shape)} of them")
        raise error(ArgumentValueError, function, argument, wanted, got)


def over_keys(fun: Callable[..., Any], keys: jax.Array) -> Any:
    """Map what wants one key over a key array, one `vmap` for each of its dimensions."""
    for _ in keys.shape:
        fun = jax.vmap(fun)
    return fun(keys)


class _ById:
    """A value without a hash of its own, compared by identity."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.value is self.value


class _Static(NamedTuple):
    """A leaf that stays what it is under `jit`, compared by type and content."""

    kind: Hashable
    content: Any

    @classmethod
    def of(cls, leaf: Any) -> _Static:
        """Freeze a leaf. To Python 3, 3.0 and True are equal, -0.0 and 0.0 too."""
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iu":
            return cls((np.ndarray, leaf.dtype.str, leaf.shape), leaf.tobytes())
        if not _has_hash(leaf):
            return cls(_ById, _ById(leaf))
        inexact = isinstance(leaf, (float, complex, np.inexact))
        return cls((type(leaf), repr(leaf) if inexact else ""), leaf)

    def thaw(self) -> Any:
        """Return the leaf again."""
        if isinstance(self.content, _ById):
            return self.content.value
        if isinstance(self.kind, tuple) and self.kind[0] is np.ndarray:
            return np.frombuffer(self.content, self.kind[1]).reshape(self.kind[2])
        return self.content


def _has_hash(leaf: Any) -> bool:
    try:
        hash(leaf)
    except TypeError:
        return False
    return True


class Frozen(NamedTuple):
    """A call with its arrays taken out, so that equal calls share one compilation."""

    sampler: _Static
    structure: Any
    static: tuple[_Static | None, ...]

    def thaw(self, arrays: Sequence[Any]) -> Callable[..., Any]:
        """Put the arrays back and return what still wants its key."""
        rest = iter(arrays)
        leaves = [next(rest) if held is None else held.thaw() for held in self.static]
        args, kwargs = jax.tree.unflatten(self.structure, leaves)
        return bound("sample", self.sampler.thaw(), args, kwargs)


def freeze(
    sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Frozen, list[Any]]:
    """Take the arrays out of a call; everything else stays what it is."""
    leaves, structure = _check_tree.flatten("sample", "args", (args, kwargs))
    for leaf in leaves:
        _check.not_donated("sample", "args", leaf)
    static = tuple(None if _is_operand(leaf) else _Static.of(leaf) for leaf in leaves)
    arrays = [leaf for leaf, held in zip(leaves, static, strict=True) if held is None]
    return Frozen(_Static.of(sampler), structure, static), arrays


def _is_operand(leaf: Any) -> bool:
    # NumPy's 64-bit integers would be cut to 32 bits at the boundary of jit: they stay
    # outside, so that a sampler sees the ids that it was given.
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind in "bfc" or (leaf.dtype.kind in "iu" and leaf.itemsize < 8)
    return isinstance(leaf, jax.Array)
