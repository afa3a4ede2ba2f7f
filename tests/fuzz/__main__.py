"""Fuzz for as long as is asked for: `python -m tests.fuzz --inputs 100000`."""

from __future__ import annotations

import argparse
import collections
import json
import platform
import sys
from pathlib import Path
from typing import Any

from tests.fuzz import pool


def main() -> int:
    """Share inputs among the functions, count what came of them, print each escape once."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="in all (100000)")
    parser.add_argument("--only", action="append", help="one function; may be given again")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs (0)")
    parser.add_argument("--journal", type=Path, help="a file to which each part is written")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time (1)")
    asked = parser.parse_args()
    from tqdm import tqdm

    parts = pool.shared(asked.inputs, asked.only, asked.seed)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    escapes: dict[tuple[str, ...], dict[str, Any]] = {}
    with tqdm(total=sum(part.inputs for part in parts), unit="input", smoothing=0.05) as bar:
        for done in pool.run(parts, asked.workers):
            counts[done["name"]].update(done["counts"])
            bar.update(sum(done["counts"].values()))
            for found in done["escapes"]:
                shape = tuple(found.pop("shape"))
                if shape not in escapes:
                    escapes[shape] = found
                    bar.write(_told(found))
            if asked.journal:
                with asked.journal.open("a") as journal:
                    journal.write(json.dumps(done) + "\n")
    print(_table(counts))
    import jax

    print(f"Python {platform.python_version()}, jax {jax.__version__}, seed {asked.seed}:", end=" ")
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    print(f"{sum(total.values())} inputs to {len(counts)} callables, {len(escapes)} escapes")
    for found in escapes.values():
        print(_told(found))
    return int(bool(escapes))


def _told(found: dict[str, Any]) -> str:
    message = found["message"].replace("\n", " / ")
    return f"{found['name']}: {found['error']}: {message}\n    {found['call']}"


def _table(counts: dict[str, collections.Counter[str]]) -> str:
    kinds = ("obeyed", "refused", "own", "unmade", "escape")
    lines = [f"{'':32}" + "".join(f"{kind:>10}" for kind in kinds)]
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    for name, each in [*counts.items(), ("all", total)]:
        lines.append(f"{name:32}" + "".join(f"{each[kind]:>10}" for kind in kinds))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
