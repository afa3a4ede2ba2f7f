"""Judge windows: pieces of one draw that overlap or leave it, and draws beside a window.

A window is read as a child of its key, so that no rule takes two of them for one key. Here their
draws are held against each other as draws of that key: of the same descendant, the window left
out of its way, if a sampler or the user has split it.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from keystream import _impl
from keystream._audit.judging.findings import Findings
from keystream._audit.judging.view import KeyUse, View
from keystream._audit.reading.lineage import CUT, Lineage, Origin, mix
from keystream._audit.reading.uses import Act, Use

MANY = 32
"""Draws of one key that are compared with each other."""


class Piece(NamedTuple):
    """What is drawn of the whole draw of a key."""

    node: int
    """The key that is drawn from, by the window or without one."""
    shape: tuple[int, ...] | None
    """Of the whole draw; None for a draw without a window."""
    start: tuple[int, ...] | None
    """None where the program alone doesn't tell it."""
    size: tuple[int, ...]


def judge_windows(lineage: Lineage, uses: Iterable[Use], view: View, findings: Findings) -> None:
    """Find pieces of one draw that overlap, and what is drawn beside a piece."""
    if all(step.origin is not Origin.WINDOW for step in lineage.steps):
        return
    drawn: dict[int, list[tuple[KeyUse, Piece]]] = collections.defaultdict(list)
    for use in uses:
        if use.act is Act.DRAW:
            for handle in use.handles.tolist()[:MANY]:
                piece = _piece(lineage, use, handle)
                drawn[piece.node].append((KeyUse(use, handle), piece))
                if _is_beyond(piece):
                    with findings.looking_at(use):
                        _add_beyond(view, findings, KeyUse(use, handle))
    for several in drawn.values():
        for (one, piece), (other, with_it) in itertools.combinations(several[:MANY], 2):
            if one.use is not other.use and _meet(piece, with_it):
                with findings.looking_at(other.use):
                    _compare(view, findings, one, other, piece.shape == with_it.shape)


def _piece(lineage: Lineage, use: Use, handle: int) -> Piece:
    way = lineage.way(handle)
    cut = [place for place, each in enumerate(way) if lineage.step(each).origin is Origin.WINDOW]
    if not cut:
        return Piece(int(lineage.nodes(np.asarray(handle))), None, None, use.shape)
    last = way[cut[-1]]
    node = lineage.nodes(np.asarray(way[cut[-1] - 1]))
    for each in way[cut[-1] + 1 :]:
        node = mix(node, lineage.step(each).kind, np.uint64(lineage.number(each)))
    shape = _impl.window_shape(lineage.step(last).impl)
    assert shape is not None, "a window has a shape"
    known = lineage.step(last).kind == CUT
    start = _start(lineage.number(last), shape) if known else None
    return Piece(int(node), shape, start, use.shape)


def _start(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a number in C order stands."""
    start: tuple[int, ...] = ()
    for size in reversed(shape[1:]):
        number, index = divmod(number, max(size, 1))
        start = (index, *start)
    return (number, *start) if shape else ()


def _meet(one: Piece, other: Piece) -> bool:
    """Do two pieces surely overlap? Those of draws of two shapes are taken to."""
    if one.shape is None and other.shape is None:
        return False  # Two draws without windows are for other rules.
    if one.shape != other.shape:
        return True
    if one.start is None or other.start is None or one.start == other.start:
        return False  # Equal windows are one key, which other rules look at.
    return all(
        first < second + length and second < first + size
        for first, size, second, length in zip(
            one.start, one.size, other.start, other.size, strict=True
        )
    )


def _is_beyond(piece: Piece) -> bool:
    if piece.shape is None or piece.start is None:
        return False
    ends = zip(piece.shape, piece.start, piece.size, strict=True)
    return any(size and start + size > whole for whole, start, size in ends)


def _add_beyond(view: View, findings: Findings, seen: KeyUse) -> None:
    written = view.as_written(seen)
    findings.add(
        "KS16",
        [written],
        message="a piece reaches beyond the shape of the whole draw",
        why="It holds the numbers of the next row, or some that no draw of this shape has.",
        cure="ks.window(key, shape, start)  # with start + piece within shape",
    )


def _compare(view: View, findings: Findings, one: KeyUse, other: KeyUse, same_shape: bool) -> None:
    if view.allows_both(one, other):
        return
    written = [view.as_written(one), view.as_written(other)]
    message = "two windows of one draw overlap"
    if not same_shape:
        message = "a key is drawn from beside a window of it"
    cure = "ks.window(key, shape, start)  # pieces of one shape that don't overlap"
    findings.add("KS01", written, message=message, cure=cure)
