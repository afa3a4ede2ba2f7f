"""Real processes, joined by jax.distributed on loopback, started and cleaned up by a test."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keystream as ks

HERE = Path(__file__).parent


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    """Its exit status, or minus a signal's number."""
    after: float
    """Seconds since all of them were started."""
    said: list[dict]
    """What it wrote into the file that it was given, a line of JSON each."""
    printed: str
    """What it and the libraries below it printed."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(
    worker: str, count: int, *args: str, ids: Sequence[int] | None = None, limit: float = 240.0
) -> list[Ended]:
    """Run a worker as `count` processes and return how each ended; none outlives this.

    A worker is a file below tests/. It is called with its index, the count, the port, the file
    to write into, `args`.
    """
    common = str(count), str(free_port())
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        begun = time.monotonic()
        started: list[subprocess.Popen[bytes]] = []
        for at, index in enumerate(range(count) if ids is None else ids):
            command = [sys.executable, str(HERE / worker), str(index), *common]
            printed = stack.enter_context(Path(folder, f"printed{at}").open("wb"))
            process = subprocess.Popen(
                [*command, str(Path(folder, f"said{at}")), *args],
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=HERE.parent,
                env=_environment(),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        after = _wait(started, begun, limit)
        return [
            Ended(
                process.returncode,
                after[at],
                _lines(Path(folder, f"said{at}")),
                Path(folder, f"printed{at}").read_text(errors="replace"),
            )
            for at, process in enumerate(started)
        ]


def _wait(started: list[subprocess.Popen[bytes]], begun: float, limit: float) -> dict[int, float]:
    after: dict[int, float] = {}
    while len(after) < len(started):
        now = time.monotonic() - begun
        assert now < limit, f"{len(after)} of {len(started)} processes ended within {limit:g} s"
        for at, process in enumerate(started):
            if at not in after and process.poll() is not None:
                after[at] = now
        time.sleep(0.02)
    return after


def _lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _environment() -> dict[str, str]:
    package = Path(ks.__file__).parent.parent  # elsewhere where the installed one is tested
    places = os.pathsep.join(map(str, (HERE.parent, package)))
    return {**os.environ, "PYTHONPATH": places, "XLA_FLAGS": ""}


def refused(call: Callable[[], object]) -> str:
    """Return the name and the message of the error that a call ends in."""
    try:
        call()
    except ks.KeystreamError as error:
        return f"{type(error).__name__} {error}"
    return "no error"
