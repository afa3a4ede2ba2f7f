"""Exchange messages between processes, with a timeout."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    PeerError,
    Phrase,
    complete,
    error,
)

_HEAD = struct.Struct("<32sQ")
"""What every process sends first: the function that it is in, the length of its message."""

_LEAVE = "To leave without waiting for the others: os._exit(1)."


class _Asking(threading.Thread):
    """The thread that waits in a collective, since JAX's have no timeout.

    One that is left behind stays alive, so that the next call can see it.
    """

    def __init__(self, name: str, message: bytes) -> None:
        super().__init__(name=f"keystream-{name}", daemon=True)
        self.function = name
        self.message = message
        self.answer: tuple[list[str], list[bytes]] | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        """Ask, and keep what comes back."""
        try:
            self.answer = _gathered(self.function, self.message)
        except Exception as cause:
            self.failure = cause


def check_timeout(timeout: Any) -> float:
    """Return a timeout: a number of seconds above zero."""
    real = isinstance(timeout, (int, float, np.integer, np.floating))
    # NumPy counts timedelta64 among its integers.
    if isinstance(timeout, (bool, np.timedelta64)) or not real:
        raise error(ArgumentTypeError, "timeout", "a number of seconds", timeout)
    if not timeout > 0:
        raise error(ArgumentValueError, "timeout", "above zero seconds", timeout)
    return float(min(timeout, threading.TIMEOUT_MAX))


def exchange(name: str, argument: str, message: bytes, timeout: float) -> list[bytes]:
    """Send a message to every process and return all of them, by process index.

    A collective: every process must call it, from the same function of ours. `timeout`
    bounds the whole of it, JAX's start of its devices included.
    """
    left = next((t for t in threading.enumerate() if isinstance(t, _Asking)), None)
    if left is not None:
        got = Phrase(f"ks.{left.function} still waiting for them")
        raise _peer_error(name, "done with the call before", got, _LEAVE)
    asking = _Asking(name, message)
    asking.start()
    asking.join(timeout)
    cure = f"On every process, at the same place of the program: ks.{name}({argument})."
    if asking.answer is None:
        if asking.failure is None:
            end = "after which this process can do no more collectives"
            got = Phrase(f"no answer within {timeout:g} s, {end}")
        else:
            told = str(asking.failure).strip().splitlines() or [type(asking.failure).__name__]
            got = Phrase(f"a failure of the connection ({told[0]})")
        cure = f"{cure} {_LEAVE}"
        raise _peer_error(name, "all there", got, cure) from asking.failure
    functions, messages = asking.answer
    if not messages:
        got = Phrase(group_processes(functions, "ks.{}".format))
        raise _peer_error(name, "all in one call", got, cure)
    return messages


def _peer_error(name: str, wanted: str, got: Phrase, cure: str) -> PeerError:
    return complete(error(PeerError, "processes", wanted, got, cure), name)


def group_processes(values: Sequence[Hashable], show: Callable[[Any], str]) -> str:
    """Say which process has which value: `7 on process 0, 8 on processes 1 and 2`."""
    places: dict[Hashable, list[int]] = {}
    for process, value in enumerate(values):
        places.setdefault(value, []).append(process)
    told = [f"{show(value)} on {_named(processes)}" for value, processes in places.items()]
    if len(told) > _MOST:
        rest = [process for processes in list(places.values())[_FEW:] for process in processes]
        told = [*told[:_FEW], f"others on {_named(rest)}"]
    return ", ".join(told)


_MOST, _FEW = 8, 4
"""More processes or values than the first are cut to the second."""


def _named(processes: Sequence[int]) -> str:
    if len(processes) == 1:
        return f"process {processes[0]}"
    first, last = [str(p) for p in processes[:-1]], str(processes[-1])
    if len(processes) > _MOST:
        first, last = first[:_FEW], f"{len(processes) - _FEW} more"
    return f"processes {', '.join(first)} and {last}"


def _gathered(name: str, message: bytes) -> tuple[list[str], list[bytes]]:
    """Return every process's function and, where that is one and the same, their messages."""
    if jax.process_count() == 1:
        return [name], [message]
    heads = [_HEAD.unpack(row) for row in _rows(_HEAD.pack(name.encode(), len(message)))]
    functions = [function.rstrip(b"\0").decode(errors="replace") for function, _ in heads]
    if len(set(functions)) > 1:
        return functions, []
    longest = max(length for _, length in heads)
    rows = _rows(message.ljust(longest, b"\0"))
    return functions, [row[:length] for row, (_, length) in zip(rows, heads, strict=True)]


def _rows(row: bytes) -> list[bytes]:
    # Imported late: it is the one part of jax.experimental here, and not free.
    from jax.experimental.multihost_utils import process_allgather  # noqa: PLC0415

    return [bytes(other) for other in process_allgather(np.frombuffer(row, np.uint8))]
