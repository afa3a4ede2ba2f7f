"""An audit without running anything: trace, read, judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from keystream import _compat
from keystream._audit import tree
from keystream._audit.judging.judge import judge
from keystream._audit.reading.whole import read
from keystream._audit.reporting.report import Report, make_report
from keystream._audit.trace import Traced, needed, trace
from keystream._audit.values import Finding


def look(
    subject: str, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Report:
    """Return what a call's jaxpr says of its keys."""
    traced = trace(fun, args, kwargs)
    whole = read(*traced)
    verdict = judge(whole)
    findings = verdict.findings
    if any(finding.severity == "error" for finding in findings):
        findings = tuple(_milder(findings, traced))
    unseen = [
        f"what {name} does with the keys that it is given" for name in sorted(whole.reader.escapes)
    ]
    if not _compat.tells_lanes():
        unseen.append("KS11: this version of JAX doesn't tell what stands inside of vmap")
    return make_report(
        subject,
        findings,
        tree.counts(whole.reader.uses, verdict.view),
        tree.branches(whole.reader.lineage, whole.reader.uses, verdict),
        unseen,
        keys=sum(len(step.nodes) for step in whole.reader.lineage.steps),
    )


def _milder(findings: tuple[Finding, ...], traced: Traced) -> Iterator[Finding]:
    """Lower errors about numbers that are thrown away, as those of a run for shapes alone."""
    less = needed(traced)
    real = findings if less is None else judge(read(*less, replays=True)).findings
    told = {(finding.rule, finding.places) for finding in real}
    for finding in findings:
        if finding.severity == "error" and (finding.rule, finding.places) not in told:
            yield finding._replace(severity="warning", why=_THROWN_AWAY)
        else:
            yield finding


_THROWN_AWAY = "No result depends on one of the two: its numbers are thrown away."
