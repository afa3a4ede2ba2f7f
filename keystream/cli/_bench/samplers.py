"""Case c: time every sampler at every size, stock and accelerated, and its compilation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from keystream.cli._bench.build import ACCELERATED, MODES, STOCK, Built, build_in_turns
from keystream.cli._bench.catalogue import NAMES, QUICK_SIZES, SIZES, program
from keystream.cli._bench.contest import (
    AGAIN,
    Contender,
    Effort,
    Times,
    blocking,
    compete,
    pooled,
    ratio,
    repeated,
)
from keystream.cli._bench.result import Fact, Result, Task, result

CASE = "c"
TITLE = "samplers, stock against accelerated: times, and seconds to compile"
LEAST_RUN, LEAST_COMPILE = 0.85, 0.75
"""The bounds of the worst case; below them a short one is measured again."""

SHORT = 1.0
"""Seconds of one call, up to which a case is short."""

AGAIN_LONG = 1
"""Times that another one is measured again."""


class Attempt(NamedTuple):
    """One measurement: the contest, and what was compiled for it."""

    times: Times
    built: dict[str, tuple[Built, ...]]


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    sizes = QUICK_SIZES if effort.quick else SIZES
    return [
        Task(f"{name} {size:,}", functools.partial(measure, name, size, effort))
        for name in NAMES
        for size in sizes
    ]


def measure(name: str, size: int, effort: Effort) -> Result:
    """Measure one sampler at one size."""
    # The same function against itself gives 0.89-1.11.
    once = functools.partial(attempt, name, size, effort)
    return summed(name, size, repeated(once, enough, most=0 if effort.quick else AGAIN))


def attempt(name: str, size: int, effort: Effort) -> Attempt:
    """Compile both forms, and let them compete."""
    fun, args = program(name, size)
    built = build_in_turns(fun, args, effort.compiles)
    contenders = [Contender(mode, blocking(built[mode][-1].call, *args)) for mode in MODES]
    return Attempt(compete(contenders, effort), built)


def enough(found: Sequence[Attempt]) -> bool:
    """Is no bound missed, or was it tried as often as the case is short?"""
    run, compiling = ratios(found)
    short = max(max(seconds) for seconds in found[0].times.values()) < SHORT
    good = run >= LEAST_RUN and compiling >= LEAST_COMPILE
    return good or len(found) > (AGAIN if short else AGAIN_LONG)


def ratios(found: Sequence[Attempt]) -> tuple[float, float]:
    """Return stock over accelerated, of run times and of the best compile times."""
    best = {mode: _best(found, mode).together for mode in MODES}
    return (
        ratio(pooled(each.times for each in found), STOCK, ACCELERATED).median,
        best[STOCK] / best[ACCELERATED],
    )


def _best(found: Sequence[Attempt], mode: str) -> Built:
    return min((b for each in found for b in each.built[mode]), key=lambda b: b.together)


def summed(name: str, size: int, found: Sequence[Attempt]) -> Result:
    """Sum up all attempts: every round counts, and the best of the compile times."""
    facts: dict[str, Fact] = {"attempts": len(found)}
    for mode in MODES:
        best = _best(found, mode)
        facts[f"{mode}: lowering"] = best.lowering
        facts[f"{mode}: compiling"] = best.compiling
    facts["compile: stock / accelerated"] = ratios(found)[1]
    times = dict(pooled(each.times for each in found))
    for mode in MODES:
        times[f"{mode}: to compile"] = tuple(b.together for each in found for b in each.built[mode])
    return result(CASE, name, size, times, [(STOCK, ACCELERATED)], facts)
