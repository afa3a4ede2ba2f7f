"""What the demo's tests of real processes look at, and how they make a run lie."""

import dataclasses
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keystream as ks
from keystream.cli import demo
from keystream.cli._demo.digits import STEPS
from keystream.cli._demo.journal import Outcome

MISSING = [name for name, module in demo.EXTRAS.items() if not importlib.util.find_spec(module)]
needs_extras = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

EPOCHS = 2
SAVED, DIED, END = 16, 18, EPOCHS * STEPS
"""The step of the last checkpoint, that of the kill, and the last one."""

Liar = Callable[[Outcome], Outcome]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(ks.__file__).parent.parent)} | more


def arrays(checkpoint: Path) -> dict[str, np.ndarray]:
    with np.load(checkpoint) as file:
        return dict(file)


def lines(journal: Path) -> list[dict]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def read_steps(journal: Path) -> dict[int, dict]:
    return {line["step"]: line for line in lines(journal) if "step" in line}


def end(**changes: Any) -> Liar:
    return lambda run: dataclasses.replace(run, end=run.end._replace(**changes))


def moved(by: float) -> Liar:
    def move(run: Outcome) -> Outcome:
        last = {name: leaf + np.float32(by) for name, leaf in run.end.params["last"].items()}
        return end(params=run.end.params | {"last": last})(run)

    return move


def journal(change: Callable[[Any], Any]) -> Liar:
    return lambda run: dataclasses.replace(run, journal=change(run.journal))


def redrawn(what: str, digests: frozenset[str]) -> Liar:
    def change(known: Any) -> Any:
        place = max(known.rows[what])
        rows = known.rows | {what: known.rows[what] | {place: digests}}
        return dataclasses.replace(known, rows=rows)

    return journal(change)
