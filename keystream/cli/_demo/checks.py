"""Record what the demo's training runs used, and check its claims about them.

Each claim is a function of the runs that can also come out wrong.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from keystream.cli._demo.digits import Drawn, Params

TOLERANCE = 1e-4
"""How far trained weights may lie apart: sums over devices are in another order."""

ENOUGH = 0.95
"""The share of held-out digits that a full training must recognize."""


@dataclass(frozen=True)
class Run:
    """What one training run came to, and what its devices really used on the way."""

    devices: int
    losses: np.ndarray
    """One for each step, in order."""
    accuracy: float
    """On the held-out images."""
    weights: dict[str, dict[str, np.ndarray]]
    used: dict[str, frozenset[str]]
    """Digests of what was used, by what it is; two of them where devices disagreed."""
    rows: int
    """How many rows of noise were drawn, one for each example and epoch."""
    shared: int
    """How many different rows of noise more than one device drew."""
    tiles: np.ndarray
    """(devices, 8, 8): the first noise that each device drew."""


class Evidence:
    """Gathers what the sharded steps hand out: not what they should have used, what they did."""

    def __init__(self, params: Params) -> None:
        """Begin with every device's copy of the initial parameters."""
        self._initial = copies(params)
        self._digests = {what: hashlib.sha256() for what in ("shuffles", "noise", "masks")}
        self.shared = 0
        self.tiles = np.empty((0, 8, 8), np.float32)

    def add(self, ids: jax.Array, drawn: Drawn) -> None:
        """Take in one epoch: the order as it was used, the draws sorted by their example."""
        order = np.asarray(ids).ravel()
        places = np.argsort(order, kind="stable")
        self._digests["shuffles"].update(order.tobytes())
        for what, rows in (("noise", drawn.noise), ("masks", drawn.masks)):
            by_id = np.asarray(rows).reshape(order.size, -1)[places]
            self._digests[what].update(by_id.tobytes())
        parts = [np.asarray(shard.data) for shard in drawn.noise.addressable_shards]
        self.shared += shared_rows(part.reshape(-1, part.shape[-1]) for part in parts)
        if not self.tiles.size:
            self.tiles = np.stack([part[0, 0].reshape(8, 8) for part in parts])

    def used(self) -> dict[str, frozenset[str]]:
        """Return the digests of everything that was used, by what it is."""
        drawn = {what: frozenset({d.hexdigest()}) for what, d in self._digests.items()}
        return {"initial parameters": self._initial} | drawn


def copies(tree: Any) -> frozenset[str]:
    """Return the digests of the copies of a tree that the devices hold: one if all agree."""
    found: dict[Any, Any] = {}
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            digest = found.setdefault(shard.device, hashlib.sha256())
            digest.update(np.asarray(shard.data).tobytes())
    return frozenset(digest.hexdigest() for digest in found.values())


def shared_rows(parts: Iterable[np.ndarray]) -> int:
    """Count the different rows that occur in more than one part."""
    owners: Counter[bytes] = Counter()
    for part in parts:
        owners.update({row.tobytes() for row in part})
    return sum(owner > 1 for owner in owners.values())


@dataclass(frozen=True)
class Check:
    """A claim, whether it holds (None: these runs can't tell), and what was measured."""

    claim: str
    holds: bool | None
    measured: str


def check_same_bits(what: str, runs: Sequence[Run]) -> Check:
    """Check that all devices of all runs used the same bits."""
    digests = frozenset[str]().union(*(run.used[what] for run in runs))
    claim = f"{what}: the same bits on every device count"
    if len(runs) < 2 and len(digests) == 1:
        return Check(claim, None, "only one device count")
    found = f"SHA-256 {min(digests)[:12]}" if len(digests) == 1 else f"{len(digests)} versions"
    return Check(claim, len(digests) == 1, found)


def check_weights_agree(runs: Sequence[Run]) -> Check:
    """Check that training ended at the same weights, up to the order of sums."""
    claim = f"trained weights: the same to {TOLERANCE:g}"
    if len(runs) < 2:
        return Check(claim, None, "only one device count")
    apart = weights_apart(runs)
    return Check(claim, apart <= TOLERANCE, f"at most {apart:.1e} apart")


def check_none_shared(runs: Sequence[Run]) -> Check:
    """Check that no noise was drawn on two devices of one run."""
    claim = "noise: no two devices drew the same"
    several = [run for run in runs if run.devices > 1]
    if not several:
        return Check(claim, None, "only one device")
    shared, rows = sum(run.shared for run in several), sum(run.rows for run in several)
    return Check(claim, shared == 0, f"{shared:,} of {rows:,} rows on several devices")


def check_mistake_found(mistaken: Sequence[Run]) -> Check:
    """Check that the check before finds the mistake, on every device count where it can be."""
    claim = "the mistake is found: a replicated key, the same noise on all devices"
    verdicts = [check_none_shared([run]).holds for run in mistaken if run.devices > 1]
    if not verdicts:
        return Check(claim, None, "only one device")
    found = verdicts.count(False)
    return Check(claim, found == len(verdicts), f"on {found} of {len(verdicts)} device counts")


def check_learned(rates: Sequence[float], *, full: bool) -> Check:
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
        *(check_same_bits(what, runs) for what in runs[0].used),
        check_weights_agree(runs),
        check_none_shared(runs),
        check_mistake_found(mistaken),
        check_learned([run.accuracy for run in runs], full=full),
    ]
