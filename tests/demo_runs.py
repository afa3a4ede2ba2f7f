"""What the demo's tests share: its extras, a worker's environment, and how a run lies."""

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keystream as ks
from keystream.cli import demo
from keystream.cli._demo.checks import Check

MISSING = [name for name, module in demo.EXTRAS.items() if not importlib.util.find_spec(module)]
needs_extras = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

Faulty = Callable[[Any], Any]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(ks.__file__).parent.parent)} | more


def field(**values: Any) -> Faulty:
    return lambda run: dataclasses.replace(run, **values)


def shift(name: str, by: float) -> Faulty:
    """Let the last number of an array be another."""

    def change(run: Any) -> Any:
        values = np.array(getattr(run, name))
        values.flat[-1] += values.dtype.type(by)
        return dataclasses.replace(run, **{name: values})

    return change


def failed(checks: Sequence[Check]) -> list[int]:
    return [place for place, check in enumerate(checks) if check.holds is False]
