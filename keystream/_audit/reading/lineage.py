"""The lineage: every key that a program makes, and what it was made from.

A key is a *node*, a 63-bit number that depends on nothing but where the key stands in the
tree of keys: the child of one node at one counter is one node, however often and wherever it
is made. What a variable of a program holds is an array of *handles*, one for each key in it.
A handle names the step that made a key, so that two ways to one node can be told apart; all
that indexing, reshaping and joining do to keys, NumPy does to their handles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from keystream._audit.places import Path

Handles = np.ndarray
"""int64, of the shape of the key array. Of words, see `to_words`."""

UNKNOWN = -1
"""In an array of words: a word of no key that is known."""

_BITS = 32
_LOW = (1 << _BITS) - 1
WORDS = 4
"""Words of the longest keys that JAX has."""

SAME, ROOT, CHILD, SPLIT, FOLD, PICK, CARRIED, EACH, JOIN, FRESH = map(np.uint64, range(10))
"""By what a node differs from its parent, beside a number; `SAME` is the parent itself."""


class Step(NamedTuple):
    """One operation that made keys."""

    what: str
    """In words, as `split`."""
    nodes: np.ndarray
    """uint64: what was made, flat."""
    parents: Handles | None
    """int64, flat: what each was made from; None for a root."""
    kind: np.uint64
    numbers: np.ndarray
    """uint64, flat: which child of its parent each is."""
    varies: int
    """The loops and mesh axes over which they differ, a bit for each."""
    impl: str
    where: Any
    """The path of equations, see `_audit.places`."""
    guard: tuple[int, int] | None = None
    """It is used in one of several branches alone: which choice, and which branch."""


DRAWN, FLOAT, REBUILT = 1, 2, 4
"""What a value was made from: a draw, float data, words of a key that were computed with."""


class Scope(NamedTuple):
    """A loop, or an axis of a mesh, around a body."""

    kind: str
    """`scan`, `while` or `axis`."""
    name: Any
    """Of an axis."""
    bit: int
    """What marks values that differ over it."""
    where: Path


class Choice(NamedTuple):
    """A branch that a body stands in: of which choice, and which."""

    token: int
    branch: int


class Use(NamedTuple):
    """Something that is done with keys."""

    what: str
    """`draw`, `split`, `fold`, `name`, `made` or `return`."""
    handles: Handles
    """Flat."""
    where: Any
    """The path of equations; of a recorded use, its moment."""
    scopes: tuple[Scope, ...]
    choices: tuple[Choice, ...]
    shape: tuple[int, ...]
    """What is drawn, or the shape of a split."""
    width: int
    """Bits of each number that is drawn; of keys that are made, what they are made from."""
    also: list[Handles]
    """The same keys as seen from outside of a loop, and in its next step."""

    def everywhere(self) -> list[Handles]:
        """Return the keys, flat, as seen from everywhere."""
        return [self.handles, *(each.ravel() for each in self.also)]


class Lineage:
    """All steps of one program, in the order in which they were read."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.alternatives: dict[int, list[int]] = {}
        """Of a key that is one of several: which ones."""

    def root(
        self, what: str, shape: tuple[int, ...], token: int, numbers: Any = None, **details: Any
    ) -> Handles:
        """Add keys that come from nowhere in the program; equal tokens, equal keys."""
        size = int(np.prod(shape, dtype=np.int64))
        if numbers is None:
            numbers = np.arange(size, dtype=np.uint64)
        nodes = mixed(np.uint64(token & (2**64 - 1)), ROOT, numbers)
        return self._add(what, nodes, None, ROOT, numbers, **details).reshape(shape)

    def grow(
        self, what: str, parents: Handles, kind: np.uint64, numbers: Any, **details: Any
    ) -> Handles:
        """Add a key for each parent and number; the two broadcast."""
        parents, numbers = np.broadcast_arrays(parents, np.asarray(numbers, np.uint64))
        above = self.nodes(parents)
        nodes = above if kind == SAME else mixed(above, kind, numbers)
        flat = self._add(what, nodes.ravel(), parents.ravel(), kind, numbers.ravel(), **details)
        return flat.reshape(parents.shape)

    def _add(
        self,
        what: str,
        nodes: np.ndarray,
        parents: Handles | None,
        kind: np.uint64,
        numbers: np.ndarray,
        *,
        varies: int,
        impl: str,
        where: Any,
        guard: tuple[int, int] | None = None,
    ) -> Handles:
        first = len(self.steps) << _BITS
        step = Step(what, nodes, parents, kind, numbers, varies, impl, where, guard)
        self.steps.append(step)
        return np.arange(first, first + len(nodes), dtype=np.int64)

    def forget(self, since: int) -> None:
        """Take back all steps from one on."""
        del self.steps[since:]
        later = [handle for handle in self.alternatives if handle >> _BITS >= since]
        for handle in later:
            del self.alternatives[handle]

    def nodes(self, handles: Handles) -> np.ndarray:
        """Return the node of each handle, uint64 of the same shape."""
        handles = np.asarray(handles, np.int64)
        found = np.empty(handles.shape, np.uint64)
        for index, where in self._by_step(handles):
            found[where] = self.steps[index].nodes[handles[where] & _LOW]
        return found

    def _by_step(self, handles: Handles) -> Iterator[tuple[int, Any]]:
        indices = handles >> _BITS
        if not handles.size:
            return
        first = int(indices.flat[0])
        if handles.size == 1 or (indices == first).all():
            yield first, ...
            return
        for index in np.unique(indices):
            yield int(index), indices == index

    def step(self, handle: int) -> Step:
        """Return the step that made a key."""
        return self.steps[int(handle) >> _BITS]

    def steps_of(self, handles: Handles) -> list[Step]:
        """Return the steps that made these keys, each once."""
        return [self.steps[index] for index, _ in self._by_step(handles)]

    def parent(self, handle: int) -> int | None:
        """Return the handle that a key was made from."""
        parents = self.step(handle).parents
        return None if parents is None else int(parents[int(handle) & _LOW])

    def number(self, handle: int) -> int:
        """Return which child of its parent a key is."""
        return int(self.step(handle).numbers[int(handle) & _LOW])

    def above(self, handle: int, among: Collection[int], first: int = 0) -> int | None:
        """Return the nearest of some handles on the way to a key, made by step `first` or later."""
        at: int | None = int(handle)
        while at is not None and at >> _BITS >= first:
            if at in among:
                return at
            at = self.parent(at)
        return None

    def way(self, handle: int) -> list[int]:
        """Return the handles on the way from the root to a key, the root first."""
        way = [int(handle)]
        while (parent := self.parent(way[-1])) is not None:
            way.append(parent)
        return way[::-1]

    def varies(self, handles: Handles) -> int:
        """Return the bits of all loops and axes over which any of these keys differ."""
        found = 0
        for step in self.steps_of(handles):
            found |= step.varies
        return found

    def impl(self, handles: Handles) -> str:
        """Return the implementation of keys, of one array."""
        return self.step(int(handles.flat[0])).impl if handles.size else ""

    def touched(self, ends: Iterable[Handles]) -> list[np.ndarray]:
        """Return for each step which of its keys lie on a way to one of these."""
        marks = [np.zeros(len(step.nodes), bool) for step in self.steps]

        def mark(handles: Handles) -> None:
            for index, where in self._by_step(handles):
                marks[index][handles[where] & _LOW] = True

        for handles in ends:
            mark(np.asarray(handles, np.int64).ravel())
        for index in range(len(self.steps) - 1, -1, -1):
            parents, marked = self.steps[index].parents, marks[index]
            if parents is None or not marked.any():
                continue
            mark(parents[marked])
            for handle in np.flatnonzero(marked).tolist() if self.alternatives else ():
                mark(np.asarray(self.alternatives.get(index << _BITS | handle, []), np.int64))
        return marks

    def replayed(
        self, handle: int, symbol: int, rows: Handles, done: dict[int, Handles] | None = None
    ) -> Handles:
        """Repeat on `rows` the steps that led from the key `symbol` to another one.

        `done` remembers what was repeated: of a chain of keys each link is made once.
        """
        done = {} if done is None else done
        done[symbol] = rows
        way = [int(handle)]
        while way[-1] not in done:
            parent = self.parent(way[-1])
            assert parent is not None, "the symbol isn't on the way"
            way.append(parent)
        keys = done[way[-1]]
        for each in way[-2::-1]:
            step = self.step(each)
            keys = self.grow(
                step.what,
                keys,
                step.kind,
                np.uint64(self.number(each)),
                varies=step.varies,
                impl=step.impl,
                where=step.where,
                guard=step.guard,
            )
            done[each] = keys
        return keys


