"""The lineage: every key that a program makes, and what it was made from.

A key is a *node*, a 63-bit number that depends on nothing but where the key stands in the
tree of keys: the child of one node at one counter is one node, however often and wherever it
is made. What a variable of a program holds is an array of *handles*, one for each key in it.
A handle names the step that made a key, so that two ways to one node can be told apart; all
that indexing, reshaping and joining do to keys, NumPy does to their handles.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Handles = np.ndarray
"""int64, of the shape of the key array. Of words, see `to_words`."""

UNKNOWN = -1
"""In an array of words: a word of no key that is known."""

WORDS = 4
"""Words of the longest keys that JAX has."""

SAME, ROOT, CHILD, SPLIT, FOLD, PICK, CARRIED, EACH, JOIN, FRESH, CUT = map(np.uint64, range(11))
"""By what a node differs from its parent, beside a number; `SAME` is the parent itself."""


class Origin(enum.Enum):
    """What made keys; the value says so in a report, where a step has no phrase of its own."""

    ARGUMENT = "argument"
    WORDS_ARGUMENT = "argument, if it is a key"
    """An array of uint32 words, as legacy keys are."""
    SEED = "key(seed)"
    CONSTANT = "a constant key"
    WORDS = "wrapped words"
    OUTSIDE = "a key from outside"
    UNKNOWN = "a key of unknown origin"
    SPLIT = "split"
    FOLD_IN = "fold_in"
    NAME = "a name"
    CLONE = "clone"
    WINDOW = "a window"
    """Of the first number in C order, where the program alone tells it: `CUT`."""
    ELEMENT = "an element"
    ONE_OF_SEVERAL = "one of several"
    SAME = "the same"
    EACH_STEP = "the key of each step"
    CARRIED = "the carried key"
    AFTER_LOOP = "the key after the loop"
    STACKED = "a key of each step"
    EACH_SHARD = "the key of each shard"


class Step(NamedTuple):
    """One operation that made keys."""

    origin: Origin
    phrase: str
    """The same in words: `split`, `argument key`."""
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
    repeats: Handles | None = None
    """int64, flat: the keys of the step that this one repeats, see `Lineage.follow`."""
    takes: np.ndarray | None = None
    """On which shard each shard finds its key among those of the parent, a row for each key."""


Pairs = tuple[np.ndarray, Handles]
"""Which places of a step, or of an array, and the key of each; a place may come often. Sorted
by place."""

Meaning = dict[int, Pairs]
"""By step: what its keys stand for."""


def make_handle(step: int, place: Any) -> Any:
    """Return the handle of the key at a place of a step, or those of an array of places."""
    return step << _PLACE_BITS | place


def step_index(handles: Any) -> Any:
    """Return which step made a key, for one handle or an array."""
    return handles >> _PLACE_BITS


def place_in_step(handles: Any) -> Any:
    """Return which of the keys of its step a key is, for one handle or an array."""
    return handles & ((1 << _PLACE_BITS) - 1)


_PLACE_BITS = 32


class Lineage:
    """All steps of one program, in the order in which they were read."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.alternatives: Meaning = {}
        """Of keys that are each one of several: which ones."""
        self._depths: dict[int, tuple[int, int]] = {}

    def root(
        self,
        origin: Origin,
        shape: tuple[int, ...],
        token: int,
        numbers: Any = None,
        **details: Any,
    ) -> Handles:
        """Add keys that come from nowhere in the program; equal tokens, equal keys."""
        size = int(np.prod(shape, dtype=np.int64))
        if numbers is None:
            numbers = np.arange(size, dtype=np.uint64)
        nodes = mix(np.uint64(token & (2**64 - 1)), ROOT, numbers)
        return self.add(origin, nodes, None, ROOT, numbers, **details).reshape(shape)

    def grow(
        self, origin: Origin, parents: Handles, kind: np.uint64, numbers: Any, **details: Any
    ) -> Handles:
        """Add a key for each parent and number; the two broadcast."""
        numbers = np.asarray(numbers, np.uint64)
        above = self.nodes(parents)  # of each parent once, if it has many children
        if parents.shape != numbers.shape:
            above, parents, numbers = np.broadcast_arrays(above, parents, numbers)
        nodes = above if kind == SAME else mix(above, kind, numbers)
        # Unlike `ravel`, `reshape` copies no number that is broadcast.
        flat = [each.reshape(-1) for each in (nodes, parents, numbers)]
        return self.add(origin, flat[0], flat[1], kind, flat[2], **details).reshape(parents.shape)

    def add(
        self,
        origin: Origin,
        nodes: np.ndarray,
        parents: Handles | None,
        kind: np.uint64,
        numbers: np.ndarray,
        *,
        varies: int,
        impl: str,
        where: Any,
        phrase: str = "",
        guard: tuple[int, int] | None = None,
        repeats: Handles | None = None,
        takes: np.ndarray | None = None,
    ) -> Handles:
        """Add a step that makes keys, flat; see `Step`."""
        made: Handles = make_handle(len(self.steps), np.arange(len(nodes), dtype=np.int64))
        more = phrase or origin.value, nodes, parents, kind, numbers, varies, impl, where
        self.steps.append(Step(origin, *more, guard, repeats, takes))
        return made

    def forget(self, since: int) -> None:
        """Take back all steps from one on."""
        del self.steps[since:]
        for index in [index for index in self.alternatives if index >= since]:
            del self.alternatives[index]

    def nodes(self, handles: Handles) -> np.ndarray:
        """Return the node of each handle, uint64 of the same shape."""
        handles = np.asarray(handles, np.int64)
        found = np.empty(handles.shape, np.uint64)
        for index, where in by_step(handles):
            nodes = self.steps[index].nodes[place_in_step(handles[where])]
            if where is ...:
                return np.asarray(nodes)
            found[where] = nodes
        return found

    def step(self, handle: int) -> Step:
        """Return the step that made a key."""
        return self.steps[int(step_index(handle))]

    def steps_of(self, handles: Handles) -> list[Step]:
        """Return the steps that made these keys, each once."""
        return [self.steps[index] for index, _ in by_step(handles)]

    def parent(self, handle: int) -> int | None:
        """Return the handle that a key was made from."""
        parents = self.step(handle).parents
        return None if parents is None else int(parents[int(place_in_step(handle))])

    def number(self, handle: int) -> int:
        """Return which child of its parent a key is."""
        return int(self.step(handle).numbers[int(place_in_step(handle))])

    def way(self, handle: int) -> list[int]:
        """Return the handles on the way from the root to a key, the root first."""
        way = [int(handle)]
        while (parent := self.parent(way[-1])) is not None:
            way.append(parent)
        return way[::-1]

    def above(self, handle: int) -> int | None:
        """Return the key that a key was made from, as it was made rather than as the same one."""
        at = self.parent(handle)
        while at is not None and self.step(at).kind == SAME:
            at = self.parent(at)
        return at

    def root_and_depth(self, handle: int) -> tuple[int, int]:
        """Return where the way to a key begins, and how many keys there are above it."""
        missing: list[int] = []
        at: int | None = handle
        while at is not None and at not in self._depths:
            missing.append(at)
            at = self.above(at)
        for each in reversed(missing):
            root, depth = (each, -1) if at is None else self._depths[at]
            self._depths[each] = root, depth + 1
            at = each
        return self._depths[handle]

    def parting(self, one: int, other: int) -> tuple[list[tuple[Step, Step]], Step | None]:
        """Return by what the ways to two keys part, step by step, and what more the longer has."""
        beyond, pairs = None, list[tuple[Step, Step]]()
        while more := self.root_and_depth(one)[1] - self.root_and_depth(other)[1]:
            longer = one if more > 0 else other
            beyond, above = self.step(longer), self.above(longer)
            assert above is not None, "there are keys above the longer one's"
            one, other = (above, other) if more > 0 else (one, above)
        ends: tuple[int | None, int | None] = one, other
        while ends[0] != ends[1] and ends[0] is not None and ends[1] is not None:
            pairs.append((self.step(ends[0]), self.step(ends[1])))
            ends = self.above(ends[0]), self.above(ends[1])
        return pairs[::-1], beyond

    def ways_alike(self, handles: Handles) -> np.ndarray:
        """Return a number for each key: the same for keys that the same steps have made."""
        ways: list[np.ndarray] = []

        def number(handles: Handles) -> np.ndarray:
            found = np.empty(handles.shape, np.uint64)
            for index, where in by_step(handles):
                found[where] = ways[index][place_in_step(handles[where])]
            return found

        for index, step in enumerate(self.steps):
            above = np.uint64(0) if step.parents is None else number(step.parents)
            ways.append(mix(above, step.kind, np.full(len(step.nodes), index)))
        return number(handles)

    def varies(self, handles: Handles) -> int:
        """Return the bits of all loops and axes over which any of these keys differ."""
        found = 0
        for step in self.steps_of(handles):
            found |= step.varies
        return found

    def impl(self, handles: Handles) -> str:
        """Return the implementation of keys, of one array."""
        return self.step(int(handles.flat[0])).impl if handles.size else ""

    def mark_used(self, ends: Iterable[Handles]) -> list[np.ndarray]:
        """Return for each step which of its keys lie on a way to one of these."""
        marks = self.mark(ends)
        return [
            marks[index] if index in marks else np.zeros(len(step.nodes), bool)
            for index, step in enumerate(self.steps)
        ]

    def mark(
        self, ends: Iterable[Handles], until: Container[int] | None = None, low: int = 0
    ) -> dict[int, np.ndarray]:
        """Return by step, the last one first, which keys lie on a way to one of these.

        With `until` the ways go back to keys of these steps, and to none before step `low`;
        without it all that a key may be is marked, and what was repeated.
        """
        marks: dict[int, np.ndarray] = {}

        def mark(handles: Handles) -> None:
            for index, where in by_step(handles):
                if index not in marks:
                    marks[index] = np.zeros(len(self.steps[index].nodes), bool)
                marks[index][place_in_step(handles[where])] = True

        mark(np.concatenate([_NONE, *map(np.ravel, ends)]))
        for index in range(max(marks, default=-1), low - 1, -1):
            if index not in marks or (until is not None and index in until):
                continue
            step, marked = self.steps[index], marks[index]
            if step.parents is not None:
                mark(step.parents[marked])
            if until is None and step.repeats is not None:
                mark(step.repeats[marked])
            if until is None and index in self.alternatives:
                mark(_join(make_handle(index, np.flatnonzero(marked)), self.alternatives)[1])
        return marks

    def follow(self, ends: Sequence[Handles], meant: Meaning, without: int = 0) -> list[Pairs]:
        """Repeat on what symbols stand for the steps that led from them to other keys.

        Args:
            ends: Arrays of those other keys.
            meant: What each symbol stands for.
            without: The axes of the mesh, where the symbols are those of its shards: what is
                made doesn't differ over them any more.

        Returns:
            For each of the arrays, flat, which of its keys come from a symbol, and what they
            are for each key that it stands for.
        """
        rows, low = dict(meant), min(meant, default=len(self.steps))
        marks = self.mark(ends, meant, low)
        for index in sorted(index for index in marks if index > low and index not in meant):
            step, places = self.steps[index], np.flatnonzero(marks[index])
            if step.parents is None:
                continue
            which, keys = _join(step.parents[places], rows)
            places = places[which]
            if step.takes is not None and without:
                each = np.arange(len(keys)).reshape(-1, step.takes.shape[1])
                takes = step.takes[places[each[:, 0]]]
                rows[index] = places, keys[np.take_along_axis(each, takes, 1)].ravel()
            elif keys.size:
                made = self.grow(
                    step.origin,
                    keys,
                    step.kind,
                    step.numbers[places],
                    varies=step.varies & ~without,
                    impl=step.impl,
                    where=step.where,
                    phrase=step.phrase,
                    guard=step.guard,
                    repeats=make_handle(index, places),
                    takes=None if step.takes is None else step.takes[places],
                )
                rows[index] = places, made
        begins = np.cumsum([0, *(each.size for each in ends)])
        which, keys = _join(np.concatenate([_NONE, *map(np.ravel, ends)]), rows)
        cuts = np.searchsorted(which, begins)
        return [
            (which[first:last] - begin, keys[first:last])
            for begin, (first, last) in zip(begins, itertools.pairwise(cuts), strict=False)
        ]


