"""Do the specs of a mapped body fit its arguments, what it returns, and the mesh?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from keystream import _check, _check_tree
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error, summary


def check(argument: str, specs: Any) -> None:
    """Refuse what is no PartitionSpec, or pytree of them."""
    for spec in _check_tree.leaves("shard_map", argument, specs, _ends):
        if not isinstance(spec, PartitionSpec):
            cure = 'For a whole array on every shard: jax.P(). For a part: jax.P("data").'
            wanted = "a PartitionSpec or a pytree of them"
            raise error(ArgumentTypeError, "shard_map", argument, wanted, spec, cure)


def axes(argument: str, specs: Any, manual: Sequence[Any]) -> None:
    """Refuse axes that the body isn't mapped over."""
    for spec in jax.tree.leaves(specs, is_leaf=_ends):
        if PartitionSpec.UNCONSTRAINED in spec:
            wanted = "specs without UNCONSTRAINED"
            raise error(ArgumentValueError, "shard_map", argument, wanted, Words(str(spec)))
        names = tuple(name for entry in _entries(spec) for name in entry)
        _check.axes("shard_map", argument, names, manual)


def _entries(spec: PartitionSpec) -> list[tuple[Any, ...]]:
    return [() if entry is None else _check.axis_names(entry) for entry in spec]


def fit(argument: str, specs: Any, tree: Any, mesh: Any) -> None:
    """Refuse specs that aren't a prefix of a pytree, or that cut its arrays unevenly."""
    try:
        spread = jax.tree.broadcast(specs, tree, is_leaf=_ends)
    except ValueError:
        whose = "the arguments after the key" if argument == "in_specs" else "what fun returns"
        got = Words(f"{_outline(specs)} for {_outline(tree)}")
        raise error(
            ArgumentValueError, "shard_map", argument, f"a prefix of {whose}", got
        ) from None
    leaves = jax.tree.leaves(tree, is_leaf=lambda node: node is None)
    for spec, leaf in zip(jax.tree.leaves(spread, is_leaf=_ends), leaves, strict=True):
        if leaf is not None:
            _fits(argument, spec, leaf, mesh)


def _ends(node: Any) -> bool:
    return node is None or isinstance(node, PartitionSpec)


def _outline(tree: Any) -> str:
    if isinstance(tree, PartitionSpec):
        return "one spec"
    sized = isinstance(tree, (tuple, list, dict))
    return f"a {type(tree).__name__} of {len(tree)}" if sized else summary(tree)


def _fits(argument: str, spec: Any, leaf: Any, mesh: Any) -> None:
    shape = jax.typeof(leaf).shape
    if len(spec) > len(shape):
        wanted = f"specs of at most {len(shape)} dimensions for {summary(leaf)}"
        raise error(ArgumentValueError, "shard_map", argument, wanted, Words(str(spec)))
    for dim, entry in enumerate(_entries(spec) if argument == "in_specs" else ()):
        shards = _check.size_of([mesh.shape[name] for name in entry])
        if shape[dim] % shards:
            wanted = f"divisible by the mesh ({shards} shards along dimension {dim})"
            raise error(ArgumentValueError, "shard_map", "args", wanted, leaf)
