"""Gradients accumulated over micro-batches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("accumulation")

BATCHES = np.linspace(1.0, 2.0, 24, dtype=np.float32).reshape(3, 4, 2)


def loss(weights: jax.Array, key: jax.Array, x: jax.Array) -> jax.Array:
    """Return the loss under input noise."""
    return ((x + random.normal(key, x.shape)) @ weights).sum()


GRADIENT = jax.grad(loss)
WEIGHTS = np.ones(2, np.float32)


@wrong("KS07", one_key)
def micro_batches_one_key(key):
    """All micro-batches of a step get the same noise; where they are zero it is all there is."""

    def add(total, x):
        gradient = GRADIENT(WEIGHTS, key, 0 * x)
        return total + gradient, gradient

    return lax.scan(add, jnp.zeros(2), BATCHES)[1]


@right(one_key)
def micro_batches_split(key):
    """The key of the step is split for its micro-batches."""

    def add(total, item):
        key, x = item
        gradient = GRADIENT(WEIGHTS, key, x)
        return total + gradient, gradient

    return lax.scan(add, jnp.zeros(2), (random.split(key, 3), BATCHES))[1]


@wrong("KS01", one_legacy)
def micro_batches_in_python(rng):
    """The same in a Python loop: a gradient for each batch of zeros is the same."""
    return [GRADIENT(WEIGHTS, rng, 0 * x) for x in BATCHES]


@right(one_legacy)
def micro_batches_in_python_folded(rng):
    """A Python loop that folds the number of the micro-batch."""
    return [GRADIENT(WEIGHTS, random.fold_in(rng, i), x) for i, x in enumerate(BATCHES)]


@wrong("KS07", one_key)
def step_key_not_advanced(key):
    """The training state carries its key from step to step as it was."""

    def step(state, x):
        key, weights = state
        micro = random.split(key, 2)
        gradients = [GRADIENT(WEIGHTS, each, 0 * x) for each in micro]
        return (key, weights - 0.01 * sum(gradients)), gradients

    return lax.scan(step, (key, WEIGHTS), BATCHES)[1]


@right(one_key)
def step_key_advanced(key):
    """The training state carries a third child on."""

    def step(state, x):
        key, weights = state
        key, *micro = random.split(key, 3)
        gradients = [GRADIENT(WEIGHTS, each, 0 * x) for each in micro]
        return (key, weights - 0.01 * sum(gradients)), gradients

    return lax.scan(step, (key, WEIGHTS), BATCHES)[1]


@wrong("KS05", one_key)
def micro_number_folded_alone(key):
    """Each step folds the micro-batch, and none the step: step 2 repeats step 1."""
    zeros = jnp.zeros((4, 2))
    return [GRADIENT(WEIGHTS, random.fold_in(key, i), zeros) for _ in range(2) for i in (0, 1)]


@right(one_key)
def step_and_micro_folded(key):
    """Step and micro-batch are folded, one after the other."""
    steps = [random.fold_in(key, step) for step in range(2)]
    zeros = jnp.zeros((4, 2))
    return [GRADIENT(WEIGHTS, random.fold_in(step, i), zeros) for step in steps for i in (0, 1)]
