"""Say what a test under the audit fails with, and what a summary of many tests needs."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Any

from keystream._audit.places import is_installed, path_in_library
from keystream._audit.reporting.content import main_place
from keystream._audit.reporting.report import Report, hide
from keystream._audit.reporting.text import clean
from keystream._audit.values import Finding, Place, Severity
from keystream._errors import KeyAuditError

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


def accept(
    report: Report, level: Severity, known: Collection[tuple[str, ...]] | None, root: Path
) -> tuple[Report, list[tuple[str, ...]]]:
    """Take out of a report what is accepted, and return what that is; None accepts everything."""
    named = {each: _name(each, root) for each in report.at_least(level)}
    taken = {each: name for each, name in named.items() if known is None or name in known}
    return hide(report, taken, "accepted by the baseline"), sorted({*taken.values()})


_BODIES = re.compile(r"\.<(locals|listcomp|dictcomp|setcomp)>")
"""Parts of a function's name; newer versions of Python have no function for a comprehension."""


def _name(finding: Finding, root: Path) -> tuple[str, ...]:
    """Return what a finding is known by when lines have moved, and libraries have changed."""
    own = [place for place in finding.places if not is_installed(place.file)] or finding.places
    told = [_place_without_line(place, root) for place in own]
    return finding.rule, *(told or [finding.message])


def _place_without_line(place: Place, root: Path) -> str:
    file = path_in_library(place.file) if is_installed(place.file) else PurePath(place.file)
    if file.is_relative_to(root):
        file = file.relative_to(root)
    return clean(f"{file.as_posix()} in {_BODIES.sub('', place.function)}: {place.text}")


def _where(finding: Finding) -> str:
    place = main_place(finding)
    return clean(str(place)) if place else ""


def _at(finding: Finding) -> str:
    where = _where(finding)
    return f", at {where}" if where else ""
