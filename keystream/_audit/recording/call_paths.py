"""Call paths: of the Python stack as it stands, and of what was traced before."""

from __future__ import annotations

import functools
import os
import queue
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from keystream import _compat
from keystream._audit.places import is_jax
from keystream._audit.recording import waiting


class Frame(NamedTuple):
    """One line of a call path, in the user's code or in a library's."""

    file: str
    line: int
    function: str


CHECKPOINT = Frame("<jax>", 0, "checkpoint: differentiated, in either pass")
REPLAY = Frame("<jax>", 0, "checkpoint: the replay in a backward pass")
LANES_WAIT = Frame("<jax>", 0, "while: a loop whose lanes wait for each other")
BACKWARD = Frame("<jax>", 0, "gradient: its backward pass")
MOVED_OUT = Frame("<jax>", 0, "gradient: moved out of a loop")
"""Marks in a path, where JAX runs a user's line in a way that its position can't tell: what
a rematerialized function draws again, loops in which lanes that are done go on with what
they had, and what is the same in all steps of a loop, and so is done once."""


def branch_name(choice: int, place: int) -> str:
    """Return what marks a branch of a choice of which `vmap` may run all."""
    return f"keystream_branch_{choice}_{place}"


def branches_of(ctx: Any) -> list[Frame]:
    """Return the marks of the branches that an equation stands in that is being lowered."""
    return [Frame("<jax>", 0, each) for each in _compat.scopes(ctx, r"keystream_branch_\d+_\d+")]


def choices_of(path: Sequence[Frame]) -> dict[str, str]:
    """Return which branch of which choice a path leads through."""
    marked = [frame.function for frame in path if frame.file == "<jax>"]
    found = [name.rpartition("_") for name in marked if name.startswith("keystream_branch_")]
    return {choice: branch for choice, _, branch in found}


_IDLE = {module.__file__ for module in (threading, queue, selectors, socket, subprocess)}
"""Where threads wait for others; one that has launched a program stands where it did."""

Live = tuple[tuple[CodeType, int], ...]
"""A Python stack, outermost first: the code of each frame, and its line."""

_OURS = str(Path(__file__).parent) + os.sep


@functools.cache
def is_machinery(file: str) -> bool:
    """Is this a file that stands in every path, or only where something is compiled?

    A path must be the same whether a program is compiled by the call or was before.
    """
    if file.startswith((_OURS, _compat.__file__, "<frozen ")):
        return True
    return is_jax(file) and _compat.is_machinery(file)


def stack_of(frame: FrameType | None) -> Live:
    """Return the stack that ends with a frame, without machinery."""
    found = []
    while frame is not None:
        code = frame.f_code
        if not is_machinery(code.co_filename):
            found.append((code, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(found))


def caller() -> tuple[int, Live]:
    """Return the thread that launched what calls back now, and its stack, as far as known.

    XLA runs a program that calls back in the thread that launched it, which it leaves
    waiting inside that call, or hands parts of it to threads of its own: their stacks hold
    nothing but machinery.
    """
    here = threading.get_ident()
    stack = stack_of(sys._getframe(1))
    if stack:
        return here, stack
    stacks = {
        thread: stack_of(frame)
        for thread, frame in sys._current_frames().items()
        if thread != here and frame.f_code.co_filename not in _IDLE and not _only_waits(frame)
    }
    main = threading.main_thread().ident or here
    launching = [thread for thread, found in stacks.items() if found]
    launched = main if main in launching or not launching else launching[0]
    return launched, stacks.get(launched, ())


def _only_waits(frame: FrameType | None) -> bool:
    """Is this a thread that only waits, in the place of one with a mesh in context?"""
    found = set()
    while frame is not None:
        found.add(frame.f_code)
        frame = frame.f_back
    waits, launches = waiting.wait_for_all.__code__, waiting.launch_last.__code__
    return launches in found and waits not in found


def frames(stack: Live, known: dict[tuple[int, int], Frame]) -> tuple[Frame, ...]:
    """Return a stack as frames; `known` has those of other stacks that are still there."""
    for code, line in stack:
        if (id(code), line) not in known:
            known[id(code), line] = Frame(code.co_filename, line, code.co_qualname)
    return tuple(known[id(code), line] for code, line in stack)


Traced = tuple[tuple[Frame, ...], ...]
"""The pieces of an equation's traceback, outermost first: one for each jaxpr on its way."""


def pieces_of(traceback: Any) -> Traced:
    """Return the pieces of a traceback of JAX, without the stack that it was lowered in.

    JAX joins the traceback of an equation to those around it; each ends in the function of
    JAX that took it. Where another version ends them otherwise, the path holds more frames.
    """
    pieces, piece = [], []
    for each in reversed(_compat.frames(traceback)):
        piece.append(Frame(*each))
        if _compat.ends_trace(piece[-1]):
            pieces.append(piece)
            piece = []
    pieces.append(piece)
    return tuple(tuple(each) for each in pieces if each and not _is_lowering(each))


def _is_lowering(piece: Sequence[Frame]) -> bool:
    return any(is_jax(frame.file) and _compat.is_lowering(frame) for frame in piece[-2:-1])


def join_pieces(pieces: Traced) -> tuple[Frame, ...]:
    """Return the frames of all pieces, without machinery."""
    return tuple(_plain_frames(pieces))


def _plain_frames(pieces: Traced) -> Iterator[Frame]:
    for piece in pieces:
        yield from (frame for frame in piece if not is_machinery(frame.file))
