"""All that a report knows, as one immutable value, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keystream._audit.reporting import silence
from keystream._audit.rules import RULES
from keystream._audit.values import SEVERITIES, Branch, Count, Finding, Place, Severity


class Content(NamedTuple):
    """All that a report knows."""

    subject: str
    """What was audited: `train_step`."""
    findings: tuple[Finding, ...] = ()
    """From the worst to the mildest, then by place."""
    silenced: tuple[Finding, ...] = ()
    """Those that a comment speaks for, in the same order."""
    counts: tuple[Count, ...] = ()
    """By place."""
    lineage: tuple[Branch, ...] = ()
    """The roots."""
    unseen: tuple[str, ...] = ()
    """What couldn't be looked at: `compiled ahead of time: step`."""
    keys: int = 0
    """How many keys were followed."""


def arrange(
    subject: str,
    findings: Iterable[Finding] = (),
    counts: Iterable[Count] = (),
    lineage: Iterable[Branch] = (),
    unseen: Iterable[str] = (),
    keys: int = 0,
    looked_at: Iterable[Place] = (),
) -> Content:
    """Silence, sort and merge what was found; the lineage's findings keep their branches."""
    given = tuple(findings)
    lines = tuple(sorted(merge(counts), key=lambda count: where(count.place)))
    rows = flatten(lineage)
    seen = [count.place for count in lines] + [row.place for row in rows if row.place]
    told, hidden = silence.apply(given, [*seen, *looked_at])
    loud = [None if quiet else each for each, quiet in zip(given, hidden, strict=True)]
    findings = tuple(sorted({*told, *filter(None, loud)}, key=order))
    places = {finding: place for place, finding in enumerate(findings)}
    moved = [None if each is None else places[each] for each in loud]
    rows = [row._replace(findings=_move_findings(row.findings, moved)) for row in rows]
    return Content(
        subject=subject,
        findings=findings,
        silenced=tuple(sorted({*filter(None, hidden)}, key=order)),
        counts=lines,
        lineage=grow(rows),
        unseen=tuple(dict.fromkeys(unseen)),
        keys=keys,
    )


def _move_findings(findings: Iterable[int], moved: Sequence[int | None]) -> tuple[int, ...]:
    """Return where findings went; those that are silenced went nowhere."""
    places = (moved[finding] for finding in findings)
    return tuple(sorted({place for place in places if place is not None}))


def merge(counts: Iterable[Count]) -> list[Count]:
    """Add up what is counted on one line."""
    found: dict[Place, Count] = {}
    for count in counts:
        before = found.get(count.place, Count(count.place))
        numbers = zip(before[1:], count[1:], strict=True)
        found[count.place] = Count(count.place, *(int(one + other) for one, other in numbers))
    return list(found.values())


def order(finding: Finding) -> tuple[object, ...]:
    """Return what findings are sorted by: the worst first, then by place, then by rule."""
    place = main_place(finding)
    return (SEVERITIES.index(finding.severity), place is None, where(place), finding.rule, finding)


def where(place: Place | None) -> tuple[str, int, str]:
    """Return what places are sorted by."""
    return (place.file, place.line, place.function) if place else ("", 0, "")


def main_place(finding: Finding) -> Place | None:
    """Return the place where it went wrong: the last one, where it can't be right any more."""
    return finding.places[-1] if finding.places else None


def at_least(findings: Iterable[Finding], level: Severity) -> tuple[Finding, ...]:
    """Return the findings that are at least as bad as a level."""
    worst = SEVERITIES[: SEVERITIES.index(level) + 1]
    return tuple(finding for finding in findings if finding.severity in worst)


class Row(NamedTuple):
    """A branch, and which row it grows from: trees of any depth are flat rows.

    A Python loop that splits its key ten thousand times has a lineage ten thousand deep: beyond
    what recursion, nested JSON and nested HTML can hold.
    """

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


FORMAT = 1


def to_json(whole: Content) -> str:
    """Return a report as JSON.

    The lineage is a list of rows, each with the position of its parent in that list: a tree
    of thousands of levels can't be nested.
    """
    document = {
        "format": FORMAT,
        "subject": whole.subject,
        "ok": not at_least(whole.findings, "error"),
        "complete": not whole.unseen,
        "findings": [_finding(each) for each in whole.findings],
        "silenced": [_finding(each) for each in whole.silenced],
        "counts": [{**each._asdict(), "place": each.place._asdict()} for each in whole.counts],
        "lineage": [_row(each) for each in flatten(whole.lineage)],
        "unseen": whole.unseen,
        "keys": whole.keys,
        "rules": {each: RULES[each]._asdict() for each in sorted(_named(whole))},
    }
    return json.dumps(document, indent=1)


def from_json(text: str) -> Content:
    """Return the report that `to_json` wrote."""
    document = json.loads(text)
    return Content(
        subject=document["subject"],
        findings=tuple(map(_finding_of, document["findings"])),
        silenced=tuple(map(_finding_of, document["silenced"])),
        counts=tuple(Count(**{**e, "place": Place(**e["place"])}) for e in document["counts"]),
        lineage=grow([_row_of(each) for each in document["lineage"]]),
        unseen=tuple(document["unseen"]),
        keys=document["keys"],
    )


def _named(whole: Content) -> set[str]:
    return {each.rule for each in (*whole.findings, *whole.silenced)} & set(RULES)


def _finding(finding: Finding) -> dict[str, Any]:
    return {**finding._asdict(), "places": [place._asdict() for place in finding.places]}


def _finding_of(fields: dict[str, Any]) -> Finding:
    places = tuple(Place(**place) for place in fields["places"])
    parts = {"labels": tuple(fields["labels"]), "lineage": tuple(fields["lineage"])}
    return Finding(**{**fields, **parts, "places": places})


def _row(row: Row) -> dict[str, Any]:
    return {**row._asdict(), "place": row.place._asdict() if row.place else None}


def _row_of(fields: dict[str, Any]) -> Row:
    place = Place(**fields["place"]) if fields["place"] else None
    return Row(**{**fields, "place": place, "findings": tuple(fields["findings"])})
