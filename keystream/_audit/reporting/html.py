"""Write the report as a page that needs nothing but itself; keys are a tree, without a script."""

from __future__ import annotations

import html
import importlib.resources
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from keystream._audit.reporting.content import Content, Row, flatten, main_place
from keystream._audit.reporting.text import clean, cut, looked_at, path_of_key, tally
from keystream._audit.rules import rule_of
from keystream._audit.values import Branch, Finding, Place

OPEN = 3
"""How many findings of one kind are open from the start."""


def write(whole: Content) -> str:
    """Return a report as a page: what was found, the keys as a tree, the counts."""
    body = element("main")
    _head(body, whole)
    _findings(body, "Findings", whole.findings, first_marks(whole.lineage))
    _rest(body, whole)
    title = html.escape(clean(f"Key audit of {whole.subject}"))
    return _fill("page.html", body, title=title)


def fragment(whole: Content) -> str:
    """Return a report for a notebook: in its colors, and with no anchor that could meet another."""
    body = element("div")
    _head(body, whole)
    _findings(body, "Findings", whole.findings, {})
    if whole.lineage or whole.counts or whole.unseen or whole.silenced:
        more = add(body, "details", kind="more")
        add(more, "summary", "Keys and counts")
        _rest(more, whole)
    for each in body.iter():
        each.attrib.pop("id", None)
        each.attrib.pop("href", None)
        if each.tag in _PLAIN:  # A notebook lists headings, and follows links itself.
            each.attrib.setdefault("class", each.tag)
            each.tag = _PLAIN[each.tag]
    return _fill("notebook.html", body)


_PLAIN = {"h1": "div", "h2": "div", "a": "span"}


def _rest(body: ET.Element, whole: Content) -> None:
    if whole.lineage:
        add_trees(body, whole)
    if whole.counts:
        _counts(body, whole)
    if whole.unseen:
        add(body, "h2", "Not looked at")
        listed = add(body, "ul")
        for each in whole.unseen:
            add(listed, "li", each)
    _findings(body, "Silenced", whole.silenced, {}, "silenced")


def _fill(form: str, body: ET.Element, **more: str) -> str:
    home = importlib.resources.files("keystream._audit.reporting")
    style = home.joinpath("report.css").read_text("utf-8")
    # A lone surrogate can't be written to a file; it is a backslash escape already.
    written = ET.tostring(body, encoding="unicode", method="html")
    page = string.Template(home.joinpath(form).read_text("utf-8"))
    return page.substitute(style=style, body=written, **more)


def _head(body: ET.Element, whole: Content) -> None:
    add(body, "h1", f"Key audit of {whole.subject}")
    told = add(body, "p")
    worst = whole.findings[0].severity if whole.findings else "fine"
    add(told, "strong", tally(whole.findings, len(whole.silenced)), worst)
    add(told, "span", f"; looked at {looked_at(whole)}", "faint")


def _findings(
    body: ET.Element,
    title: str,
    findings: Iterable[Finding],
    marks: dict[int, str],
    anchor: str = "finding",
) -> None:
    found = tuple(findings)
    if not found:
        return
    add(body, "h2", title)
    alike: Counter[tuple[str, str]] = Counter()
    for number, finding in enumerate(found[:FINDINGS]):
        kind = finding.rule, finding.severity
        alike[kind] += 1
        card = add(body, "details", kind=f"finding {finding.severity}", id=f"{anchor}-{number}")
        if alike[kind] <= OPEN:
            card.set("open", "open")
        _finding(card, finding, marks.get(number))
    if len(found) > FINDINGS:
        add(body, "p", f"and {len(found) - FINDINGS:,} more, which the JSON of this report holds")


def _finding(card: ET.Element, finding: Finding, mark: str | None) -> None:
    rule = rule_of(finding)
    head = add(card, "summary")
    add(head, "strong", f"{finding.severity}[{rule.id}]: {finding.message}")
    place = main_place(finding)
    if place:
        add(head, "span", f" {place.where}", "faint")
    last = len(finding.places) - 1
    for position, place in enumerate(finding.places):
        label = "".join(finding.labels[position : position + 1])
        _place(card, place, label, is_main=position == last and place == main_place(finding))
    for name, told in (
        ("Path", path_of_key(finding.lineage)),
        ("Why", rule.why),
        ("Silenced", finding.silenced),
    ):
        if told:
            line = add(card, "p")
            add(line, "strong", f"{name}: ")
            add(line, "span", told)
    if rule.cure:
        add(card, "strong", "Write instead:")
        add(card, "pre", kind="cure").text = "\n".join(map(clean, rule.cure.splitlines()))
    if mark:
        add(card, "a", "show the key in the tree", href=f"#{mark}")


