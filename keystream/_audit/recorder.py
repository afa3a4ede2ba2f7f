"""Record at run time which keys are used: where, in what order, and in which program.

`recorded` is the door. Behind it, `recorder_tables` puts rules that record among those by
which JAX lowers programs (`recorder_rules`) and calls primitives (`recorder_eager`); while
nothing is recorded they do what was there before. Programs call back (`recorder_emit`) into
the recordings under way (`recorder_state`), with the call path of the equation
(`recorder_way`) behind that of the caller (`recorder_frames`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import numpy as np

from keystream._audit import recorder_ahead, recorder_state, recorder_tables
from keystream._audit.recorder_state import Recording
from keystream._errors import KeystreamError, Words, error


class RecordingError(KeystreamError, RuntimeError):
    """A version of JAX in which the uses of keys can't be recorded."""


@contextlib.contextmanager
def recorded() -> Iterator[Recording]:
    """Record every use of a key until the block ends, in the whole process.

    Recordings nest and overlap: each holds what all threads do while it is under way.
    """
    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(recorder_tables.on_top())
            until_the_end.enter_context(recorder_ahead.watched())
        except Exception as problem:  # whatever another version of JAX may raise here
            got = Words(f"{jax.__version__} ({problem!r})")
            raise error(
                RecordingError, "recording", "jax", "a version whose rules can be replaced", got,
                "To audit without running: ks.audit(fun, *args).",
            ) from problem  # fmt: skip
        recording = Recording()
        recorder_state.begin(recording)
        try:
            yield recording
        finally:
            try:
                _wait()
            finally:
                recorder_state.end(recording)


def _wait() -> None:
    """Wait for what is still running on several devices, or elsewhere than on a CPU.

    On a single CPU device whoever launches a program that calls back waits for it. Otherwise
    programs of the same devices end in the order in which they began, so that one more of
    them, on each device and on all of them together, is the last.
    """
    jax.effects_barrier()
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu":
        return
    with recorder_state.context(None):
        places: list[jax.sharding.Sharding] = [
            jax.sharding.SingleDeviceSharding(device) for device in devices
        ]
        if len(devices) > 1:
            mesh = jax.sharding.Mesh(np.array(devices), ("all",))
            places.append(jax.NamedSharding(mesh, jax.P("all")))
        for place in places:
            _next(jax.device_put(np.zeros(len(devices)), place)).block_until_ready()


_next = jax.jit(lambda x: x + 1)
