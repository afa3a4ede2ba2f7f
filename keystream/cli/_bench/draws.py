"""Cases a and b: time normals by a loop over keys, by lanes, in batches, in bulk, by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream.cli._bench.build import ACCELERATED, MODES, STOCK, build
from keystream.cli._bench.catalogue import MANY, MOST
from keystream.cli._bench.contest import Contender, Effort, blocking, compete
from keystream.cli._bench.result import Fact, Result, Task, result

FEW = 1000
BATCHES = {MANY: (10**4, 10**5), MOST: (2**18, 2**20)}
"""By how many numbers are drawn. Batches are for the large one: at 10**6 all of them take 12 MB."""
QUICK_BATCHES = {10_000: (1_000,)}

LOOP, LANES, SAMPLE, BULK = "loop over keys", "vmap over keys", "ks.sample", "one bulk draw"
WINDOW = "ks.window"
NUMPY = "NumPy default_rng"
IN_BATCHES = "normals in batches"

Way = Callable[[jax.Array], Any]


def few(effort: Effort) -> list[Task]:
    """List what case a measures."""
    return [Task("1,000 normals", functools.partial(measure_few, effort))]


def many(effort: Effort) -> list[Task]:
    """List what case b measures."""
    size, batches = (10_000, QUICK_BATCHES) if effort.quick else (MANY, BATCHES)
    return [
        Task(f"{size:,} normals", functools.partial(measure_many, size, effort)),
        *(
            Task(
                f"{total:,} normals in batches",
                functools.partial(measure_batches, total, sizes, effort),
            )
            for total, sizes in batches.items()
        ),
    ]


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


def measure_many(size: int, effort: Effort) -> Result:
    """Draw many normals under `jit`, in both forms, and with NumPy."""
    generator = np.random.default_rng(42)
    contenders, facts = both_forms(ways_to_draw(size))
    contenders.append(Contender(NUMPY, lambda: generator.standard_normal(size, np.float32)))
    pairs = [
        (f"{name}, {mode}", f"{BULK}, {mode}") for mode in MODES for name in (LANES, SAMPLE, WINDOW)
    ]
    pairs += [(f"{SAMPLE}, {STOCK}", f"{SAMPLE}, {ACCELERATED}")]
    pairs += [(NUMPY, f"{BULK}, {ACCELERATED}")]
    return result("b", "normals", size, compete(contenders, effort), pairs, facts)


def measure_batches(size: int, batches: tuple[int, ...], effort: Effort) -> Result:
    """Let `sample` in batches compete with `sample` at once, in both forms."""
    contenders, facts = both_forms(ways_to_batch(size, batches))
    pairs = [
        (f"{batched(each)}, {mode}", f"{SAMPLE}, {mode}") for mode in MODES for each in batches
    ]
    return result("b", IN_BATCHES, size, compete(contenders, effort), pairs, facts)


def both_forms(ways: Mapping[str, Way]) -> tuple[list[Contender], dict[str, Fact]]:
    """Compile each way stock and accelerated; with the bytes that each takes at its peak."""
    key, contenders, facts = ks.key(42), list[Contender](), dict[str, Fact]()
    for mode in MODES:
        for name, fun in ways.items():
            call = build(fun, (key,), mode).call
            contenders.append(Contender(f"{name}, {mode}", blocking(call, key)))
            memory = call.memory_analysis()
            if memory is not None:
                peak = memory.output_size_in_bytes + memory.temp_size_in_bytes
                facts[f"{name}, {mode}: bytes"] = peak
    return contenders, facts


def ways_to_draw(size: int) -> dict[str, Way]:
    """Return functions of one key that draw `size` normals."""
    normal = jax.random.normal
    return {
        BULK: lambda key: normal(key, (size,)),
        LANES: lambda key: jax.vmap(normal)(jax.random.split(key, size)),
        SAMPLE: lambda key: ks.sample(normal, key, size),
        WINDOW: lambda key: normal(ks.window(key, 4 * size, 0), (size,)),
    }


def ways_to_batch(size: int, batches: tuple[int, ...]) -> dict[str, Way]:
    """Return functions of one key that sample `size` normals, at once and in batches."""

    def sampled(batch: int) -> Way:
        return lambda key: ks.sample(jax.random.normal, key, size, batch_size=batch)

    return {SAMPLE: sampled(size)} | {batched(batch): sampled(batch) for batch in batches}


def batched(batch: int) -> str:
    """Name the contender that draws in batches."""
    return f"{SAMPLE} of {batch:,} at a time"
