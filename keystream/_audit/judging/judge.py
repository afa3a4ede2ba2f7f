"""From what was read to findings, lineage trees and counts."""

from __future__ import annotations

from typing import NamedTuple

from keystream._audit.judging import returned, unused
from keystream._audit.judging.pairs import Pairs
from keystream._audit.judging.single import Single
from keystream._audit.judging.taken import View
from keystream._audit.judging.wording import Findings
from keystream._audit.reading.whole import Whole
from keystream._audit.values import Finding


class Verdict(NamedTuple):
    """What was found, and about which keys."""

    findings: tuple[Finding, ...]
    keys: tuple[tuple[int, ...], ...]
    """For each finding, the handles of the keys that it is about."""
    view: View


def judge(whole: Whole) -> Verdict:
    """Hold what is done with keys against the rules."""
    reader, lineage = whole.reader, whole.reader.lineage
    view = View(lineage)
    findings = Findings(lineage, view)
    ends = [each for use in reader.uses for each in use.everywhere()]
    used = lineage.touched([*ends, *reader.escaped, whole.returned, whole.shown])
    uses = [use for use in reader.uses if use.what != "made"]
    Pairs(lineage, uses, view, findings, used).look()
    Single(reader, view, findings).look()
    returned.look(whole, view, findings)
    unused.look(lineage, view, findings, used)
    return Verdict(tuple(findings.found.values()), tuple(findings.keys.values()), view)
