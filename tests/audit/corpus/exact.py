"""What is right by a hair: draws beside children, words that are drawn, clones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import random

import keystream as ks
from tests.audit.corpus.program import one_key, one_legacy, repeats, styled

wrong, right = styled("exact")


def words(key):
    """Return the words of a key, one xor the other: what a draw of 32 bits makes of a block."""
    first, second = random.key_data(key)
    return first ^ second


def last_is_made_of_child(result):
    """Is the last number that was drawn made of the words of the child?"""
    drawn, made = result
    return bool(drawn.ravel()[-1] == made)


# --- a draw beside children -------------------------------------------------------------------


@wrong("KS06", shows=last_is_made_of_child)
def child_within_the_draw(key):
    """The third number that is drawn is made of the block of child 2."""
    return random.bits(key, (3,)), words(random.fold_in(key, 2))


@wrong("KS06", shows=last_is_made_of_child)
def child_within_a_matrix(key):
    """A matrix of twenty numbers reaches child 19."""
    return random.bits(key, (4, 5)), words(random.fold_in(key, 19))


@wrong("KS06", shows=last_is_made_of_child)
def range_within_the_draw(key):
    """The first of a range of children is the last that the draw reaches."""
    return random.bits(key, (3,)), words(ks.keys(key, 4, start=2)[0])


@wrong("KS06", shows=lambda result: bool((result[0] == result[1] >> 9).all()))
def lanes_within_the_draw(key):
    """Each lane folds its number into the key that was drawn from."""
    made = jax.vmap(lambda i: words(random.fold_in(key, i)))(jnp.arange(3))
    return (random.uniform(key, (3,)) * 2**23).astype(jnp.uint32), made


@right()
def far_child(key):
    """A draw of three numbers doesn't reach child 1000."""
    return random.normal(key, (3,)), random.normal(random.fold_in(key, 1000))


@right()
def next_child(key):
    """A draw of three numbers doesn't reach child 3."""
    return random.normal(key, (3,)), random.normal(random.fold_in(key, 3))


@right()
def range_after_the_draw(key):
    """Children from 3 on lie behind a draw of three."""
    return random.normal(key, (3,)), jax.vmap(random.normal)(ks.keys(key, 4, start=3))


@right()
def lanes_after_the_draw(key):
    """Each lane folds a number from 100 on."""
    lanes = jax.vmap(lambda i: random.normal(random.fold_in(key, i)))(jnp.arange(100, 103))
    return random.normal(key, (3,)), lanes


@right()
def far_child_of_a_gamma(key):
    """A gamma sampler uses one child for each number."""
    return random.gamma(key, 2.0, (3,)), random.normal(random.fold_in(key, 1000))


@right()
def far_child_in_lanes(key):
    """The same with a key for each lane."""

    def both(key):
        return random.normal(key, (3,)), random.normal(random.fold_in(key, 1000))

    return jax.vmap(both)(random.split(key, 2))


# --- words that are drawn ---------------------------------------------------------------------


@wrong("KS14")
def words_cut_short(key):
    """Of the drawn words one bit each is left, so that among sixteen keys some are equal."""
    bits = random.bits(key, (16, 2), "uint32") & 1
    return jax.vmap(lambda row: random.normal(random.wrap_key_data(row)))(bits)


@wrong("KS14", shows=lambda result: bool((result[0] == result[0][0]).all()))
def one_word_for_all(key):
    """One drawn word is put in the place of all four."""
    bits = jnp.broadcast_to(random.bits(key, (), "uint32"), (4,))
    made = random.wrap_key_data(bits, impl="rbg")
    return random.key_data(made), random.normal(made)


@wrong("KS14")
def seeds_of_a_byte(key):
    """Seeds of eight drawn bits: among a hundred some are equal."""
    seeds = random.bits(key, (100,), "uint8")
    return jax.vmap(lambda seed: random.normal(random.key(seed)))(seeds)


@wrong("KS01", shows=lambda result: bool((result[1] == (result[0] >> 9) / 2**23).all()))
def drawn_words_again(key):
    """The key whose bits became another key is drawn from as well."""
    bits = random.bits(key, (4,), "uint32")
    made = random.normal(random.wrap_key_data(bits, impl="rbg"))
    return bits, random.uniform(key, (4,)), made


@right()
def key_of_another_implementation(key):
    """Four drawn words make a key of another implementation."""
    made = random.wrap_key_data(random.bits(key, (4,), "uint32"), impl="rbg")
    return random.normal(made, (3,))


@right()
def keys_of_another_implementation(key):
    """The same for several keys, each from a key of its own."""

    def draw(key):
        return random.normal(random.wrap_key_data(random.bits(key, (4,), "uint32"), impl="rbg"))

    return [draw(each) for each in ks.split(key, 3)]


@right()
def two_keys_of_one_draw(key):
    """One draw holds the words of two keys."""
    bits = random.bits(key, (8,), "uint32")
    return [random.normal(random.wrap_key_data(part, impl="rbg")) for part in (bits[:4], bits[4:])]


# --- clones -----------------------------------------------------------------------------------


@wrong("KS01")
def clone_drawn_twice(key):
    """The clone says that numbers are wanted again, once; they are drawn three times."""
    again = random.clone(key)
    return random.normal(key), random.normal(again), random.normal(again)


@wrong("KS01")
def original_drawn_twice(key):
    """The clone is for the draw after the two that are equal by mistake."""
    first, second = random.normal(key), random.normal(key)
    return first, second, random.normal(random.clone(key))


@wrong("KS01")
def child_of_a_clone_drawn_twice(key):
    """What the clone is split into is drawn from twice."""
    use, other = random.split(random.clone(key))
    return random.normal(use), random.normal(use), random.normal(other), random.normal(key)


@wrong("KS03")
def clone_split_twice(key):
    """The clone is split at two places, and one child is drawn from on both sides."""
    again = random.clone(key)
    one, _ = random.split(again)
    other, _ = random.split(again)
    return random.normal(one), random.normal(other)


@right(shows=repeats)
def clone_draws_the_same(key):
    """The same noise twice, and it is said that this is meant."""
    return random.normal(key, (3,)), random.normal(random.clone(key), (3,))


@right(shows=repeats)
def clone_is_split_alike(key):
    """The children of the clone are used as those of the key were."""

    def both(key):
        first, second = random.split(key)
        return random.normal(first), random.normal(second)

    return both(key), both(random.clone(key))


@right(one_legacy, shows=repeats)
def legacy_clone(rng):
    """A clone of a key of two words."""
    return random.normal(rng), random.normal(random.clone(rng))


@right(one_key, shows=repeats)
def clone_for_each_turn(key):
    """Each turn of a Python loop asks for the same evaluation noise again."""
    return [random.normal(random.clone(key), (2,)) for _ in range(4)]
