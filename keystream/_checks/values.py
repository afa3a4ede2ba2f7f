"""Tell what a value is: traced, static, symbolic, an integer, donated."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import export

from keystream._errors import ArgumentValueError, Phrase, error, summary


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


def pieces_of(value: Any) -> list[np.ndarray]:
    """Return what this process holds of an array, on the host; nothing of a traced one."""
    # NumPy's: within a mapped body JAX's own minimum is traced.
    if is_traced(value):
        return []
    if isinstance(value, np.ndarray) or value.is_fully_addressable:
        return [np.asarray(value)]
    return [np.asarray(shard.data) for shard in value.addressable_shards]


def is_symbolic(value: Any) -> bool:
    """Is this a size that `jax.export` leaves open, so that it can't be compared?"""
    return export.is_symbolic_dim(value)


def is_donated(value: object) -> bool:
    """Is this an array whose buffers are gone?"""
    if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
        return False
    return value.is_deleted()


def check_not_donated(argument: str, value: Any) -> None:
    """Refuse an array whose buffers are gone."""
    if is_donated(value):
        got = Phrase(f"a donated one, {summary(value)}")
        wanted = "an array that still has its buffers"
        raise error(ArgumentValueError, argument, wanted, got)


def read_setting(option: str) -> Any:
    """Read one of JAX's settings, as it is in this thread and context."""
    return getattr(jax.config, option)
