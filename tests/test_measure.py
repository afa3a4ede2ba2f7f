"""The programs that measure do measure, and print what they found."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def _load(name: str) -> Any:
    path = Path(__file__).parent.parent / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


measure_iter_keys = _load("measure_iter_keys")


def test_iter_keys_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A small run prints the first key's latency, the slowest next and a ratio a round."""
    measure_iter_keys.main(["--keys", "200", "--rounds", "2"])
    said = capsys.readouterr().out
    times = [float(t) for t in re.findall(r"([\d.]+) ms", said)]
    assert len(times) == 6
    assert all(t > 0 for t in times)
    rows = re.findall(r"^ +([\d.]+) +([\d.]+) +([\d.]+)$", said, re.MULTILINE)
    assert len(rows) == 2
    assert re.search(r"ratio: median [\d.]+, from [\d.]+ to [\d.]+", said)


def test_ratios_are_of_what_was_measured() -> None:
    """The ratio is splitting over iterating; one way round it would praise a slow iterator."""
    assert measure_iter_keys.Round(split=3e-5, iterated=2e-6).ratio == pytest.approx(15)
    report = measure_iter_keys.report(
        [measure_iter_keys.Fresh(0.001, 0.1, 1.0)], [measure_iter_keys.Round(4e-5, 2e-6)], 10
    )
    assert "1.0 ms" in report
    assert "ratio: median 20.0" in report
