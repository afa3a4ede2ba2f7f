"""Processes that fuzz, which may crash or hang, and what they were doing when they did.

A process makes one part after the other: some hundred calls of one row. Before each call it
writes it to a file, so that the call that killed it is known, and another process goes on.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

INPUTS = 500
"""Calls in one part."""

PARTS = 12
"""Parts in one process: what is compiled fills memory."""

STUCK = 120.0
"""Seconds for a call, after which its process ends, since no alarm could wake it."""


class Part(NamedTuple):
    """Some inputs to one row of the table."""

    row: int
    inputs: int
    seed: int


def shared(inputs: int, only: Sequence[str] | None, seed: int) -> list[Part]:
    """Share inputs among rows, by their shares, and cut them in parts."""
    _prepare()
    from tests.fuzz.table import ROWS

    chosen = [i for i, row in enumerate(ROWS) if not only or row.name in only]
    if not chosen:
        raise SystemExit(f"no row is called {only}")
    whole = sum(ROWS[i].share for i in chosen)
    parts = []
    for i in chosen:
        left = max(1, round(inputs * ROWS[i].share / whole))
        while left > 0:
            parts.append(Part(i, min(INPUTS, left), 1000 * seed + len(parts)))
            left -= INPUTS
    return parts


def run(parts: list[Part], workers: int) -> Iterator[dict[str, Any]]:
    """Make the parts in processes; yield what came of each, crashes and hangs too."""
    lots = [parts[first : first + PARTS] for first in range(0, len(parts), PARTS)]
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as threads:
        for i, lot in enumerate(lots):
            threads.submit(_lot, lot, Path(folder) / f"{i}", told.put)
        for _ in parts:
            yield told.get()


def _lot(parts: list[Part], file: Path, tell: Callable[[dict[str, Any]], None]) -> None:
    """Make some parts, in as many processes as crash."""
    left = list(parts)
    while left:
        command = [sys.executable, "-m", "tests.fuzz.pool", str(file), json.dumps(left)]
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(file.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }
        errors = file.with_suffix(".err")
        with (
            errors.open("w") as err,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=err, text=True, env=environment
            ) as process,
        ):
            for line in process.stdout or ():
                if line.startswith("{"):
                    tell(json.loads(line))
                    left.pop(0)
        if left:
            tell(_crash(left.pop(0), file, process.returncode, errors.read_text()))


def _crash(part: Part, file: Path, status: int, err: str) -> dict[str, Any]:
    from tests.fuzz.table import ROWS

    calls = file.read_text(errors="replace").splitlines() if file.exists() else []
    name = ROWS[part.row].name
    found = {
        "name": name,
        "call": calls[-1] if calls else "before the first call",
        "error": f"the process ended with status {status}",
        "message": err[-600:],
        "shape": [name, "crash", calls[-1] if calls else ""],
    }
    return {"name": name, "counts": {"escape": 1, "unmade": 0}, "escapes": [found]}


def _prepare() -> None:
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)


def _work(file: str, parts: list[list[int]]) -> None:
    _prepare()
    from tests.fuzz.engine import fuzz
    from tests.fuzz.table import ROWS

    for row, inputs, seed in parts:
        with Path(file).open("w") as journal:

            def before(trial: Any, journal: Any = journal) -> None:
                journal.write(f"{trial}\n")
                journal.flush()
                faulthandler.dump_traceback_later(STUCK, exit=True)

            tally = fuzz(ROWS[row], inputs, seed, before)
        faulthandler.cancel_dump_traceback_later()
        found = [{**e._asdict(), "shape": shape} for shape, e in tally.escapes.items()]
        done = {"name": ROWS[row].name, "counts": tally.counts, "escapes": found}
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    _work(sys.argv[1], json.loads(sys.argv[2]))
