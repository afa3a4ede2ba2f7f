"""The report as a page that needs nothing but itself."""

from __future__ import annotations

import html
import importlib.resources
import string
from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from keystream._audit.reporting import html_tree, words
from keystream._audit.reporting.content import Content, main_place
from keystream._audit.reporting.html_element import add, element
from keystream._audit.reporting.html_tree import FINDINGS
from keystream._audit.rules import rule_of
from keystream._audit.values import Finding, Place

OPEN = 3
"""How many findings of one kind are open from the start."""


def write(whole: Content) -> str:
    """Return a report as a page: what was found, the keys as a tree, the counts."""
    body = element("main")
    _head(body, whole)
    _findings(body, "Findings", whole.findings, html_tree.first_marks(whole.lineage))
    _rest(body, whole)
    title = html.escape(words.clean(f"Key audit of {whole.subject}"))
    return _filled("page.html", body, title=title)


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
    return _filled("notebook.html", body)


_PLAIN = {"h1": "div", "h2": "div", "a": "span"}


def _rest(body: ET.Element, whole: Content) -> None:
    if whole.lineage:
        html_tree.add_trees(body, whole)
    if whole.counts:
        _counts(body, whole)
    if whole.unseen:
        add(body, "h2", "Not looked at")
        listed = add(body, "ul")
        for each in whole.unseen:
            add(listed, "li", each)
    _findings(body, "Silenced", whole.silenced, {}, "silenced")


def _filled(form: str, body: ET.Element, **more: str) -> str:
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
    add(told, "strong", words.tally(whole.findings, len(whole.silenced)), worst)
    add(told, "span", f"; looked at {words.looked_at(whole)}", "faint")


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
        ("Path", words.path(finding.lineage)),
        ("Why", rule.why),
        ("Silenced", finding.silenced),
    ):
        if told:
            line = add(card, "p")
            add(line, "strong", f"{name}: ")
            add(line, "span", told)
    if rule.cure:
        add(card, "strong", "Write instead:")
        add(card, "pre", kind="cure").text = "\n".join(map(words.clean, rule.cure.splitlines()))
    if mark:
        add(card, "a", "show the key in the tree", href=f"#{mark}")


def _place(card: ET.Element, place: Place, label: str, *, is_main: bool) -> None:
    block = add(card, "div", kind="place main" if is_main else "place")
    add(block, "div", str(place), "faint")
    if place.text:
        line = add(block, "div", kind="source")
        add(line, "span", str(place.line), "number")
        add(line, "span", words.cut(words.clean(place.text), 400))
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
