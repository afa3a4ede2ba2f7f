"""A key in eager code, for pytest-benchmark: `python -m pytest tests/benchmarks`."""

from typing import Any

import pytest

import keystream as ks
from keystream.cli._bench.contest import blocking
from keystream.cli._bench.makers import MAKERS, Maker


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.name)
def bench_next_key(benchmark: Any, maker: Maker) -> None:
    """Make the next key."""
    if maker.missing():
        pytest.skip(f"not installed: {maker.distribution}")
    benchmark.group = "a key"
    benchmark(blocking(maker.begin(ks.key(42), 1000)))
