"""The report as text, in the manner of a compiler's errors."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from keystream._audit.reporting import words
from keystream._audit.reporting.content import Content, main_place
from keystream._audit.rules import RULES, rule_of
from keystream._audit.values import Finding, Place

WIDTH = 100
SOURCE = 88
"""How much of a source line is shown."""

SHOWN = 5
"""How many findings of one kind are shown whole."""


def write(whole: Content) -> str:
    """Return a report as text."""
    blocks = list(_blocks(whole.findings))
    if whole.unseen:
        blocks.append("\n".join(["not looked at", *(_part("", each) for each in whole.unseen)]))
    found = words.tally(whole.findings, len(whole.silenced))
    subject = words.clean(whole.subject) or "audit"
    blocks.append(f"{subject}: {found}; looked at {words.looked_at(whole)}")
    return "\n\n".join(blocks)


def _blocks(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each finding as a block; of many of one kind only the first ones."""
    kinds: dict[tuple[str, str], list[list[Finding]]] = {}
    for same in _together(findings):
        kinds.setdefault((same[0].rule, same[0].severity), []).append(same)
    for (rule, severity), kind in kinds.items():
        told: set[str] = set()
        for same in kind[:SHOWN]:
            yield "\n".join(_block(same[0], len(same) - 1, told))
        rest = [finding for same in kind[SHOWN:] for finding in same]
        if rest:
            where = words.some([main_place(finding) for finding in rest])
            at = f", at {where}" if where else ""
            yield f"{severity}[{words.clean(rule)}]: and {len(rest):,} more like it{at}"


def _together(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Put together the findings that differ in their keys alone."""
    same: dict[Finding, list[Finding]] = {}
    for finding in findings:
        same.setdefault(finding._replace(lineage=()), []).append(finding)
    return list(same.values())


def _block(finding: Finding, more: int, told: set[str]) -> Iterator[str]:
    """Yield the lines of a finding, without the reason and the cure that were told just above."""
    rule = rule_of(finding)
    yield f"{finding.severity}[{words.clean(rule.id)}]: {words.clean(finding.message)}"
    margin = max((len(str(place.line)) for place in finding.places), default=1) + 1
    yield from _places(finding, margin)
    if finding.lineage:
        yield _part("path", words.path(finding.lineage), margin)
    if more:
        yield _part("also", f"{words.number(more, 'other key')}, at the same lines", margin)
    if rule.why and rule.why not in told:
        yield _part("why", rule.why, margin)
    if rule.cure and rule.cure not in told:
        yield _code("help", rule.cure, margin)
    if rule.id in RULES and not told:
        yield _part("more", rule.more, margin)
    told |= {rule.why, rule.cure}


def _part(name: str, told: str, margin: int = 3) -> str:
    """Return a part of a block, in as many lines as it takes: `   = why: ...`."""
    head = f"{' ' * margin}= {name}: " if name else f"{' ' * margin}= "
    return textwrap.fill(
        words.clean(told),
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _code(name: str, code: str, margin: int) -> str:
    """Return a part that keeps its lines."""
    head = f"{' ' * margin}= {name}: "
    lines = [words.clean(line) for line in code.splitlines()]
    return head + f"\n{' ' * len(head)}".join(lines)


def _places(finding: Finding, margin: int) -> Iterator[str]:
    """Yield the source lines with what happens there, those of one function together."""
    marked = itertools.zip_longest(finding.places, finding.labels[: len(finding.places)])
    last = main_place(finding)
    arrow = "-->"
    for _, group in itertools.groupby(marked, lambda pair: (pair[0].file, pair[0].function)):
        pairs = list(group)
        head = next((place for place, _ in pairs if place == last), pairs[0][0])
        yield f"{' ' * (margin - 1)}{arrow} {words.clean(str(head))}"
        yield f"{' ' * margin}|"
        yield from _snippet(pairs, last, margin)
        yield f"{' ' * margin}|"
        arrow = ":::"


def _snippet(
    pairs: Sequence[tuple[Place, str | None]], last: Place | None, margin: int
) -> Iterator[str]:
    """Yield lines of one function, each once, its marks below it."""
    before: Place | None = None
    final = len(pairs) - 1
    for position, (place, label) in enumerate(pairs):
        source = words.cut(words.clean(place.text), SOURCE)
        if before and place.line not in (before.line, before.line + 1):
            yield "..."
        if place != before:
            number = str(place.line) if place.line > 0 else ""
            yield f"{number:<{margin}}| {source or '…'}"
        before = place
        is_main = place == last and position == final
        mark = ("^" if is_main else "-") * (len(source) or 1)
        yield from _mark(mark, words.clean(label or ""), margin)


def _mark(mark: str, label: str, margin: int) -> Iterator[str]:
    """Yield a line's mark with its label: beside it, or below it where that is too wide."""
    head = f"{' ' * margin}| "
    if len(head) + len(mark) + 1 + len(label) <= WIDTH:
        yield f"{head}{mark} {label}".rstrip()
    else:
        yield head + mark
        yield from textwrap.wrap(
            label, WIDTH, initial_indent=head, subsequent_indent=head, break_long_words=False
        )
