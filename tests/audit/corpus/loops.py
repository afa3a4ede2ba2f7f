"""Keys in scan, while_loop, fori_loop and lax.map."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import styled

wrong, right = styled("loops")


@wrong("KS07")
def scan_over_closed_key(key):
    """The body draws from a key from outside: the same noise in each step."""

    def step(total, x):
        noise = random.normal(key, (3,))
        return total + x, noise

    return lax.scan(step, 0.0, jnp.ones(4))


@right()
def scan_over_keys(key):
    """Keys are split before the loop and scanned over, one for each step."""

    def step(total, item):
        key, x = item
        return total + x, random.normal(key, (3,))

    return lax.scan(step, 0.0, (random.split(key, 4), jnp.ones(4)))


@wrong("KS07", shows=None)
def fori_over_closed_key(key):
    """A random walk whose steps are all the same."""
    return lax.fori_loop(0, 4, lambda _, x: x + random.normal(key, (3,)), jnp.zeros(3))


@right()
def fori_over_indexed_keys(key):
    """A random walk with a row of a key array for each step, by the counter."""
    keys = random.split(key, 4)
    return lax.fori_loop(0, 4, lambda i, x: x + random.normal(keys[i], (3,)), jnp.zeros(3))


@wrong("KS07", shows=None)
def while_over_closed_key(key):
    """A walk until it is far enough away, every step of it the same."""

    def far(state):
        return (jnp.abs(state[1]) < 3.0) & (state[0] < 9)

    def step(state):
        return state[0] + 1, state[1] + random.normal(key)

    return lax.while_loop(far, step, (0, 0.0))


@right(shows=None)
def while_carries_its_key(key):
    """A rejection sampler that splits its key in each turn and carries the other child on."""

    def outside(state):
        return jnp.sum(state[1] ** 2) > 1.0

    def draw(state):
        key, use = random.split(state[0])
        return key, random.uniform(use, (2,), minval=-1.0)

    return lax.while_loop(outside, draw, (key, jnp.ones(2) * 2.0))[1]


@wrong("KS07")
def inner_loop_shares_key(key):
    """Each outer step has a key, and the inner steps all draw from it."""

    def outer(carry, key):
        def inner(carry, _):
            return carry, random.normal(key)

        return lax.scan(inner, carry, length=3)

    return lax.scan(outer, 0, random.split(key, 2))[1]


@right()
def inner_loop_splits(key):
    """Each outer step splits its key for the inner steps."""

    def outer(carry, key):
        return carry, lax.map(random.normal, random.split(key, 3))

    return lax.scan(outer, 0, random.split(key, 2))[1]


@wrong("KS07")
def mapped_with_closed_key(key):
    """`lax.map` over the examples, with one key for all of them."""
    return lax.map(lambda x: random.normal(key) * jnp.sign(x), jnp.ones(3))


@wrong("KS08")
def constant_fold_in_scan(key):
    """The fold that should tell steps apart folds the same number in each."""

    def step(carry, x):
        return carry + x, random.normal(random.fold_in(key, 1), (3,))

    return lax.scan(step, 0.0, jnp.ones(4))


@wrong("KS08", shows=None)
def fold_of_outer_counter(key):
    """The inner loop folds the epoch, which doesn't change there, and never the step."""

    def epoch(i, x):
        def step(_, x):
            return x + random.normal(random.fold_in(key, i))

        return lax.fori_loop(0, 3, step, x)

    return lax.fori_loop(0, 2, epoch, 0.0)


@right()
def fold_of_counter(key):
    """Each step folds its own number."""

    def step(carry, i):
        return carry, random.normal(random.fold_in(key, i), (3,))

    return lax.scan(step, 0, jnp.arange(4))


@wrong("KS04", mode="run")
def split_and_fold_of_counter(key):
    """The first steps fold the numbers of the children that the key was split into."""

    def step(carry, i):
        return carry, random.normal(random.fold_in(key, i), (3,))

    params, dropout = random.split(key)
    _, noise = lax.scan(step, 0, jnp.arange(4))
    return [random.normal(each, (3,)) for each in (params, dropout)], noise


@right()
def split_and_fold_of_counter_apart(key):
    """One child is split further, and the counter folded into the other."""

    def step(carry, i):
        return carry, random.normal(random.fold_in(steps, i), (3,))

    parts, steps = random.split(key)
    _, noise = lax.scan(step, 0, jnp.arange(4))
    return [random.normal(each, (3,)) for each in random.split(parts)], noise


