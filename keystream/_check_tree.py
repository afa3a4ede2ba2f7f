"""The questions asked of pytrees: can JAX take them apart? are their leaves arrays, and alive?

Everything here looks at structures, dtypes and shapes alone, so under `jit` it runs once,
while tracing, and leaves no equation behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax

from keystream._check import not_donated
from keystream._errors import ArgumentTypeError, ArgumentValueError, KeystreamError, Words, error

R = TypeVar("R")
IsLeaf = Callable[[Any], bool] | None


def flatten(function: str, argument: str, tree: Any, is_leaf: IsLeaf = None) -> tuple[Any, Any]:
    """Return the leaves of a pytree and its structure."""
    return _apart(jax.tree.flatten, function, argument, tree, is_leaf)


def leaves(
    function: str, argument: str, tree: Any, is_leaf: IsLeaf = None, *, must: str = "be"
) -> list[Any]:
    """Return the leaves of a pytree."""
    return _apart(jax.tree.leaves, function, argument, tree, is_leaf, must)


def flatten_with_path(
    function: str, argument: str, tree: Any, is_leaf: IsLeaf = None
) -> tuple[Any, Any]:
    """Return the leaves of a pytree, each with its path, and the structure."""
    return _apart(jax.tree_util.tree_flatten_with_path, function, argument, tree, is_leaf)


def _apart(
    fun: Callable[..., R],
    function: str,
    argument: str,
    tree: Any,
    is_leaf: IsLeaf,
    must: str = "be",
) -> R:
    try:
        if is_leaf is not None:
            _bounded(tree)
        return fun(tree, is_leaf=is_leaf)
    except (RecursionError, SystemError) as cause:
        # nanobind wraps Python's error of a stack that is full in one of its own.
        if isinstance(cause, SystemError) and not isinstance(cause.__cause__, RecursionError):
            raise
        wanted, got = "a pytree of bounded depth", Words("one too deep, or that holds itself")
        cure = ""
    except (TypeError, ValueError) as cause:
        # An author's own error in taking a node apart is passed on.
        if not any(told in str(cause) for told in _UNSORTED):
            raise
        wanted, got = "a pytree", Words("a dict with keys that can't be sorted")
        cure = "For keys of one type: {str(k): v for k, v in tree.items()}."
    raise error(ArgumentValueError, function, argument, wanted, got, cure, must=must)


def _bounded(tree: Any) -> None:
    """Raise for a pytree that is too deep, before an `is_leaf` is asked about its nodes.

    Where `is_leaf` is called on a stack that is full, jaxlib forgets to leave the levels that
    it entered, and from then on every call of the thread fails (0.10.2 and 0.12).
    """
    try:
        jax.tree.structure(tree)
    except (RecursionError, SystemError):
        raise
    except Exception:
        return  # What can't be taken apart may lie below a leaf.


_UNSORTED = ("sorting pytree dictionary keys", "'<' not supported between instances of")
"""What jaxlib says of a dict whose keys can't be sorted, and of a defaultdict."""


def arrays(
    function: str,
    argument: str,
    tree: Any,
    *,
    cls: type[KeystreamError] = ArgumentTypeError,
    must: str = "hold",
) -> None:
    """Refuse leaves that JAX can't make arrays of, of negative sizes, or donated."""
    apart = "return" if must == "return" else "be"
    for leaf in leaves(function, argument, tree, must=apart):
        try:
            shape = getattr(jax.typeof(leaf), "shape", ())
        except (TypeError, ValueError, OverflowError):
            wanted = "arrays and numbers that fit JAX's types"
            raise error(cls, function, argument, wanted, leaf, must=must) from None
        # JAX's samplers make them, while they are traced (0.10.2 and 0.12).
        if any(isinstance(size, int) and size < 0 for size in shape):
            wanted = "arrays without negative sizes"
            raise error(cls, function, argument, wanted, leaf, must=must)
        not_donated(function, argument, leaf)


def axis_pairs(axes: Any, tree: Any) -> list[tuple[Any, Any]]:
    """Return each array of a pytree with its axis, from a prefix of axes; a ValueError if none."""
    spread = jax.tree.broadcast(axes, tree, is_leaf=_is_none)
    found = jax.tree.leaves(spread, is_leaf=_is_none)
    below = jax.tree.leaves(tree, is_leaf=_is_none)
    return [(axis, leaf) for axis, leaf in zip(found, below, strict=True) if leaf is not None]


def _is_none(node: Any) -> bool:
    return node is None


def out_axes(function: str, axes: Any, out: Any) -> None:
    """Refuse output axes that don't fit what a mapped function returns for one lane."""
    try:
        pairs = axis_pairs(axes, out)
    except ValueError:
        wanted = "a prefix of what fun returns"
        raise error(ArgumentValueError, function, "out_axes", wanted, axes) from None
    for axis, leaf in pairs:
        most = jax.typeof(leaf).ndim
        if axis is not None and not -most - 1 <= axis <= most:
            wanted = f"an axis of the {most + 1} that a result has"
            raise error(ArgumentValueError, function, "out_axes", wanted, axis)


def whole_axes(axes: Any) -> Any:
    """Return checked axes as Python ints: JAX takes no others."""
    return jax.tree.map(int, axes)
