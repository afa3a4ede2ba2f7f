"""What workers came to, by what they left in their folders, and checks of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo import journal
from keystream.cli._demo.checkpoint import load
from keystream.cli._demo.checks import TOLERANCE, Check
from keystream.cli._demo.digits import Digits, accuracy
from keystream.cli._demo.journal import Journal
from keystream.cli._demo.steps import State


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
    return Outcome(name, journal.read(journals), end, accuracy(end.params, digits))


def same_rows(what: str, first: Outcome, others: Sequence[Outcome], *, claim: str) -> Check:
    """Check that runs drew the same at every place where any of them drew."""
    rows = first.journal.rows[what]
    unlike = sum(journal.others(each.journal.rows[what], rows) for each in others)
    torn = sum(len(digests) > 1 for digests in rows.values())
    found = f"all {len(rows):,} rows, SHA-256 {journal.digest(rows)[:12]}"
    if unlike or torn:
        found = f"{unlike + torn:,} of {len(rows):,} rows are others"
    return Check(f"{what}: {claim}", not unlike and not torn, found)


def never_twice(runs: Sequence[Outcome]) -> Check:
    """Check that no noise was drawn for two examples, or again for one in another epoch."""
    twice = sum(journal.repeated(each.journal.rows["noise"]) for each in runs)
    return Check("noise: none is drawn twice", twice == 0, f"{twice:,} rows")


def same_state(first: Outcome, other: Outcome, *, claim: str) -> Check:
    """Check that two runs ended in the same state, to the last bit."""
    weights = [jax.tree.leaves((each.end.params, each.end.velocity)) for each in (first, other)]
    unlike = sum(_unlike_bits(a, b) for a, b in zip(*weights, strict=True))
    numbers = sum(leaf.size for leaf in weights[0])
    rest = [ks.dumps([each.end.streams, each.end.shuffle]) for each in (first, other)]
    holds = not unlike and rest[0] == rest[1] and first.end.step == other.end.step
    found = f"{unlike:,} of {numbers:,} numbers differ"
    if rest[0] != rest[1]:
        found += ", and so do the streams"
    return Check(claim, holds, found)


def _unlike_bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.sum(a.view(np.uint32) != b.view(np.uint32)))


def near(first: Outcome, other: Outcome, *, claim: str) -> Check:
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
