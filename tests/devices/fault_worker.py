"""One of several processes of which some fail on purpose; says what became of its calls."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import jax

index, count, port = map(int, sys.argv[1:4])
plan = json.loads(sys.argv[5])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", count, index, **plan.get("initialize", {}))

import keystream as ks  # noqa: E402 - after JAX knows its devices

AWAY = 60.0


def ask(timeout):
    """Call agree_on_seed and say how that ended, and after how long."""
    begun = time.monotonic()
    try:
        outcome = str(ks.agree_on_seed(7, timeout=timeout))
    except ks.KeystreamError as error:
        outcome = f"{type(error).__name__} {error}"
    told = {"outcome": outcome, "took": time.monotonic() - begun}
    with Path(sys.argv[4]).open("a") as file:
        print(json.dumps(told), file=file)


def kill():
    """End this process as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


if plan["met"]:  # one call that all make, so that JAX has its devices and connections
    ask(60.0)
act = plan["acts"][index]
if act == "killed":  # in the middle of its call, since another process is away
    threading.Timer(2.0, kill).start()
    ask(60.0)
if act == "away":
    time.sleep(AWAY)
if act == "late":
    time.sleep(plan["timeout"] + 2.0)
ask(plan["timeout"])
if act == "exits":
    sys.exit(3)
ask(plan["timeout"])
os._exit(3)
