"""Keys handed from line to line, as in a first notebook."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from tests.audit.corpus.program import styled

wrong, right = styled("plain")


def children_meet(result: Any) -> bool:
    """Are raw bits of a key the two words of its children, combined?"""
    bits, child_words = result
    return bool((np.bitwise_xor.reduce(child_words, axis=-1) == bits).any())


@wrong("KS01")
def two_draws(key):
    """One key is drawn from twice, so that both draws are equal."""
    return random.normal(key, (3,)), random.normal(key, (3,))


@right()
def two_draws_two_keys(key):
    """Each draw has a key of its own."""
    first, second = random.split(key)
    return random.normal(first, (3,)), random.normal(second, (3,))


def layer(key: jax.Array, inside: int, outside: int) -> jax.Array:
    return random.normal(key, (inside, outside)) / inside**0.5


@wrong("KS01", shows=lambda result: bool((result["first"] == result["second"]).all()))
def layers_alike(key):
    """Two layers are initialised by a helper that is given the same key."""
    return {"first": layer(key, 4, 4), "second": layer(key, 4, 4)}


@right()
def layers_apart(key):
    """A dict comprehension over the rows of one split: a key for each layer."""
    names = ("first", "second", "third")
    return {name: layer(each, 4, 4) for name, each in zip(names, random.split(key, 3), strict=True)}


@wrong("KS01", shows=None)
def uniform_beside_normal(key):
    """Two samplers are given one key: other shapes and dtypes hide that the bits are shared."""
    return random.normal(key, (5,)), random.uniform(key, (2, 2))


@wrong("KS01")
def python_loop_without_split(key):
    """A Python loop draws from the same key in each turn."""
    return [random.normal(key, (3,)) for _ in range(3)]


@right()
def python_loop_over_keys(key):
    """A Python loop takes one row of a split in each turn."""
    return [random.normal(each, (3,)) for each in random.split(key, 3)]


@wrong("KS01")
def same_row_twice(key):
    """Of four keys one is used twice and the last never, by a slip of an index."""
    keys = random.split(key, 4)
    return [random.normal(keys[row], (3,)) for row in (0, 1, 2, 1)]


@right()
def rows_by_index(key):
    """Each row is used once; that they are rows of one array doesn't matter."""
    keys = random.split(key, 4)
    return [random.normal(keys[row], (3,)) for row in (0, 1, 2, -1)]


@wrong("KS01")
def slices_overlap(key):
    """The slice of the first three keys and the slice from the third share a key."""
    keys = random.split(key, 5)
    draw = jax.vmap(random.normal)
    return draw(keys[:3]), draw(keys[2:])


@right()
def slices_apart(key):
    """Two slices of one key array that meet without overlapping."""
    keys = random.split(key, 5)
    draw = jax.vmap(random.normal)
    return draw(keys[:3]), draw(keys[3:])


@wrong("KS01")
def flipped_and_straight(key):
    """The first of the flipped keys is the last of them as they were."""
    keys = random.split(key, 3)
    return random.normal(jnp.flip(keys)[0], (3,)), random.normal(keys[2], (3,))


@right()
def turned_keys(key):
    """Transposed, flipped and reshaped keys are the same keys in another order, each used once."""
    keys = random.split(key, (2, 3))
    turned = jnp.flip(keys.T).reshape(6)
    return jax.vmap(random.normal)(turned)


@wrong("KS01")
def same_traced_row(key):
    """A row picked by an index known only at run time is drawn from twice."""

    @jax.jit
    def pick(keys, row):
        return random.normal(keys[row], (3,)), random.normal(keys[row], (3,))

    return pick(random.split(key, 4), 2)


@right()
def neighboring_traced_rows(key):
    """Two rows picked by an index known only at run time, one behind the other."""

    @jax.jit
    def pick(keys, row):
        return random.normal(keys[row], (3,)), random.normal(keys[row + 1], (3,))

    return pick(random.split(key, 4), 1)


@wrong("KS02", shows=children_meet)
def drawn_then_split(key):
    """The key has been drawn from when it is split: the draw is made of its children's words."""
    bits = random.bits(key, (2,))
    return bits, random.key_data(random.split(key))


@right()
def split_then_drawn(key):
    """The key is split first, and only children are drawn from."""
    key, use = random.split(key)
    first = random.normal(use, (3,))
    key, use = random.split(key)
    return first, random.normal(use, (3,))


def low_bits_agree(result: Any) -> bool:
    integers, bits = result
    return bool((integers == (bits & 0xFFFF)).all())


@wrong("KS02", shows=low_bits_agree)
def randint_then_split(key):
    """`randint` splits inside, so its integers are the low bits of what the second child draws."""
    integers = random.randint(key, (3,), 0, 65536)
    _, second = random.split(key)
    return integers, random.bits(second, (3,))


@wrong("KS03")
def split_again(key):
    """Two places split the same key, in two and in three: the first children are the same."""
    first, _ = random.split(key)
    again, *_ = random.split(key, 3)
    return random.normal(first, (3,)), random.normal(again, (3,))


