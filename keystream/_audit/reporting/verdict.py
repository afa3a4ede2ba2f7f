"""Say what a test under the audit fails with, and what a summary of many tests needs."""

from __future__ import annotations

from typing import Any

from keystream._audit.reporting.content import main_place
from keystream._audit.reporting.report import Report
from keystream._audit.reporting.text import clean
from keystream._audit.values import Finding, Severity
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


def _where(finding: Finding) -> str:
    place = main_place(finding)
    return clean(str(place)) if place else ""


def _at(finding: Finding) -> str:
    where = _where(finding)
    return f", at {where}" if where else ""
