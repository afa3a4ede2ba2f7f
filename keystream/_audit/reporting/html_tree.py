"""The keys of a program as a tree that opens and closes, without a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from keystream._audit.reporting import trees, words
from keystream._audit.reporting.content import Content
from keystream._audit.reporting.html_element import add
from keystream._audit.values import Branch, Finding

DEEPEST = 24
"""How deep lists are nested; what grows deeper goes on in a tree of its own below."""

FINDINGS = 500
"""How many findings a page shows: a browser opens more of them too slowly."""

SHOWN = 3000
"""How many branches a page shows; those on the way to a finding come first."""


def first_marks(roots: Iterable[Branch]) -> dict[int, str]:
    """Return the anchor of the first branch of each finding."""
    rows = trees.flatten(roots)
    shown = _shown(rows)
    found: dict[int, str] = {}
    for position, row in enumerate(rows):
        for finding in row.findings if shown[position] else ():
            found.setdefault(finding, f"key-{position}")
    return found


def add_trees(body: ET.Element, whole: Content) -> None:
    """Put the trees onto a page."""
    add(body, "h2", "Keys, from their roots to the draws")
    rows = trees.flatten(whole.lineage)
    shown, leads, (roots, children) = _shown(rows), _leading(rows), _families(rows)
    ahead: list[_Ahead] = []
    _push(ahead, add(add(body, "div", kind="tree"), "ul"), roots, shown, 0)
    while ahead:
        listed, position, depth, left_out = ahead.pop()
        if left_out:
            add(listed, "li", f"and {left_out:,} more", "faint")
            continue
        row = rows[position]
        goes_on = [each for each in children[position] if rows[each].label == row.label]
        below = [each for each in children[position] if rows[each].label != row.label]
        # A loop written out, `key, use = split(key)` again and again, is a list, not a staircase.
        _push(ahead, listed, goes_on, shown, depth)
        item = add(listed, "li", id=f"key-{position}")
        if not below:
            _label(add(item, "div", kind="label leaf"), row, rows, whole.findings)
            continue
        is_open = leads[position] or depth < 2
        fold = add(item, "details", **({"open": "open"} if is_open else {}))
        _label(add(fold, "summary"), row, rows, whole.findings)
        if depth < DEEPEST:
            _push(ahead, add(fold, "ul"), below, shown, depth + 1)
        elif any(shown[each] for each in below):
            add(fold, "a", "goes on below", href=f"#below-{position}")
            further = add(body, "div", kind="tree", id=f"below-{position}")
            head = add(further, "p", "Further from ", "faint")
            add(head, "a", row.label or "a key", href=f"#key-{position}")
            _push(ahead, add(further, "ul"), below, shown, 0)


class _Ahead(NamedTuple):
    """A branch that is to be put into a list, or a number of them that is left out."""

    listed: ET.Element
    position: int
    depth: int
    left_out: int = 0


def _push(
    ahead: list[_Ahead],
    listed: ET.Element,
    positions: Sequence[int],
    shown: Sequence[bool],
    depth: int,
) -> None:
    """Note branches for a list, the first one to be the next."""
    fitting = [position for position in positions if shown[position]]
    left_out = len(positions) - len(fitting)
    if left_out:
        ahead.append(_Ahead(listed, -1, depth, left_out))
    ahead += [_Ahead(listed, position, depth) for position in reversed(fitting)]


def _families(rows: Sequence[trees.Row]) -> tuple[list[int], list[list[int]]]:
    """Return the roots, and the children of each branch."""
    roots: list[int] = []
    children: list[list[int]] = [[] for _ in rows]
    for position, row in enumerate(rows):
        (children[row.parent] if row.parent >= 0 else roots).append(position)
    return roots, children


def _label(
    parent: ET.Element, row: trees.Row, rows: Sequence[trees.Row], findings: Sequence[Finding]
) -> None:
    if row.parent >= 0 and rows[row.parent].label == row.label:
        add(parent, "span", "↳ ", "faint")
    add(parent, "code", row.label)
    if row.place:
        add(parent, "span", f" {row.place}", "faint")
    for number in row.findings:
        finding = findings[number]
        told = f"{finding.rule} {words.cut(finding.message, 60)}"
        link = {"href": f"#finding-{number}"} if number < FINDINGS else {}
        add(parent, "a", told, f"mark {finding.severity}", **link)


def _leading(rows: Sequence[trees.Row]) -> list[bool]:
    """Return which branches have a finding, or lead to one."""
    leads = [bool(row.findings) for row in rows]
    for position in reversed(range(len(rows))):
        if leads[position] and rows[position].parent >= 0:
            leads[rows[position].parent] = True
    return leads


def _shown(rows: Sequence[trees.Row]) -> list[bool]:
    """Return which branches there is room for, never one without its parent."""
    leads = _leading(rows)
    shown = [False] * len(rows)
    room = SHOWN
    for chosen in (True, False):
        for position, row in enumerate(rows):
            fits = room > 0 and leads[position] is chosen
            if fits and (row.parent < 0 or shown[row.parent]):
                shown[position] = True
                room -= 1
    return shown
