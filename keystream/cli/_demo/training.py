"""Train data-parallel on n devices, with noise that is keyed by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import keystream as ks
from keystream import _compat
from keystream.cli._demo.checks import Evidence, Run
from keystream.cli._demo.digits import (
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
from keystream.cli._demo.options import MOST_DEVICES

RATE = 0.1
MOMENTUM = 0.9

State = tuple[Params, Params]
"""The parameters and their velocity."""


def simulate_devices(count: int = MOST_DEVICES) -> None:
    """Let the CPU count as several devices, wherever this runs; before JAX starts a backend."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)


class Program(NamedTuple):
    """Training on a number of devices, compiled once for every run."""

    devices: int
    begin: Any
    """`begin(key)` makes the initial parameters, on every device its own copy."""
    epoch: Any
    """`epoch(key, state, number, by_place)` is one pass over the examples."""


def compile_epoch(digits: Digits, devices: int) -> Program:
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
            state, value = learn(digits, state, ids, drawn)
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


def at_rest(params: Params) -> State:
    """Return the parameters with no velocity yet."""
    return params, jax.tree.map(jnp.zeros_like, params)


def places(index: jax.Array, ids: jax.Array) -> jax.Array:
    """Number the examples by their place in the device's part of the batch: the mistake.

    Every device holds the same key and counts from 0, so all of them draw the same.
    """
    counted = index * ids.size + jnp.arange(ids.size, dtype=ids.dtype)
    placed: jax.Array = _compat.vary(counted, "data")
    return placed


def learn(digits: Digits, state: State, ids: jax.Array, drawn: Drawn) -> tuple[State, jax.Array]:
    """Take one step on this device's examples, down the mean loss of all devices."""
    images, labels = jnp.asarray(digits.images)[ids], jnp.asarray(digits.labels)[ids]
    return descend(lambda params: lax.pmean(loss(params, images, labels, drawn), "data"), state)


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
    state = at_rest(params)
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
