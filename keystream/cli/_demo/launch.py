"""Start the demo's worker processes, watch them, and end those that are left."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keystream.cli._environment import environment
from keystream.cli._inputs import write_seed

LIMIT = 300.0
"""Seconds after which workers are taken to hang."""


class WorkerError(Exception):
    """A worker that ended otherwise than it should, or not at all."""


class Job(NamedTuple):
    """What one worker is started for."""

    name: str
    """As in `the run on 2 devices`."""
    folder: Path
    """Where its checkpoint is, and what it draws."""
    arguments: tuple[str, ...]
    process: int = 0
    status: int = 0
    """The exit status that it must end with; minus a signal's number."""

    def batches(self) -> int:
        """Return how many batches it has written down."""
        return len(list(self.folder.glob(f"batch-*-{self.process}.npz")))


def job(
    name: str, folder: Path, options: argparse.Namespace, *, devices: int, **more: int | bool
) -> Job:
    """Return the job of simulating in a folder; `more` are further options of the worker."""
    folder.mkdir(exist_ok=True)
    flags = [
        f"--{option.replace('_', '-')}" + ("" if value is True else f"={value}")
        for option, value in more.items()
    ]
    common = f"--seed={write_seed(options.seed)}", f"--devices={devices}"
    status = -signal.SIGKILL if "kill_in" in more else 0
    return Job(name, folder, (*common, *flags), more.get("process", 0), status)


def run_together(jobs: Sequence[Job], *, tick: Callable[[int], Any] = lambda _: None) -> None:
    """Run workers at the same time until all have ended as they should.

    Calls `tick` with the number of batches that came since it was called before.

    Raises:
        WorkerError: One of them ended otherwise, or took too long; the rest is killed.
    """
    with contextlib.ExitStack() as stack:
        seen = sum(each.batches() for each in jobs)
        started = [_start(each, stack) for each in jobs]
        end = time.monotonic() + LIMIT
        running = True
        while running:
            if time.monotonic() > end:
                raise WorkerError(f"{jobs[0].name} took longer than {LIMIT:g} s")
            time.sleep(0.1)
            running = any(process.poll() is None for process in started)
            for each, process in zip(jobs, started, strict=True):
                if process.returncode not in (None, each.status):
                    raise _worker_error(each, process.returncode)
            if new := sum(each.batches() for each in jobs) - seen:
                tick(new)
                seen += new


def _start(each: Job, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    # Gloo writes to stdout: what a worker drew is in its records.
    printed = stack.enter_context(_output_of(each).open("wb"))
    process = subprocess.Popen(
        [sys.executable, "-m", "keystream.cli._demo.worker", str(each.folder), *each.arguments],
        stdout=printed,
        stderr=subprocess.STDOUT,
        env=environment(),
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _output_of(each: Job) -> Path:
    return each.folder / f"printed-{each.process}.txt"


def _worker_error(each: Job, status: int) -> WorkerError:
    said = _output_of(each).read_text(errors="replace").strip().splitlines()
    last = said[-1] if said else "it said nothing"
    return WorkerError(f"{each.name} ended with status {status}: {last}")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
