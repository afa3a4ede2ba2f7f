"""Return one seed on all processes: `agree_on_seed`."""

from __future__ import annotations

import math
import secrets
from typing import Any

import jax
import numpy as np

from keystream._checks.numbers import check_integer
from keystream._checks.values import is_traced
from keystream._devices.exchange import check_timeout, exchange, group_processes
from keystream._errors import ArgumentTypeError, Phrase, SeedsDifferError, error, public, summary


@public
def agree_on_seed(
    seed: int | np.integer[Any] | jax.Array | None = None, *, timeout: float = 60.0
) -> int:
    """Return the same seed on every process, or raise if they were given several.

    Reach for it once at the start of a program that runs on several processes, before
    the first key is made: processes with different seeds train on different noise, which
    nothing else reports. For a fresh seed of one process see `fresh_seed`.

    On every process `ks.key(ks.agree_on_seed())` is one and the same key.

    Args:
        seed: An int of any size and sign (Python, NumPy, or a concrete JAX scalar), the
            same on every process, or None on every process for a fresh one.
        timeout: Seconds that the whole call may take, JAX's start of its devices
            included. Keep it below JAX's `heartbeat_timeout_seconds`, 100 if not set:
            past that JAX aborts the process.

    Returns:
        An int: `seed`, or 128 fresh bits of the operating system, drawn by process 0.

    Key use:
        Consumes nothing and makes no key: `ks.key(seed)` does.

    Guarantees:
        A collective: every process must make the call, at the same place of the program,
        and each gets the same int or an error. On a single process nothing is sent. After
        a PeerError of a process that stays away this process can do no more collectives,
        and JAX's own exit waits for the others: leave by `os._exit(1)`.

    Raises:
        SeedsDifferError: The processes were given different seeds, or some of them none.
            Names the processes, grouped by what they gave.
        ArgumentTypeError: The seed is a float, a bool, a str, traced, or another type.
        PeerError: Another process stayed away or is in another call, the connection to
            it broke, or an earlier call of this process still waits.
        ArgumentTypeError, ArgumentValueError: A `timeout` that is no positive number.

    Example:
        >>> import keystream as ks
        >>> ks.agree_on_seed(42)
        42
        >>> 0 <= ks.agree_on_seed() < 2**128
        True
    """
    limit = check_timeout(timeout)
    mine = secrets.randbits(128) if seed is None else _whole(seed)
    # In hexadecimal, since Python limits the decimal digits that it converts.
    message = f"{'fresh' if seed is None else 'given'} {mine:x}"
    texts = exchange("agree_on_seed", "seed", message.encode(), limit)
    said = [text.decode().split() for text in texts]
    given = [int(digits, 16) if kind == "given" else None for kind, digits in said]
    if len(set(given)) > 1:
        got = Phrase(group_processes(given, lambda one: "no seed" if one is None else summary(one)))
        cure = (
            "For a fixed seed, the same everywhere: ks.agree_on_seed(42). "
            "For a fresh one: ks.agree_on_seed()."
        )
        raise error(SeedsDifferError, "seed", "the same everywhere", got, cure)
    return int(said[0][1], 16)


def _whole(seed: Any) -> int:
    wanted = "an int, or None for a fresh seed"
    if is_traced(seed):
        cure = "Outside of jit: ks.agree_on_seed(seed)."
        raise error(ArgumentTypeError, "seed", "concrete", seed, cure)
    number = check_integer("seed", seed)
    if number is None:
        cure = "For a fixed seed: ks.agree_on_seed(42)."
        if not isinstance(seed, float) or math.isfinite(seed):
            cure = _CURES.get(type(seed), cure)
        raise error(ArgumentTypeError, "seed", wanted, seed, cure)
    return number


_TEXT = "For a key, with no need to ask the others: ks.key(seed)."
_CURES = {
    float: "For its whole part: ks.agree_on_seed(int(seed)).",
    bool: "For 0 or 1: ks.agree_on_seed(int(seed)).",
    str: _TEXT,
    bytes: _TEXT,
}
