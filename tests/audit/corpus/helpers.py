"""One helper that is called again with the key that it had: in a line, a loop, a comprehension."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import random

import keystream as ks
from tests.audit.corpus.program import styled

wrong, right = styled("helpers")


def price(strike: float, key: jax.Array) -> jax.Array:
    return strike + random.normal(key)


def layer(key: jax.Array) -> jax.Array:
    weights, bias = random.split(key)
    return jnp.append(random.normal(weights, (2,)), random.normal(bias))


def jitter(key: jax.Array, step: int) -> jax.Array:
    return random.normal(random.fold_in(key, step))


@wrong("KS01", shows=lambda result: abs(result[0] - result[1]) < 1e-6)
def prices_in_one_line(key):
    """Two prices of one line, minus their strikes, are one number."""
    return price(1.0, key) - 1.0, price(2.0, key) - 2.0


@right()
def prices_with_a_key_each(key):
    """Each price of the line has a key of its own."""
    first, second = ks.split(key)
    return price(1.0, first) - 1.0, price(2.0, second) - 2.0


@wrong("KS01")
def helper_in_a_loop(key):
    """A Python loop calls the helper with one key."""
    found = jnp.zeros(2)
    for place in range(2):
        found = found.at[place].set(price(0.0, key))
    return found


@right()
def helper_in_a_loop_with_keys(key):
    """A Python loop hands each call the next key."""
    found = jnp.zeros(2)
    for place, use in enumerate(ks.keys(key, 2)):
        found = found.at[place].set(price(0.0, use))
    return found


@wrong("KS01")
def helper_in_a_comprehension(key):
    """A comprehension calls the helper with one key."""
    return [price(0.0, key) for _ in range(2)]


@right()
def helper_in_a_comprehension_with_keys(key):
    """A comprehension has a key for each call."""
    return [price(0.0, use) for use in ks.keys(key, 2)]


@wrong("KS01")
def helper_over_a_tree(key):
    """`tree.map` calls the helper with one key for each leaf."""
    return jax.tree.map(lambda strike: price(strike, key), {"a": 0.0, "b": 0.0})


@right()
def helper_over_a_tree_of_keys(key):
    """`tree.map` has a key for each leaf, by its path."""
    strikes = {"a": 0.0, "b": 0.0}
    return jax.tree.map(price, strikes, ks.split_tree(key, strikes))


@wrong("KS03")
def one_layer_twice(key):
    """A helper that splits its key makes two layers that are one."""
    return layer(key), layer(key)


@right()
def two_layers(key):
    """The key is split where the helper is called."""
    first, second = ks.split(key)
    return layer(first), layer(second)


@wrong("KS05")
def one_step_in_two_lines(key):
    """Two lines call a helper that folds the same step."""
    before = jitter(key, 3)
    return before, jitter(key, 3)


@right()
def two_names_in_two_lines(key):
    """Each line has a name of its own below the key."""
    before = jitter(ks.derive(key, "before"), 3)
    return before, jitter(ks.derive(key, "after"), 3)
