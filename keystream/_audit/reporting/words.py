"""How a report words what it says, on a terminal, on a page and in CI."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from keystream._audit.reporting.content import Content
from keystream._audit.values import SEVERITIES, Count, Finding, Place

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


def path(lineage: Sequence[str]) -> str:
    """Return the path of a key in words: `argument key → split[0] (37 times) → split[1]`."""
    steps = []
    for step, same in itertools.groupby(map(clean, lineage)):
        times = len(list(same))
        steps.append(step if times == 1 else f"{step} ({times} times)")
    if len(steps) > STEPS:
        half = STEPS // 2
        left_out = f"… {number(len(steps) - 2 * half, 'more step')} …"
        steps = [*steps[:half], left_out, *steps[-half:]]
    return " → ".join(steps)


def tally(findings: Iterable[Finding], silenced: int = 0) -> str:
    """Return how many there are of each severity: `2 errors, 1 warning, 1 silenced`."""
    told = [finding.severity for finding in findings]
    parts = [number(told.count(level), level) for level in SEVERITIES if level in told]
    parts = parts or ["no findings"]
    return ", ".join([*parts, f"{silenced:,} silenced"] if silenced else parts)


def looked_at(whole: Content) -> str:
    """Return what was looked at: `4 draws, 2 splits, 1 fold, 7 keys`."""
    draws, _, splits, folds = sums(whole.counts)
    counted = ((draws, "draw"), (splits, "split"), (folds, "fold"), (whole.keys, "key"))
    return ", ".join(number(count, what) for count, what in counted)


def sums(counts: Iterable[Count]) -> tuple[int, int, int, int]:
    """Return all draws, bits, splits and folds."""
    rows = [(count.draws, count.bits, count.splits, count.folds) for count in counts]
    draws, bits, splits, folds = map(sum, zip(*rows, strict=True)) if rows else (0, 0, 0, 0)
    return draws, bits, splits, folds


def number(count: int, what: str) -> str:
    """Return a count with its noun: `1 draw`, `2,000 draws`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def some(places: Sequence[Place | None], limit: int = 3) -> str:
    """Return places in a row, a few of them: `a.py:3, a.py:5 and 9 other places`."""
    found = list(dict.fromkeys(clean(place.where) for place in places if place))
    rest = len(found) - limit
    if rest <= 0:
        return ", ".join(found)
    return f"{', '.join(found[:limit])} and {number(rest, 'other place')}"
