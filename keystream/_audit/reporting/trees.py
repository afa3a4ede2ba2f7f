"""Trees of any depth as flat rows, and back.

A Python loop that splits its key ten thousand times has a lineage ten thousand deep: beyond
what recursion, nested JSON and nested HTML can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from keystream._audit.values import Branch, Place


class Row(NamedTuple):
    """A branch, and which row it grows from."""

    label: str
    place: Place | None
    findings: tuple[int, ...]
    parent: int
    """The position of its parent among the rows, always an earlier one; -1 for a root."""


def flatten(roots: Iterable[Branch]) -> list[Row]:
    """Return the branches of trees as rows, each after its parent and before its younger siblings.

    `grow(flatten(roots)) == roots`.
    """
    rows: list[Row] = []
    ahead = [(branch, -1) for branch in reversed(tuple(roots))]
    while ahead:
        branch, parent = ahead.pop()
        place = len(rows)
        rows.append(Row(branch.label, branch.place, branch.findings, parent))
        ahead += [(child, place) for child in reversed(branch.children)]
    return rows


def grow(rows: Sequence[Row]) -> tuple[Branch, ...]:
    """Return the trees that rows describe."""
    children: list[list[Branch]] = [[] for _ in rows]
    roots: list[Branch] = []
    for position in reversed(range(len(rows))):
        label, place, findings, parent = rows[position]
        branch = Branch(label, place, findings, tuple(reversed(children[position])))
        (roots if parent < 0 else children[parent]).append(branch)
    return tuple(reversed(roots))
