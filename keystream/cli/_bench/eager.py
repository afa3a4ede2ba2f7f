"""Case d: time what makes keys in eager code, and the first key of a process."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax

import keystream as ks
from keystream.cli._bench.contest import Contender, Effort, Times, blocking, compete
from keystream.cli._bench.first import fresh
from keystream.cli._bench.iterating import SETTLED, rounds
from keystream.cli._bench.makers import ITERATOR, MAKERS, SPLIT, Maker, maker
from keystream.cli._bench.result import Fact, Result, Task, result

CASE = "d"
STEADY, THREE, EACH, FIRST = "iter_keys, steady", "three keys at once", "a key", "the first key"
COUNT = 200
"""Keys that each maker makes in a call."""

BY_JAX, BY_KS = "jax.random.split(key, 3)", "ks.split(key, 3)"


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    installed = [each for each in MAKERS if not each.missing()]
    steady, times = (200, 1) if effort.quick else (10_000, 5)
    timed_first = [maker(SPLIT), maker(ITERATOR)] if effort.quick else installed
    return [
        Task(STEADY, functools.partial(measure_steady, steady, times)),
        Task(THREE, functools.partial(measure_three, effort)),
        Task("a key, by maker", functools.partial(measure_each, installed, COUNT, effort)),
        *(
            Task(f"first key, {each.name}", functools.partial(measure_first, each, min(times, 3)))
            for each in timed_first
        ),
    ]


def missing() -> list[str]:
    """Return a line for each library that is left out."""
    absent = {each.distribution: each for each in reversed(MAKERS) if each.missing()}
    return [
        f"left out: {each.name}, {name} isn't installed. pip install 'keystream[bench]'"
        for name, each in absent.items()
    ]


def measure_steady(count: int, repeats: int) -> Result:
    """Iterate and split in turns, many keys a round."""
    found = rounds(count, repeats)
    times = {SPLIT: tuple(r.split for r in found), ITERATOR: tuple(r.iterated for r in found)}
    return result(CASE, STEADY, count, times, [(SPLIT, ITERATOR)])


def measure_three(effort: Effort) -> Result:
    """Make three keys and unpack them."""
    key = ks.key(42)

    def by_jax() -> tuple[jax.Array, ...]:
        one, two, three = jax.random.split(key, 3)
        return one, two, three

    ways = [Contender(BY_JAX, blocking(by_jax)), Contender(BY_KS, blocking(ks.split, key, 3))]
    return result(CASE, THREE, 3, compete(ways, effort), [(BY_JAX, BY_KS)])


def measure_each(makers: list[Maker], count: int, effort: Effort) -> Result:
    """Let everybody make keys in a loop; the last one is waited for, as in a program."""
    ways = [Contender(each.name, _loop(each, count)) for each in makers]
    calls = compete(ways, effort)
    times: Times = {name: tuple(s / count for s in seconds) for name, seconds in calls.items()}
    pairs = [(SPLIT, name) for name in times if name != SPLIT]
    return result(CASE, EACH, count, times, pairs)


def _loop(each: Maker, count: int) -> Callable[[], None]:
    following = each.begin(ks.key(42), count)

    def run() -> None:
        for _ in range(count - 1):
            following()
        following().block_until_ready()

    return run


def measure_first(each: Maker, processes: int) -> Result:
    """Time the first key in processes where nothing has been compiled."""
    settles = each.name == ITERATOR
    found = fresh(each.name, SETTLED if settles else 1, processes)
    facts: dict[str, Fact] = {}
    if settles:
        facts[f"slowest of {SETTLED:,}"] = max(one.slowest for one in found)
    return result(CASE, FIRST, 1, {each.name: tuple(one.first for one in found)}, (), facts)
