"""Time several functions in turns, and compare them by the medians of ratios of pairs."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

Clock = Callable[[], float]
Times = Mapping[str, tuple[float, ...]]
"""Seconds for each call, by contender, round after round."""

Attempt = TypeVar("Attempt")

AGAIN = 3
"""Times that a short case is measured again that misses its bound."""

SLOW = 4.0
"""Seconds of one call beyond which the first call counts, and needs no other before it."""

MOST_CALLS = 1000


class Contender(NamedTuple):
    """What is timed: a call that returns when its work is done."""

    name: str
    call: Callable[[], Any]


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int = 15
    """Samples of each contender, if they can be had within the budget."""
    least: int = 5
    """Samples of each contender in any case, unless a call is slow."""
    sample: float = 5e-3
    """Seconds that a sample takes at least: as many calls are timed together."""
    budget: float = 6.0
    """Seconds for a contest, after which no round is begun."""
    compiles: int = 3
    """Times that each form is compiled."""
    quick: bool = False


QUICK = Effort(rounds=3, least=2, sample=5e-4, budget=0.5, compiles=1, quick=True)


class Spread(NamedTuple):
    """The middle of some numbers, and the quartiles around it."""

    median: float
    low: float
    high: float
    number: int


def blocking(fun: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Return a call that waits until its result is there."""
    return lambda: jax.block_until_ready(fun(*args))


def compete(
    contenders: Sequence[Contender], effort: Effort, *, clock: Clock = time.perf_counter
) -> Times:
    """Time contenders in turns, the one that begins another one each round.

    A sample is one untimed call and then some that are timed together. Large buffers are
    given back to the system while the next call already runs: without the untimed call,
    whoever comes after a contender pays for its cleaning up.
    """
    begun = clock()
    # The first call compiles and warms up; by the second it is known how many make a sample.
    first = {each.name: _timed(each, 1, clock) for each in contenders}
    slow = max(first.values()) > SLOW
    if slow:
        calls = dict.fromkeys(first, 1)
    else:
        calls = {each.name: _calls(_timed(each, 1, clock), effort) for each in contenders}
    taken = {name: [seconds] if slow else [] for name, seconds in first.items()}
    for turn in range(effort.rounds):
        done = len(taken[contenders[0].name])
        if clock() - begun > effort.budget and done >= (1 if slow else effort.least):
            break
        place = turn % len(contenders)
        for each in [*contenders[place:], *contenders[:place]]:
            if not slow:
                each.call()
            taken[each.name].append(_timed(each, calls[each.name], clock))
    return {name: tuple(seconds) for name, seconds in taken.items()}


def _timed(contender: Contender, calls: int, clock: Clock) -> float:
    call = contender.call
    enabled = gc.isenabled()
    gc.disable()
    try:
        begin = clock()
        for _ in range(calls):
            call()
        return (clock() - begin) / calls
    finally:
        if enabled:
            gc.enable()


def _calls(seconds: float, effort: Effort) -> int:
    return min(MOST_CALLS, max(1, math.ceil(effort.sample / max(seconds, 1e-9))))


def repeated(
    attempt: Callable[[], Attempt], enough: Callable[[Sequence[Attempt]], bool], *, most: int
) -> list[Attempt]:
    """Attempt once, and again up to `most` times until what was found is enough."""
    found = [attempt()]
    while len(found) <= most and not enough(found):
        found.append(attempt())
    return found


def pooled(several: Iterable[Times]) -> Times:
    """Join the rounds of one contest that was held several times."""
    taken: dict[str, tuple[float, ...]] = {}
    for times in several:
        for name, seconds in times.items():
            taken[name] = taken.get(name, ()) + seconds
    return taken


def spread(values: Iterable[float]) -> Spread:
    """Return the median and the quartiles."""
    found = tuple(values)
    low, median, high = (float(x) for x in np.quantile(found, (0.25, 0.5, 0.75)))
    return Spread(median, low, high, len(found))


def ratio(times: Times, above: str, below: str) -> Spread:
    """Return how many times longer one took than another, round for round."""
    return spread(a / b for a, b in zip(times[above], times[below], strict=True))
