"""Decide when a statistical check fails, and how often it does so by mistake: in two stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import optimize, special

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import error
from keystream.testing import _arguments
from keystream.testing._failures import CheckError

__tracebackhide__ = True  # pytest shows the line that calls the check

MORE = 4
"""How many times as much a rerun draws as the first look."""
POWER = 0.999
"""The chance with which the smallest shift that is stated is found."""


class Rule(NamedTuple):
    """How often a family of tests may fail for a perfect sampler.

    A check looks at most three times, on keys of its own, at a number of one-sided tests,
    `directions`. With `level = (false_alarm / tests) ** (1 / 3)`:

    1. The first look flags each direction whose p-value is at most `level / directions`.
       By Bonferroni's inequality a perfect sampler has one flagged with probability at
       most `level`.
    2. Two reruns with MORE times as many draws look at what was flagged alone. A direction
       fails where its p-value is at most `level` in both. Keys are fresh, so the looks are
       independent: `sum over d of P(d flagged) * level**2 <= level**3`.

    So one check fails a perfect sampler with probability at most `level**3`, which is
    `false_alarm / tests`, and a suite of `tests` of them, dependent or not, with at most
    `false_alarm`. At the default each look is asked for one in a thousand only, where
    p-values of chi-squared and of normal approximations are good; one in a billion in a
    single look is beyond them.
    """

    false_alarm: float
    tests: int

    @property
    def level(self) -> float:
        """The chance with which one of the three looks may reject by mistake."""
        return float((self.false_alarm / self.tests) ** (1 / 3))

    def reach(self, directions: int, *, more: int = MORE, within: int = 1) -> float:
        """Return the z that a first look has to have on average to be found in the end.

        Found means flagged and confirmed twice, with probability POWER; a rerun's z is
        larger by the root of `more`. A direction that is the largest of `within` statistics
        is corrected for that in every look.
        """
        flag = -special.ndtri(self.level / directions / within)
        confirm = -special.ndtri(self.level / within)

        def short(mean: float) -> float:
            missed = special.ndtr(flag - mean)
            again = special.ndtr(confirm - mean * np.sqrt(more))
            return float((1 - missed) * (1 - again) ** 2 - POWER)

        return float(optimize.brentq(short, 0.0, flag + confirm + 20.0))


def read_rule(function: str, false_alarm: Any, tests: Any) -> Rule:
    """Return the rule of a false-alarm rate and a number of tests."""
    wanted = "a probability between 0 and 1, both excluded"
    if isinstance(false_alarm, bool) or not isinstance(
        false_alarm, (int, float, np.integer, np.floating)
    ):
        raise error(ArgumentTypeError, function, "false_alarm", wanted, false_alarm)
    if not 0 < false_alarm < 1:
        raise error(ArgumentValueError, function, "false_alarm", wanted, float(false_alarm))
    return Rule(float(false_alarm), _arguments.count(function, "tests", tests, least=1, most=10**9))


class Reading(NamedTuple):
    """What one look saw: a p-value for each direction, and what it says in words."""

    p: np.ndarray
    say: Callable[[int], str]
    kinds: Sequence[str]
    """The name of the statistic of each direction; of one name the worst is told."""


class Found(NamedTuple):
    """One-sided p-values, the statistics they are of, and what each says in words."""

    p: list[float]
    kinds: list[str]
    told: list[str]

    def add(self, kind: str, p: float, told: str) -> None:
        """Append one."""
        self.p.append(min(1.0, float(p)))
        self.kinds.append(kind)
        self.told.append(f"{kind}: {told}")

    def reading(self) -> Reading:
        """Return them as what a look saw."""
        return Reading(np.array(self.p), self.told.__getitem__, self.kinds)


class Outcome(NamedTuple):
    """What all looks saw, and the directions in which they agree that something is wrong."""

    readings: tuple[Reading, ...]
    failing: np.ndarray

    @property
    def worst(self) -> int:
        """The direction that the first look found least likely."""
        return int(np.argmin(self.readings[0].p))

    @property
    def chance(self) -> float:
        """The chance of so small a p-value among all directions of the first look."""
        first = self.readings[0].p
        return min(1.0, float(first.min()) * first.size)

    def lines(self, most: int = 9) -> list[str]:
        """Say what is wrong, once for each statistic, as the last rerun saw it."""
        last = self.readings[-1]
        ordered = sorted(self.failing, key=lambda i: last.p[i])
        firsts: dict[str, int] = {}
        for i in ordered:
            firsts.setdefault(last.kinds[i], int(i))
        chosen = sorted(firsts.values())[:most]
        return [last.say(i) for i in chosen]


def two_stage(
    look: Callable[[jax.Array, int], Reading],
    key: jax.Array,
    name: str,
    num: int,
    rule: Rule,
    *,
    more: int = MORE,
) -> Outcome:
    """Look once, and twice again where that was suspicious; see `Rule`.

    Args:
        look: What to do with a key and a number of draws. It always gives the same
            directions in the same order.
        key: One typed key.
        name: The name under which look i gets `ks.derive(key, name, i)`.
        num: The draws of the first look.
        rule: How often it may fail by mistake.
        more: How many times as much a rerun draws.
    """
    first = look(ks.derive(key, name, 0), num)
    readings = [first]
    agreed = np.flatnonzero(first.p <= rule.level / first.p.size)
    for again in (1, 2):
        if not agreed.size:
            break
        reading = look(ks.derive(key, name, again), more * num)
        readings.append(reading)
        agreed = agreed[reading.p[agreed] <= rule.level]
    return Outcome(tuple(readings), agreed)


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
