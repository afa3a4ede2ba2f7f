"""optax: noisy transformations carry a key in their state."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

wrong, right = styled("optax", "optax")

GRADIENT = np.zeros(3, np.float32)


@wrong("KS13", lambda: (jnp.zeros(3),))
def two_noises_one_seed(gradient):
    """Two noisy transformations with the same seed add the same noise."""
    import optax

    noises = [optax.add_noise(0.1, 0.5, key=0) for _ in range(2)]
    return [noise.update(gradient, noise.init(gradient))[0] for noise in noises]


@right(lambda: (jnp.zeros(3),))
def two_noises_two_seeds(gradient):
    """Two noisy transformations with a seed each."""
    import optax

    noises = [optax.add_noise(0.1, 0.5, key=seed) for seed in (1, 2)]
    return [noise.update(gradient, noise.init(gradient))[0] for noise in noises]


def noisy(key: Any) -> Any:
    """Return a transformation whose noise doesn't shrink from step to step."""
    import optax

    return optax.add_noise(0.1, 0.0, key=key)


@wrong("KS07", one_key)
def state_not_carried(key):
    """The loop updates with the first state in each step: the noise is always the first."""
    noise = noisy(key)
    start = noise.init(GRADIENT)

    def step(params, _):
        update, _ = noise.update(GRADIENT, start)
        return params - update, update

    return lax.scan(step, GRADIENT, length=3)[1]


@right(one_key)
def state_carried(key):
    """The loop carries the state, and with it the key."""
    noise = noisy(key)

    def step(carry, _):
        params, state = carry
        update, state = noise.update(GRADIENT, state)
        return (params - update, state), update

    return lax.scan(step, (GRADIENT, noise.init(GRADIENT)), length=3)[1]


@wrong("KS02", one_key, shows=None)
def weights_and_noise(key):
    """The weights come from the key that the transformation splits step by step."""
    weights = random.normal(key, (3,))
    noise = noisy(key)
    return weights - noise.update(GRADIENT, noise.init(weights))[0]


@right(one_key)
def weights_and_noise_apart(key):
    """Weights and transformation have a key each."""
    first, second = random.split(key)
    weights = random.normal(first, (3,))
    noise = noisy(second)
    return weights, noise.update(GRADIENT, noise.init(weights))[0]


@wrong("KS03", one_key)
def two_optimizers_one_key(key):
    """Actor and critic have an optimizer each, with the same key."""
    updates = [noisy(key).update(GRADIENT, noisy(key).init(GRADIENT))[0] for _ in range(2)]
    return dict(zip(("actor", "critic"), updates, strict=True))
