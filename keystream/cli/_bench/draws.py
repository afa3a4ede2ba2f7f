"""Cases a and b: normals by a loop over keys, by lanes, in one bulk draw, and by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream.cli._bench.build import ACCELERATED, MODES, STOCK, build
from keystream.cli._bench.catalogue import MANY
from keystream.cli._bench.contest import Contender, Effort, blocking, compete
from keystream.cli._bench.result import Fact, Result, Task, result

FEW = 1000
BATCHES = (10_000, 100_000)
QUICK_BATCHES = (1_000,)

LOOP, LANES, SAMPLE, BULK = "loop over keys", "vmap over keys", "ks.sample", "one bulk draw"
NUMPY = "NumPy default_rng"


def few(effort: Effort) -> list[Task]:
    """List what case a measures."""
    return [Task("1,000 normals", functools.partial(measure_few, effort))]


def many(effort: Effort) -> list[Task]:
    """List what case b measures."""
    size, batches = (10_000, QUICK_BATCHES) if effort.quick else (MANY, BATCHES)
    return [Task(f"{size:,} normals", functools.partial(measure_many, size, batches, effort))]


def measure_few(effort: Effort) -> Result:
    """Draw 1,000 normals in eager code, as people write it."""
    key, normal = ks.key(42), jax.random.normal
    ways: dict[str, Callable[[], Any]] = {
        LOOP: lambda: [normal(use) for use in jax.random.split(key, FEW)],
        LANES: lambda: jax.vmap(normal)(jax.random.split(key, FEW)),
        SAMPLE: lambda: ks.sample(normal, key, FEW),
        BULK: lambda: normal(key, (FEW,)),
    }
    times = compete([Contender(name, blocking(way)) for name, way in ways.items()], effort)
    return result("a", "eager normals", FEW, times, [(LOOP, SAMPLE), (LANES, SAMPLE)])


def measure_many(size: int, batches: tuple[int, ...], effort: Effort) -> Result:
    """Draw many normals under `jit`, in both forms, and with NumPy."""
    generator, key, facts = np.random.default_rng(42), ks.key(42), dict[str, Fact]()
    contenders = [Contender(NUMPY, lambda: generator.standard_normal(size, np.float32))]
    for mode in MODES:
        for name, fun in ways_to_draw(size, batches).items():
            call = build(fun, (key,), mode).call
            contenders.append(Contender(f"{name}, {mode}", blocking(call, key)))
            memory = call.memory_analysis()
            if memory is not None:
                peak = memory.output_size_in_bytes + memory.temp_size_in_bytes
                facts[f"{name}, {mode}: bytes"] = peak
    pairs = []
    for mode in MODES:
        pairs += [(f"{name}, {mode}", f"{BULK}, {mode}") for name in (LANES, SAMPLE)]
        pairs += [(f"{batched(b)}, {mode}", f"{SAMPLE}, {mode}") for b in batches]
    pairs += [(f"{SAMPLE}, {STOCK}", f"{SAMPLE}, {ACCELERATED}")]
    pairs += [(NUMPY, f"{BULK}, {ACCELERATED}")]
    return result("b", "normals", size, compete(contenders, effort), pairs, facts)


def ways_to_draw(size: int, batches: tuple[int, ...]) -> dict[str, Callable[[jax.Array], Any]]:
    """Return functions of one key that draw `size` normals."""
    normal = jax.random.normal
    ways: dict[str, Callable[[jax.Array], Any]] = {
        BULK: lambda key: normal(key, (size,)),
        LANES: lambda key: jax.vmap(normal)(jax.random.split(key, size)),
        SAMPLE: lambda key: ks.sample(normal, key, size),
    }
    for batch in batches:
        ways[batched(batch)] = functools.partial(_in_batches, size=size, batch=batch)
    return ways


def _in_batches(key: jax.Array, *, size: int, batch: int) -> Any:
    return ks.sample(jax.random.normal, key, size, batch_size=batch)


def batched(batch: int) -> str:
    """Name the contender that draws in batches."""
    return f"{SAMPLE} of {batch:,} at a time"
