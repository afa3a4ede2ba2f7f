"""Implementations that promise less than threefry2x32."""

from __future__ import annotations

import jax
from jax import random

from tests.audit.corpus.program import repeats, styled

wrong, right = styled("implementations")


def lanes_differ_from_loop(result: jax.Array) -> bool:
    last = random.split(random.key(0, impl="rbg"), 3)[2]
    return not bool((result[2] == random.normal(last, (3,))).all())


@wrong("KS16", lambda: (random.key(0, impl="rbg"),), shows=lanes_differ_from_loop)
def rbg_in_lanes(key):
    """Under vmap an rbg key draws other numbers than in a loop, all from the first lane's key."""
    return jax.vmap(lambda key: random.normal(key, (3,)))(random.split(key, 3))


@right(lambda: (random.key(0, impl="rbg"),))
def rbg_without_lanes(key):
    """An rbg key that is split and drawn from outside of any vmap."""
    first, second = random.split(key)
    return random.normal(first, (3,)), random.normal(second, (3,))


@wrong("KS16", lambda: (random.key(0, impl="unsafe_rbg"),), shows=repeats)
def unsafe_folds(key):
    """Folds of unsafe_rbg commute, so (epoch 1, step 2) is (epoch 2, step 1)."""
    pairs = ((1, 2), (2, 1))
    return [random.normal(random.fold_in(random.fold_in(key, i), j), (3,)) for i, j in pairs]


@right()
def threefry_folds(key):
    """Folds of threefry2x32 don't commute."""
    pairs = ((1, 2), (2, 1))
    return [random.normal(random.fold_in(random.fold_in(key, i), j), (3,)) for i, j in pairs]


@wrong("KS06", lambda: (random.key(0, impl="rbg"),), shows=None)
def rbg_drawn_and_folded(key):
    """A draw beside a fold of the same rbg key: nothing keeps them apart."""
    return random.normal(key, (3,)), random.normal(random.fold_in(key, 2), (3,))


@right()
def threefry_in_lanes(key):
    """Under vmap a threefry2x32 key draws what it draws in a loop."""
    keys = random.split(key, 3)
    return jax.vmap(lambda key: random.normal(key, (3,)))(keys)
