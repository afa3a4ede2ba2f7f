"""Data-parallel training on n devices, and the evidence of what each device used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

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

State = tuple[Params, Params]
"""The parameters and their velocity."""


class Program(NamedTuple):
    """Training on a number of devices, compiled once for every run."""

    devices: int
    begin: Any
    """`begin(key)` makes the initial parameters, on every device its own copy."""
    epoch: Any
    """`epoch(key, state, number, by_place)` is one pass over the examples."""


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


def compiled(digits: Digits, devices: int) -> Program:
    """Compile training for the first `devices` devices.

    The key is replicated: `vary=()`. That is right for the parameters and the shuffle, on
    which all devices must agree, and right for noise and masks if they are keyed by example.
    """
    mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
    shared, rows = jax.P(), jax.P(None, "data")

    def epoch(key: jax.Array, state: State, number: jax.Array, by_place: jax.Array) -> Any:
        order = jax.random.permutation(ks.derive(key, "shuffle", number), digits.train)
        mine = order.reshape(STEPS, devices, -1)[:, lax.axis_index("data")]

        def step(state: State, item: tuple[jax.Array, jax.Array]) -> Any:
            index, ids = item
            drawn = draw(key, number, lax.select(by_place, places(index, ids), ids))
            images, labels = jnp.asarray(digits.images)[ids], jnp.asarray(digits.labels)[ids]
            state, value = descend(
                lambda params: lax.pmean(loss(params, images, labels, drawn), "data"), state
            )
            return state, (value, drawn)

        numbers = jnp.arange(STEPS, dtype=jnp.int32)
        state, (losses, drawn) = lax.scan(step, state, (numbers, mine))
        return state, losses, mine, drawn

    begin = ks.shard_map(initial, mesh=mesh, in_specs=(), out_specs=shared, vary=())
    passed = ks.shard_map(
        epoch,
        mesh=mesh,
        in_specs=(shared, shared, shared),
        out_specs=(shared, shared, rows, rows),
        vary=(),
    )
    return Program(devices, jax.jit(begin), jax.jit(passed))


def places(index: jax.Array, ids: jax.Array) -> jax.Array:
    """Number the examples by their place in the device's part of the batch: the mistake.

    Every device holds the same key and counts from 0, so all of them draw the same.
    """
    counted = index * ids.size + jnp.arange(ids.size, dtype=ids.dtype)
    placed: jax.Array = lax.pcast(counted, "data", to="varying")
    return placed


def descend(objective: Callable[[Params], jax.Array], state: State) -> tuple[State, jax.Array]:
    """Take one step of gradient descent with momentum."""
    params, velocity = state
    value, slope = jax.value_and_grad(objective)(params)
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, slope)
    params = jax.tree.map(lambda p, v: p - RATE * v, params, velocity)
    return (params, velocity), value


def train(
    program: Program,
    key: jax.Array,
    digits: Digits,
    *,
    epochs: int,
    by_place: bool = False,
    tick: Callable[[], Any] = lambda: None,
) -> Run:
    """Run a program, calling `tick` after each epoch; `by_place` makes the mistake."""
    params = program.begin(ks.derive(key, "params"))
    evidence = Evidence(params)
    state = (params, jax.tree.map(jnp.zeros_like, params))
    losses = []
    for number in range(epochs):
        state, curve, ids, drawn = program.epoch(key, state, np.int32(number), np.bool_(by_place))
        losses.append(np.asarray(curve))
        evidence.add(ids, drawn)
        tick()
    weights = jax.device_get(state[0])
    return Run(
        devices=program.devices,
        losses=np.concatenate(losses),
        accuracy=accuracy(weights, digits),
        weights=weights,
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
