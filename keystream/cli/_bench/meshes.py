"""Case f: time draws on 1, 2, 4 and 8 simulated devices, in a process that has them.

python -m keystream.cli._bench.meshes SIZE COUNT EFFORT prints a result as JSON; EFFORT is an
`Effort` as a JSON list.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax

import keystream as ks
from keystream.cli._bench.build import MODES, build
from keystream.cli._bench.contest import Contender, Effort, blocking, compete
from keystream.cli._bench.hlo import collectives
from keystream.cli._bench.result import Fact, Result, Task, from_json, result, to_json
from keystream.cli._environment import environment

CASE = "f"
COUNTS, QUICK_COUNTS = (1, 2, 4, 8), (1, 2)
SAMPLE, BULK = "ks.sample(out_sharding=)", "one bulk draw"


def tasks(effort: Effort) -> list[Task]:
    """List what is measured: a process for each number of devices."""
    counts, size = (QUICK_COUNTS, 10_000) if effort.quick else (COUNTS, 2**20)
    return [
        Task(f"devices: {count}", functools.partial(elsewhere, size, count, effort))
        for count in counts
    ]


def elsewhere(size: int, count: int, effort: Effort) -> Result:
    """Measure in a process that has so many devices."""
    command = [sys.executable, "-m", __name__, str(size), str(count), json.dumps(effort)]
    simulated = environment(JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES=str(count))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=simulated)
    return from_json(json.loads(done.stdout.splitlines()[-1]))


def measure(size: int, count: int, effort: Effort) -> Result:
    """Draw normals on so many devices, each keyed on its own, and all at once."""
    mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    ways: dict[str, Callable[[jax.Array], Any]] = {
        SAMPLE: lambda key: ks.sample(jax.random.normal, key, size, out_sharding=sharding),
        BULK: lambda key: jax.random.normal(key, (size,), out_sharding=sharding),
    }
    key = jax.device_put(ks.key(42), jax.NamedSharding(mesh, jax.P()))
    facts: dict[str, Fact] = {}
    contenders = []
    for name, mode in ((name, mode) for name in ways for mode in MODES):
        call = build(ways[name], (key,), mode).call
        contenders.append(Contender(f"{name}, {mode}", blocking(call, key)))
        facts |= {f"{name}, {mode}: {fact}": found for fact, found in seen(call, key)}
    pairs = [(f"{SAMPLE}, {mode}", f"{BULK}, {mode}") for mode in MODES]
    return result(CASE, "normals on devices", count, compete(contenders, effort), pairs, facts)


def seen(call: Any, key: jax.Array) -> Iterator[tuple[str, Fact]]:
    """Tell what a compiled draw does, beside taking time."""
    yield "collectives", collectives(call.as_text())
    yield "bytes a device", max(part.data.nbytes for part in call(key).addressable_shards)
    memory = call.memory_analysis()
    if memory is not None:
        yield "bytes of work space a device", memory.temp_size_in_bytes


if __name__ == "__main__":
    size, count = map(int, sys.argv[1:3])
    print(json.dumps(to_json(measure(size, count, Effort(*json.loads(sys.argv[3]))))))
