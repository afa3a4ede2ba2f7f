"""The table of a journal, as it stands in `docs/quality.md`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.soak.journal import Entry

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
HEAD = (
    "| layout | battery | direction | seeds | tests | p-values | bytes | worst p-value | verdict "
    "| date | versions |"
)
UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def rows(entries: Iterable[Entry]) -> list[str]:
    """Return a row for each layout, battery and direction."""
    groups: dict[tuple[str, str, bool], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.battery, entry.layout, entry.reverse].append(entry)
    return [_row(group) for group in groups.values()]


def _row(group: list[Entry]) -> str:
    last = group[-1]
    p_values = sum(len(entry.found) for entry in group)
    cells = (
        last.layout,
        last.battery,
        last.unit.direction,
        ", ".join(map(str, sorted({entry.seed for entry in group}))),
        str(len(group)),
        str(p_values),
        size(sum(entry.bytes for entry in group)),
        f"{min(entry.worst for entry in group):.1g}",
        verdict(group),
        max(entry.date for entry in group)[:10],
        last.versions,
    )
    return f"| {' | '.join(cells)} |"


def verdict(group: list[Entry]) -> str:
    """Say what failed on three keys, or that nothing did, and how often it was repeated."""
    bad = [f"{entry.test}: {name}" for entry in group for name in entry.failed]
    if bad:
        return f"**failed** ({len(bad)} p-values, such as {bad[0]})"
    repeated = sum(bool(entry.again) for entry in group)
    return f"passed, {repeated} repeated" if repeated else "passed"


def size(number: int) -> str:
    """Return a count of bytes in decimal units."""
    name, unit = next((row for row in UNITS if number >= row[1]), ("kB", 1e3))
    return f"{number / unit:.3g} {name}"


def write(path: Path, entries: Iterable[Entry]) -> int:
    """Put the table between its two marks on a page; return how many rows it has."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{path} must have one line {BEGIN} and one line {END} behind it")
    made = rows(entries)
    before, _, rest = page.partition(BEGIN)
    rule = "|---" * (HEAD.count("|") - 1) + "|"
    lines = [BEGIN, "", HEAD, rule, *made, "", END]
    path.write_text(before + "\n".join(lines) + rest.partition(END)[2])
    return len(made)
