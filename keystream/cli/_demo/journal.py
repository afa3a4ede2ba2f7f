"""Write down what the demo's worker processes use, and compare the runs by what they wrote."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo.checkpoint import load
from keystream.cli._demo.checks import TOLERANCE, Check
from keystream.cli._demo.digits import STEPS, Digits, accuracy
from keystream.cli._demo.steps import State, Used

Rows = dict[tuple[int, int], frozenset[str]]
"""Digests by epoch and example; two of them where processes or devices disagree."""


class Writer:
    """Writes lines of JSON, each on its way as soon as it is complete, so that a kill spares it."""

    def __init__(self, path: Path) -> None:
        """Go on where the file ends."""
        self._file = path.open("a", buffering=1)

    def write_step(self, step: int, used: Used) -> None:
        """Write what this process's devices used for a step: not what they should have."""
        ids = {shard.device: np.asarray(shard.data) for shard in used.ids.addressable_shards}
        rows = {
            what: _rows((ids[shard.device], shard.data) for shard in values.addressable_shards)
            for what, values in (("noise", used.drawn.noise), ("masks", used.drawn.masks))
        }
        self.write_note(step=step, epoch=step // STEPS, loss=used.loss, rows=rows)

    def write_parts(self, **arrays: jax.Array) -> None:
        """Write the parts of global arrays that this process holds, by position."""
        rows = {
            what: _rows(
                (np.arange(len(values))[shard.index[0]], shard.data)
                for shard in values.addressable_shards
            )
            for what, values in arrays.items()
        }
        self.write_note(epoch=0, rows=rows)

    def write_note(self, **facts: Any) -> None:
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


def read_journals(paths: Iterable[Path]) -> Journal:
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


def digest_rows(rows: Rows) -> str:
    """Return one digest of all the rows, whatever the order in which they were drawn."""
    return hashlib.sha256(
        repr(sorted((k, sorted(v)) for k, v in rows.items())).encode()
    ).hexdigest()


def count_others(rows: Rows, than: Rows) -> int:
    """Count the places at which something else was drawn, or nothing."""
    return sum(rows.get(place) != than.get(place) for place in rows.keys() | than.keys())


def count_repeated(rows: Rows) -> int:
    """Count the digests that were drawn at more than one place."""
    seen = [each for digests in rows.values() for each in digests]
    return len(seen) - len(set(seen))


@dataclass(frozen=True)
class Outcome:
    """What one training run came to, of however many processes it was."""

    name: str
    journal: Journal
    """What its devices used from step 0 on, also before it was killed."""
    end: State
    """Its last checkpoint."""
    accuracy: float
    """On the held-out images, with the weights of that checkpoint."""


def gather(name: str, checkpoint: Path, journals: Iterable[Path], digits: Digits) -> Outcome:
    """Return what a run came to."""
    end, _ = load(checkpoint)
    return Outcome(name, read_journals(journals), end, accuracy(end.params, digits))


def check_same_rows(what: str, first: Outcome, others: Sequence[Outcome], *, claim: str) -> Check:
    """Check that runs drew the same at every place where any of them drew."""
    rows = first.journal.rows[what]
    unlike = sum(count_others(each.journal.rows[what], rows) for each in others)
    torn = sum(len(digests) > 1 for digests in rows.values())
    found = f"all {len(rows):,} rows, SHA-256 {digest_rows(rows)[:12]}"
    if unlike or torn:
        found = f"{unlike + torn:,} of {len(rows):,} rows are others"
    return Check(f"{what}: {claim}", not unlike and not torn, found)


def check_never_twice(runs: Sequence[Outcome]) -> Check:
    """Check that no noise was drawn for two examples, or again for one in another epoch."""
    twice = sum(count_repeated(each.journal.rows["noise"]) for each in runs)
    return Check("noise: none is drawn twice", twice == 0, f"{twice:,} rows")


def check_same_state(first: Outcome, other: Outcome, *, claim: str) -> Check:
    """Check that two runs ended in the same state, to the last bit."""
    weights = [jax.tree.leaves((each.end.params, each.end.velocity)) for each in (first, other)]
    unlike = sum(_count_unlike_bits(a, b) for a, b in zip(*weights, strict=True))
    numbers = sum(leaf.size for leaf in weights[0])
    rest = [ks.dumps([each.end.streams, each.end.shuffle]) for each in (first, other)]
    holds = not unlike and rest[0] == rest[1] and first.end.step == other.end.step
    found = f"{unlike:,} of {numbers:,} numbers differ"
    if rest[0] != rest[1]:
        found += ", and so do the streams"
    return Check(claim, holds, found)


def _count_unlike_bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.sum(a.view(np.uint32) != b.view(np.uint32)))


def check_near(first: Outcome, other: Outcome, *, claim: str) -> Check:
    """Check that two runs ended at the same weights, up to the order of sums."""
    pairs = zip(*(jax.tree.leaves(each.end.params) for each in (first, other)), strict=True)
    apart = float(np.max([np.max(np.abs(a - b)) for a, b in pairs]))
    curves = curve_apart(first, other).max()
    found = f"at most {apart:.1e} apart, losses {curves:.1e}"
    return Check(f"{claim}: the same to {TOLERANCE:g}", apart <= TOLERANCE, found)


def curve_apart(first: Outcome, other: Outcome) -> np.ndarray:
    """Return how far the losses of two runs lie apart, at each step."""
    distance: np.ndarray = np.abs(first.journal.curve() - other.journal.curve())
    return distance
