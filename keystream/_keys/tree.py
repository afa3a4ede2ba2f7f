"""Make the keys of several paths at once: of names, or of the leaves of a tree.

Eagerly the keys are made on the host, for which no structure is compiled. One of few keys
that comes again and again gets a compiled call of its own, which is several times quicker.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from keystream._checks.values import is_traced
from keystream._keys import children, on_host, scheme
from keystream._keys.scheme import Counter
from keystream._known import Impl

COMPILED = 32
"""Keys up to which a structure is worth a compiled call of its own."""

ON_HOST = 100
"""Times that a structure of few keys is made on the host before it is compiled. Compiling
takes 0.2 to 0.5 s, and saves 0.3 ms a call."""

_REMEMBERED = 4096
"""Paths of which a tree is remembered: two megabytes."""


class Level(NamedTuple):
    """The keys one step further down a tree: whose children they are, at which counters."""

    parents: tuple[int, ...]
    counters: Counter


class Tree(NamedTuple):
    """Paths that share their beginnings, and where each of them ends: (depth, index)."""

    levels: tuple[Level, ...]
    ends: tuple[tuple[int, int], ...]

    @property
    def counters(self) -> tuple[Counter, ...]:
        """The counters of each level: what of a tree is no part of its structure."""
        return tuple(level.counters for level in self.levels)

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a call is compiled for: the parents in each level, and the ends."""
        return tuple(level.parents for level in self.levels), self.ends


def parts(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of a path that JAX gives a leaf: names, and places as positions."""
    parts: list[Any] = []
    for entry in path:
        match entry:
            case DictKey(key=part) | FlattenedIndexKey(key=part):
                parts.append(part)
            case GetAttrKey(name=part) | SequenceKey(idx=part):
                parts.append(part)
            case _:  # A node of somebody else's making: what its author chose as its key.
                parts.append(entry)
    return tuple(parts)


def plan(paths: tuple[tuple[Any, ...], ...], impl: Impl, cure: str = "") -> Tree:
    """Check the static parts of paths, and merge the paths so that each key is made once.

    `cure` is what to write where a part is none.
    What is asked for again is looked up: no name is hashed, and no tree is built, twice.
    """
    # To a dict 1, 1.0 and True are one, here they are not.
    plain = all(type(part) in _PLAIN for path in paths for part in path)
    known = plain and len(paths) <= _REMEMBERED
    return (_plan if known else _plan.__wrapped__)(paths, impl, cure)


_PLAIN = frozenset((str, bytes, int))


@functools.lru_cache(maxsize=64)
def _plan(paths: tuple[tuple[Any, ...], ...], impl: Impl, cure: str) -> Tree:
    return grow(
        [[step for part in path for step in scheme.counters(part, impl, cure)] for path in paths]
    )


def grow(paths: Sequence[Sequence[Counter]]) -> Tree:
    """Merge paths of static counters into levels, so that each key is made once."""
    nodes: list[dict[tuple[int, Counter], int]] = []
    ends = []
    for path in paths:
        index = 0
        for depth, counter in enumerate(path):
            if depth == len(nodes):
                nodes.append({})
            level = nodes[depth]
            index = level.setdefault((index, counter), len(level))
        ends.append((len(path), index))
    return Tree(tuple(map(_level, nodes)), tuple(ends))


def _level(nodes: dict[tuple[int, Counter], int]) -> Level:
    parents, counters = zip(*nodes, strict=True)
    lo = np.array([c.lo for c in counters], np.uint32)
    if all(c.hi is None for c in counters):
        return Level(parents, Counter(None, lo))
    return Level(parents, Counter(np.array([c.hi or 0 for c in counters], np.uint32), lo))


def tree_keys(key: jax.Array, tree: Tree) -> list[jax.Array]:
    """Return the key at each end of a tree, each of them made once."""
    if not tree.levels:
        return [key for _ in tree.ends]
    words = words_on_host(key, tree)
    if words is None:
        return list(_ends(key, tree.counters, tree.structure))
    return on_host.hand_over(words, key.dtype, on_host.place_of(key))


def words_on_host(key: jax.Array, tree: Tree) -> np.ndarray | None:
    """Return the words of the key at each end, or None where a traced or compiled call is due.

    Compiled are structures of few keys that come again and again.
    """
    if is_traced(key) or (len(tree.ends) <= COMPILED and next(_uses(tree.structure)) >= ON_HOST):
        return None
    words = on_host.read_words(key)
    if words is None:
        return None
    levels = [words[None]]
    for parents, counters in tree.levels:
        above = levels[-1][np.array(parents)]
        levels.append(on_host.child_words(above, counters, key.dtype))
    begins = np.cumsum([0, *map(len, levels)])
    depths, indices = np.array(tree.ends).T
    ends: np.ndarray = np.concatenate(levels)[begins[depths] + indices]
    return ends


@functools.lru_cache(maxsize=64)
def _uses(structure: tuple[Any, ...]) -> Iterator[int]:
    """Return what counts the eager uses of a structure."""
    del structure
    return itertools.count()


def make_ends(
    key: jax.Array, counters: tuple[Counter, ...], structure: tuple[Any, ...]
) -> tuple[jax.Array, ...]:
    """Return the key at each end of a tree: one vectorized step for each level."""
    parents, ends = structure
    levels = [key]
    for depth, (step, whose) in enumerate(zip(counters, parents, strict=True)):
        above = key if depth == 0 else children.settle(levels[-1])[np.array(whose)]
        levels.append(children.children(above, step))
    nodes = [(key,), *(tuple(level) for level in levels[1:])]
    return tuple(nodes[depth][index] for depth, index in ends)


_ends = children.one_dispatch(make_ends, static="structure")