def _place(card: ET.Element, place: Place, label: str, *, is_main: bool) -> None:
    block = add(card, "div", kind="place main" if is_main else "place")
    add(block, "div", str(place), "faint")
    if place.text:
        line = add(block, "div", kind="source")
        add(line, "span", str(place.line), "number")
        add(line, "span", cut(clean(place.text), 400))
    if label:
        add(block, "div", label)


def _counts(body: ET.Element, whole: Content) -> None:
    add(body, "h2", "What each line does with keys")
    table = add(add(body, "div", kind="wide"), "table")
    row = add(table, "tr")
    for name in ("place", "draws", "bits", "splits", "folds"):
        add(row, "th", name)
    for count in whole.counts:
        row = add(table, "tr")
        add(row, "td", str(count.place))
        for number in count[1:]:
            add(row, "td", f"{number:,}")


DEEPEST = 24
"""How deep lists are nested; what grows deeper goes on in a tree of its own below."""

FINDINGS = 500
"""How many findings a page shows: a browser opens more of them too slowly."""

SHOWN = 3000
"""How many branches a page shows; those on the way to a finding come first."""


def first_marks(roots: Iterable[Branch]) -> dict[int, str]:
    """Return the anchor of the first branch of each finding."""
    rows = flatten(roots)
    shown = _choose_shown(rows)
    found: dict[int, str] = {}
    for position, row in enumerate(rows):
        for finding in row.findings if shown[position] else ():
            found.setdefault(finding, f"key-{position}")
    return found


def add_trees(body: ET.Element, whole: Content) -> None:
    """Put the trees onto a page."""
    add(body, "h2", "Keys, from their roots to the draws")
    rows = flatten(whole.lineage)
    shown, leads, (roots, children) = _choose_shown(rows), _leads(rows), _families(rows)
    ahead: list[_Waiting] = []
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


class _Waiting(NamedTuple):
    """A branch that is to be put into a list, or a number of them that is left out."""

    listed: ET.Element
    position: int
    depth: int
    left_out: int = 0


def _push(
    ahead: list[_Waiting],
    listed: ET.Element,
    positions: Sequence[int],
    shown: Sequence[bool],
    depth: int,
) -> None:
    """Note branches for a list, the first one to be the next."""
    fitting = [position for position in positions if shown[position]]
    left_out = len(positions) - len(fitting)
    if left_out:
        ahead.append(_Waiting(listed, -1, depth, left_out))
    ahead += [_Waiting(listed, position, depth) for position in reversed(fitting)]


def _families(rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
    """Return the roots, and the children of each branch."""
    roots: list[int] = []
    children: list[list[int]] = [[] for _ in rows]
    for position, row in enumerate(rows):
        (children[row.parent] if row.parent >= 0 else roots).append(position)
    return roots, children


def _label(parent: ET.Element, row: Row, rows: Sequence[Row], findings: Sequence[Finding]) -> None:
    if row.parent >= 0 and rows[row.parent].label == row.label:
        add(parent, "span", "↳ ", "faint")
    add(parent, "code", row.label)
    if row.place:
        add(parent, "span", f" {row.place}", "faint")
    for number in row.findings:
        finding = findings[number]
        told = f"{finding.rule} {cut(finding.message, 60)}"
        link = {"href": f"#finding-{number}"} if number < FINDINGS else {}
        add(parent, "a", told, f"mark {finding.severity}", **link)


def _leads(rows: Sequence[Row]) -> list[bool]:
    """Return which branches have a finding, or lead to one."""
    leads = [bool(row.findings) for row in rows]
    for position in reversed(range(len(rows))):
        if leads[position] and rows[position].parent >= 0:
            leads[rows[position].parent] = True
    return leads


def _choose_shown(rows: Sequence[Row]) -> list[bool]:
    """Return which branches there is room for, never one without its parent."""
    leads = _leads(rows)
    shown = [False] * len(rows)
    room = SHOWN
    for chosen in (True, False):
        for position, row in enumerate(rows):
            fits = room > 0 and leads[position] is chosen
            if fits and (row.parent < 0 or shown[row.parent]):
                shown[position] = True
                room -= 1
    return shown


def element(tag: str, text: str = "", kind: str = "", **attributes: str) -> ET.Element:
    """Return an element with text in it, of a kind that the style sheet knows."""
    made = ET.Element(tag, {**({"class": kind} if kind else {}), **attributes})
    made.text = clean(text)
    return made


def add(parent: ET.Element, tag: str, text: str = "", kind: str = "", **more: str) -> ET.Element:
    """Put an element into another one, as its last, and return it."""
    made = element(tag, text, kind, **more)
    parent.append(made)
    return made
