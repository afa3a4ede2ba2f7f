"""Record at run time which keys are used: where, in what order, and in which program.

The idea: while something is recorded, JAX lowers each primitive that uses keys by a rule that
does what its own rule does, and also has the program call back with the words of the key.
`install` puts these rules (`lowering_rules`) into JAX's tables, and others for primitives that
are run at once; when nothing is recorded they do what was there before. A call back says at which
site of a program (`sites`) it happened, and is handed to the recordings under way (`recordings`),
with the call path of the caller and of the equation (`call_paths`). JAX keeps programs that
record apart from those that don't, by a part of the keys of its caches (`_compat`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

from keystream import _compat
from keystream._audit.recording import compiled_ahead, install, recordings, waiting
from keystream._audit.recording.recordings import Recording
from keystream._errors import Phrase, RecordingError, complete, error


@contextlib.contextmanager
def record_uses() -> Iterator[Recording]:
    """Record every use of a key until the block ends, in the whole process.

    Recordings nest and overlap: each holds what all threads do while it is under way.
    """
    with contextlib.ExitStack() as until_the_end:
        try:
            _compat.recording_context()  # jax 0.7.0 and 0.7.1 have none
            until_the_end.enter_context(install.install_rules())
            until_the_end.enter_context(compiled_ahead.watch())
            until_the_end.enter_context(_compat.marking_loops())
        except Exception as problem:  # whatever another version of JAX may raise here
            got = Phrase(f"{jax.__version__} ({problem!r})")
            wanted = "a version whose rules can be replaced"
            cure = "To audit without running: ks.audit(fun, *args)."
            raise complete(
                error(RecordingError, "jax", wanted, got, cure), "recording"
            ) from problem
        recording = Recording()
        recordings.begin(recording)
        try:
            yield recording
        finally:
            try:
                _wait()
            finally:
                recordings.end(recording)


def _wait() -> None:
    """Wait for what is still running on several devices, or elsewhere than on a CPU.

    On a single CPU device whoever launches a program that calls back waits for it.
    """
    if not recordings.lowered.is_set():
        return
    jax.effects_barrier()
    devices = jax.local_devices()
    if len(devices) > 1 or devices[0].platform != "cpu":
        waiting.wait_for_all(devices)
