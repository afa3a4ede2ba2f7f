"""Simulate in one process of the demo: from its checkpoint if there is one, else from path 0.

Started by the demo as `python -m keystream.cli._demo.worker FOLDER ...`, as a scheduler starts a
job again: with the same command line each time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import jax
from jax.experimental import multihost_utils

import keystream as ks
from keystream.cli._demo import records
from keystream.cli._demo.pricing import PATHS, compile_right, make_mesh, simulate_devices
from keystream.cli._inputs import read_seed

BATCHES = 16
RESUMED = "resumed.json"


def arguments() -> argparse.ArgumentParser:
    """Return the parser of a worker's command line."""
    parser = argparse.ArgumentParser(prog="python -m keystream.cli._demo.worker")
    parser.add_argument("folder", type=Path, help="where its checkpoint and its records are")
    parser.add_argument("--seed", type=read_seed, default=0)
    parser.add_argument("--devices", type=int, required=True, help="of this process")
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--kill-in", type=int, help="the batch in which SIGKILL comes, from 0")
    parser.add_argument("--forget", action="store_true", help="the mistake: count from path 0")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--port", type=int, help="of process 0, on loopback")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate; return 0, or 1 where the checkpoint or the other processes don't allow it."""
    options = arguments().parse_args(argv)
    simulate_devices(options.devices)
    if options.processes == 1:
        return status(options)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    address = f"127.0.0.1:{options.port}"
    jax.distributed.initialize(address, options.processes, options.process)
    if status(options):
        os._exit(1)  # an ordinary exit would wait for the other processes
    multihost_utils.sync_global_devices("end")  # process 0 must not be the first to leave
    return 0


def status(options: argparse.Namespace) -> int:
    """Simulate, and return the exit status; the last line on stderr says what went wrong."""
    try:
        simulate(options)
    except (records.CheckpointError, ks.KeystreamError) as error:
        print(error, file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    else:
        return 0
    return 1


def simulate(options: argparse.Namespace) -> None:
    """Simulate to the end, or to the kill."""
    path = options.folder / records.CHECKPOINT
    key = ks.derive(ks.key(agreed_seed(options.seed)), "paths")
    state = records.State(ks.Stream(key))
    if path.exists():
        state, differences = records.load(path, key)
        told = {"position": state.paths.position, "differences": differences}
        (options.folder / RESUMED).write_text(json.dumps(told))
    if options.forget:
        state = state._replace(paths=ks.Stream(key))
    program = compile_right(len(jax.devices()))
    manifest = ks.manifest()
    while state.counted < options.batches * PATHS:
        before = state
        drawn = program(key, before.paths.position)
        state = before.add(drawn)
        records.write_batch(options.folder, options.process, before, state, drawn)
        if before.counted // PATHS == options.kill_in:
            os.kill(os.getpid(), signal.SIGKILL)
        if options.processes == 1:
            records.save(path, state, manifest)


def agreed_seed(seed: int | str) -> int | str:
    """Return the seed, if all processes have the same one."""
    if not isinstance(seed, str):
        return ks.agree_on_seed(seed)
    # A text is no number to agree on; that all have the same one shows in the key.
    mesh = make_mesh(len(jax.devices()))
    copy = ks.shard_map(lambda key: key, mesh=mesh, in_specs=(), out_specs=jax.P(), vary=())
    ks.check_replicated(jax.jit(copy)(ks.key(seed)))
    return seed


if __name__ == "__main__":
    sys.exit(main())
