"""Samplers that use their key in more than one way inside, which is their own affair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import random

from tests.audit.corpus.program import styled

wrong, right = styled("samplers")


@right(shows=None)
def poisson_once(key):
    """Poisson uses its key for two algorithms and selects between them."""
    return random.poisson(key, jnp.array([1.0, 20.0]))


@right(shows=None)
def binomial_once(key):
    """Binomial uses its key for two algorithms and selects between them."""
    return random.binomial(key, 10.0, jnp.array([0.1, 0.5]))


@wrong("KS01", shows=lambda result: bool((result[0] == result[1]).all()))
def poisson_twice(key):
    """Two draws of Poisson counts from one key."""
    return random.poisson(key, 20.0, (3,)), random.poisson(key, 20.0, (3,))


@right()
def gamma_twice_apart(key):
    """A sampler that rejects, each time with a key of its own."""
    first, second = random.split(key)
    return random.gamma(first, 2.5, (3,)), random.gamma(second, 2.5, (3,))


@wrong("KS01", shows=None)
def gamma_beside_normal(key):
    """Gamma splits its key inside, and a normal is drawn from that key itself."""
    return random.gamma(key, 2.5, (3,)), random.normal(key, (3,))


@wrong("KS01", shows=None)
def choice_beside_permutation(key):
    """A choice and a permutation both split the one key inside, and draw from the same child."""
    return random.choice(key, 16, (4,)), random.permutation(key, 16)


@right(shows=None)
def choice_and_permutation(key):
    """A choice and a permutation, each with a key of its own."""
    first, second = random.split(key)
    return random.choice(first, 16, (4,)), random.permutation(second, 16)


@right()
def many_samplers(key):
    """Nine samplers over the rows of one split."""
    keys = iter(random.split(key, 9))
    shape = (2,)
    return [
        random.uniform(next(keys), shape),
        random.normal(next(keys), shape),
        random.exponential(next(keys), shape),
        random.gumbel(next(keys), shape),
        random.laplace(next(keys), shape),
        random.logistic(next(keys), shape),
        random.cauchy(next(keys), shape),
        random.categorical(next(keys), jnp.zeros(3)),
        random.bernoulli(next(keys), 0.5, shape),
    ]


@right()
def orthogonal_in_lanes(key):
    """A sampler that works on whole matrices, in lanes with a key each."""
    return jax.vmap(lambda key: random.orthogonal(key, 2)[0, 0])(random.split(key, 3))