@wrong("KS03")
def callee_splits_too(key):
    """Caller and callee both split the key, and both draw from its second child."""

    def noisy(key, x):
        _, use = random.split(key)
        return x + random.normal(use, x.shape)

    _, use = random.split(key)
    return random.normal(use, (3,)), noisy(key, jnp.zeros(3))


@right()
def split_again_elsewhere(key):
    """The key is split in two places, and no child of it is used in both."""
    first, second = random.split(key)
    third = random.split(key, 3)[2]
    return [random.normal(each, (3,)) for each in (first, second, third)]


@wrong("KS04")
def split_and_folded(key):
    """`fold_in(key, 0)` is the first row of `split(key)`, which goes on as the carry."""
    carry, _ = random.split(key)
    return random.normal(random.fold_in(key, 0), (3,)), random.normal(carry, (3,))


@wrong("KS04")
def many_rows_and_a_tag(key):
    """The tag of the evaluation is small enough to be a row of the split."""
    evaluation = 3
    train = jax.vmap(random.normal)(random.split(key, 6))
    return train, random.normal(random.fold_in(key, evaluation))


@right()
def split_and_folded_apart(key):
    """A fold far behind the rows that are split off is a child of its own."""
    carry, use = random.split(key)
    return [random.normal(each, (3,)) for each in (carry, use, random.fold_in(key, 1000))]


@wrong("KS05")
def folded_twice(key):
    """Two places fold the same number into one key."""
    return random.normal(random.fold_in(key, 7), (3,)), random.normal(random.fold_in(key, 7), (3,))


@wrong("KS05")
def names_of_one_length(key):
    """Names become numbers by their length, and two have the same."""
    return {name: random.normal(random.fold_in(key, len(name))) for name in ("w", "bias", "gate")}


@right()
def folded_by_position(key):
    """Each name becomes its position, so that all folds differ."""
    names = ("w", "bias", "gate")
    return {name: random.normal(random.fold_in(key, i)) for i, name in enumerate(names)}


@wrong("KS06", shows=children_meet)
def folded_then_drawn(key):
    """The key is folded and then drawn from: the draw is made of its children's words."""
    child = random.fold_in(key, 1)
    return random.bits(key, (3,)), random.key_data(child[None])


@right()
def folded_at_both_places(key):
    """The key is a parent only: both draws come from folds of it."""
    return [random.normal(random.fold_in(key, name), (3,)) for name in (1, 2)]


@wrong("KS10", shows=None)
def used_key_returned(key):
    """The key comes back to the caller as if it were new, and has been drawn from."""
    return random.normal(key, (3,)), key


@wrong("KS10", shows=None)
def split_key_in_state(key):
    """The state keeps the key that was split, where its first child should stand."""
    use, _ = random.split(key)
    return {"weights": random.normal(use, (3,)), "key": key}


@right()
def new_key_returned(key):
    """What comes back is a child that hasn't been used."""
    key, use = random.split(key)
    return random.normal(use, (3,)), key


@wrong("KS15", shows=None)
def spare_children(key):
    """Of four children only two are used: more was planned than is done."""
    first, second, _, _ = random.split(key, 4)
    return random.normal(first, (3,)), random.normal(second, (3,))


@wrong("KS15", args=lambda: (random.key(0), jnp.ones(3)), shows=None)
def unused_argument(key, x):  # noqa: ARG001 - that is what is wrong with it
    """A dropout layer takes a key, and drops nothing."""
    return x * 0.5


@wrong("KS03")
def generator_object(key):
    """An object hands out children of its key and forgets to put the new key back."""

    class Generator:
        def __init__(self, key):
            self.key = key

        def normal(self, shape):
            key, use = random.split(self.key)
            self.next = key
            return random.normal(use, shape)

    generator = Generator(key)
    return generator.normal((3,)), generator.normal((3,))


@right()
def generator_object_advanced(key):
    """An object that replaces its key whenever it hands out a child."""

    class Generator:
        def __init__(self, key):
            self.key = key

        def normal(self, shape):
            self.key, use = random.split(self.key)
            return random.normal(use, shape)

    generator = Generator(key)
    return generator.normal((3,)), generator.normal((3,))


@right(args=lambda: (random.key(0), True))
def where_between_keys(key, flag):
    """One of two keys is chosen at run time and drawn from once."""
    first, second = random.split(key)
    return random.normal(jnp.where(flag, first, second), (3,))


@wrong("KS01", args=lambda: (random.key(0), True))
def where_then_drawn(key, flag):
    """One of two keys is chosen and drawn from, and then the first is, which it was."""
    first, second = random.split(key)
    chosen = random.normal(jnp.where(flag, first, second), (3,))
    return chosen, random.normal(first, (3,))


@right(shows=None)
def shapes_only(key):
    """The key also goes to `eval_shape`, which draws nothing."""
    shape = jax.eval_shape(lambda key: random.normal(key, (3,)), key).shape
    return random.normal(key, shape)
