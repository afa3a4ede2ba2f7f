"""Train in one process of the demo: from its checkpoint if there is one, else from step 0.

Started by the demo as `python -m keystream.cli._demo.worker FOLDER ...`, as a scheduler starts a
job again: with the same command line each time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import jax
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

import keystream as ks
from keystream.cli._demo import checkpoint, steps
from keystream.cli._demo.checks import copies
from keystream.cli._demo.digits import STEPS, load
from keystream.cli._demo.journal import Writer
from keystream.cli._demo.options import epoch_count
from keystream.cli._demo.training import simulate_devices
from keystream.cli._inputs import read_seed

EVERY = 4
"""Steps between two checkpoints: most of them fall in the middle of an epoch."""

CHECKPOINT = "checkpoint.npz"
ITEMS = 64
"""How many keys and draws are laid out over the devices, to be compared."""


def arguments() -> argparse.ArgumentParser:
    """Return the parser of a worker's command line."""
    parser = argparse.ArgumentParser(prog="python -m keystream.cli._demo.worker")
    parser.add_argument("folder", type=Path, help="where its checkpoint and its journal are")
    parser.add_argument("--seed", type=read_seed, default=0)
    parser.add_argument("--epochs", type=epoch_count, required=True)
    parser.add_argument("--devices", type=int, required=True, help="of this process")
    parser.add_argument("--kill-after", type=int, help="the step after which SIGKILL comes")
    parser.add_argument("--forget", action="store_true", help="the mistake: new streams")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--port", type=int, help="of process 0, on loopback")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 0, or 1 where the checkpoint or the other processes don't allow it."""
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
    """Train, and return the exit status; the last line on stderr says what went wrong."""
    try:
        train(options)
    except (checkpoint.CheckpointError, ks.KeystreamError) as error:
        print(error, file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    else:
        return 0
    return 1


def train(options: argparse.Namespace) -> None:
    """Train to the end, or to the kill."""
    path = options.folder / CHECKPOINT
    journal = Writer(options.folder / f"journal-{options.process}.jsonl")
    seed = options.seed
    if not isinstance(seed, str):
        # A text is no number to agree on; that all have the same one shows in the key.
        seed = ks.agree_on_seed(seed)
    key = ks.key(seed)
    saved, differences = checkpoint.resume(path) if path.exists() else (None, {})
    program = steps.compile_step(load())
    ks.check_replicated(steps.copy_to_devices(program, key))
    lay_out(journal, key, program.mesh)
    if saved is None:
        state = steps.begin(program, key)
    else:
        state = steps.place_state(program, saved)
        journal.write_note(resumed_at=state.step, differences=differences)
    if options.forget:
        state = state._replace(streams=ks.Streams(key, steps.NAMES))
    manifest = ks.manifest()
    end = options.epochs * STEPS
    while state.step < end:
        state, used = steps.advance(program, state)
        journal.write_step(state.step - 1, used)
        if options.process == 0 and (state.step % EVERY == 0 or state.step == end):
            checkpoint.save(path, state, manifest)
        if state.step == options.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
    journal.write_note(**{f"copies-{options.process}": sorted(copies(state.params))})


def lay_out(journal: Writer, key: jax.Array, mesh: jax.sharding.Mesh) -> None:
    """Write down keys and raw bits that each device makes its own part of."""
    over = NamedSharding(mesh, jax.P("data"))
    keys = ks.keys(ks.derive(key, "keys"), ITEMS, out_sharding=over)
    bits = ks.sample(jax.random.bits, ks.derive(key, "bits"), ITEMS, out_sharding=over)
    journal.write_parts(keys=jax.random.key_data(keys), bits=bits)


if __name__ == "__main__":
    sys.exit(main())
