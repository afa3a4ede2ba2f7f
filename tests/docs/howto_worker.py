"""A program of docs/howto as a process of its own; writes what it holds as JSON."""

import json
import os
import signal
import sys
from pathlib import Path

import jax

index, count, port = map(int, sys.argv[1:4])
said, page = map(Path, sys.argv[4:6])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
if count > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", count, index)

import numpy as np  # noqa: E402 - after JAX knows its devices

import keystream as ks  # noqa: E402
from tests.docs.test_howto import program  # noqa: E402
from tests.spawn import refused  # noqa: E402


def multi_host():
    """Run the whole page, then what it calls wrong: the rank in the seed."""
    ran = program(page.stem)
    ranked = ran["careless"](7, index)
    return {
        "seed": ran["seed"],
        "weights": np.asarray(ran["weights"]).tolist(),
        "noise": {
            int(shard.index[0].start or 0): np.asarray(shard.data).tolist()
            for shard in ran["noise"].addressable_shards
        },
        "examples": dict(
            zip(ran["examples"].tolist(), map(ks.fingerprint, ran["example_keys"]), strict=True)
        ),
        "mine": ks.fingerprint(ran["mine"]),
        "ranked": refused(lambda: ks.check_replicated(ran["hand_out"](ranked))),
        "seeds": refused(lambda: ks.agree_on_seed(7 + index)),
    }


def resume():
    """Run six steps on four devices, save, and be killed."""
    ran = program(page.stem, 4)
    ran["save"](sys.argv[6], ran["run"](ran["begin"](42), 6, devices=4))
    os.kill(os.getpid(), signal.SIGKILL)


def data_order():
    """Return the examples that this process reads in the first steps."""
    ran = program(page.stem, 1)
    at, processes = jax.process_index(), jax.process_count()
    return [ran["examples"](step, at, processes).tolist() for step in range(3)]


pages = {"multi-host": multi_host, "resume": resume, "data-order": data_order}
said.write_text(json.dumps(pages[page.stem]()))
if count > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("end")
