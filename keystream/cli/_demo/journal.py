"""What processes write down while they train, line by line, and what their lines say together."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from keystream.cli._demo.digits import STEPS
from keystream.cli._demo.steps import Used

Rows = dict[tuple[int, int], frozenset[str]]
"""Digests by epoch and example; two of them where processes or devices disagree."""


class Writer:
    """Writes lines of JSON, each on its way as soon as it is complete, so that a kill spares it."""

    def __init__(self, path: Path) -> None:
        """Go on where the file ends."""
        self._file = path.open("a", buffering=1)

    def step(self, step: int, used: Used) -> None:
        """Write what this process's devices used for a step: not what they should have."""
        ids = {shard.device: np.asarray(shard.data) for shard in used.ids.addressable_shards}
        rows = {
            what: _rows((ids[shard.device], shard.data) for shard in values.addressable_shards)
            for what, values in (("noise", used.drawn.noise), ("masks", used.drawn.masks))
        }
        self.note(step=step, epoch=step // STEPS, loss=used.loss, rows=rows)

    def laid_out(self, **arrays: jax.Array) -> None:
        """Write the parts of global arrays that this process holds, by position."""
        rows = {
            what: _rows(
                (np.arange(len(values))[shard.index[0]], shard.data)
                for shard in values.addressable_shards
            )
            for what, values in arrays.items()
        }
        self.note(epoch=0, rows=rows)

    def note(self, **facts: Any) -> None:
        """Write one line."""
        self._file.write(json.dumps(facts) + "\n")


def _rows(parts: Iterable[tuple[np.ndarray, jax.Array]]) -> dict[str, str]:
    """Return a digest for each row that this process's devices hold, by the row's number."""
    return {
        str(number): hashlib.sha256(row.tobytes()).hexdigest()[:16]
        for numbers, rows in parts
        for number, row in zip(numbers.tolist(), np.asarray(rows), strict=True)
    }


@dataclass(frozen=True)
class Journal:
    """What several files say together."""

    losses: dict[int, float]
    """By step; of a step that was done twice, the later one."""
    rows: dict[str, Rows]
    """By what was drawn."""
    notes: dict[str, Any]
    """Everything else, by its name; the last one counts."""

    def curve(self) -> np.ndarray:
        """Return the losses in the order of the steps."""
        return np.array([self.losses[step] for step in sorted(self.losses)])


def read(paths: Iterable[Path]) -> Journal:
    """Return what the files say, in the order in which they were written."""
    losses: dict[int, float] = {}
    notes: dict[str, Any] = {}
    found: dict[str, Any] = defaultdict(lambda: defaultdict(set))
    for line in (json.loads(text) for path in paths for text in path.read_text().splitlines()):
        for what, rows in line.pop("rows", {}).items():
            for example, digest in rows.items():
                found[what][line["epoch"], int(example)].add(digest)
        if "step" in line:
            losses[line["step"]] = line["loss"]
        else:
            notes |= line
    rows = {
        what: {place: frozenset(digests) for place, digests in by_place.items()}
        for what, by_place in found.items()
    }
    return Journal(losses, rows, notes)


def digest(rows: Rows) -> str:
    """Return one digest of all the rows, whatever the order in which they were drawn."""
    return hashlib.sha256(
        repr(sorted((k, sorted(v)) for k, v in rows.items())).encode()
    ).hexdigest()


def others(rows: Rows, than: Rows) -> int:
    """Count the places at which something else was drawn, or nothing."""
    return sum(rows.get(place) != than.get(place) for place in rows.keys() | than.keys())


def repeated(rows: Rows) -> int:
    """Count the digests that were drawn at more than one place."""
    seen = [each for digests in rows.values() for each in digests]
    return len(seen) - len(set(seen))
