"""Numbers that are equal though they are made twice, and bodies that return numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import key_and_batch, styled

wrong, right = styled("equal numbers")


@jax.jit
def noise_and_zero(key):
    return random.normal(key), 0.0


@jax.jit
def next_two(number):
    return number + 1, number + 2


@wrong("KS11", args=key_and_batch)
def noise_of_a_pair_in_lanes(key, xs):
    """Lanes call a compiled function, which returns a number beside its noise, with one key."""
    return jax.vmap(lambda x: 0 * x[0] + noise_and_zero(key)[0])(xs)


@right(args=key_and_batch)
def noise_of_a_pair_in_lanes_with_keys(key, xs):
    """Lanes call a compiled function, which returns a number beside its noise, with their keys."""
    return jax.vmap(lambda key, x: 0 * x[0] + noise_and_zero(key)[0])(random.split(key, 4), xs)


@wrong("KS05")
def second_number_folded_again(key):
    """The second number that a compiled function makes of a constant is folded in once more."""
    _, five = next_two(3)
    return random.normal(random.fold_in(key, five)), random.normal(random.fold_in(key, 5))


@right()
def both_numbers_folded(key):
    """Both numbers that a compiled function makes of a constant are folded in, once each."""
    four, five = next_two(3)
    return random.normal(random.fold_in(key, four)), random.normal(random.fold_in(key, five))


def draw_of_step(key):
    return lambda total, step: (total, random.normal(random.fold_in(key, step)))


@wrong("KS05")
def two_loops_over_the_same_numbers(key):
    """Two loops fold the same counters into one key."""
    one = lax.scan(draw_of_step(key), 0, jnp.arange(3))[1]
    other = lax.scan(draw_of_step(key), 0, jnp.arange(3))[1]
    return one, other


@right()
def two_loops_over_other_keys(key):
    """Two loops fold the same counters into two keys."""
    first, second = random.split(key)
    one = lax.scan(draw_of_step(first), 0, jnp.arange(3))[1]
    other = lax.scan(draw_of_step(second), 0, jnp.arange(3))[1]
    return one, other


def filled(key, first, last):
    def put(i, row):
        return row.at[i - first].set(random.normal(random.fold_in(key, i)))

    return lax.fori_loop(first, last, put, jnp.zeros(last - first))


@wrong("KS05")
def two_counted_loops(key):
    """Two counted loops begin at the same number."""
    return filled(key, 0, 3), filled(key, 0, 3)


@right()
def two_counted_loops_one_after_the_other(key):
    """A counted loop goes on where another one ended."""
    return filled(key, 0, 3), filled(key, 3, 6)


def advance(key, _):
    key, use = random.split(key)
    return key, random.bits(use)


def made_of_its_children(result):
    drawn, words = result
    return bool(drawn == words[0] ^ words[1])


@wrong("KS03", shows=made_of_its_children)
def loop_from_a_key_that_was_split(key):
    """A loop begins with a key that was split; its second step splits the child that was drawn."""
    first, _ = random.split(key)
    drawn = random.bits(first)
    key, _ = lax.scan(advance, key, None, length=2)
    return drawn, random.key_data(key)


@right(shows=lambda result: not made_of_its_children(result))
def loop_from_a_child(key):
    """A loop begins with the other child."""
    first, second = random.split(key)
    drawn = random.bits(first)
    key, _ = lax.scan(advance, second, None, length=2)
    return drawn, random.key_data(key)


def flags():
    """Return a key and two flags."""
    return random.key(0), jnp.array(True), jnp.array(True)


def zero(_):
    return 0.0


@wrong("KS01", args=flags)
def drawn_where_two_flags_are_set(key, one, other):
    """A key is drawn from, and again where two flags are set."""
    inner = lax.cond(
        one, lambda key: lax.cond(other, random.normal, zero, key), zero, key
    )  # fmt: skip
    return random.normal(key), inner


@right(args=flags, shows=None)
def drawn_where_nobody_comes(key, one, other):
    """A key is drawn from, and again where a flag is set and isn't."""
    inner = lax.cond(one, lambda key: lax.cond(one, zero, random.normal, key), zero, key)
    return random.normal(key), inner, other


@wrong("KS01")
def loop_over_keys_that_come_twice(key):
    """A loop runs over the keys of an array, and then over the same ones once more."""
    keys = random.split(key, 3)
    return lax.map(random.normal, jnp.concatenate([keys, keys]))


@right()
def loop_over_two_arrays_of_keys(key):
    """A loop runs over the keys of an array, and then over those of another one."""
    first, second = random.split(key)
    keys = jnp.concatenate([random.split(first, 3), random.split(second, 3)])
    return lax.map(random.normal, keys)
