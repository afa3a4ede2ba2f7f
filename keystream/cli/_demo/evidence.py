"""What a training run came to, and what its devices really used on the way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from keystream.cli._demo.digits import Drawn, Params


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