def mixed(parent: Any, kind: np.uint64, number: Any) -> np.ndarray:
    """Hash a node, a kind and a number into a node, uint64 each.

    The finalizer of SplitMix64 twice: a bijection of each operand, so that the children of
    one node never meet, and others with the probability of a random function.
    """
    # NumPy's scalars warn where they wrap around, its arrays don't.
    words = np.atleast_1d(np.asarray(parent, np.uint64)) * _ODD[0] + kind
    made = _finished(_finished(words) + np.asarray(number, np.uint64) * _ODD[0])
    return made.reshape(np.broadcast_shapes(np.shape(parent), np.shape(number)))


_ODD = tuple(
    np.asarray([word], np.uint64)
    for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
"""Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA,
doi:10.1145/2660193.2660195."""


def _finished(words: np.ndarray) -> np.ndarray:
    words = (words ^ words >> np.uint64(30)) * _ODD[1]
    words = (words ^ words >> np.uint64(27)) * _ODD[2]
    made: np.ndarray = words ^ words >> np.uint64(31)
    return made


def to_words(handles: Handles, count: int) -> np.ndarray:
    """Return the handles of a key array's words, in one more dimension."""
    return handles[..., None] * WORDS + np.arange(count)


def from_words(words: np.ndarray) -> Handles | None:
    """Return whose words these are: None unless all of them stand as `to_words` puts them."""
    if not words.size or words.ndim == 0:
        return None
    first = words[..., 0]
    whole = (first >= 0) & (first % WORDS == 0)
    if not (whole[..., None] & (words == first[..., None] + np.arange(words.shape[-1]))).all():
        return None
    handles: Handles = first // WORDS
    return handles
