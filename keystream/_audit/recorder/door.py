"""Record at run time which keys are used: where, in what order, and in which program.

`recorded` is the door. Behind it, `tables` puts rules that record among those by
which JAX lowers programs (`rules`) and calls primitives (`eager`); while
nothing is recorded they do what was there before. Programs call back (`emit`) into
the recordings under way (`state`), with the call path of the equation
(`way`) behind that of the caller (`frames`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import numpy as np

from keystream._audit.recorder import ahead, state, tables
from keystream._audit.recorder.context import context
from keystream._audit.recorder.state import Recording
from keystream._errors import RecordingError, Words, error


@contextlib.contextmanager
def recorded() -> Iterator[Recording]:
    """Record every use of a key until the block ends, in the whole process.

    Recordings nest and overlap: each holds what all threads do while it is under way.
    """
    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(tables.on_top())
            until_the_end.enter_context(ahead.watched())
        except Exception as problem:  # whatever another version of JAX may raise here
            got = Words(f"{jax.__version__} ({problem!r})")
            wanted = "a version whose rules can be replaced"
            cure = "To audit without running: ks.audit(fun, *args)."
            raise error(RecordingError, "recording", "jax", wanted, got, cure) from problem
        recording = Recording()
        state.begin(recording)
        try:
            yield recording
        finally:
            try:
                _wait()
            finally:
                state.end(recording)


def _wait() -> None:
    """Wait for what is still running on several devices, or elsewhere than on a CPU.

    On a single CPU device whoever launches a program that calls back waits for it. Otherwise
    programs of the same devices end in the order in which they began, so that one more of
    them, on each device and on all of them together, is the last.
    """
    if not state.lowered.is_set():
        return
    jax.effects_barrier()
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu":
        return
    # A recording may end while something is traced; the fences run all the same.
    with context(None), jax.ensure_compile_time_eval():
        places: list[jax.sharding.Sharding] = [
            jax.sharding.SingleDeviceSharding(device) for device in devices
        ]
        if len(devices) > 1:
            mesh = jax.sharding.Mesh(np.array(devices), ("all",))
            places.append(jax.NamedSharding(mesh, jax.P("all")))
        for place in places:
            _next(jax.device_put(np.zeros(len(devices)), place)).block_until_ready()


_next = jax.jit(lambda x: x + 1)
