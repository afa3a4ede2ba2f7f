"""Data augmentation: flips, crops, shuffles and mixtures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import key_and_batch, legacy_and_batch, one_key, styled

wrong, right = styled("augmentation")


def bright(key: jax.Array, x: jax.Array) -> jax.Array:
    return x * random.uniform(key, (), minval=0.8, maxval=1.2)


def flip(key: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.where(random.uniform(key) < 0.5, x, x[::-1])


def shift(key: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.roll(x, random.randint(key, (), 0, 2))


@wrong("KS01", legacy_and_batch, shows=None)
def flip_and_brightness(rng, images):
    """Flip and brightness come from one key: only dark images are flipped."""
    return bright(rng, flip(rng, images[0]))


@right(legacy_and_batch, shows=None)
def flip_and_brightness_apart(rng, images):
    """Flip and brightness have a key each."""
    first, second = random.split(rng)
    return bright(first, flip(second, images[0]))


@wrong("KS01", key_and_batch, shows=None)
def flip_and_shift(key, images):
    """The flip draws from the key that the shift splits inside."""
    return shift(key, flip(key, images[0]))


@wrong("KS11", key_and_batch, shows=None)
def batch_flips_alike(key, images):
    """All images of a batch are flipped, or none."""
    return jax.vmap(flip, in_axes=(None, 0))(key, images)


@right(key_and_batch, shows=None)
def batch_flips(key, images):
    """Each image has a key, which is split for its changes."""

    def augment(key, x):
        first, second, third = random.split(key, 3)
        return shift(third, bright(second, flip(first, x)))

    return jax.vmap(augment)(random.split(key, len(images)), images)


@wrong("KS07", one_key, shows=lambda result: bool((result[0] == result[1]).all()))
def epochs_shuffled_alike(key):
    """Each epoch shuffles in the same order."""
    return lax.map(lambda _: random.permutation(key, 8), jnp.arange(3))


@right(one_key, shows=lambda result: not bool((result[0] == result[1]).all()))
def epochs_shuffled(key):
    """Each epoch folds its number and shuffles."""
    return lax.map(lambda i: random.permutation(random.fold_in(key, i), 8), jnp.arange(3))


@wrong("KS01", key_and_batch, shows=None)
def mixture_partners_and_weights(key, images):
    """Partners and weights of a mixture split the same key inside."""
    partners = random.permutation(key, images)
    weights = random.beta(key, 2.0, 2.0, (4, 1))
    return weights * images + (1 - weights) * partners


@right(key_and_batch, shows=None)
def mixture(key, images):
    """Partners and weights of a mixture have a key each."""
    first, second = random.split(key)
    partners = random.permutation(first, images)
    weights = random.beta(second, 2.0, 2.0, (4, 1))
    return weights * images + (1 - weights) * partners


@wrong("KS12", lambda: (random.key(0), jnp.ones((8, 2))))
def augmented_on_each_device(key, images):
    """Each device changes its images by the same replicated key."""
    return jax.pmap(lambda key, x: x * bright(key, jnp.ones(())), in_axes=(None, 0))(key, images)


@right(lambda: (random.key(0), jnp.arange(8), jnp.ones((8, 2))), shows=None)
def augmented_by_example(key, ids, images):
    """Each image is keyed by its number, wherever it is: devices share the key on purpose."""

    def augment(key, i, x):
        return bright(random.fold_in(key, i), x)

    return jax.pmap(augment, in_axes=(None, 0, 0))(key, ids, images)
