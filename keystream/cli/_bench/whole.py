"""Case k: time draws in whole processes, a program alone and under `run --accelerate`.

In one process both forms share what the process was started with. A program that is started by
`run --accelerate` has settings that no process can give itself, as pages for large arrays.
"""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import jax

from keystream.cli._bench.catalogue import LANES, MANY, MOST, program
from keystream.cli._bench.contest import Effort
from keystream.cli._bench.result import Result, Task, result
from keystream.cli._environment import environment

CASE = "k"
ALONE, RUN = "alone", "run --accelerate"
FASTER = f"{ALONE} / {RUN}"
NAMES = ("bits", "uniform", "normal", "bernoulli", LANES, "split")
CALLS = 7
"""Of each draw in a process, after the one that compiles; the median counts."""

Seconds = dict[str, float]


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    sizes, rounds = ((10_000,), 1) if effort.quick else ((MANY, MOST), 3)
    once = functools.cache(lambda: [_round(sizes, turn) for turn in range(rounds)])
    return [
        Task(f"{name} of {size:,}", functools.partial(_compare, once, name, size))
        for size in sizes
        for name in NAMES
    ]


def _compare(rounds: Callable[[], list[dict[str, Seconds]]], name: str, size: int) -> Result:
    draw = f"{name} {size}"
    times = {mode: tuple(found[mode][draw] for found in rounds()) for mode in (ALONE, RUN)}
    return result(CASE, name, size, times, [(ALONE, RUN)])


def _round(sizes: tuple[int, ...], turn: int) -> dict[str, Seconds]:
    """Run both processes, another one first in each turn."""
    own = ["-m", __name__, *map(str, sizes)]
    ways = {ALONE: own, RUN: ["-m", "keystream", "run", "--accelerate", *own]}
    order = list(ways.items())[:: -1 if turn % 2 else 1]
    return {name: _process(arguments) for name, arguments in order}


def _process(arguments: list[str]) -> Seconds:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    found: Seconds = json.loads(done.stdout.splitlines()[-1])
    return found


def draw_all(sizes: list[int]) -> Seconds:
    """Time each draw of each size here and now, by its name and size."""
    return {f"{name} {size}": _time(name, size) for size in sizes for name in NAMES}


def _time(name: str, size: int) -> float:
    fun, args = program(name, size)
    call, taken = jax.jit(fun), []
    jax.block_until_ready(call(*args))
    for _ in range(CALLS):
        begin = time.perf_counter()
        jax.block_until_ready(call(*args))
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


if __name__ == "__main__":
    print(json.dumps(draw_all(list(map(int, sys.argv[1:])))))
