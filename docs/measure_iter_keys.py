"""Measure what a key of `ks.iter_keys` costs beside `key, use = jax.random.split(key)`.

    python docs/measure_iter_keys.py               loops of 20 to 10,000 keys, 11 rounds each
    python docs/measure_iter_keys.py --keys 20 100 --rounds 3

The two take turns in one process, so that they share the machine's noise; each loop has an
iterator of its own. The first key is timed in processes of their own, where nothing has been
compiled. Times belong to the machine that they were taken on; read the ratios.
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
from keystream.cli._bench.makers import ITERATOR, SPLIT


def report(first: Sequence[Fresh], by_hand: Sequence[Fresh], steady: dict[int, list[Round]]) -> str:
    """Return the tables that are printed."""
    versions = f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    lines = [
        f"{versions}, {platform.machine()}, {jax.default_backend()}",
        "",
        f"in a fresh process, compilation included (median of {len(first)}, worst)",
        "                                   split                    iter_keys",
        _milliseconds("first key", [f.first for f in by_hand], [f.first for f in first]),
        _milliseconds(
            f"{SETTLED:,} keys", [f.together for f in by_hand], [f.together for f in first]
        ),
        "",
        "a loop when all is compiled (medians)",
        "    keys   split, us a key   iter_keys, us a key   ratio: median, least, most",
    ]
    for count, found in steady.items():
        split, iterated, ratio = (
            statistics.median(values)
            for values in zip(*[(r.split, r.iterated, r.ratio) for r in found], strict=True)
        )
        least, most = min(r.ratio for r in found), max(r.ratio for r in found)
        lines.append(
            f"  {count:6,}   {split * 1e6:15.2f}   {iterated * 1e6:19.2f}"
            f"   {ratio:13.1f} {least:7.1f} {most:6.1f}"
        )
    return "\n".join(lines)


def _milliseconds(what: str, *columns: Sequence[float]) -> str:
    shown = [f"{statistics.median(c) * 1e3:11.1f} ms {max(c) * 1e3:7.1f} ms" for c in columns]
    return f"  {what:14} " + " ".join(shown)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--keys", type=int, nargs="+", default=[20, 100, 500, 10_000], help="keys in a loop"
    )
    parser.add_argument("--rounds", type=int, default=11, help="rounds, and fresh processes")
    options = parser.parse_args(argv)
    steady = {count: rounds(count, options.rounds) for count in options.keys}
    by_hand, first = (fresh(name, SETTLED, options.rounds) for name in (SPLIT, ITERATOR))
    print(report(first, by_hand, steady))


if __name__ == "__main__":
    main()
