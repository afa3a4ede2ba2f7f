"""Environments: gymnax."""

from __future__ import annotations

from typing import Any

import jax
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

_, program = styled("gymnax", "gymnax")


def rollout(name: str, key: jax.Array) -> Any:
    """Reset an environment and take four random steps, as gymnax's own documents do."""
    import gymnax

    with jax.ensure_compile_time_eval():  # some draw their map in Python when they are made
        env, params = gymnax.make(name)
    first, key = random.split(key)
    observed, state = env.reset(first, params)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        key, state = carry
        key, act, move = random.split(key, 3)
        action = env.action_space(params).sample(act)
        observed, state, reward, *_ = env.step(move, state, action, params)
        return (key, state), (observed, reward)

    return observed, lax.scan(step, (key, state), length=4)[1]


@program(one_key, shows=None)
def gymnax_cart_pole(key):
    """A cart with a pole."""
    return rollout("CartPole-v1", key)


@program(one_key, shows=None)
def gymnax_pendulum(key):
    """A pendulum."""
    return rollout("Pendulum-v1", key)


@program(one_key, shows=None)
def gymnax_breakout(key):
    """A small Breakout."""
    return rollout("Breakout-MinAtar", key)


@program(one_key, shows=None)
def gymnax_four_rooms(key):
    """Four rooms and a goal."""
    return rollout("FourRooms-misc", key)


@program(one_key, shows=None)
def gymnax_catch(key):
    """A falling ball to be caught."""
    return rollout("Catch-bsuite", key)


@program(one_key, shows=None)
def gymnax_lanes(key):
    """Four pendulums in lanes, with a key each."""
    return jax.vmap(lambda key: rollout("Pendulum-v1", key))(random.split(key, 4))
