"""Hand each use of a key to the recordings under way."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from keystream import _compat
from keystream._audit.recording import call_paths
from keystream._audit.recording.call_paths import Frame
from keystream._audit.recording.sites import Site, words_and_data


class Record(NamedTuple):
    """One use of a key, or of an array of keys at once, as it happened."""

    kind: str
    """bits, split, fold_in, seed, gamma, clone, or block: the cipher called directly."""
    impl: str
    """The implementation's name, such as threefry2x32."""
    words: np.ndarray
    """uint32 of shape (n, W): the words of each key, in C order; of a seed, those that it
    became."""
    key_shape: tuple[int, ...]
    shape: tuple[int, ...]
    """What was drawn with each key, or how many children were split off; of a block that
    has one key, the shape of its counters."""
    bit_width: int
    """Of bits; else 0."""
    data: np.ndarray | None
    """What was folded in, with the shape of the keys; the seeds; the counters of blocks,
    high word and low word in the last axis."""
    path: tuple[Frame, ...]
    """The call path, outermost first: the frames of the caller as they stood when it
    happened, then those that were traced. Frames of JAX's machinery are left out."""
    program: int
    """Which execution of a compiled program it belongs to, as far as can be told, from 1 on;
    0 for what wasn't compiled."""
    shard: int | None
    """Which partition, inside a body that is mapped over all axes of a mesh."""
    thread: int
    """The identifier of the Python thread that launched it, as far as can be told."""


lowered = threading.Event()
"""Set as soon as a program that calls back has been lowered in this process: until then
there is nothing to wait for, and no backend has to be there."""

_turn = threading.RLock()
_under_way: list[Recording] = []
"""All recordings that have begun and not ended, of all threads."""


class _Use(NamedTuple):
    site: Site
    words: np.ndarray
    data: np.ndarray | None
    stack: call_paths.Live
    program: int
    shard: int | None
    thread: int


class Recording:
    """The uses of keys in the order in which they were reported, and what went unseen."""

    def __init__(self) -> None:
        self._uses: list[_Use] = []
        self._unseen: dict[str, None] = {}

    @property
    def records(self) -> tuple[Record, ...]:
        """What was recorded so far."""
        known: dict[tuple[int, int], Frame] = {}
        return tuple(_record(use, known) for use in tuple(self._uses))

    @property
    def unseen(self) -> tuple[str, ...]:
        """What ran, or may have run, without being recorded, in words."""
        return tuple(self._unseen)


def _record(use: _Use, known: dict[tuple[int, int], Frame]) -> Record:
    site = use.site
    words = use.words.reshape(-1, site.width)
    path = (*call_paths.frames(use.stack, known), *site.path)
    return Record(
        kind=site.kind, impl=site.impl, words=words, key_shape=site.key_shape,
        shape=site.shape, bit_width=site.bit_width, data=use.data, path=path,
        program=use.program, shard=use.shard, thread=use.thread,
    )  # fmt: skip


def is_on() -> bool:
    """Is what this thread does being recorded?"""
    return _compat.is_recording() and bool(_under_way)


def begin(recording: Recording) -> None:
    """Hand uses to a recording from now on."""
    with _turn:
        _under_way.append(recording)
        _compat.set_recording(True)


def end(recording: Recording) -> None:
    """Hand no more uses to a recording."""
    with _turn:
        _under_way[:] = [each for each in _under_way if each is not recording]
        if not _under_way:
            _compat.set_recording(False)
            _executions.clear()


def receive(site: Site, shard: int | None, values: tuple[np.ndarray, ...]) -> None:
    """Hand on what a program has called back with; whatever goes wrong, the program goes on."""
    try:
        _take(site, *words_and_data(site, values), shard)
    except Exception as problem:
        add_unseen(f"{site.kind}: not recorded in one place ({problem!r})")


def _take(
    site: Site, words: np.ndarray, data: np.ndarray | None = None, shard: int | None = None
) -> None:
    """Hand one use of keys to all recordings: all see what runs while they are under way."""
    if not _under_way:  # a program that was compiled to be recorded, and kept
        return
    thread, stack = call_paths.caller()
    with _turn:
        program = 0
        if site.template is not None:
            program, stack = _find_execution(site, shard, thread, stack)
        use = _Use(site, words, data, stack, program, shard, thread)
        for recording in _under_way:
            recording._uses.append(use)


def reach(site: Site) -> None:
    """Note that a program has come to a place where no key is used."""
    if _under_way:
        thread, stack = call_paths.caller()
        with _turn:
            _find_execution(site, None, thread, stack)


def add_unseen(what: str) -> None:
    """Have all recordings say what they couldn't see."""
    with _turn:
        for recording in _under_way:
            recording._unseen[what] = None


class _Execution(NamedTuple):
    """One execution of a compiled program: its number, and where it was launched."""

    number: int
    stack: call_paths.Live


class _Executions:
    """Those of one program in one thread.

    Nothing tells where one ends, but a site that is reached more often than one execution can
    means another one.
    """

    def __init__(self) -> None:
        self.found: list[_Execution] = []
        self.reached: dict[tuple[int, int | None], int] = {}
        self.latest: dict[int | None, int] = {}

    def find_waited_for(self, site: Site, shard: int | None, stack: call_paths.Live) -> _Execution:
        """Return the last one; another caller means another one too, since one waits."""
        place = (id(site), shard)
        begun = bool(self.found) and self.found[-1].stack == stack
        if not begun or self.reached.get(place, 0) >= site.most:
            self.found = [_Execution(next(_numbers), stack)]
            self.reached = {}
        self.reached[place] = self.reached.get(place, 0) + 1
        return self.found[-1]

    def find_for_shard(self, site: Site, shard: int | None, stack: call_paths.Live) -> _Execution:
        """Return the one that a shard has come to, each of which counts for itself.

        The first may begin again before the last has ended, and the caller may have gone on
        before it is heard of: its place is then a later one of that thread.
        """
        place = (id(site), shard)
        at = self.latest.get(shard, 0)
        if site.most < math.inf:
            reached = self.reached[place] = self.reached.get(place, 0) + 1
            counted = (reached - 1) // int(site.most)
            at = counted if site.sure else max(at, counted)
            self.latest[shard] = max(self.latest.get(shard, 0), at)
        while len(self.found) <= at:
            self.found.append(_Execution(next(_numbers), stack))
        return self.found[at]


_numbers = itertools.count(1)
_executions: dict[tuple[Hashable, int], _Executions] = {}


def _find_execution(
    site: Site, shard: int | None, thread: int, stack: call_paths.Live
) -> _Execution:
    """Return the execution that has now reached a site."""
    its = _executions.setdefault((site.template, thread), _Executions())
    find = its.find_waited_for if site.waits else its.find_for_shard
    return find(site, shard, stack)
