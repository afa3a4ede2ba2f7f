"""Loops whose counters say which children they use: disjoint ranges, and ranges that overlap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

import keystream as ks
from tests.audit.corpus.program import styled

wrong, right = styled("ranges")


def noise(key, _=None):
    """Draw three numbers."""
    return random.normal(key, (3,))


def turn(key, _, total):
    """Add what a turn draws."""
    return total + noise(key)


@right()
def map_then_fori_loop(key):
    """A map takes the first three positions, and a loop goes on behind them."""
    first = ks.map(noise, jnp.zeros(3), key=key)
    return first, ks.fori_loop(3, 6, turn, jnp.zeros(3), key=key)


def draws_again(result):
    """Do the first numbers come out of a loop as well that adds up what it draws?"""
    first, total = result
    return bool((total == first[-1] + 0.0).all())


@wrong("KS04", shows=draws_again)
def map_then_fori_loop_overlapping(key):
    """A map takes three positions, and a loop begins at the last of them."""
    first = ks.map(noise, jnp.zeros(3), key=key)
    return first, ks.fori_loop(2, 3, turn, jnp.zeros(3), key=key)


@right()
def two_fori_loops(key):
    """Two loops of ours over ranges that follow each other."""
    one = ks.fori_loop(0, 4, turn, jnp.zeros(3), key=key)
    return one, ks.fori_loop(4, 8, turn, jnp.zeros(3), key=key)


def fourth_twice(result):
    """Is what the fourth turn draws in both sums?"""
    key = jax.random.key(0)
    turns = [noise(random.fold_in(key, i)) for i in range(7)]
    return bool(jnp.allclose(sum(result), sum(turns) + turns[3], atol=1e-5))


@wrong("KS05", shows=fourth_twice)
def two_fori_loops_overlapping(key):
    """Two loops of ours of which the second begins at the last turn of the first."""
    one = ks.fori_loop(0, 4, turn, jnp.zeros(3), key=key)
    return one, ks.fori_loop(3, 7, turn, jnp.zeros(3), key=key)


@right()
def split_then_counter(key):
    """A key is split into four, and a loop folds the numbers from four on."""
    first = lax.map(noise, random.split(key, 4))
    return first, lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(4, 8))


@wrong("KS04")
def split_then_counter_from_zero(key):
    """A key is split into four, and a loop folds the numbers from zero on."""
    first = lax.map(noise, random.split(key, 4))
    return first, lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(3))


@right()
def even_and_odd(key):
    """Each step folds two numbers of its own, an even and an odd one."""

    def step(i, _):
        return i + 1, [noise(random.fold_in(key, 2 * i)), noise(random.fold_in(key, 2 * i + 1))]

    return lax.scan(step, 0, length=4)[1]


@wrong("KS05")
def this_and_the_next(key):
    """Each step folds its number and the next one, which is what the next step begins with."""

    def step(i, _):
        return i + 1, [noise(random.fold_in(key, i)), noise(random.fold_in(key, i + 1))]

    return lax.scan(step, 0, length=4)[1]


@right()
def two_counters(key):
    """One loop counts up from zero, another one down to the number behind it."""
    up = lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(4))
    down = lax.scan(lambda i, _: (i - 1, noise(random.fold_in(key, i))), 7, length=4)[1]
    return up, down


@wrong("KS05")
def two_counters_that_meet(key):
    """One loop counts up from zero, another one down to the last number of the first."""
    up = lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(4))
    down = lax.scan(lambda i, _: (i - 1, noise(random.fold_in(key, i))), 6, length=4)[1]
    return up, down


@right()
def rows_by_counter(key):
    """A loop picks the first keys of an array by its counter, and the last one is left over."""
    keys = random.split(key, 4)
    return lax.map(lambda i: noise(keys[i]), jnp.arange(3)), noise(keys[3])


@wrong("KS01")
def rows_by_counter_and_the_last(key):
    """A loop picks all keys of an array by its counter, and the last one is drawn from again."""
    keys = random.split(key, 4)
    return lax.map(lambda i: noise(keys[i]), jnp.arange(4)), noise(keys[3])


@right()
def batches_then_the_rest(key):
    """A sample that is made in batches, and one that goes on behind it."""
    first = ks.sample(random.normal, key, 7, shape=(2,), batch_size=3)
    return first, ks.map(noise, jnp.zeros(3), key=key, start=7)


@wrong("KS05")
def batches_then_the_last_again(key):
    """A sample that is made in batches, and one that begins at its last number."""
    first = ks.sample(random.normal, key, 7, shape=(3,), batch_size=3)
    return first, ks.map(noise, jnp.zeros(3), key=key, start=6)


@right()
def counter_in_a_loop_in_a_loop(key):
    """Each outer step has a key, whose inner steps fold their number."""

    def outer(key):
        return lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(3))

    return lax.map(outer, random.split(key, 2))


@wrong("KS05")
def counter_in_a_loop_and_outside(key):
    """Each outer step has a key; what an inner step folds is folded again behind the loop."""

    def outer(key):
        inside = lax.map(lambda i: noise(random.fold_in(key, i)), jnp.arange(3))
        return inside, noise(random.fold_in(key, 2))

    return lax.map(outer, random.split(key, 2))
