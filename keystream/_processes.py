"""What the other processes have to say, or that they are silent."""

from __future__ import annotations

import threading

import numpy as np

from keystream._errors import PeerError, Words, error


def exchange(function: str, argument: str, message: bytes, timeout: float) -> list[bytes]:
    """Send a message to every process and return all of them, by process index.

    A collective: every process must call it. JAX's have no timeout, so the call waits in
    a thread of its own that is left behind when the others stay away.
    """
    outcome: list[list[bytes]] = []
    failure: list[BaseException] = []

    def collect() -> None:
        try:
            outcome.append(_gathered(message))
        except Exception as cause:
            failure.append(cause)

    waiting = threading.Thread(target=collect, name=f"keystream-{function}", daemon=True)
    waiting.start()
    waiting.join(timeout)
    cure = f"On every process, at the same place of the program: ks.{function}({argument})."
    if failure:
        first = (str(failure[0]).strip().splitlines() or [type(failure[0]).__name__])[0]
        got = Words(f"a failure of the connection ({first})")
        raise error(PeerError, function, "processes", "all there", got, cure) from failure[0]
    if not outcome:
        got = Words(
            f"no answer within {timeout:g} s, after which this process can do no more collectives"
        )
        raise error(PeerError, function, "processes", "all there", got, cure)
    return outcome[0]


def _gathered(message: bytes) -> list[bytes]:
    # Imported late: it is the one part of jax.experimental here, and not free.
    from jax.experimental.multihost_utils import process_allgather  # noqa: PLC0415

    size = np.array([len(message)], np.int32)
    sizes = np.ravel(process_allgather(size))
    padded = np.zeros(max(int(sizes.max()), 1), np.uint8)
    padded[: len(message)] = np.frombuffer(message, np.uint8)
    texts = np.reshape(process_allgather(padded), (len(sizes), -1))
    return [bytes(text[:length]) for text, length in zip(texts, sizes, strict=True)]
