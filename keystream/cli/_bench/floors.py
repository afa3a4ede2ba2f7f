"""Cases g and h: time a constant fill, which no draw can beat, and one function compiled twice."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from keystream.cli._bench.build import ACCELERATED, MODES, STOCK, contender
from keystream.cli._bench.catalogue import MANY, MOST, program
from keystream.cli._bench.contest import Contender, Effort, compete
from keystream.cli._bench.result import Result, Task, result

FLOOR, NUMPY = "constant fill", "NumPy default_rng"
FIRST, SECOND = "once", "twice"


def floor(effort: Effort) -> list[Task]:
    """List what case g measures."""
    size = 10_000 if effort.quick else MOST
    rng = np.random.default_rng(42)
    beside: dict[str, Callable[[], Any]] = {
        "bits": lambda: rng.integers(0, 2**32, size, np.uint32),
        "uniform": lambda: rng.random(size, np.float32),
        "normal": lambda: rng.standard_normal(size, np.float32),
    }
    return [
        Task(f"floor of {name}", functools.partial(beside_floor, name, size, by_numpy, effort))
        for name, by_numpy in beside.items()
    ]


def beside_floor(name: str, size: int, by_numpy: Callable[[], Any], effort: Effort) -> Result:
    """Let a sampler compete with NumPy's and with a fill of a fresh buffer."""
    fun, args = program(name, size)
    # The constant is an argument: XLA can't do beforehand what is to be timed.
    fill = contender(FLOOR, lambda word: jnp.full((size,), word), (np.uint32(7),), STOCK)
    forms = [contender(mode, fun, args, mode) for mode in MODES]
    times = compete([fill, *forms, Contender(NUMPY, by_numpy)], effort)
    pairs = [(above, below) for above in (FLOOR, NUMPY) for below in MODES]
    return result("g", name, size, times, [*pairs, (STOCK, ACCELERATED)])


def noise(effort: Effort) -> list[Task]:
    """List what case h measures."""
    sizes = (1000,) if effort.quick else (1, 1000, MANY, MOST)
    return [
        Task(f"noise {size:,}", functools.partial(against_itself, size, mode, effort))
        for size in sizes
        for mode in MODES
    ]


def against_itself(size: int, mode: str, effort: Effort) -> Result:
    """Let a function that is compiled twice compete with itself."""
    fun, args = program("normal", size)
    pair = [contender(name, fun, args, mode) for name in (FIRST, SECOND)]
    times = compete(pair, effort)
    return result("h", f"normal, {mode}", size, times, [(FIRST, SECOND)])