@wrong("KS06", shows=None, mode="run")
def shuffled_and_fold_of_counter(key):
    """A permutation draws from children of its key, and a step folds the number of each."""

    def step(carry, i):
        return carry, random.normal(random.fold_in(key, i), (3,))

    order = random.permutation(key, 4)
    return order, lax.scan(step, 0, jnp.arange(4))[1]


@right()
def constant_fold_of_a_step_key(key):
    """A constant tells two uses apart within a step, whose key is its own."""

    def step(carry, key):
        return carry, [random.normal(random.fold_in(key, use)) for use in (0, 1)]

    return lax.scan(step, 0, random.split(key, 3))


@right()
def fold_of_both_counters(key):
    """Epoch and step are folded one after the other."""

    def epoch(carry, i):
        epoch_key = random.fold_in(key, i)

        def step(carry, j):
            return carry, random.normal(random.fold_in(epoch_key, j))

        return lax.scan(step, carry, jnp.arange(3))

    return lax.scan(epoch, 0, jnp.arange(2))


@wrong("KS07")
def carry_not_advanced(key):
    """The carried key comes out of the step as it went in."""

    def step(key, _):
        return key, random.normal(key, (3,))

    return lax.scan(step, key, length=4)[1]


@wrong("KS09", shows=None)
def used_child_carried(key):
    """The step draws from the child that it carries on, and spares the other."""

    def step(key, _):
        key, use = random.split(key)
        return key, (random.normal(key, (3,)), random.key_data(use))

    return lax.scan(step, key, length=4)[1]


@wrong("KS07")
def split_and_dropped(key):
    """The step splits, draws from a child, and carries the parent on."""

    def step(i, state):
        key, draws = state
        _, use = random.split(key)
        return key, draws.at[i].set(random.normal(use))

    return lax.fori_loop(0, 3, step, (key, jnp.zeros(3)))[1]


@right()
def carry_advanced(key):
    """The step draws from one child and carries the other on."""

    def step(key, _):
        key, use = random.split(key)
        return key, random.normal(use, (3,))

    return lax.scan(step, key, length=4)[1]


@right()
def carry_unused_key_through(key):
    """The carry holds a key that isn't used before the loop is over."""
    inside, after = random.split(key)

    def step(state, key):
        return state, random.normal(key)

    (after, _), draws = lax.scan(step, (after, 0), random.split(inside, 3))
    return draws, random.normal(after, (3,))


@wrong("KS01", shows=None)
def two_loops_over_the_same_keys(key):
    """Two loops run over the same keys."""
    keys = random.split(key, 3)
    walk = lax.scan(lambda x, key: (x + random.normal(key), None), 0.0, keys)[0]
    noise = lax.scan(lambda x, key: (x, random.uniform(key)), 0.0, keys)[1]
    return walk, noise


@right()
def loops_over_halves(key):
    """Two loops run over the two halves of one key array."""
    keys = random.split(key, 6)
    walk = lax.scan(lambda x, key: (x, random.normal(key)), 0.0, keys[:3])[1]
    noise = lax.scan(lambda x, key: (x, random.normal(key)), 0.0, keys[3:])[1]
    return walk, noise


@wrong("KS02", shows=None)
def drawn_before_the_loop(key):
    """The first state is drawn from the key that the loop then splits step by step."""
    start = random.normal(key)

    def step(state, _):
        key, x = state
        key, use = random.split(key)
        return (key, x + random.normal(use)), x

    return lax.scan(step, (key, start), length=3)[1]


@right()
def finished_lanes_of_a_while(key):
    """A rejection sampler in lanes: those that are done keep their key while others go on."""

    def sample(key):
        def step(state):
            key, use = random.split(state[0])
            return key, random.normal(use)

        return lax.while_loop(lambda state: state[1] < 0.5, step, (key, -1.0))[1]

    return jax.vmap(sample)(random.split(key, 4))


@right()
def lanes_that_leave_an_inner_loop(key):
    """A scan in a map draws in three lanes; two of their keys come out of it, and are dropped."""

    def step(total, keys):
        return total + jax.vmap(random.normal)(keys).sum(), (keys[0], keys[1])

    def outer(key):
        return lax.scan(step, 0.0, random.split(key, (4, 3)))[0]

    return lax.map(outer, random.split(key, 5))
