"""Write the report as text, in the manner of a compiler's errors."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from keystream._audit.reporting.content import Content, main_place
from keystream._audit.rules import RULES, rule_of
from keystream._audit.values import SEVERITIES, Count, Finding, Place, Severity
from keystream._errors import KeyAuditError

if TYPE_CHECKING:
    from keystream._audit.reporting.report import Report


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
    found = tally(whole.findings, len(whole.silenced))
    subject = clean(whole.subject) or "audit"
    blocks.append(f"{subject}: {found}; looked at {looked_at(whole)}")
    return "\n\n".join(blocks)


def _blocks(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each finding as a block; of many of one kind only the first ones."""
    kinds: dict[tuple[str, str], list[list[Finding]]] = {}
    for same in _group(findings):
        kinds.setdefault((same[0].rule, same[0].severity), []).append(same)
    for (rule, severity), kind in kinds.items():
        told: set[str] = set()
        for same in kind[:SHOWN]:
            yield "\n".join(_block(same[0], len(same) - 1, told))
        rest = [finding for same in kind[SHOWN:] for finding in same]
        if rest:
            where = some_places([main_place(finding) for finding in rest])
            at = f", at {where}" if where else ""
            yield f"{severity}[{clean(rule)}]: and {len(rest):,} more like it{at}"


def _group(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Put together the findings that differ in their keys alone."""
    same: dict[Finding, list[Finding]] = {}
    for finding in findings:
        same.setdefault(finding._replace(lineage=()), []).append(finding)
    return list(same.values())


def _block(finding: Finding, more: int, told: set[str]) -> Iterator[str]:
    """Yield the lines of a finding, without the reason and the cure that were told just above."""
    rule = rule_of(finding)
    yield f"{finding.severity}[{clean(rule.id)}]: {clean(finding.message)}"
    margin = max((len(str(place.line)) for place in finding.places), default=1) + 1
    yield from _places(finding, margin)
    if finding.lineage:
        yield _part("path", path_of_key(finding.lineage), margin)
    if more:
        yield _part("also", f"{count_of(more, 'other key')}, at the same lines", margin)
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
        clean(told),
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _code(name: str, code: str, margin: int) -> str:
    """Return a part that keeps its lines."""
    head = f"{' ' * margin}= {name}: "
    lines = [clean(line) for line in code.splitlines()]
    return head + f"\n{' ' * len(head)}".join(lines)


def _places(finding: Finding, margin: int) -> Iterator[str]:
    """Yield the source lines with what happens there, those of one function together."""
    marked = itertools.zip_longest(finding.places, finding.labels[: len(finding.places)])
    last = main_place(finding)
    arrow = "-->"
    for _, group in itertools.groupby(marked, lambda pair: (pair[0].file, pair[0].function)):
        pairs = list(group)
        head = next((place for place, _ in pairs if place == last), pairs[0][0])
        yield f"{' ' * (margin - 1)}{arrow} {clean(str(head))}"
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
        source = cut(clean(place.text), SOURCE)
        if before and place.line not in (before.line, before.line + 1):
            yield "..."
        if place != before:
            number = str(place.line) if place.line > 0 else ""
            yield f"{number:<{margin}}| {source or '…'}"
        before = place
        is_main = place == last and position == final
        mark = ("^" if is_main else "-") * (len(source) or 1)
        yield from _mark(mark, clean(label or ""), margin)


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


STEPS = 12
"""How many steps of a path are told; the middle of a longer one is left out."""


def clean(text: str) -> str:
    """Return text as one line that any terminal and page shows as it is."""
    text = text.expandtabs(4)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, width: int) -> str:
    """Return text of at most `width` characters."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def path_of_key(lineage: Sequence[str]) -> str:
    """Return the path of a key in words: `argument key → split[0] (37 times) → split[1]`."""
    steps = []
    for step, same in itertools.groupby(map(clean, lineage)):
        times = len(list(same))
        steps.append(step if times == 1 else f"{step} ({times} times)")
    if len(steps) > STEPS:
        half = STEPS // 2
        left_out = f"… {count_of(len(steps) - 2 * half, 'more step')} …"
        steps = [*steps[:half], left_out, *steps[-half:]]
    return " → ".join(steps)


def tally(findings: Iterable[Finding], silenced: int = 0) -> str:
    """Return how many there are of each severity: `2 errors, 1 warning, 1 silenced`."""
    told = [finding.severity for finding in findings]
    parts = [count_of(told.count(level), level) for level in SEVERITIES if level in told]
    parts = parts or ["no findings"]
    return ", ".join([*parts, f"{silenced:,} silenced"] if silenced else parts)


def looked_at(whole: Content) -> str:
    """Return what was looked at: `4 draws, 2 splits, 1 fold, 7 keys`."""
    draws, _, splits, folds = sums(whole.counts)
    counted = ((draws, "draw"), (splits, "split"), (folds, "fold"), (whole.keys, "key"))
    return ", ".join(count_of(count, what) for count, what in counted)


def sums(counts: Iterable[Count]) -> tuple[int, int, int, int]:
    """Return all draws, bits, splits and folds."""
    rows = [(count.draws, count.bits, count.splits, count.folds) for count in counts]
    draws, bits, splits, folds = map(sum, zip(*rows, strict=True)) if rows else (0, 0, 0, 0)
    return draws, bits, splits, folds


def count_of(count: int, what: str) -> str:
    """Return a count with its noun: `1 draw`, `2,000 draws`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def some_places(places: Sequence[Place | None], limit: int = 3) -> str:
    """Return places in a row, a few of them: `a.py:3, a.py:5 and 9 other places`."""
    found = list(dict.fromkeys(clean(place.where) for place in places if place))
    rest = len(found) - limit
    if rest <= 0:
        return ", ".join(found)
    return f"{', '.join(found[:limit])} and {count_of(rest, 'other place')}"


MEANT = """\
Is it meant, as where a test draws twice to compare? Say so at the line, or for the whole test:
    # keystream: ignore[{rule}] the reason
    @pytest.mark.audit_keys(False)"""


def failure(report: Report, level: Severity) -> str:
    """Return what a test fails with, or nothing: its first line stands in pytest's summary."""
    try:
        report.raise_if_found(level)
    except KeyAuditError as found:
        worst = report.findings[0]
        head = f"{worst.rule} {worst.message}{_at(worst)}"
        told = str(found).partition("\n\n")[2]
        return f"{head}\n\n{told}\n\n{MEANT.format(rule=worst.rule)}"
    return ""


def section(report: Report) -> str:
    """Return what is told beside a test's own failure."""
    return str(report) if report.findings else ""


def facts(report: Report, level: Severity) -> dict[str, Any]:
    """Return what a summary of many tests needs, in what can be sent to another process."""
    worst = report.findings[0].severity if report.findings else ""
    found = {(each.rule, _where(each), each.message) for each in report.at_least(level)}
    return {"worst": worst, "found": [list(each) for each in sorted(found)]}


def _where(finding: Finding) -> str:
    place = main_place(finding)
    return clean(str(place)) if place else ""


def _at(finding: Finding) -> str:
    where = _where(finding)
    return f", at {where}" if where else ""
