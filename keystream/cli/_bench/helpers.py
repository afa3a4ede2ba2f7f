"""Case e: time each helper under `jit` beside the form written by hand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keystream as ks
from keystream.cli._bench.build import MODES, build, contender
from keystream.cli._bench.contest import AGAIN, Effort, Times, compete, pooled, ratio, repeated
from keystream.cli._bench.hlo import canonical
from keystream.cli._bench.pairs import N, Pair, pairs
from keystream.cli._bench.result import Fact, Result, Task, result

CASE = "e"
HELPER, BY_HAND = "helper", "by hand"
SAME = "the same HLO"
FEWEST, MOST = 0.9, 1.1
"""The bounds of the ratio where the programs differ."""


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    chosen = pairs()[:3] if effort.quick else pairs()
    return [
        Task(f"{pair.name}, {mode}", functools.partial(measure, pair, mode, effort))
        for pair in chosen
        for mode in MODES
    ]


def count() -> int:
    """Return how many comparisons there are in all."""
    return len(pairs()) * len(MODES)


def measure(pair: Pair, mode: str, effort: Effort) -> Result:
    """Compare the optimized programs, and where they differ their run times."""
    what, args = f"{pair.name}, {mode}", (ks.key(42), *pair.more)
    texts = [canonical(build(fun, args, mode).call.as_text()) for fun in pair[1:3]]
    if texts[0] == texts[1]:
        return result(CASE, what, N, {}, (), {SAME: True})
    once = functools.partial(_contest, pair, args, mode, effort)
    found = repeated(once, _within, most=0 if effort.quick else AGAIN)
    facts: dict[str, Fact] = {SAME: False, "attempts": len(found)}
    return result(CASE, what, N, pooled(found), [(HELPER, BY_HAND)], facts)


def _contest(pair: Pair, args: tuple[Any, ...], mode: str, effort: Effort) -> Times:
    ways = [(HELPER, pair.helper), (BY_HAND, pair.by_hand)]
    return compete([contender(name, fun, args, mode) for name, fun in ways], effort)


def _within(found: Sequence[Times]) -> bool:
    return FEWEST <= ratio(pooled(found), HELPER, BY_HAND).median <= MOST
