"""List the samplers to measure, each as a function of one key, by how many numbers it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import keystream as ks

CLASSES = 16
"""Of a categorical draw; it takes as many numbers for each of its results."""

Program = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function, and the arguments to call it with."""


def program(name: str, size: int) -> Program:
    """Return the function that draws `size` numbers, and its arguments."""
    if name == LANES:
        # The keys are given: making them is a split, which has a row of its own.
        return jax.vmap(jax.random.normal), (jax.random.split(ks.key(42), size),)
    return lambda key: SAMPLERS[name](key, size), (ks.key(42),)


LANES = "vmap(normal)(keys)"
SAMPLERS: dict[str, Callable[[jax.Array, int], Any]] = {
    "bits": lambda key, n: jax.random.bits(key, (n,)),
    "uniform": lambda key, n: jax.random.uniform(key, (n,)),
    "normal": lambda key, n: jax.random.normal(key, (n,)),
    "bernoulli": lambda key, n: jax.random.bernoulli(key, 0.3, (n,)),
    "split": jax.random.split,
    "randint": lambda key, n: jax.random.randint(key, (n,), 0, 1000),
    "gumbel": lambda key, n: jax.random.gumbel(key, (n,)),
    "exponential": lambda key, n: jax.random.exponential(key, (n,)),
    "categorical": lambda key, n: jax.random.categorical(
        key, jnp.zeros(CLASSES), shape=(-(-n // CLASSES),)
    ),
    "permutation": jax.random.permutation,
    "gamma": lambda key, n: jax.random.gamma(key, 2.5, (n,)),
}
NAMES = (*SAMPLERS, LANES)

MANY, MOST = 10**6, 2**24
SIZES = (1, 10, 100, 10**3, 10**4, 10**5, MANY, MOST)
QUICK_SIZES = (10**3, 10**4)
