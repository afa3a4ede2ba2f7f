"""Reinforcement learning: environments, policies and rollouts."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("rl")


class State(NamedTuple):
    """A point on a line, and how often it has moved."""

    position: jax.Array
    time: jax.Array


def reset(key: jax.Array) -> State:
    return State(random.normal(key), jnp.zeros((), int))


def step(key: jax.Array, state: State, action: jax.Array) -> State:
    return State(state.position + action + random.normal(key), state.time + 1)


def act(key: jax.Array, state: State) -> jax.Array:
    return jnp.tanh(state.position) + random.normal(key)


@wrong("KS01")
def action_and_wind(key):
    """The policy's exploration and the environment's wind are the same number."""
    first, key = random.split(key)
    state = reset(first)
    action = act(key, state)
    return action - jnp.tanh(state.position), step(key, state, 0.0).position - state.position


@right()
def action_and_wind_apart(key):
    """Reset, policy and environment have a key each."""
    first, explore, wind = random.split(key, 3)
    state = reset(first)
    return step(wind, state, act(explore, state)).position, state.position


@wrong("KS07", one_legacy)
def rollout_forgets_rng(rng):
    """The rollout splits in each step and carries the old key on."""
    first, rng = random.split(rng)

    def turn(carry, _):
        rng, state = carry
        explore, wind, _ = random.split(rng, 3)
        state = State(jnp.zeros(()), state.time)
        return (rng, state), (act(explore, state), step(wind, state, 0.0).position)

    return lax.scan(turn, (rng, reset(first)), length=3)[1]


@right(one_legacy)
def rollout(rng):
    """The rollout splits in each step and carries a child on."""
    first, rng = random.split(rng)

    def turn(carry, _):
        rng, state = carry
        explore, wind, rng = random.split(rng, 3)
        action = act(explore, state)
        state = step(wind, state, action)
        return (rng, state), (action, state.position)

    return lax.scan(turn, (rng, reset(first)), length=3)[1]


@wrong("KS01", shows=None)
def reset_by_the_steps_key(key):
    """An environment that resets itself draws its new start from the key of the step."""
    first, use = random.split(key)
    before = reset(first)
    after = step(use, before, 0.1)
    return jax.tree.map(lambda a, b: jnp.where(after.time > 9, a, b), reset(use), after)


@right(shows=None)
def reset_by_its_own_key(key):
    """An environment that resets itself splits a key off for the new start."""
    first, use, again = random.split(key, 3)
    before = reset(first)
    after = step(use, before, 0.1)
    return jax.tree.map(lambda a, b: jnp.where(after.time > 9, a, b), reset(again), after)


@wrong("KS11", shows=None)
def environments_of_one_key(key):
    """Four environments are stepped in lanes, with one wind for all of them."""
    first, wind = random.split(key)
    states = jax.vmap(reset)(random.split(first, 4))
    return jax.vmap(step, in_axes=(None, 0, None))(wind, states, 0.5)


@right()
def environments_of_their_own(key):
    """Four environments are reset and stepped in lanes, with a key each."""
    first, wind = random.split(key)
    states = jax.vmap(reset)(random.split(first, 4))
    after = jax.vmap(step, in_axes=(0, 0, None))(random.split(wind, 4), states, 0.5)
    return states.position, after.position


@wrong("KS01", shows=None)
def greedy_coin_and_action(key):
    """The coin of an epsilon-greedy policy and its random action come from one key."""
    coin, best = random.uniform(key), 1
    return jnp.where(coin < 0.9, random.randint(key, (), 0, 4), best)


@right(shows=None)
def greedy_coin_and_action_apart(key):
    """Coin and action of an epsilon-greedy policy have a key each."""
    toss, choose = random.split(key)
    return jnp.where(random.uniform(toss) < 0.9, random.randint(choose, (), 0, 4), 1)


@wrong("KS07", shows=None)
def replay_samples_alike(key):
    """Each update samples the same rows of the replay buffer."""
    buffer = jnp.arange(16.0)

    def update(total, _):
        rows = random.randint(key, (4,), 0, 16)
        return total + buffer[rows].sum(), rows

    return lax.scan(update, 0.0, length=3)[1]


@right(shows=None)
def replay_samples(key):
    """Each update samples rows with a fold of its number."""
    buffer = jnp.arange(16.0)

    def update(total, i):
        rows = random.randint(random.fold_in(key, i), (4,), 0, 16)
        return total + buffer[rows].sum(), rows

    return lax.scan(update, 0.0, jnp.arange(3))[1]


@wrong("KS10", one_key, shows=None)
def state_with_used_key(key):
    """The state of the environment keeps the key that its start was drawn from."""
    return {"position": random.normal(key), "key": key}


@right(one_key)
def state_with_new_key(key):
    """The state of the environment keeps the other child."""
    use, key = random.split(key)
    return {"position": random.normal(use, (2,)), "key": key}
