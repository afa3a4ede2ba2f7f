"""Fuzz the audit for as long as is asked for: `python -m tests.audit.fuzz --programs 100000`."""

from __future__ import annotations

import argparse
import collections
import gc
import sys


def main() -> int:
    """Make programs, judge them, print each kind of disagreement once, made smaller."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one (0)")
    parser.add_argument("--show", type=int, default=5, help="of each kind (5)")
    asked = parser.parse_args()
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    from keystream._audit import failures
    from tests.audit.fuzz import judge, programs, shrink

    failures.CAUGHT = ()
    gc.disable()  # A quarter of the time is spent on looking for what is in use.
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(asked.first, asked.first + asked.programs):
        text = programs.write(seed)
        found = judge.judge(text)
        kinds = {each.kind for each in found} or {"agreed"}
        counts.update(kinds)
        for kind in kinds - {"agreed"}:
            if counts[kind] <= asked.show:
                small = shrink.shrink(text, kind)
                print(f"# {kind}, program {seed}\n{small}", flush=True)
                for each in {each.detail: each for each in judge.judge(small)}.values():
                    print(f"#   {each.kind}: {each.detail}", flush=True)
        if seed % 200 == 199:
            jax.clear_caches()
            gc.collect()
    print(f"jax {jax.__version__}, {asked.programs} programs from {asked.first} on: {dict(counts)}")
    return int(set(counts) != {"agreed"})


if __name__ == "__main__":
    sys.exit(main())
