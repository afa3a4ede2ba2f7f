"""Read records of a run: the lineage of the keys that were really used."""

from __future__ import annotations

import collections
import heapq
import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keystream._audit.failures import Failures
from keystream._audit.reading import equal_values
from keystream._audit.reading.draws import cut_keys, split_is_fold
from keystream._audit.reading.lineage import CHILD, FRESH, ROOT, Handles, Lineage, Origin
from keystream._audit.reading.uses import Act, Use
from keystream._audit.recording.call_paths import Frame
from keystream._audit.recording.recordings import Record
from keystream._impl import window_shape
from keystream._keys import cipher
from keystream._saving import canaries


class Moment(NamedTuple):
    """When and where something was done, as the `where` of uses and steps."""

    frames: tuple[Frame, ...]
    program: int
    shard: int | None
    at: int
    """The place among the records."""


def read(records: Iterable[Record], failures: Failures) -> tuple[Lineage, list[Use]]:
    """Return the lineage of recorded keys, and what was done with them.

    What a manifest draws, always from the same key, is left out.
    """
    reader = _Reader()
    groups: dict[int, list[_Prepared]] = {}
    looked_at = [each for each in records if not any(map(_is_canary, each.path))]
    for at, prepared in enumerate(_prepare(looked_at, failures)):
        # What wasn't compiled has no number, and is a program of its own.
        groups.setdefault(prepared.record.program or -at, []).append(prepared)
    ordered = [each for group in groups.values() for each in _in_order(group)]
    for at, prepared in enumerate(ordered):
        record = prepared.record
        with failures.kept(lambda: "a use of a key"):
            reader.add(prepared, Moment(record.path, record.program, record.shard, at))
    return reader.lineage, reader.uses


def _is_canary(frame: Frame) -> bool:
    return frame.file == canaries.__file__


class _Prepared(NamedTuple):
    """A record, and the keys that it makes."""

    record: Record
    names: np.ndarray
    """A number for each key, see `_nodes`."""
    numbers: np.ndarray
    """Which child of its parent each one is that is made."""
    made: np.ndarray
    """A number for each of these."""
    cut: _Cut | None
    """What was used of these keys, where it was windows of them."""


class _Cut(NamedTuple):
    """Windows of the keys of a record."""

    impl: str
    base: np.ndarray
    """Of each: the number in C order with which it begins."""


def _prepare(records: list[Record], failures: Failures) -> Iterator[_Prepared]:
    """Return records with the keys that they make, all at once; those that fail are left out."""
    records, cuts = records[:], dict[int, _Cut]()
    for place, record in enumerate(records):
        if window_shape(record.impl) is not None:
            # The child of a window is a window of the child.
            high, low = record.words[:, 2:].T.astype(np.uint64)
            records[place] = record._replace(impl="threefry2x32", words=record.words[:, :2])
            cuts[id(records[place])] = _Cut(record.impl, high << np.uint64(32) | low)
    makers = [record for record in records if record.kind in _MAKING]
    numbers, children = list[np.ndarray](), list[np.ndarray]()
    with failures.kept(lambda: "uses of keys that make others"):
        numbers = list(map(_numbers, makers))
        children = _children(makers, numbers)
    kept = [each for each in records if children or each.kind not in _MAKING]
    made = iter(zip(numbers, children, strict=False))
    rows = [
        next(made)
        if record.kind in _MAKING
        else (_NONE, record.words if record.kind == "seed" else record.words[:0])
        for record in kept
    ]
    names = _names(kept, [record.words for record in kept])
    own = _names(kept, [words for _, words in rows])
    found = [cuts.get(id(record)) for record in kept]
    return map(_Prepared, kept, names, [number for number, _ in rows], own, found)


_NONE = np.zeros(0, np.uint64)
_MAKING = ("split", "fold_in", "block")


def _names(records: list[Record], words: list[np.ndarray]) -> list[np.ndarray]:
    found = words[:]
    for impl in {record.impl for record in records}:
        its = [place for place, record in enumerate(records) if record.impl == impl]
        nodes = _at_once(lambda rows, impl=impl: _nodes(rows, impl), [(words[p],) for p in its])
        for place, each in zip(its, nodes, strict=True):
            found[place] = each
    return found


def _at_once(
    fun: Callable[..., np.ndarray], rows: list[tuple[np.ndarray, ...]]
) -> list[np.ndarray]:
    """Return what a function makes of each row of arrays, by one call on all of them."""
    if not rows:
        return []
    made = fun(*map(np.concatenate, zip(*rows, strict=True)))
    ends = np.cumsum([len(row[0]) for row in rows]).tolist()
    return [made[first:last] for first, last in itertools.pairwise((0, *ends))]


