"""Keys that are moved about: by indices that are known, in long scans, as words of any kind."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random
from jax.ad_checkpoint import checkpoint_name

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("moved")
MANY = 5000
RBG = "rbg"


def noise(key):
    return random.normal(key, (2,))


def words_of(impl):
    """Return what makes the words of a key of an implementation."""
    return lambda: (random.key_data(random.key(0, impl=impl)),)


@wrong("KS01")
def last_of_a_long_scan(key):
    """A scan draws from 5,000 keys, and its last one is drawn from once more."""
    keys = random.split(key, MANY)
    return lax.scan(lambda c, k: (c, random.normal(k)), 0, keys)[1], random.normal(keys[-1])


@right()
def one_more_than_a_long_scan(key):
    """A scan draws from all keys but the last, which is drawn from afterwards."""
    keys = random.split(key, MANY)
    drawn = lax.scan(lambda c, k: (c, random.normal(k)), 0, keys[:-1])[1]
    return drawn[::100], random.normal(keys[-1])


@wrong("KS01", one_legacy)
def legacy_keys_of_a_long_scan(key):
    """The same of words: key 4,500 is drawn from in the scan and behind it."""
    keys = random.split(key, MANY)
    return lax.scan(lambda c, k: (c, random.normal(k)), 0, keys)[1], random.normal(keys[4500])


@wrong("KS01")
def stacked_keys_of_a_scan(key):
    """A scan stacks the keys that it has drawn from, and they are drawn from again."""

    def step(carry, key):
        return carry, (noise(key), key)

    _, (first, keys) = lax.scan(step, 0, random.split(key, 3))
    return first, jax.vmap(noise)(keys)


@wrong("KS03")
def stacked_parents_of_a_scan(key):
    """A scan splits its keys and stacks them, and they are split again."""

    def step(carry, key):
        return carry, (noise(random.split(key)[0]), key)

    _, (first, keys) = lax.scan(step, 0, random.split(key, 3))
    return first, jax.vmap(lambda key: noise(random.split(key)[0]))(keys)


@right()
def stacked_children_of_a_scan(key):
    """A scan stacks children that it hasn't used."""

    def step(carry, key):
        use, other = random.split(key)
        return carry, (noise(use), other)

    _, (first, keys) = lax.scan(step, 0, random.split(key, 3))
    return first, jax.vmap(noise)(keys)


@wrong("KS01")
def named_for_a_checkpoint(key):
    """A name for a policy of `checkpoint` makes no other key."""
    return noise(checkpoint_name(key, "kept")), noise(key)


@right()
def child_named_for_a_checkpoint(key):
    """One child is named, the other isn't."""
    first, second = random.split(key)
    return noise(checkpoint_name(first, "kept")), noise(second)


@wrong("KS01")
def tiled(key):
    """Two keys are tiled for four lanes."""
    return jax.vmap(noise)(jnp.tile(random.split(key), 2))


@right()
def taken_out_of_tiles(key):
    """Of six tiled keys three different ones are used."""
    return jax.vmap(noise)(jnp.tile(random.split(key, 3), 2)[2:5])


@wrong("KS01")
def set_to_a_used_key(key):
    """One of four keys is set to another one of them, and both are drawn from."""
    keys = random.split(key, 4)
    return jax.vmap(noise)(keys.at[1].set(keys[3]))


@right()
def set_to_another_key(key):
    """One of four keys is set to a key of its own, and the one that stood there is used."""
    first, second = random.split(key)
    keys = random.split(first, 4)
    return jax.vmap(noise)(keys.at[-1].set(second)), noise(keys[3])


@wrong("KS01", one_legacy)
def rows_of_words_set(key):
    """Rows of legacy keys are overwritten with others of them."""
    keys = random.split(key, 4)
    return jax.vmap(noise)(keys.at[jnp.array([0, 2])].set(keys[jnp.array([1, 3])]))


@right(one_legacy)
def rows_of_words_swapped(key):
    """Rows of legacy keys change places."""
    keys = random.split(key, 4)
    return jax.vmap(noise)(keys.at[jnp.array([0, 2])].set(keys[jnp.array([2, 0])]))


@wrong("KS01")
def inserted_again(key):
    """A key is inserted among others that it is one of."""
    keys = random.split(key, 3)
    return jax.vmap(noise)(jnp.insert(keys, 1, keys[2]))


