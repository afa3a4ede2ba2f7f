"""The two-stage rule: when a statistical check fails, and how often it does so by mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import optimize, special

import keystream as ks

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


def two_sided(z: Any) -> np.ndarray:
    """Return both one-sided p-values of normal z, too large first, as new first axis."""
    return np.stack([special.ndtr(-np.asarray(z)), special.ndtr(np.asarray(z))])


def chi_squared(found: Any, free: Any) -> np.ndarray:
    """Return both one-sided p-values of chi-squared: too large first, then too small."""
    return np.stack([special.chdtrc(free, found), special.chdtr(free, found)])


def cells_squared(found: Any, cells: int) -> np.ndarray:
    """Return both one-sided p-values of Pearson's chi-squared of counts in cells.

    Few counts may well hit what is expected exactly, for which chi-squared has no chance at
    all: only in MANY_CELLS or more is it a sign that they are too even.
    """
    if cells < 2:
        return np.ones((2, *np.shape(found)))
    p = chi_squared(found, cells - 1)
    return p if cells >= MANY_CELLS else np.stack([p[0], np.ones_like(p[1])])


MANY_CELLS = 16


def binomial(found: Any, n: Any, chance: Any) -> np.ndarray:
    """Return both exact one-sided p-values of a count: too many first, then too few."""
    found, n = np.asarray(found, float), np.asarray(n, float)
    many = np.where(found > 0, special.betainc(np.maximum(found, 1), n - found + 1, chance), 1.0)
    few = np.where(found < n, special.betaincc(found + 1, np.maximum(n - found, 1), chance), 1.0)
    return np.stack([many, few])


def poisson(found: Any, mean: Any) -> np.ndarray:
    """Return both exact one-sided p-values of a rare count: too many first, then too few."""
    found = np.asarray(found, float)
    many = np.where(found > 0, special.gammainc(np.maximum(found, 1), mean), 1.0)
    return np.stack([many, special.gammaincc(found + 1, mean)])


def least(p: np.ndarray) -> float:
    """Return Bonferroni's p-value of the smallest of several."""
    return min(1.0, float(p.min()) * p.size)
