"""The audit of a run: records -> lineage -> findings -> report."""

from __future__ import annotations

from collections.abc import Sequence

from keystream._audit import run_lineage, tree
from keystream._audit.judging.run import judge
from keystream._audit.recorder.records import Record
from keystream._audit.reporting.report import Report, make_report


def concluded(subject: str, records: Sequence[Record], unseen: Sequence[str]) -> Report:
    """Return what records say."""
    lineage, uses = run_lineage.read(records)
    verdict = judge(lineage, uses)
    return make_report(
        subject,
        verdict.findings,
        tree.counts(uses, verdict.view),
        tree.branches(lineage, uses, verdict),
        unseen,
        keys=sum(len(step.nodes) for step in lineage.steps),
    )