def _in_order(group: list[_Prepared]) -> Iterator[_Prepared]:
    """Yield the records of one program, each after those that have made its keys.

    XLA runs what doesn't depend on each other in any order, and its callbacks too. Otherwise
    they are put in the order of their lines, and of the words of their keys; clones before the
    uses of their words, one of which is the clone's.
    """
    if len(group) == 1:
        yield from group
        return
    group = sorted(group, key=_place_in_program)
    makers = np.repeat(np.arange(len(group)), [len(each.made) for each in group])
    made = np.concatenate([each.made for each in group])
    order = np.argsort(made, kind="stable")
    made, makers = made[order], makers[order]
    waiting: list[int] = []
    after: list[list[int]] = [[] for _ in group]
    for place, each in enumerate(group):
        first, last = (np.searchsorted(made, each.names, side) for side in ("left", "right"))
        needs = {int(makers[i]) for i in first[first < last]} if each.record.kind != "seed" else ()
        waiting.append(len(needs))
        for maker in needs:
            after[maker].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    while ready:
        place = heapq.heappop(ready)
        yield group[place]
        for later in after[place]:
            waiting[later] -= 1
            if not waiting[later]:
                heapq.heappush(ready, later)
    # Folds of unsafe_rbg cancel, so that keys may be made of each other.
    yield from (each for place, each in enumerate(group) if waiting[place])


def _place_in_program(prepared: _Prepared) -> tuple[Any, ...]:
    record = prepared.record
    return record.kind != "clone", record.path, record.words.tobytes()


LARGE = 1 << 12
"""Keys of one array from which on they are looked up together."""


class _Reader:
    def __init__(self) -> None:
        self.lineage, self.uses = Lineage(), list[Use]()
        self.made: dict[int, list[int]] = collections.defaultdict(list)
        """By words, as `_nodes` has them: the handles of all ways in which a key was made."""
        self.times_used = collections.Counter[int]()
        """By words: how often such a key was used."""
        self.clones: dict[int, int] = {}
        """By handle: what tells a clone, and what is made of it, from a key of the same words."""
        self.arrays: dict[bytes, list[Handles]] = collections.defaultdict(list)
        """By the words of all keys of a large array: the same; lanes mostly use one whole."""
        self.later: list[tuple[np.ndarray, Handles]] = []
        """Arrays that `made` lacks until a part of one is used."""

    def add(self, prepared: _Prepared, where: Moment) -> None:
        record, names, numbers, made, cut = prepared
        if record.kind == "seed":
            self._root(Origin.SEED, f"key({_seed(record)})", names, record.impl, where)
            return
        if record.kind == "clone":
            self._clone(names, record.impl, where)
            return
        parents = self._owners(names, record.impl)
        if cut is not None:
            parents = cut_keys(
                self.lineage, parents, cut.base, varies=0, impl=cut.impl, where=where
            )
        if record.kind in ("bits", "gamma"):
            width = record.bit_width or 32
            self._use(Act.DRAW, parents, where, record.shape, width)
            return
        named = record.kind == "block" and bool((numbers >> np.uint64(62) == 2).all())
        act = Act.SPLIT if record.kind == "split" else Act.NAME if named else Act.FOLD
        self._use(act, parents, where, record.shape, 0)
        if record.kind == "split":
            parents = np.repeat(parents, numbers.size)
            numbers = np.tile(numbers, len(names))
        else:
            parents = np.broadcast_to(parents, numbers.shape)
        self._step(_ORIGINS[act], "", made, parents, numbers, record.impl, where)

    def _use(
        self, act: Act, keys: Handles, where: Moment, shape: tuple[int, ...], width: int
    ) -> None:
        if keys.size:
            self.uses.append(Use(act, keys, where, (), (), shape, width, 0, also=[]))

    def _root(
        self, origin: Origin, phrase: str, names: np.ndarray, impl: str, where: Moment | None
    ) -> Handles:
        numbers = np.zeros(len(names), np.uint64)
        return self._step(origin, phrase, names, None, numbers, impl, where)

    def _owners(self, array: np.ndarray, impl: str) -> Handles:
        """Return the handles of keys, whichever way they were made."""
        if arrays := self.arrays.get(array.tobytes()):
            return arrays[0] if len(arrays) == 1 else arrays.pop(0)
        nodes = array.tolist()
        for make in (self._index_later, lambda: self._root(Origin.OUTSIDE, "", array, impl, None)):
            if any(not self.made[node] for node in nodes):
                make()
        found = []
        for node in nodes:
            # Where one key was made twice and used twice, each use has a way of its own.
            ways = self.made[node]
            found.append(ways[min(self.times_used[node], len(ways) - 1)])
            self.times_used[node] += 1
        return np.asarray(found, np.int64)

    def _clone(self, names: np.ndarray, impl: str, where: Moment) -> None:
        """Take the next use for that of the clone, which has the same words and is another key."""
        self._index_later()
        self.arrays.clear()
        parents = self._owners(names, impl)
        self.times_used.subtract(names.tolist())
        marks = equal_values.fresh_numbers(names.shape)
        made = self.lineage.grow(
            Origin.CLONE, parents, FRESH, marks, varies=0, impl=impl, where=where
        )
        for name, handle, node in zip(
            names.tolist(), made.tolist(), self.lineage.nodes(made).tolist(), strict=True
        ):
            self.clones[handle] = node ^ name
            self.made[name].insert(self.times_used[name], handle)

    def _step(
        self,
        origin: Origin,
        phrase: str,
        names: np.ndarray,
        parents: Handles | None,
        numbers: np.ndarray,
        impl: str,
        where: Moment | None,
    ) -> Handles:
        nodes = names
        kind = ROOT if parents is None else CHILD
        marks: list[int] = []
        if self.clones and parents is not None:
            marks = [self.clones.get(parent, 0) for parent in parents.tolist()]
            nodes = names ^ np.asarray(marks, np.uint64)
        handles = self.lineage.add(
            origin, nodes, parents, kind, numbers, varies=0, impl=impl, where=where, phrase=phrase
        )
        if any(marks):
            self.clones |= zip(handles.tolist(), marks, strict=True)
        if len(names) < LARGE or parents is None:
            self._index(names, handles)
        else:
            self.arrays[names.tobytes()].append(handles)
            self.later.append((names, handles))
        return handles

    def _index(self, names: np.ndarray, handles: Handles) -> None:
        for name, handle in zip(names.tolist(), handles.tolist(), strict=True):
            self.made[name].append(handle)

    def _index_later(self) -> None:
        while self.later:
            self._index(*self.later.pop(0))


