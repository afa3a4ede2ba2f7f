"""Keys under vmap. One key for all lanes is a warning: it may be meant."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import random

from tests.audit.corpus.program import key_and_batch, styled

wrong, right = styled("lanes")


@wrong("KS11", key_and_batch, shows=lambda result: bool((result[0] == result[1]).all()))
def closed_key_in_lanes(key, batch):
    """Each example adds noise from a key outside of the vmap: the same to all."""
    return jax.vmap(lambda x: random.normal(key, x.shape) * jnp.sign(x))(batch)


@wrong("KS11", key_and_batch, shows=lambda result: bool((result[0] == result[1]).all()))
def unmapped_key_argument(key, batch):
    """`in_axes=None` for the key gives all lanes the same mask."""

    def dropout(key, x):
        return random.bernoulli(key, 0.5, x.shape) & (x > 0)

    return jax.vmap(dropout, in_axes=(None, 0))(key, batch)


@right(key_and_batch)
def key_for_each_lane(key, batch):
    """The keys are split for the lanes and mapped over."""
    keys = random.split(key, len(batch))
    return jax.vmap(lambda key, x: random.normal(key, x.shape) * jnp.sign(x))(keys, batch)


@right(key_and_batch)
def lane_number_folded(key, batch):
    """Each lane folds its number into the key."""

    def noise(i, x):
        return random.normal(random.fold_in(key, i), x.shape)

    return jax.vmap(noise)(jnp.arange(len(batch)), batch)


@right(key_and_batch)
def noise_of_the_whole_batch(key, batch):
    """One draw in the shape of the batch needs one key, and no vmap over keys."""
    noise = random.normal(key, batch.shape)
    return jax.vmap(jnp.multiply)(noise, jnp.sign(batch))


@right(key_and_batch, shows=None)
def shared_initialiser(key, batch):
    """Weights are drawn inside the vmap and come out as they are: shared on purpose."""

    def init_and_apply(x):
        weights = random.normal(key, (2,))
        return weights, x @ weights

    return jax.vmap(init_and_apply, out_axes=(None, 0))(batch)


@wrong("KS01")
def lanes_drawn_twice(key):
    """Two vmaps run over the same keys."""
    keys = random.split(key, 3)
    first = jax.vmap(lambda key: random.normal(key, (2,)))(keys)
    return first, jax.vmap(lambda key: random.normal(key, (2,)))(keys)


@wrong("KS01")
def one_lane_again(key):
    """The key of one lane is also drawn from outside of the vmap."""
    keys = random.split(key, 3)
    return jax.vmap(random.normal)(keys), random.normal(keys[1])


@right()
def keys_by_rows_and_columns(key):
    """Two levels of vmap over a matrix of keys."""
    return jax.vmap(jax.vmap(random.normal))(random.split(key, (2, 3)))


@wrong("KS01")
def keys_repeated(key):
    """`repeat` gives each key to two lanes."""
    keys = jnp.repeat(random.split(key, 2), 2)
    return jax.vmap(random.normal)(keys)


@right()
def keys_concatenated(key):
    """Keys of two splits of two keys, put into one array."""
    first, second = random.split(key)
    keys = jnp.concatenate([random.split(first, 2), random.split(second, 2)])
    return jax.vmap(random.normal)(keys)
