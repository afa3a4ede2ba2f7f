"""The way to an equation while it is lowered: through which calls, how often, in what."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from keystream import _compat
from keystream._audit.recorder import frames as frames_of
from keystream._audit.recorder.jaxpr import Known
from keystream._audit.recorder.records import BACKWARD, Frame


class Way(NamedTuple):
    """What lies around an equation."""

    raw: frames_of.Traced = ()
    path: tuple[Frame, ...] = ()
    most: float = 1
    sure: bool = True
    """Is it on the way of every execution?"""
    scans: bool = False
    """Is it a scan, which JAX lowers as a while loop that it writes itself?"""


class _Local(threading.local):
    """What a thread is lowering; threads lower apart from each other."""

    def __init__(self) -> None:
        self.ways: list[Way] = [Way()]
        self.inside = False
        self.known: Known = WeakKeyDictionary()


_local = _Local()


def known() -> Known:
    """Return what this thread knows of jaxprs."""
    return _local.known


def is_inside() -> bool:
    """Is what is being lowered a part of a use that has its record already?"""
    return _local.inside


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """Lower what one use of keys consists of, which isn't recorded again."""
    before, _local.inside = _local.inside, True
    try:
        yield
    finally:
        _local.inside = before


def here(ctx: Any, times: float = 1, mark: Frame | None = None, *, scans: bool = False) -> Way:
    """Return the way to the equation that a context of JAX's lowering belongs to."""
    around = _local.ways[-1]
    raw = frames_of.traced(_compat.traceback(ctx))
    known_part = raw[: len(around.raw)] == around.raw
    path = (*around.path, *frames_of.flat(raw[len(around.raw) :] if known_part else raw))
    marks = [mark] if mark else []
    if BACKWARD not in path and _compat.is_transposed(ctx):
        marks.append(BACKWARD)
    return Way(raw, (*path, *marks), around.most * times, around.sure, scans)


@contextlib.contextmanager
def through(way: Way) -> Iterator[None]:
    """Lower what lies inside an equation."""
    _local.ways.append(way)
    try:
        yield
    finally:
        _local.ways.pop()


def loop(ctx: Any, mark: Frame | None) -> Way:
    """Return the way to a while loop; that of a scan is written by JAX, in the scan's place."""
    around = _local.ways[-1]
    return around._replace(scans=False) if around.scans else here(ctx, math.inf, mark)


def is_in_scan() -> bool:
    """Is the loop that is lowered now that of a scan?"""
    return _local.ways[-1].scans


def body(ctx: Any) -> Way:
    """Return the way to a function that JAX makes of the body of a loop, in the loop's place."""
    return _local.ways[-1]._replace(raw=frames_of.traced(_compat.traceback(ctx)), scans=False)
