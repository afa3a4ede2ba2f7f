"""Data-parallel training on n devices, and the evidence of what each device used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import keystream as ks
from keystream.cli._digits import (
    BATCH,
    STEPS,
    Digits,
    Drawn,
    Params,
    accuracy,
    draw,
    initial,
    loss,
)

RATE = 0.1
MOMENTUM = 0.9

Keying = Callable[[Any, jax.Array], jax.Array]


def by_example(_step: Any, ids: jax.Array) -> jax.Array:
    """Key noise and masks by the example's index in the data set: right on any devices."""
    return ids


def by_place(step: Any, ids: jax.Array) -> jax.Array:
    """Key them by the place in the device's part of the batch: the mistake.

    Every device has the same key and counts from 0, so all devices draw the same.
    """
    return step * ids.size + jnp.arange(ids.size, dtype=ids.dtype)


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


def compiled_epoch(digits: Digits, mesh: jax.sharding.Mesh, keying: Keying) -> Any:
    """Return `epoch(key, state, number)`: one pass over the examples, on all of the mesh.

    The key is replicated: `vary=()`. That is right for the shuffle, which all devices must
    agree on, and right for noise and masks as long as `keying` tells examples apart.
    """

    def epoch(key: jax.Array, state: tuple[Params, Params], number: jax.Array) -> Any:
        order = jax.random.permutation(ks.derive(key, "shuffle", number), digits.train)
        mine = order.reshape(STEPS, mesh.size, -1)[:, lax.axis_index("data")]

        def step(state: tuple[Params, Params], item: Any) -> Any:
            params, velocity = state
            index, ids = item
            drawn = draw(key, number, keying(index, ids))

            def global_loss(params: Params) -> jax.Array:
                images, labels = jnp.asarray(digits.images)[ids], jnp.asarray(digits.labels)[ids]
                return lax.pmean(loss(params, images, labels, drawn), "data")

            value, slope = jax.value_and_grad(global_loss)(params)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, slope)
            params = jax.tree.map(lambda p, v: p - RATE * v, params, velocity)
            return (params, velocity), (value, drawn)

        numbers = jnp.arange(STEPS, dtype=jnp.int32)
        state, (losses, drawn) = lax.scan(step, state, (numbers, mine))
        return state, losses, mine, drawn

    rows = jax.P(None, "data")
    return jax.jit(
        ks.shard_map(
            epoch,
            mesh=mesh,
            in_specs=(jax.P(), jax.P()),
            out_specs=(jax.P(), jax.P(), rows, rows),
            vary=(),
        )
    )


def train(
    key: jax.Array,
    digits: Digits,
    *,
    devices: int,
    epochs: int,
    keying: Keying = by_example,
    tick: Callable[[], Any] = lambda: None,
) -> Run:
    """Train on the first `devices` devices, calling `tick` after each epoch."""
    mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
    begin = jax.jit(ks.shard_map(initial, mesh=mesh, in_specs=(), out_specs=jax.P(), vary=()))
    params = begin(ks.derive(key, "params"))
    evidence = Evidence(params)
    epoch = compiled_epoch(digits, mesh, keying)
    state = (params, jax.tree.map(jnp.zeros_like, params))
    losses = []
    for number in range(epochs):
        state, curve, ids, drawn = epoch(key, state, np.int32(number))
        losses.append(np.asarray(curve))
        evidence.add(ids, drawn)
        tick()
    return Run(
        devices=devices,
        losses=np.concatenate(losses),
        accuracy=accuracy(state[0], digits),
        weights=jax.tree.map(np.asarray, state[0]),
        used=evidence.used(),
        rows=epochs * STEPS * BATCH,
        shared=evidence.shared,
        tiles=evidence.tiles,
    )


class Evidence:
    """Gathers what the sharded steps hand out: not what they should have used, what they did."""

    def __init__(self, params: Params) -> None:
        """Begin with every device's copy of the initial parameters."""
        copies: dict[Any, Any] = {}
        for leaf in jax.tree.leaves(params):
            for shard in leaf.addressable_shards:
                digest = copies.setdefault(shard.device, hashlib.sha256())
                digest.update(np.asarray(shard.data).tobytes())
        self._initial = frozenset(digest.hexdigest() for digest in copies.values())
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


def shared_rows(parts: Iterable[np.ndarray]) -> int:
    """Count the different rows that occur in more than one part."""
    owners: Counter[bytes] = Counter()
    for part in parts:
        owners.update({row.tobytes() for row in part})
    return sum(owner > 1 for owner in owners.values())
