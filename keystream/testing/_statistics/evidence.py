"""What a statistical check hands back where nothing is wrong, and raises where something is."""

from __future__ import annotations

from typing import NamedTuple

from keystream.testing._failures import CheckError
from keystream.testing._statistics.two_stage_rule import Outcome, Rule

__tracebackhide__ = True  # pytest shows the line that calls the check


class DistributionError(CheckError):
    """Draws that don't follow the distribution that they should."""


class DependenceError(CheckError):
    """Streams that should be independent of each other and aren't."""


class Evidence(NamedTuple):
    """What a statistical check saw; prints as one line.

    Attributes:
        check: The name of the check.
        statistic: Which of its statistics was the least likely one in the first look.
        p_value: The chance that the least likely of so many statistics is as unlikely as
            that, by Bonferroni's inequality; around one where all is well.
        directions: How many one-sided tests there were.
        draws: The number of draws of each look that was made: one, or up to three.
        smallest_shift: The smallest defect that is found in 999 of 1,000 keys. For a
            distribution a shift in standard deviations, for streams a correlation of two
            of them, for bits the distance of a bit's chance from one half.
        false_alarm: How often such a check may fail for a perfect sampler.
    """

    check: str
    statistic: str
    p_value: float
    directions: int
    draws: tuple[int, ...]
    smallest_shift: float
    false_alarm: float

    def __str__(self) -> str:
        drawn = " + ".join(f"{n:,}" for n in self.draws)
        return (
            f"{self.check}: nothing wrong in {drawn} draws; least likely of {self.directions} "
            f"one-sided tests: {self.statistic}, p = {self.p_value:.2g}; finds "
            f"{self.smallest_shift:.2g} in 999 of 1,000; false alarm {self.false_alarm:.2g}"
        )


def conclude(
    check: str,
    outcome: Outcome,
    rule: Rule,
    draws: tuple[int, ...],
    shift: float,
    wrong: tuple[type[CheckError], str],
) -> Evidence:
    """Return the evidence of an outcome, or raise what is wrong, in full."""
    first = outcome.readings[0]
    seen = draws[: len(outcome.readings)]
    allowed = rule.false_alarm / rule.tests
    if outcome.failing.size:
        cls, sentence = wrong
        shown = ", ".join(f"{n:,}" for n in seen)
        lines = "".join(f"\n  {line}" for line in outcome.lines())
        raise cls(
            f"{check}: {sentence} in each of three looks on fresh keys ({shown} draws; by "
            f"mistake at most {allowed:.2g} of the times). In the last one:{lines}"
        )
    statistic = first.kinds[outcome.worst]
    return Evidence(check, statistic, outcome.chance, first.p.size, seen, shift, allowed)