@right()
def inserted_another(key):
    """Another key is inserted, and those on both sides stay what they are."""
    first, second = random.split(key)
    keys = random.split(first, 3)
    longer = jnp.insert(keys, 1, second)
    return jax.vmap(noise)(longer[:2]), noise(keys[1]), noise(longer[3])


@wrong("KS01")
def padded_with_the_edge(key):
    """Keys are padded with the last one, and all lanes are kept."""
    return jax.vmap(noise)(jnp.pad(random.split(key, 3), (0, 1), mode="edge"))


@right()
def padding_cut_off(key):
    """Keys are padded, and the padding is cut off before they are used."""
    return jax.vmap(noise)(jnp.pad(random.split(key, 3), (1, 1), mode="edge")[1:4])


def sort_rows(keys):
    """Sort the words of four keys by numbers that the program tells."""
    columns = lax.sort((jnp.array([3, 1, 2, 0]), keys[:, 0], keys[:, 1]), num_keys=1)[1:]
    return jnp.stack(columns, axis=1)


@wrong("KS01", one_legacy)
def sorted_by_numbers(key):
    """Keys in an order that the program tells: the first one stands last, and is used twice."""
    keys = random.split(key, 4)
    return noise(sort_rows(keys)[3]), noise(keys[0])


@right(one_legacy)
def sorted_elsewhere(key):
    """In that order another key stands at the place."""
    keys = random.split(key, 4)
    return noise(sort_rows(keys)[0]), noise(keys[0])


@right(one_legacy)
def shuffled_keys(key):
    """Keys in a random order are used once each."""
    order, *keys = random.split(key, 4)
    return jax.vmap(noise)(random.permutation(order, jnp.stack(keys)))


def lanes_alike(result):
    """Are the lanes of both arrays equal, though the second has other keys but for the first?"""
    return bool((result[0] == result[1]).all())


@wrong("KS16", words_of(RBG), shows=lanes_alike)
def legacy_words_of_rbg_in_lanes(words):
    """With rbg for a default, lanes draw from the first legacy key alone."""
    with jax.default_prng_impl(RBG):
        keys = random.split(words, 3)
        others = keys.at[1:].set(random.split(random.PRNGKey(1), 2))
        return jax.vmap(noise)(keys), jax.vmap(noise)(others)


@right(words_of(RBG))
def legacy_words_of_rbg_in_a_loop(words):
    """With rbg for a default, a loop draws from each legacy key."""
    with jax.default_prng_impl(RBG):
        return lax.map(noise, random.split(words, 3))


def folds_commute(result):
    """Are both draws equal?"""
    return bool((result[0] == result[1]).all())


@wrong("KS16", words_of("unsafe_rbg"), shows=folds_commute)
def legacy_words_of_unsafe_rbg_folded(words):
    """With unsafe_rbg for a default, two folds are the same in either order."""
    with jax.default_prng_impl("unsafe_rbg"):
        one, other = (
            random.fold_in(random.fold_in(words, first), second)
            for first, second in ((1, 2), (2, 1))
        )
        return noise(one), noise(other)


@right(words_of("unsafe_rbg"))
def legacy_words_of_unsafe_rbg_split(words):
    """With unsafe_rbg for a default, child 1 of a split isn't the fold by 1: a warning at most."""
    with jax.default_prng_impl("unsafe_rbg"):
        return noise(random.split(words)[1]), noise(random.fold_in(words, 1))


def train(key):
    """Train two weights for three steps; the noise of each step is drawn from the key."""

    def step(carry, _):
        weights, key = carry
        key, use = random.split(key)
        loss = lambda weights: ((weights - noise(use)) ** 2).sum()
        return (weights - 0.1 * jax.grad(loss)(weights), key), None

    key, first = random.split(key)
    return lax.scan(step, (noise(first), key), length=3)[0][0]


@wrong("KS11")
def seeds_overwritten(key):
    """Four seeds are trained at once, and each begins with the same key of its own making."""

    def run(key):
        key = random.key(0)
        return train(key)

    return jax.vmap(run)(random.split(key, 4))


@wrong("KS11", one_legacy)
def legacy_seeds_overwritten(key):
    """The same with legacy keys, compiled."""

    def run(key):
        key = random.PRNGKey(0)
        return train(key)

    return jax.jit(jax.vmap(run))(random.split(key, 4))


@right(one_key)
def seeds_kept(key):
    """Four seeds are trained at once, each with the key that it is given."""
    return jax.vmap(train)(random.split(key, 4))
