"""Validate pytrees: of bounded depth, with arrays as leaves that weren't donated.

Everything here looks at structures, dtypes and shapes alone, so under `jit` it runs once,
while tracing, and leaves no equation behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream._checks.values import check_not_donated
from keystream._errors import ArgumentTypeError, ArgumentValueError, KeystreamError, Phrase, error


def check_leaves(argument: str, tree: Any, *, must: str = "be") -> list[Any]:
    """Return the leaves of a pytree; refuse one that is too deep for JAX, or that holds itself."""
    try:
        return jax.tree.leaves(tree)
    except (RecursionError, SystemError) as cause:
        wanted, got = "a pytree of bounded depth", Phrase("one too deep, or that holds itself")
        raise error(ArgumentValueError, argument, wanted, got, must=must) from cause


def check_bounded(argument: str, tree: Any) -> None:
    """Refuse a pytree that is too deep for JAX, before an `is_leaf` is asked about its nodes.

    Where `is_leaf` is called on a stack that is full, jaxlib forgets to leave the levels that
    it entered, and from then on every call of the thread fails (0.10.2 and 0.12).
    """
    try:
        check_leaves(argument, tree)
    except KeystreamError:
        raise
    except Exception:
        return  # JAX's or an author's own error, or below a leaf.


def flatten_with_path(
    argument: str, tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[Any, Any]:
    """Return the leaves of a pytree, each with its path, and the structure."""
    check_bounded(argument, tree)
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)


def check_arrays(
    argument: str,
    tree: Any,
    *,
    cls: type[KeystreamError] = ArgumentTypeError,
    must: str = "hold",
) -> None:
    """Refuse leaves that JAX can't make arrays of, of negative sizes, or donated."""
    apart = "return" if must == "return" else "be"
    for leaf in check_leaves(argument, tree, must=apart):
        try:
            shape = getattr(jax.typeof(leaf), "shape", ())
        except (TypeError, ValueError, OverflowError):
            wanted = "arrays and numbers that fit JAX's types"
            raise error(cls, argument, wanted, leaf, must=must) from None
        # JAX's samplers make them, while they are traced (0.10.2 and 0.12).
        if any(isinstance(size, int) and size < 0 for size in shape):
            wanted = "arrays without negative sizes"
            raise error(cls, argument, wanted, leaf, must=must)
        check_not_donated(argument, leaf)


def axis_pairs(axes: Any, tree: Any) -> list[tuple[Any, Any]]:
    """Return each array of a pytree with its axis, from a prefix of axes; a ValueError if none."""
    spread = jax.tree.broadcast(axes, tree, is_leaf=_is_none)
    found = jax.tree.leaves(spread, is_leaf=_is_none)
    below = jax.tree.leaves(tree, is_leaf=_is_none)
    return [(axis, leaf) for axis, leaf in zip(found, below, strict=True) if leaf is not None]


def _is_none(node: Any) -> bool:
    return node is None