_ORIGINS = {Act.SPLIT: Origin.SPLIT, Act.FOLD: Origin.FOLD_IN, Act.NAME: Origin.NAME}


def _nodes(words: np.ndarray, impl: str) -> np.ndarray:
    """Return a number for each key: the same for the same words of one implementation."""
    found = np.full(len(words), np.uint64(zlib.crc32(impl.encode())))
    for column in words.T.astype(np.uint64):
        found = (found ^ column) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found


def _seed(record: Record) -> str:
    seeds = np.ravel(record.data) if record.data is not None else np.zeros(0)
    return str(seeds[0]) if seeds.size == 1 else f"{seeds.size} seeds"


def _numbers(record: Record) -> np.ndarray:
    """Return which child each one is that a record makes."""
    if record.kind == "split":
        return np.arange(math.prod(record.shape), dtype=np.uint64)
    assert record.data is not None
    if record.kind == "fold_in":
        return np.ravel(record.data).astype(np.uint32).astype(np.uint64)
    counters = record.data.reshape(-1, 2).astype(np.uint64)
    return counters[:, 0] << np.uint64(32) | counters[:, 1]


def _children(records: list[Record], numbers: list[np.ndarray]) -> list[np.ndarray]:
    """Return the words of the children: one for each key and number, or for each pair."""
    rows: dict[int, tuple[np.ndarray, ...]] = {}
    found: list[np.ndarray] = []
    for place, (record, given) in enumerate(zip(records, numbers, strict=True)):
        keys, counters = record.words, given
        if record.kind == "split":
            keys, counters = keys.repeat(given.size, axis=0), np.tile(given, len(keys))
        plain = record.kind != "split" or split_is_fold(record.impl)
        if record.impl == "threefry2x32" and plain:
            keys = np.broadcast_to(keys, (len(counters), keys.shape[-1]))
            rows[place] = keys, counters
        found.append(keys if place in rows or not len(keys) else _children_by_jax(record, counters))
    for place, words in zip(rows, _at_once(_encrypt, [*rows.values()]), strict=True):
        found[place] = words
    return found


def _encrypt(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    hi, lo = (counters >> np.uint64(32)).astype(np.uint32), counters.astype(np.uint32)
    return cipher.threefry2x32(keys, hi, lo)


def _children_by_jax(record: Record, numbers: np.ndarray) -> np.ndarray:
    typed = jax.random.wrap_key_data(jnp.asarray(record.words), impl=record.impl)
    if record.kind == "split":
        made = jax.vmap(lambda key: jax.random.split(key, record.shape))(typed)
    else:
        made = jax.vmap(jax.random.fold_in)(typed, numbers.astype(np.uint32))
    return np.asarray(jax.random.key_data(made)).reshape(-1, record.words.shape[1])
