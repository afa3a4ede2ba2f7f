"""Measure what a key of `ks.iter_keys` costs beside `key, use = jax.random.split(key)`.

    python docs/measure_iter_keys.py                    10,000 keys, five rounds
    python docs/measure_iter_keys.py --keys 1000 --rounds 3

The two take turns in one process, so that they share the machine's noise. The first key is
timed in processes of their own, where nothing has been compiled. Times belong to the machine
that they were taken on; read the ratios.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from collections.abc import Sequence

import jax
import numpy as np

from keystream.cli._bench.first import Fresh, fresh
from keystream.cli._bench.iterating import SETTLED, Round, rounds
from keystream.cli._bench.makers import ITERATOR


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
    first = fresh(ITERATOR, SETTLED, options.rounds)
    print(report(first, steady, options.keys))


if __name__ == "__main__":
    main()
