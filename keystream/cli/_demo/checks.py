"""What the demo claims, each claim a function of the runs that can also come out wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from keystream.cli._demo.evidence import Run

TOLERANCE = 1e-4
"""How far trained weights may lie apart: sums over devices are in another order."""

ENOUGH = 0.95
"""The share of held-out digits that a full training must recognize."""


@dataclass(frozen=True)
class Check:
    """A claim, whether it holds (None: these runs can't tell), and what was measured."""

    claim: str
    holds: bool | None
    measured: str


def same_bits(what: str, runs: Sequence[Run]) -> Check:
    """Check that all devices of all runs used the same bits."""
    digests = frozenset[str]().union(*(run.used[what] for run in runs))
    claim = f"{what}: the same bits on every device count"
    if len(runs) < 2 and len(digests) == 1:
        return Check(claim, None, "only one device count")
    found = f"SHA-256 {min(digests)[:12]}" if len(digests) == 1 else f"{len(digests)} versions"
    return Check(claim, len(digests) == 1, found)


def weights_agree(runs: Sequence[Run]) -> Check:
    """Check that training ended at the same weights, up to the order of sums."""
    claim = f"trained weights: the same to {TOLERANCE:g}"
    if len(runs) < 2:
        return Check(claim, None, "only one device count")
    apart = weights_apart(runs)
    return Check(claim, apart <= TOLERANCE, f"at most {apart:.1e} apart")


def none_shared(runs: Sequence[Run]) -> Check:
    """Check that no noise was drawn on two devices of one run."""
    claim = "noise: no two devices drew the same"
    several = [run for run in runs if run.devices > 1]
    if not several:
        return Check(claim, None, "only one device")
    shared, rows = sum(run.shared for run in several), sum(run.rows for run in several)
    return Check(claim, shared == 0, f"{shared:,} of {rows:,} rows on several devices")


def mistake_found(mistaken: Sequence[Run]) -> Check:
    """Check that the check before finds the mistake, on every device count where it can be."""
    claim = "the mistake is found: a replicated key, the same noise on all devices"
    verdicts = [none_shared([run]).holds for run in mistaken if run.devices > 1]
    if not verdicts:
        return Check(claim, None, "only one device")
    found = verdicts.count(False)
    return Check(claim, found == len(verdicts), f"on {found} of {len(verdicts)} device counts")


def learned(rates: Sequence[float], *, full: bool) -> Check:
    """Check that the network recognizes held-out digits, if it was trained for long enough."""
    worst = min(rates)
    claim = f"at least {ENOUGH:.0%} of the held-out digits are recognized"
    measured = f"{worst:.1%} at worst"
    if not full and worst < ENOUGH:
        return Check(claim, None, f"{measured}, not judged after so few epochs")
    return Check(claim, worst >= ENOUGH, measured)


def weights_apart(runs: Sequence[Run]) -> float:
    """Return the largest distance of a weight between any two runs; NaN counts as infinite."""
    leaves = zip(*(jax.tree.leaves(run.weights) for run in runs), strict=True)
    return max(_spread(np.stack(leaf)) for leaf in leaves)


def losses_apart(runs: Sequence[Run]) -> float:
    """Return the largest distance of the loss at a step between any two runs."""
    return _spread(np.stack([run.losses for run in runs]))


def _spread(values: np.ndarray) -> float:
    spread = float(np.max(values.max(axis=0) - values.min(axis=0)))
    return spread if np.isfinite(spread) else float("inf")


def all_checks(runs: Sequence[Run], mistaken: Sequence[Run], *, full: bool) -> list[Check]:
    """Return every check of the demo, in the order in which they are told."""
    return [
        *(same_bits(what, runs) for what in runs[0].used),
        weights_agree(runs),
        none_shared(runs),
        mistake_found(mistaken),
        learned([run.accuracy for run in runs], full=full),
    ]
