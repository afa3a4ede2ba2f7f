"""Compile the same function twice: as JAX lowers it, and accelerated."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

import keystream as ks
from keystream.cli._bench.contest import Contender, blocking

STOCK, ACCELERATED = "stock", "accelerated"
MODES = (STOCK, ACCELERATED)


class Built(NamedTuple):
    """A compiled function, and how long that took in seconds."""

    call: Any
    lowering: float
    """From the function to StableHLO, tracing included."""
    compiling: float
    """From StableHLO to machine code."""

    @property
    def together(self) -> float:
        """Return the seconds from the function to machine code."""
        return self.lowering + self.compiling


@contextlib.contextmanager
def lowered_as(mode: str) -> Iterator[None]:
    """Let threefry be lowered so for a while; what was compiled before keeps its form."""
    ks.accelerate(mode == ACCELERATED)
    try:
        yield
    finally:
        ks.accelerate(False)


def build(fun: Callable[..., Any], args: Sequence[Any], mode: str) -> Built:
    """Compile a function anew."""
    # Something that JAX hasn't seen: of a function that it knows it keeps what it made.
    fresh = jax.jit(functools.partial(fun))
    with lowered_as(mode):
        begin = time.perf_counter()
        lowered = fresh.lower(*args)
        half = time.perf_counter()
        call = lowered.compile()
        return Built(call, half - begin, time.perf_counter() - half)


def build_in_turns(
    fun: Callable[..., Any], args: Sequence[Any], times: int
) -> dict[str, tuple[Built, ...]]:
    """Compile a function several times in each form, in turns."""
    rounds = [[build(fun, args, mode) for mode in MODES] for _ in range(times)]
    return {mode: tuple(turn[place] for turn in rounds) for place, mode in enumerate(MODES)}


def contender(name: str, fun: Callable[..., Any], args: Sequence[Any], mode: str) -> Contender:
    """Compile a function and let it compete."""
    return Contender(name, blocking(build(fun, args, mode).call, *args))
