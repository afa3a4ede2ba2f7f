"""numpyro: handlers split the key that they are given, distributions draw from theirs."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("numpyro", "numpyro")


def model():
    """Draw a mean and what is observed."""
    import numpyro
    from numpyro import distributions as dist

    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    return mean, numpyro.sample("seen", dist.Normal(mean, 1.0).expand([2]).to_event(1))


@wrong("KS01", one_legacy)
def two_distributions_one_key(rng):
    """Two distributions draw with one key: a location and a noise that are the same."""
    from numpyro import distributions as dist

    return dist.Normal(0.0, 1.0).sample(rng, (3,)), dist.Normal(0.0, 1.0).sample(rng, (3,))


@right(one_legacy)
def two_distributions_two_keys(rng):
    """Two distributions draw with a key each."""
    from numpyro import distributions as dist

    first, second = random.split(rng)
    return dist.Normal(0.0, 1.0).sample(first, (3,)), dist.Laplace().sample(second, (3,))


@wrong("KS03", one_key)
def seeded_twice(key):
    """Two runs of a model are seeded with one key: not two draws from the prior."""
    from numpyro.handlers import seed

    return seed(model, key)(), seed(model, key)()


@right(one_key)
def seeded_apart(key):
    """Two runs of a model are seeded with a key each."""
    from numpyro.handlers import seed

    return [seed(model, each)() for each in random.split(key)]


@wrong("KS02", one_key, shows=None)
def data_and_seed(key):
    """The data come from the key that seeds the model."""
    from numpyro.handlers import seed

    x = random.normal(key, (3,))
    return x, seed(model, key)()


@right(one_key)
def trace_in_a_loop(key):
    """Prior draws in a scan, each step with a row of a split."""
    from numpyro.handlers import seed

    return lax.scan(lambda x, key: (x, seed(model, key)()), 0, random.split(key, 3))[1]


@wrong("KS07", one_key)
def trace_in_a_loop_of_one_key(key):
    """Prior draws in a scan, all seeded with the key outside."""
    from numpyro.handlers import seed

    return lax.scan(lambda x, _: (x, seed(model, key)()), 0, jnp.arange(3))[1]