def by_step(handles: Handles) -> Iterator[tuple[int, Any]]:
    """Yield the steps that made keys, each with where its keys stand in the array."""
    indices = step_index(handles)
    if not handles.size:
        return
    first = int(indices.flat[0])
    if handles.size == 1 or (indices == first).all():
        yield first, ...
        return
    flat = indices.ravel()
    order = flat.argsort(kind="stable")
    ordered = flat[order]
    borders = (ordered[1:] != ordered[:-1]).nonzero()[0] + 1
    for first, last in itertools.pairwise((0, *borders.tolist(), len(flat))):
        places = order[first:last]
        where = places if indices.ndim == 1 else np.unravel_index(places, indices.shape)
        yield int(ordered[first]), where


def stand_for(symbols: Handles, keys: Handles) -> Meaning:
    """Return what symbols, flat, stand for: as many keys each, a row for each symbol."""
    keys = keys.reshape(len(symbols), -1)
    found: Meaning = {}
    for index, where in by_step(symbols):
        places = place_in_step(symbols[where])
        order = np.argsort(places, kind="stable")
        found[index] = np.repeat(places[order], keys.shape[1]), keys[where][order].ravel()
    return found


def _join(handles: Handles, meant: Meaning) -> Pairs:
    """Return which of some keys, flat, stand for others, and for which."""
    found: list[Pairs] = [(_NONE, _NONE)]
    for index, where in by_step(handles):
        if index in meant:
            places, keys = meant[index]
            sought = place_in_step(handles[where])
            first = places.searchsorted(sought)
            counts = places.searchsorted(sought, "right") - first
            ends = counts.cumsum()
            rows = (first - ends + counts).repeat(counts) + np.arange(ends[-1])
            found.append((np.arange(len(handles))[where].repeat(counts), keys[rows]))
    if len(found) <= 2:
        return found[-1]
    which, keys = map(np.concatenate, zip(*found, strict=True))
    order = np.argsort(which, kind="stable")
    return which[order], keys[order]


_NONE = np.empty(0, np.int64)


def mix(parent: Any, kind: np.uint64, number: Any) -> np.ndarray:
    """Hash a node, a kind and a number into a node, uint64 each.

    The finalizer of SplitMix64 twice: a bijection of each operand, so that the children of
    one node never meet, and others with the probability of a random function.
    """
    # NumPy's scalars warn where they wrap around, its arrays don't.
    words = np.atleast_1d(np.asarray(parent, np.uint64)) * _ODD[0] + kind
    made = _finish(_finish(words) + np.asarray(number, np.uint64) * _ODD[0])
    return made.reshape(np.broadcast_shapes(np.shape(parent), np.shape(number)))


_ODD = tuple(
    np.asarray([word], np.uint64)
    for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
"""Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA,
doi:10.1145/2660193.2660195."""


def _finish(words: np.ndarray) -> np.ndarray:
    words = words ^ words >> np.uint64(30)
    words *= _ODD[1]
    words ^= words >> np.uint64(27)
    words *= _ODD[2]
    words ^= words >> np.uint64(31)
    return words


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
