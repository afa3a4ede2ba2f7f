"""Python loops that come back to a line: with a key derived anew each time, and with one key."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

import keystream as ks
from tests.audit.corpus.program import styled

wrong, right = styled("derived anew")

STEPS = 3
"""Of an epoch."""


@jax.jit
def noise(key):
    """Draw three numbers."""
    return random.normal(key, (3,))


@jax.jit
def train_step(weights, key, rows):
    """Take a step on some rows, with noise."""
    return weights + rows.mean() * random.normal(key, (3,))


@right(lambda: (), shows=None, mode="run")
def order_of_the_epoch_in_each_step():
    """Each step derives the order of its epoch anew, takes its part, and has its own noise."""
    weights = jnp.zeros(3)
    for step in range(2 * STEPS):
        epoch, part = divmod(step, STEPS)
        order = np.asarray(random.permutation(ks.derive(ks.key(7), "order", epoch), 12))
        rows = jnp.asarray(order[part * 4 : part * 4 + 4])
        weights = train_step(weights, ks.derive(ks.key(7), "noise", step), rows)
    return weights


@right(shows=None, mode="run")
def order_of_the_epoch_by_fold_in(key):
    """Each step folds the number of its epoch into the key of the orders, for the same order."""
    orders, steps = random.split(key)
    weights = jnp.zeros(3)
    for step in range(2 * STEPS):
        order = random.permutation(random.fold_in(orders, step // STEPS), 12)
        weights = train_step(weights, random.fold_in(steps, step), order[:4])
    return weights


@wrong("KS07", mode="run")
def one_key_for_all_epochs(key):
    """A key is derived before the epochs, and each of them draws from it."""
    use = ks.derive(key, "noise")
    return [noise(use) for _ in range(3)]


@right(lambda: (), shows=None, mode="run")
def noise_of_an_evaluation():
    """Each evaluation begins with the same seed, so that epochs can be compared."""

    def evaluate(weights):
        first, second = random.split(random.key(42))
        return weights + noise(first) * noise(second)

    return [evaluate(weights) for weights in jnp.arange(9.0).reshape(3, 3)]


@right(lambda: (), shows=None, mode="run")
def noise_of_a_compiled_evaluation():
    """A compiled evaluation makes its key of a seed in its own code."""
    evaluate = jax.jit(lambda weights: weights + random.normal(random.key(42), (3,)))
    return [evaluate(weights) for weights in jnp.arange(9.0).reshape(3, 3)]


@wrong("KS07", mode="run")
def noise_of_training(key):
    """A step of the training is handed the same key in each turn, and splits it anew."""
    step = jax.jit(lambda key: random.normal(random.split(key)[1], (3,)))
    return [step(key) for _ in range(3)]


@wrong("KS08", mode="run")
def key_folded_behind_the_call(key):
    """A step is handed the same key in each turn, and folds a constant in, as flax does."""
    step = jax.jit(lambda key: random.normal(random.fold_in(key, 1), (3,)))
    return [step(key) for _ in range(3)]


@right(mode="run")
def key_of_each_turn(key):
    """A step is handed another key in each turn, and folds a constant in."""
    step = jax.jit(lambda key: random.normal(random.fold_in(key, 1), (3,)))
    return [step(use) for use in random.split(key, 3)]


@wrong("KS07", mode="run")
def derived_anew_and_used_twice(key):
    """Each epoch derives its key anew, and uses it twice."""
    draws = []
    for _ in range(2):
        use = ks.derive(key, "noise")
        draws += [noise(use) for _ in range(2)]
    return draws


@wrong("KS13", lambda: (np.array([7, 8, 7]),), mode="run")
def compiled_seeds_of_workers(seeds):
    """Workers are started with seeds out of a table, in which one comes twice."""
    start = jax.jit(lambda seed: random.normal(random.key(seed), (3,)))
    return [start(seed) for seed in seeds]
