"""Measure what a key of `ks.iter_keys` costs beside `key, use = jax.random.split(key)`.

    python docs/measure_iter_keys.py                    10,000 keys, five rounds
    python docs/measure_iter_keys.py --keys 1000 --rounds 3

The two take turns in one process, so that they share the machine's noise. The first key is
timed in processes of their own, where nothing has been compiled. Times belong to the machine
that they were taken on; read the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

import keystream as ks

SETTLED = 2000
"""Keys after which nothing is compiled any more."""

FRESH = """
import json, time
import keystream as ks
key = ks.key(42)
begin = time.perf_counter()
keys = ks.iter_keys(key)
times = []
for _ in range({settled}):
    next(keys).block_until_ready()
    times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
print(json.dumps([times[0], max(times), sum(times)]))
"""


class Fresh(NamedTuple):
    """What the first keys of one fresh process took, in seconds."""

    first: float
    slowest: float
    together: float


class Round(NamedTuple):
    """Seconds for each key in one round: by splitting, and by the iterator."""

    split: float
    iterated: float

    @property
    def ratio(self) -> float:
        """How many times cheaper the iterator is."""
        return self.split / self.iterated


def fresh(processes: int) -> list[Fresh]:
    """Time the first keys in fresh processes, compilation included."""
    found = []
    for _ in range(processes):
        program = [sys.executable, "-c", FRESH.format(settled=SETTLED)]
        said = subprocess.run(program, capture_output=True, text=True, check=True).stdout
        found.append(Fresh(*json.loads(said.splitlines()[-1])))
    return found


def splitting(count: int) -> float:
    """Return the seconds for each key of the loop that people write by hand."""
    key = jax.random.key(42)
    begin = time.perf_counter()
    for _ in range(count):
        key, use = jax.random.split(key)
    use.block_until_ready()
    return (time.perf_counter() - begin) / count


def iterating(keys: Iterator[jax.Array], count: int) -> float:
    """Return the seconds for each key of an iterator."""
    begin = time.perf_counter()
    for _ in itertools.islice(keys, count - 1):
        pass
    next(keys).block_until_ready()
    return (time.perf_counter() - begin) / count


def rounds(count: int, repeats: int) -> list[Round]:
    """Let the two take turns, after both have compiled what they need."""
    keys = ks.iter_keys(ks.key(42))
    splitting(10)
    iterating(keys, SETTLED)
    return [Round(splitting(count), iterating(keys, count)) for _ in range(repeats)]


def report(first: Sequence[Fresh], steady: Sequence[Round], count: int) -> str:
    """Return the tables that are printed."""
    versions = f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    ratios = [each.ratio for each in steady]
    lines = [
        f"{versions}, {platform.machine()}, {jax.default_backend()}",
        "",
        f"in a fresh process, compilation included (median of {len(first)}, worst)",
        _milliseconds("first key", [f.first for f in first]),
        _milliseconds(f"slowest next of {SETTLED:,}", [f.slowest for f in first]),
        _milliseconds(f"{SETTLED:,} keys in all", [f.together for f in first]),
        "",
        f"in steady state, {count:,} keys a round, each round in turns",
        "  split, us a key   iter_keys, us a key   ratio",
    ]
    lines += [
        f"  {r.split * 1e6:15.2f}   {r.iterated * 1e6:19.2f}   {r.ratio:5.1f}" for r in steady
    ]
    median = statistics.median(ratios)
    lines += [f"  ratio: median {median:.1f}, from {min(ratios):.1f} to {max(ratios):.1f}"]
    return "\n".join(lines)


def _milliseconds(what: str, seconds: Sequence[float]) -> str:
    return f"  {what:22} {statistics.median(seconds) * 1e3:8.1f} ms {max(seconds) * 1e3:8.1f} ms"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000, help="keys in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, and fresh processes")
    options = parser.parse_args(argv)
    steady = rounds(options.keys, options.rounds)
    print(report(fresh(options.rounds), steady, options.keys))


if __name__ == "__main__":
    main()
