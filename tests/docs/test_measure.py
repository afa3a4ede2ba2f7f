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
    path = Path(__file__).parents[2] / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


measure_iter_keys = _load("measure_iter_keys")


def test_iter_keys_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A small run prints what the first key takes, and a ratio for each length of a loop."""
    measure_iter_keys.main(["--keys", "20", "200", "--rounds", "2"])
    said = capsys.readouterr().out
    times = [float(t) for t in re.findall(r"([\d.]+) ms", said)]
    assert len(times) == 8
    assert all(t > 0 for t in times)
    rows = re.findall(r"^ +(20|200)((?: +[\d.]+){5})$", said, re.MULTILINE)
    assert [keys for keys, _ in rows] == ["20", "200"]


def test_ratios_are_of_what_was_measured() -> None:
    """The ratio is splitting over iterating; one way round it would praise a slow iterator."""
    assert measure_iter_keys.Round(split=3e-5, iterated=2e-6).ratio == pytest.approx(15)
    fresh = measure_iter_keys.Fresh(0.001, 0.1, 1.0)
    steady = {20: [measure_iter_keys.Round(4e-5, 2e-6), measure_iter_keys.Round(4e-5, 4e-6)]}
    report = measure_iter_keys.report([fresh], [fresh], steady)
    assert "1.0 ms" in report
    assert re.search(r"20 +40.00 +3.00 +15.0 +10.0 +20.0$", report)
