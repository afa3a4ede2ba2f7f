"""Case d: time what makes keys in eager code, and the first key of a process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream import host, interop
from keystream.cli._bench.contest import Contender, Effort, Times, blocking, compete
from keystream.cli._bench.first import fresh
from keystream.cli._bench.iterating import SETTLED, rounds
from keystream.cli._bench.makers import ITERATOR, MAKERS, SPLIT, Maker, maker
from keystream.cli._bench.result import Fact, Result, Task, result

CASE = "d"
STEADY, THREE, EACH, FIRST = "iter_keys, steady", "three keys at once", "a key", "the first key"
COUNT = 200
"""Keys that each maker makes in a call."""

PATH, RECORD, MANY = "a key of three parts", "a generator for a record", "keys of many ids"
HOSTED = (PATH, RECORD, MANY)
BY_PATH, ON_HOST = "ks.derive", "host.derive"

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
            Task(what, functools.partial(measure_host, what, effort))
            for what in (PATH, RECORD, MANY)
        ),
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


def measure_host(what: str, effort: Effort) -> Result:
    """Make one key, a generator, or many keys, by JAX and on the host."""
    key, words = ks.key(42), host.key(42)
    size = (10**4 if effort.quick else 10**6) if what == MANY else 1
    path = ("augment", 3, np.arange(size) if what == MANY else 17)
    by_ks: Callable[..., Any] = ks.derive
    by_host: Callable[..., Any] = host.derive
    if what == RECORD:
        by_ks, by_host = _ks_generator, _host_generator
    ways = [
        Contender(BY_PATH, blocking(by_ks, key, *path)),
        Contender(ON_HOST, blocking(by_host, words, *path)),
    ]
    return result(CASE, what, size, compete(ways, effort), [(BY_PATH, ON_HOST)])


def _ks_generator(key: jax.Array, *path: Any) -> np.random.Generator:
    return interop.numpy_generator(ks.derive(key, *path))


def _host_generator(key: np.ndarray, *path: Any) -> np.random.Generator:
    return host.numpy_generator(host.derive(key, *path))


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
