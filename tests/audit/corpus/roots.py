"""Where keys begin: seeds, data and the words of other keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from tests.audit.corpus.program import key_and_batch, styled

wrong, right = styled("roots")


def nothing() -> tuple[()]:
    """Return no arguments."""
    return ()


@wrong("KS13", nothing)
def seed_in_two_functions():
    """Two functions make their own key from the same seed."""

    def weights():
        return random.normal(random.key(0), (3,))

    def noise():
        return random.normal(random.key(0), (3,))

    return weights(), noise()


@right(nothing)
def seeds_differ():
    """Two roots with two seeds."""
    return random.normal(random.key(0), (3,)), random.normal(random.key(1), (3,))


@wrong("KS13", lambda: (random.PRNGKey(42), jnp.ones(3)))
def default_seed_in_a_layer(key, x):
    """Two layers fall back to a default seed of their own, which is the same."""

    def dropout(x, key=None):
        key = random.PRNGKey(0) if key is None else key
        return x * random.normal(key, x.shape)

    return dropout(x), dropout(x), random.normal(key, (3,))


@right(nothing)
def seed_read_twice():
    """The root is made in two places, and one of them only looks at its words."""
    words = random.key_data(random.key(0))
    return random.normal(random.key(0), (3,)), words


@wrong("KS13", lambda: (3,))
def seed_argument_twice(seed):
    """One seed from the command line makes the key of the data and the key of the model."""
    data, model = random.key(seed), random.key(seed)
    return random.normal(data, (3,)), random.normal(model, (3,))


@right(lambda: (3,))
def seed_argument_split(seed):
    """One seed makes one key, which is split for the data and the model."""
    data, model = random.split(random.key(seed))
    return random.normal(data, (3,)), random.normal(model, (3,))


@right(lambda: (3,))
def seed_and_next_seed(seed):
    """Two roots from a seed and the one after it."""
    return random.normal(random.key(seed), (3,)), random.normal(random.key(seed + 1), (3,))


@wrong("KS14", shows=None)
def seed_drawn(key):
    """A new key is seeded with a drawn number: one of 2**31, and its parent is spent."""
    seed = random.randint(key, (), 0, np.iinfo(np.int32).max)
    return random.normal(random.key(seed), (3,))


@wrong("KS14", shows=None)
def words_drawn(key):
    """The words of a key are drawn as raw bits."""
    return random.normal(random.wrap_key_data(random.bits(key, (2,))), (3,))


@wrong("KS14", shows=None)
def words_counted_up(key):
    """The next key is the old one plus one: another seed's key, which somebody else may have."""
    following = random.wrap_key_data(random.key_data(key) + 1)
    return random.normal(following, (3,))


@wrong("KS14", shows=lambda result: bool((result[0] == result[1]).all()))
def words_mixed(key):
    """Two children are mixed by xor into a third, and mixing again gives the first back."""
    first, second = random.key_data(random.split(key))
    mixed = random.wrap_key_data(first ^ second)
    again = random.wrap_key_data(random.key_data(mixed) ^ second)
    return random.normal(again, (3,)), random.normal(random.wrap_key_data(first), (3,))


@right()
def words_there_and_back(key):
    """The words are taken and wrapped again, unchanged, and drawn from once."""
    words = random.key_data(key)
    return random.normal(random.wrap_key_data(words), (3,))


@wrong("KS01")
def words_and_key(key):
    """A key and its copy, wrapped again from its words, are both drawn from."""
    copy = random.wrap_key_data(random.key_data(key))
    return random.normal(key, (3,)), random.normal(copy, (3,))


@right(key_and_batch, shows=None)
def hash_of_data_folded(key, batch):
    """What belongs to the data is folded into a key, which stays what tells runs apart."""
    ids = jax.lax.bitcast_convert_type(batch.sum(axis=1), jnp.uint32)
    draw = jax.vmap(lambda key, i: random.normal(random.fold_in(key, i)), in_axes=(None, 0))
    return draw(key, ids)
