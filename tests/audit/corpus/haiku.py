"""haiku: transformed functions split their key at each `next_rng_key`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_legacy, styled

wrong, right = styled("haiku", "haiku")


def noise() -> Any:
    """Return a transformed function of no arguments that draws."""
    import haiku as hk

    return hk.transform(lambda: random.normal(hk.next_rng_key(), (3,)))


@wrong("KS03", one_legacy)
def applied_twice(rng):
    """The transformed function is applied twice with one key."""
    return noise().apply({}, rng), noise().apply({}, rng)


@right(one_legacy)
def applied_with_sequence(rng):
    """A `PRNGSequence` gives each application a key."""
    import haiku as hk

    keys = hk.PRNGSequence(rng)
    return noise().apply({}, next(keys)), noise().apply({}, next(keys))


@wrong("KS01", one_legacy)
def one_key_for_two_dropouts(rng):
    """Inside, one key goes to two dropouts."""
    import haiku as hk

    def forward(x):
        key = hk.next_rng_key()
        return hk.dropout(key, 0.5, x), hk.dropout(key, 0.5, x)

    return hk.transform(forward).apply({}, rng, jnp.linspace(1.0, 2.0, 64))


@right(one_legacy, shows=lambda result: bool(((result[0] == 0) != (result[1] == 0)).any()))
def two_keys_for_two_dropouts(rng):
    """Inside, each dropout asks for its key."""
    import haiku as hk

    def forward(x):
        return [hk.dropout(hk.next_rng_key(), 0.5, x) for _ in range(2)]

    return hk.transform(forward).apply({}, rng, jnp.linspace(1.0, 2.0, 64))


@wrong("KS07", one_legacy)
def applied_in_a_loop(rng):
    """Each step applies the function with the key outside."""
    step = lambda carry, _: (carry, noise().apply({}, rng))
    return lax.scan(step, 0, length=3)[1]


@right(one_legacy)
def applied_in_a_loop_over_keys(rng):
    """Each step has a row of a split."""
    step = lambda carry, key: (carry, noise().apply({}, key))
    return lax.scan(step, 0, random.split(rng, 3))[1]


def linear(x):
    """Apply one layer."""
    import haiku as hk

    return hk.Linear(3)(x)


@wrong("KS02", one_legacy, shows=None)
def init_key_drawn_from(rng):
    """The data come from the key that `init` splits."""
    import haiku as hk

    x = random.normal(rng, (4, 2))
    return x, hk.transform(linear).init(rng, x)


@right(one_legacy, shows=None)
def init_and_data(rng):
    """Data and weights have a key each."""
    import haiku as hk

    data, weights = random.split(rng)
    x = random.normal(data, (4, 2))
    return hk.transform(linear).init(weights, x)
