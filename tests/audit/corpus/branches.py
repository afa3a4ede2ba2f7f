"""Keys in cond and switch, where one branch excludes the others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

wrong, right = styled("branches")


def key_and_flag():
    """Return one key and what decides."""
    return *one_key(), jnp.asarray(True)


@right(key_and_flag)
def both_branches_draw(key, flag):
    """Two branches draw from one key, and only one of them runs."""
    return lax.cond(flag, lambda: random.normal(key, (3,)), lambda: random.uniform(key, (3,)))


@wrong("KS01", key_and_flag)
def branch_and_after(key, flag):
    """A branch draws from the key, and so does the line behind it."""
    inside = lax.cond(flag, lambda: random.normal(key, (3,)), lambda: jnp.zeros(3))
    return inside, random.normal(key, (3,))


@right(key_and_flag)
def branch_and_after_apart(key, flag):
    """A branch draws from one child and the line behind it from the other."""
    first, second = random.split(key)
    inside = lax.cond(flag, lambda: random.normal(first, (3,)), lambda: jnp.zeros(3))
    return inside, random.normal(second, (3,))


@wrong("KS01", shows=lambda result: bool(result == 0.0))
def coin_and_branch(key):
    """The coin and the uniform number of its branch are one number, which is always small."""
    coin = random.uniform(key)
    return lax.cond(
        coin < 0.5,
        lambda: jnp.where(random.uniform(key) < 0.5, 0.0, 1.0),
        lambda: jnp.where(random.uniform(key) < 0.5, 1.0, 0.0),
    )


@right(shows=None)
def coin_and_branch_apart(key):
    """The coin has a key of its own; the branches share the other."""
    toss, use = random.split(key)
    coin = random.uniform(toss)
    return lax.cond(coin < 0.5, lambda: random.normal(use), lambda: -random.uniform(use))


@wrong("KS02", key_and_flag, shows=None)
def branch_draws_then_split(key, flag):
    """One branch draws from the key that is split behind it."""
    start = lax.cond(flag, lambda: random.normal(key), lambda: 0.0)
    _, use = random.split(key)
    return start, random.normal(use)


@right(lambda: (*one_key(), 1))
def switch_of_samplers(key, index):
    """One of three samplers runs, each with the key."""
    samplers = [random.normal, random.uniform, random.cauchy]
    return lax.switch(index, [lambda key, s=s: s(key, (3,)) for s in samplers], key)


@wrong("KS07", lambda: (*one_key(), jnp.array([1, 1, 1])))
def switch_in_a_loop(key, which):
    """Each step chooses a sampler, and all of them draw from the key outside of the loop."""

    def step(carry, index):
        return carry, lax.switch(index, [random.uniform, random.normal], key)

    return lax.scan(step, 0, which)[1]


@right(lambda: (*one_key(), jnp.array([True, False, True])))
def cond_in_lanes(key, flags):
    """Under vmap both branches run in each lane; what isn't chosen is thrown away."""

    def draw(key, flag):
        return lax.cond(flag, random.normal, random.uniform, key)

    return jax.vmap(draw)(random.split(key, 3), flags)


@right(key_and_flag)
def branch_returns_new_key(key, flag):
    """One branch uses a child and hands on the other, the other branch hands on the key."""

    def draw(key):
        key, use = random.split(key)
        return key, random.normal(use, (3,))

    key, first = lax.cond(flag, draw, lambda key: (key, jnp.zeros(3)), key)
    return first, random.normal(key, (3,))


@wrong("KS01", key_and_flag)
def branch_returns_used_key(key, flag):
    """One branch draws and hands on the key that it has drawn from."""

    def draw(key):
        return key, random.normal(key, (3,))

    key, first = lax.cond(flag, draw, lambda key: (key, jnp.zeros(3)), key)
    return first, random.normal(key, (3,))


@wrong("KS02", shows=None)
def condition_draws_from_the_carry(key):
    """The condition of a loop draws from the key that the body splits."""

    def lucky(state):
        key, turns = state
        return (random.uniform(key) < 0.9) & (turns < 4)

    def step(state):
        key, turns = state
        return random.split(key)[0], turns + 1

    return lax.while_loop(lucky, step, (key, 0))[1]
