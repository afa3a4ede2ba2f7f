"""Paths that share their beginnings -> all their keys: of names, of the leaves of a tree.

Eagerly the keys of a few paths come from one compiled call, which is compiled anew for each
structure. A call that returns many keys would compile for seconds: those are made on the
host and handed out a few at a time by a call that is the same for all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from keystream import _check, _children, _cipher, _impl, _scheme
from keystream._impl import Impl
from keystream._scheme import Counter

COMPILED = 32
"""Keys up to which one compiled call makes them. It is the quicker one, called again (130 us
against 300 for 32 keys), but compiling it for more keys takes longer than half a second."""

HANDED_OUT = 16
"""Keys that one call hands out: compiled in 30 ms, and with it all numbers of keys are done."""

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


def plan(function: str, paths: tuple[tuple[Any, ...], ...], impl: Impl) -> Tree:
    """Check the static parts of paths, and merge the paths so that each key is made once.

    What is asked for again is looked up: no name is hashed, and no tree is built, twice.
    """
    # To a dict 1, 1.0 and True are one, here they are not.
    plain = all(type(part) in _PLAIN for path in paths for part in path)
    known = plain and len(paths) <= _REMEMBERED
    return (_plan if known else _plan.__wrapped__)(function, paths, impl)


_PLAIN = frozenset((str, bytes, int))


@functools.lru_cache(maxsize=64)
def _plan(function: str, paths: tuple[tuple[Any, ...], ...], impl: Impl) -> Tree:
    return grow(
        [
            tuple(step for part in path for step in _scheme.counters(function, part, impl))
            for path in paths
        ]
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


def tree_keys(key: jax.Array, tree: Tree, impl: Impl) -> list[jax.Array]:
    """Return the key at each end of a tree, each of them made once."""
    if not tree.levels:
        return [key for _ in tree.ends]
    if on_host(key, tree):
        return handed_out(host_words(key, tree, impl), key.dtype, key)
    return list(_ends(key, tree.counters, tree.structure))


def on_host(key: jax.Array, tree: Tree) -> bool:
    """Are these too many keys for one compiled call, and is the key at hand?"""
    if len(tree.ends) <= COMPILED or _check.is_traced(key) or _check.setting("jax_disable_jit"):
        return False
    # Nor where something else is being traced, into which the key is closed over.
    return key.is_fully_addressable and not _check.is_traced(jax.random.key_data(key))


def make_ends(
    key: jax.Array, counters: tuple[Counter, ...], structure: tuple[Any, ...]
) -> tuple[jax.Array, ...]:
    """Return the key at each end of a tree: one vectorized step for each level."""
    parents, ends = structure
    levels = [key]
    for depth, (step, whose) in enumerate(zip(counters, parents, strict=True)):
        above = key if depth == 0 else _children.settled(levels[-1])[np.array(whose)]
        levels.append(_children.children(above, step))
    nodes = [(key,), *(tuple(level) for level in levels[1:])]
    return tuple(nodes[depth][index] for depth, index in ends)


_ends = _children.one_dispatch(make_ends, static="structure")


def host_words(key: jax.Array, tree: Tree, impl: Impl) -> np.ndarray:
    """Return the words of the key at each end of a tree, one row each, in NumPy."""
    below = _below if impl.cipher else functools.partial(_below_without_cipher, key.dtype)
    levels = [jax.device_get(_impl.concrete_words(key))[None]]
    for parents, counters in tree.levels:
        levels.append(below(levels[-1][np.array(parents)], counters))
    begins = np.cumsum([0, *map(len, levels)])
    depths, indices = np.array(tree.ends).T
    words: np.ndarray = np.concatenate(levels)[begins[depths] + indices]
    return words


def _below(words: np.ndarray, counters: Counter) -> np.ndarray:
    hi = np.zeros_like(counters.lo) if counters.hi is None else counters.hi
    return _cipher.threefry2x32(words, hi, counters.lo)


def _below_without_cipher(dtype: Any, words: np.ndarray, counters: Counter) -> np.ndarray:
    # A few hundred at a time, filled up, so that one length is compiled.
    made = []
    for first in range(0, len(words), _FOLDED):
        some, lo = (x[first : first + _FOLDED] for x in (words, counters.lo))
        missing = _FOLDED - len(lo)
        filled = np.pad(some, ((0, missing), (0, 0))), np.pad(lo, (0, missing))
        with jax.ensure_compile_time_eval():
            made.append(jax.device_get(_folded(*filled, dtype))[: len(lo)])
    return np.concatenate(made)


_FOLDED = 256
"""Keys that are folded in one call where there is no public cipher."""


@functools.partial(jax.jit, static_argnums=2)
def _folded(words: jax.Array, lo: jax.Array, dtype: Any) -> jax.Array:
    return jax.random.key_data(_children.children(_impl.wrap(words, dtype), Counter(None, lo)))


def handed_out(words: np.ndarray, dtype: Any, like: jax.Array) -> list[jax.Array]:
    """Return an array for each row of words, placed like a key: keys, if given their dtype."""
    hand_out = _hand_out(dtype, like.sharding if like.committed else None)
    made: list[jax.Array] = []
    for first in range(0, len(words), HANDED_OUT):
        rows = list(words[first : first + HANDED_OUT])
        made.extend(hand_out(*rows, *rows[:1] * (HANDED_OUT - len(rows))))
    return made[: len(words)]


@functools.lru_cache(maxsize=64)
def _hand_out(dtype: Any, place: Any) -> Callable[..., tuple[jax.Array, ...]]:
    # A function without arithmetic, which compiles fast: what goes in comes out as an array.
    def hand_out(*rows: jax.Array) -> tuple[jax.Array, ...]:
        return rows if dtype is None else tuple(_impl.wrap(row, dtype) for row in rows)

    return jax.jit(hand_out) if place is None else jax.jit(hand_out, out_shardings=place)
