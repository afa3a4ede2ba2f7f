"""Train one step at a time, from a state that can be saved and resumed."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding

import keystream as ks
from keystream.cli._demo.digits import BATCH, STEPS, Digits, Drawn, Params, draw, initial
from keystream.cli._demo.training import at_rest, learn

NAMES = ("shuffle", "step")
"""The streams of a run: one key for each epoch's shuffle, one for each step."""


class State(NamedTuple):
    """All that training goes on from. What isn't in a checkpoint is lost."""

    step: int
    """How many steps are done."""
    params: Params
    velocity: Params
    streams: ks.Streams
    shuffle: jax.Array
    """The key of the epoch that is under way, which its stream has already given."""


class Used(NamedTuple):
    """What one step came to, and what its devices really used for it."""

    loss: float
    ids: jax.Array
    """(BATCH,) int32, the examples, laid out over the devices."""
    drawn: Drawn
    """A row for each of them, laid out the same."""


class Program(NamedTuple):
    """Training on every device there is, of every process, a step at a time."""

    digits: Digits
    mesh: jax.sharding.Mesh
    initial: Any
    """`initial(key)` makes the parameters, on every device its own copy."""
    step: Any
    """`step(key, (params, velocity), batch)` trains on one batch of example ids."""


def compile_step(digits: Digits) -> Program:
    """Compile a step for all devices; the key is replicated, noise and masks are by example."""
    devices = jax.device_count()
    mesh = jax.make_mesh((devices,), ("data",))
    shared, rows = jax.P(), jax.P("data")

    def step(key: jax.Array, state: Any, batch: jax.Array) -> Any:
        ids = batch.reshape(devices, -1)[lax.axis_index("data")]
        drawn = draw(key, ids)
        state, loss = learn(digits, state, ids, drawn)
        return state, loss, ids, drawn

    made = ks.shard_map(initial, mesh=mesh, in_specs=(), out_specs=shared, vary=())
    stepped = ks.shard_map(
        step,
        mesh=mesh,
        in_specs=(shared, shared),
        out_specs=(shared, shared, rows, rows),
        vary=(),
    )
    return Program(digits, mesh, jax.jit(made), jax.jit(stepped))


def copy_to_devices(program: Program, key: jax.Array) -> jax.Array:
    """Return a key as the devices of all processes get it, each from its own process."""
    copy = ks.shard_map(lambda key: key, mesh=program.mesh, in_specs=(), out_specs=jax.P(), vary=())
    held: jax.Array = jax.jit(copy)(key)
    return held


def begin(program: Program, key: jax.Array) -> State:
    """Return the state before the first step."""
    params, velocity = at_rest(program.initial(ks.derive(key, "params")))
    shuffle, streams = ks.Streams(key, NAMES).next("shuffle")
    return State(0, params, velocity, streams, shuffle)


def place_state(program: Program, state: State) -> State:
    """Return a state that was read from a file, its parameters on every device."""
    everywhere = NamedSharding(program.mesh, jax.P())
    params, velocity = jax.device_put((state.params, state.velocity), everywhere)
    return state._replace(params=params, velocity=velocity)


def advance(program: Program, state: State) -> tuple[State, Used]:
    """Take one step: the streams say with which key, and come back one position further."""
    turn = state.step % STEPS
    order = np.asarray(jax.random.permutation(state.shuffle, program.digits.train))
    batch = order[turn * BATCH : (turn + 1) * BATCH]
    key, streams = state.streams.next("step")
    (params, velocity), loss, ids, drawn = program.step(key, (state.params, state.velocity), batch)
    shuffle = state.shuffle
    if turn == STEPS - 1:
        shuffle, streams = streams.next("shuffle")
    after = State(state.step + 1, params, velocity, streams, shuffle)
    return after, Used(float(loss), ids, drawn)
