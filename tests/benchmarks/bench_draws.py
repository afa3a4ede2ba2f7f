"""Samplers in both forms, for pytest-benchmark: `python -m pytest tests/benchmarks`."""

from typing import Any

import pytest

from keystream.cli._bench.build import MODES, build
from keystream.cli._bench.catalogue import MANY, NAMES, program
from keystream.cli._bench.contest import blocking


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1000, MANY])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gamma", "permutation")])
def bench_draw(benchmark: Any, name: str, size: int, mode: str) -> None:
    """Draw from one key, compiled beforehand."""
    fun, args = program(name, size)
    benchmark.group = f"{name} {size:,}"
    benchmark(blocking(build(fun, args, mode).call, *args))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def bench_compile(benchmark: Any, name: str, mode: str) -> None:
    """Lower and compile a draw."""
    fun, args = program(name, 1000)
    benchmark.group = f"compile {name}"
    benchmark.pedantic(build, (fun, args, mode), rounds=3, warmup_rounds=1)
