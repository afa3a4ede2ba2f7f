"""Keys and counters in mutable arrays, and JAX's own stateful generator."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

import keystream as ks
from keystream import interop
from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("refs", "jax.experimental.random")


def stateful_rng(seed):
    """Return JAX's generator, which older versions don't have."""
    from jax.experimental.random import stateful_rng

    return stateful_rng(seed)


def to_stateful(key):
    """Return JAX's generator that goes on with a stream."""
    return interop.to_stateful(ks.Stream(key))


@right()
def generator_drawn_twice(key):
    """Each draw of a stateful generator counts on, so that no two have one key."""
    rng = to_stateful(key)
    return rng.normal(size=3), rng.uniform(size=3)


@wrong("KS13", lambda: ())
def two_generators_of_one_seed():
    """Two stateful generators of one seed count alike."""
    params, noise = stateful_rng(0), stateful_rng(0)
    return params.normal(size=3), noise.normal(size=3)


@right(lambda: ())
def one_generator_for_two():
    """Two parts of a program share one stateful generator."""
    rng = stateful_rng(0)
    return rng.normal(size=3), rng.normal(size=3)


@right()
def generator_in_a_loop(key):
    """A stateful generator counts on in each step of a loop, and after it."""
    rng = to_stateful(key)
    inside = lax.map(lambda x: x * rng.normal(size=3), jnp.ones(4))
    return inside, rng.normal(size=3)


@wrong("KS13", lambda: ())
def generator_made_anew_in_a_loop():
    """Each step makes the generator anew, and all steps draw the same numbers."""
    return lax.map(lambda x: x * stateful_rng(1).normal(), jnp.ones(4)), stateful_rng(1).normal()


@right()
def generator_in_a_while_loop(key):
    """A rejection sampler draws from a stateful generator until it is content."""
    rng = to_stateful(key)
    found = lax.while_loop(lambda value: value < 1.0, lambda _: rng.normal(), 0.0)
    return found, rng.normal()


@right()
def generator_through_jit(key):
    """A compiled function that is called twice counts the generator on that it is given."""
    rng = to_stateful(key)
    draw = jax.jit(lambda rng: rng.normal(size=3))
    return draw(rng), draw(rng)


@wrong("KS05")
def counter_never_advanced(key):
    """A counter is read for each draw, and nobody counts it on."""
    counter = jax.new_ref(0)
    return [random.normal(random.fold_in(key, counter[...]), (3,)) for _ in range(2)]


@right()
def counter_advanced(key):
    """A counter is read for each draw and counted on."""
    counter, draws = jax.new_ref(0), []
    for _ in range(2):
        draws.append(random.normal(random.fold_in(key, counter[...]), (3,)))
        counter[...] += 1
    return draws


@wrong("KS08")
def counter_never_advanced_in_a_loop(key):
    """The counter that the steps of a loop fold in stays what it is."""
    counter = jax.new_ref(5)
    draw = lambda x: x * random.normal(random.fold_in(key, counter[...]), (3,))
    return lax.map(draw, jnp.ones(4))


@right()
def counter_advanced_in_a_loop(key):
    """Each step of a loop folds the counter in and counts it on."""
    counter = jax.new_ref(5)

    def draw(x):
        use = random.fold_in(key, counter[...])
        counter[...] += 1
        return x * random.normal(use, (3,))

    return lax.map(draw, jnp.ones(4))


@wrong("KS05")
def counter_set_back(key):
    """A counter is set back to where it began, and the draws with it."""
    counter = jax.new_ref(0)
    first = random.normal(random.fold_in(key, counter[...]), (3,))
    counter[...] += 1
    counter[...] = 0
    return first, random.normal(random.fold_in(key, counter[...]), (3,))


@wrong("KS01")
def key_in_a_ref_read_twice(key):
    """A key in a mutable array is read and drawn from twice, and nothing is written in between."""
    held = jax.new_ref(key)
    return random.normal(held[...], (3,)), random.normal(held[...], (3,))


@right()
def key_in_a_ref_advanced(key):
    """A key in a mutable array is split at each read, and one child written back."""
    held, draws = jax.new_ref(key), []
    for _ in range(2):
        held[...], use = random.split(held[...])
        draws.append(random.normal(use, (3,)))
    return draws


@wrong("KS01", one_legacy)
def words_in_a_ref_read_twice(rng):
    """The words of a legacy key in a mutable array are read and drawn from twice."""
    held = jax.new_ref(rng)
    return random.normal(held[...], (3,)), random.normal(held[...], (3,))


@right(one_legacy)
def words_in_a_ref_advanced(rng):
    """The words of a legacy key in a mutable array are split at each read."""
    held, draws = jax.new_ref(rng), []
    for _ in range(2):
        following, use = random.split(held[...])
        held[...] = following
        draws.append(random.normal(use, (3,)))
    return draws


@wrong("KS07")
def key_in_a_ref_for_all_steps(key):
    """All steps of a loop draw from the key in a mutable array, which nobody writes."""
    held = jax.new_ref(key)
    return lax.map(lambda x: x * random.normal(held[...], (3,)), jnp.ones(4))


@right()
def key_in_a_ref_advanced_in_a_loop(key):
    """Each step of a loop splits the key in a mutable array and writes one child back."""
    held = jax.new_ref(key)

    def draw(x):
        held[...], use = random.split(held[...])
        return x * random.normal(use, (3,))

    return lax.map(draw, jnp.ones(4)), draw(1.0)


@wrong("KS01", lambda: (*one_key(), jnp.asarray(True)))
def key_in_a_ref_after_a_branch(key, flag):
    """A branch draws from the key in a mutable array without a write, and so does what follows."""
    held = jax.new_ref(key)
    inside = lax.cond(flag, lambda: random.normal(held[...], (3,)), lambda: jnp.zeros(3))
    return inside, random.normal(held[...], (3,))


@right(lambda: (*one_key(), jnp.asarray(True)))
def counter_in_a_branch(key, flag):
    """A branch draws with a counter and counts it on, and so does what follows."""
    counter = jax.new_ref(0)

    def draw():
        use = random.fold_in(key, counter[...])
        counter[...] += 1
        return random.normal(use, (3,))

    return lax.cond(flag, draw, lambda: jnp.zeros(3)), draw()
