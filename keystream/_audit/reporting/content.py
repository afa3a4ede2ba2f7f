"""All that a report knows, as one immutable value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from keystream._audit.reporting import silence, trees
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


def arranged(
    subject: str,
    findings: Iterable[Finding] = (),
    counts: Iterable[Count] = (),
    lineage: Iterable[Branch] = (),
    unseen: Iterable[str] = (),
    keys: int = 0,
) -> Content:
    """Silence, sort and merge what was found; the lineage's findings keep their branches."""
    given = tuple(findings)
    lines = tuple(sorted(merged(counts), key=lambda count: where(count.place)))
    rows = trees.flatten(lineage)
    seen = [count.place for count in lines] + [row.place for row in rows if row.place]
    told, hidden = silence.apply(given, seen)
    loud = [None if quiet else each for each, quiet in zip(given, hidden, strict=True)]
    findings = tuple(sorted({*told, *filter(None, loud)}, key=order))
    places = {finding: place for place, finding in enumerate(findings)}
    moved = [None if each is None else places[each] for each in loud]
    rows = [row._replace(findings=_moved(row.findings, moved)) for row in rows]
    return Content(
        subject=subject,
        findings=findings,
        silenced=tuple(sorted({*filter(None, hidden)}, key=order)),
        counts=lines,
        lineage=trees.grow(rows),
        unseen=tuple(dict.fromkeys(unseen)),
        keys=keys,
    )


def _moved(findings: Iterable[int], moved: Sequence[int | None]) -> tuple[int, ...]:
    """Return where findings went; those that are silenced went nowhere."""
    places = (moved[finding] for finding in findings)
    return tuple(sorted({place for place in places if place is not None}))


def merged(counts: Iterable[Count]) -> list[Count]:
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
