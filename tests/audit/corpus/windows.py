"""Pieces of one draw: disjoint ones, which use a key up together, and ones that aren't."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

import keystream as ks
from tests.audit.corpus.program import styled

wrong, right = styled("windows")

SHAPE = 8, 4


def rows(key, first, shape=SHAPE):
    """Return a window of whole rows."""
    return ks.window(key, shape, (first, 0))


def same_row(result):
    """Is the last row of one draw the first row of the other?"""
    one, other = result
    return bool((one[-1] == other[0]).all())


def all_differ(result):
    """Does no number come twice?"""
    every = jnp.ravel(jnp.asarray(result))
    return len(set(every.tolist())) == every.size


# --- disjoint ---------------------------------------------------------------------------------


@right()
def pieces(key):
    """The four quarters of a draw, each made by itself."""
    return [random.normal(rows(key, i), (2, 4)) for i in range(0, 8, 2)]


@right(shows=all_differ)
def traced_pieces(key):
    """The quarters in a loop, where they begin is traced."""
    return lax.map(lambda i: random.bits(rows(key, i), (2, 4)), 2 * jnp.arange(4))


@right()
def lanes(key):
    """A quarter in each lane."""
    return jax.vmap(lambda i: random.normal(rows(key, i), (2, 4)))(2 * jnp.arange(4))


@right(shows=lambda result: bool((jnp.concatenate(result) != 0).any()))
def split_inside(key):
    """The sampler splits its key, into windows of the children."""
    return [random.randint(rows(key, i), (4, 4), 0, 9) for i in (0, 4)]


@right(shows=all_differ)
def shards(key):
    """A quarter on each device."""
    mesh = jax.make_mesh((4,), ("rows",), devices=jax.devices()[:4])

    def shard(key):
        return random.bits(rows(key, 2 * lax.axis_index("rows")), (2, 4))

    return jax.shard_map(shard, mesh=mesh, in_specs=jax.P(), out_specs=jax.P("rows"))(key)


# --- and not ----------------------------------------------------------------------------------


@wrong("KS01", shows=same_row)
def overlapping(key):
    """The first piece has a row too many, which is the next one's first."""
    return random.normal(rows(key, 0), (5, 4)), random.normal(rows(key, 4), (4, 4))


@wrong("KS01", shows=same_row)
def overlapping_inside(key):
    """Two pieces share a row, in draws that split their key."""
    return [random.randint(rows(key, i), (4, 4), 0, 9) for i in (0, 3)]


@wrong("KS01")
def beside(key):
    """The whole is drawn as well as a piece of it."""
    return random.normal(rows(key, 0), (4, 4)), random.normal(key, SHAPE)


@wrong("KS01", shows=lambda result: bool((result[0] == result[1][:4]).all()))
def beside_inside(key):
    """The whole is drawn as well as a piece of it, and both split their key."""
    return random.randint(rows(key, 0), (4, 4), 0, 9), random.randint(key, SHAPE, 0, 9)


@wrong("KS01")
def other_shape(key):
    """The pieces are of draws of two shapes, which number their elements otherwise."""
    return random.normal(rows(key, 0), (5, 4)), random.normal(rows(key, 3, (8, 5)), (4, 4))


@wrong("KS01", shows=lambda result: bool((result[0] < result[1]).all()))
def piece_twice(key):
    """One piece is drawn from twice, by two samplers."""
    window = rows(key, 2)
    return random.uniform(window, (4, 4)), random.uniform(window, (4, 4), maxval=2.0)


@wrong("KS07")
def piece_in_every_step(key):
    """Each step of a loop draws the same piece."""
    return lax.map(lambda _: random.normal(rows(key, 2), (4, 4)), jnp.arange(3.0))


@wrong("KS16", shows=lambda result: result.shape == (3, 4))
def beyond(key):
    """A piece goes on beyond the last row, with numbers that the whole draw doesn't have."""
    return random.normal(rows(key, 6), (3, 4))
