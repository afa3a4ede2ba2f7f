"""Lanes that are filled up to a round number, and what they draw."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import random

import keystream as ks
from tests.audit.corpus.program import styled

wrong, right = styled("padding")


def padded(keys, lanes):
    """Fill keys up to so many lanes by the first ones."""
    return jnp.concatenate([keys, keys[: lanes - len(keys)]])


@right()
def padded_lanes_dropped(key):
    """Twenty items are filled up to twenty-four lanes, of which the last four are dropped."""
    keys = padded(random.split(key, 20), 24)
    return jax.vmap(random.normal)(keys)[:20]


@wrong("KS01")
def padded_lanes_kept(key):
    """Twenty items are filled up to twenty-four lanes, and all of them are kept."""
    keys = padded(random.split(key, 20), 24)
    return jax.vmap(random.normal)(keys)


@right()
def padded_lanes_computed_with(key):
    """What padded lanes draw is computed with lane by lane, and dropped in the end."""
    keys = padded(random.split(key, 6), 8)

    def lane(key, x):
        return jnp.tanh(x * random.normal(key, (3,))).sum()

    first = jax.jit(jax.vmap(lane))(keys, jnp.ones(8))
    return (2.0 * first)[:6]


@wrong("KS01")
def padded_lanes_cut_too_late(key):
    """Six items are filled up to eight lanes, and one lane too many is kept."""
    return jax.vmap(random.normal)(padded(random.split(key, 6), 8))[:7]


@wrong("KS01", shows=None)
def padded_lanes_in_the_mean(key):
    """Padded lanes are dropped from the result, but not from the mean over all lanes."""
    draws = jax.vmap(random.normal)(padded(random.split(key, 6), 8))
    return draws[:6] - draws.mean()


@right()
def padded_by_the_last(key):
    """Six items are filled up by the last one, and what it draws again is dropped."""
    keys = random.split(key, 6)
    keys = jnp.concatenate([keys, jnp.broadcast_to(keys[-1], (2,))])
    return jax.vmap(random.normal)(keys)[:6]


@right()
def a_key_for_each_lane(key):
    """There is a key for each lane, for those that pad, too."""
    return jax.vmap(random.normal)(ks.keys(key, 8))[:6]


@wrong("KS01")
def lanes_by_ids(key):
    """Lanes take their keys by the numbers of their items, of which one comes twice."""
    keys = jax.vmap(lambda item: random.fold_in(key, item))(jnp.asarray([2, 0, 2]))
    return jax.vmap(random.normal)(keys)
