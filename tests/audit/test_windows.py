"""Windows of one key are together one consumption; what overlaps or leaves the shape is found."""

from __future__ import annotations

import pytest

import keystream as ks
from tests.audit.corpus import Program, programs, windows


@pytest.mark.parametrize("run", [False, True], ids=["read", "recorded"])
@pytest.mark.parametrize("program", programs(windows), ids=lambda program: program.name)
def test_one_rule_or_none(program: Program, run: bool) -> None:
    """A right program has no finding at all, and a wrong one those of one rule."""
    report = ks.audit(program.fun, *program.args(), run=run)
    found = {finding.rule for finding in report.findings}
    assert found == ({program.rule} if program.rule else set()), str(report)
    assert report.ok == (program.rule not in ("KS01", "KS07"))
