"""Keys of two uint32 words, which most code still has."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import legacy_and_batch, one_legacy, styled

wrong, right = styled("legacy")


@wrong("KS01", one_legacy)
def rng_used_twice(rng):
    """The same array of two words is drawn from twice."""
    return random.normal(rng, (3,)), random.normal(rng, (3,))


@right(one_legacy)
def rng_chain(rng):
    """`rng, sub = split(rng)` in front of each draw."""
    rng, sub = random.split(rng)
    first = random.normal(sub, (3,))
    rng, sub = random.split(rng)
    return first, random.normal(sub, (3,))


@wrong("KS02", one_legacy, shows=None)
def rng_drawn_then_split(rng):
    """The array has been drawn from when it is split."""
    first = random.normal(rng, (3,))
    rng, sub = random.split(rng)
    return first, random.normal(sub, (3,))


@wrong("KS03", one_legacy)
def rng_split_twice(rng):
    """A helper splits the array that its caller splits, and both use the second row."""
    sub = random.split(rng)[1]
    other = random.split(rng)[1]
    return random.normal(sub, (3,)), random.normal(other, (3,))


@wrong("KS04", one_legacy)
def rng_split_and_folded(rng):
    """Row 1 of the split is the fold of 1."""
    rows = random.split(rng, 2)
    return random.normal(rows[1], (3,)), random.normal(random.fold_in(rng, 1), (3,))


@wrong("KS05", one_legacy)
def rng_folded_twice(rng):
    """The same tag is folded twice."""
    return [random.normal(random.fold_in(rng, 3), (3,)) for _ in range(2)]


@right(one_legacy)
def rng_tags(rng):
    """Each use has a tag."""
    return [random.normal(random.fold_in(rng, tag), (3,)) for tag in range(2)]


@wrong("KS06", one_legacy, shows=None)
def rng_folded_and_drawn(rng):
    """The array that is folded for the layers is itself drawn from for the data."""
    layers = [random.normal(random.fold_in(rng, tag), (3,)) for tag in range(2)]
    return layers, random.normal(rng, (3,))


@wrong("KS07", one_legacy)
def rng_closed_over(rng):
    """A scan draws from the array outside of it."""
    return lax.scan(lambda x, _: (x, random.normal(rng)), 0, length=3)[1]


@right(one_legacy)
def rng_rows_scanned(rng):
    """A scan over the rows of a split, each two words."""
    return lax.scan(lambda x, rng: (x, random.normal(rng)), 0, random.split(rng, 3))[1]


@wrong("KS08", one_legacy)
def rng_constant_fold(rng):
    """The tag of the layer is folded in each step, and the step isn't."""
    step = lambda x, _: (x, random.normal(random.fold_in(rng, 5)))
    return lax.scan(step, 0, length=3)[1]


@right(one_legacy)
def rng_step_fold(rng):
    """Tag and step are folded."""
    step = lambda x, i: (x, random.normal(random.fold_in(random.fold_in(rng, 5), i)))
    return lax.scan(step, 0, jnp.arange(3))[1]


@wrong("KS07", one_legacy)
def rng_carried_unchanged(rng):
    """The array is carried, and never replaced."""

    def step(state, _):
        rng, x = state
        draw = random.normal(rng)
        return (rng, x), draw

    return lax.scan(step, (rng, 0), length=3)[1]


@right(one_legacy)
def rng_carried_on(rng):
    """The array in the carry is replaced in each step."""

    def step(state, _):
        rng, x = state
        rng, sub = random.split(rng)
        return (rng, x), random.normal(sub)

    return lax.scan(step, (rng, 0), length=3)[1]


@wrong("KS10", one_legacy, shows=None)
def rng_returned_used(rng):
    """The array goes back to the caller, used."""
    return {"params": random.normal(rng, (3,)), "rng": rng}


@wrong("KS14", one_legacy, shows=None)
def rng_plus_one(rng):
    """Two words plus one: not a child of the key, and perhaps another run's key."""
    return random.normal(rng + 1, (3,))


@wrong("KS14", one_legacy, shows=lambda result: bool((result[0] == result[1]).all()))
def rng_words_multiplied(rng):
    """A key for each layer by multiplication, which tells no layers apart where the seed is 0."""
    return [random.normal(rng * jnp.uint32(layer), (3,)) for layer in (3, 5)]


@wrong("KS11", legacy_and_batch, shows=lambda result: bool((result[0] == result[1]).all()))
def rng_for_all_lanes(rng, batch):
    """`in_axes=None` for the array."""
    return jax.vmap(lambda rng, x: random.normal(rng, x.shape) + 0 * x, (None, 0))(rng, batch)


@right(legacy_and_batch)
def rng_for_each_lane(rng, batch):
    """The rows of a split go with the rows of the batch."""
    rngs = random.split(rng, len(batch))
    return jax.vmap(lambda rng, x: random.normal(rng, x.shape) + 0 * x)(rngs, batch)


@right(one_legacy)
def rng_stacked(rng):
    """Arrays of two words are stacked, reshaped and unpacked: rows stay what they are."""
    first, second = random.split(rng)
    rows = jnp.stack([second, first]).reshape(2, 1, 2)[:, 0]
    return [random.normal(row, (3,)) for row in rows]


@wrong("KS01", one_legacy)
def rng_stacked_again(rng):
    """Of the stacked rows one is drawn from under its old name too."""
    first, second = random.split(rng)
    rows = jnp.stack([second, first])
    return random.normal(rows[1], (3,)), random.normal(first, (3,))


@wrong("KS13", lambda: ())
def rng_seeded_twice():
    """`PRNGKey(42)` in two cells of a notebook."""
    return random.normal(random.PRNGKey(42), (3,)), random.normal(random.PRNGKey(42), (3,))


@wrong("KS01", one_legacy)
def rng_wrapped(rng):
    """A legacy array and the typed key made of it are both drawn from."""
    return random.normal(rng, (3,)), random.normal(random.wrap_key_data(rng), (3,))
