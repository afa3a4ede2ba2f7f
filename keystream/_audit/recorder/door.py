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

from keystream._audit.recorder import ahead, fences, state, tables
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

    On a single CPU device whoever launches a program that calls back waits for it.
    """
    if not state.lowered.is_set():
        return
    jax.effects_barrier()
    devices = jax.local_devices()
    if len(devices) > 1 or devices[0].platform != "cpu":
        fences.pass_through(devices)
