"""Diffusion models: training pairs and samplers that walk back in time."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import key_and_batch, one_key, styled

wrong, right = styled("diffusion")


def denoise(x, t):
    """Stand in for a network."""
    return 0.9 * x - 0.01 * t


@wrong("KS07", one_key)
def sampler_one_noise(key):
    """The sampler adds one noise at all times."""
    first, key = random.split(key)

    def back(x, t):
        noise = random.normal(key, x.shape)
        return denoise(x, t) + 0.1 * noise, noise

    return lax.scan(back, random.normal(first, (2,)), jnp.arange(4, 0, -1))[1]


@right(one_key)
def sampler_folds_time(key):
    """The sampler folds the time into its key."""
    first, key = random.split(key)

    def back(x, t):
        noise = random.normal(random.fold_in(key, t), x.shape)
        return denoise(x, t) + 0.1 * noise, noise

    return lax.scan(back, random.normal(first, (2,)), jnp.arange(4, 0, -1))[1]


@wrong("KS06", one_key, shows=None)
def start_beside_folds(key):
    """The image at the last time is drawn from the key into which the times are folded."""
    start = random.normal(key, (2,))

    def back(i, x):
        return denoise(x, i) + 0.1 * random.normal(random.fold_in(key, i), x.shape)

    return lax.fori_loop(0, 4, back, start)


@wrong("KS08", one_key)
def sampler_folds_a_name(key):
    """The sampler folds a name into its key, and no time."""
    first, key = random.split(key)

    def back(x, t):
        noise = random.normal(random.fold_in(key, 17), x.shape)
        return denoise(x, t) + 0.1 * noise, noise

    return lax.scan(back, random.normal(first, (2,)), jnp.arange(4))[1]


@wrong("KS01", key_and_batch, shows=None)
def time_and_noise(key, images):
    """The time of a training pair and its noise come from one key: late images get large noise."""
    time = random.uniform(key, (len(images), 1))
    noise = random.normal(key, images.shape)
    return (denoise(images * (1 - time) + noise * time, time) - noise) ** 2


@right(key_and_batch)
def time_and_noise_apart(key, images):
    """Time and noise of a training pair have a key each."""
    first, second = random.split(key)
    time = random.uniform(first, (len(images), 1))
    noise = random.normal(second, images.shape)
    return (denoise(images * (1 - time) + noise * time, time) - noise) ** 2


@wrong("KS07", one_key)
def sampler_carries_used_key(key):
    """The sampler's carry holds the key of the noise that has just been added."""

    def back(carry, t):
        key, x = carry
        noise = random.normal(key, x.shape)
        return (key, denoise(x, t) + 0.1 * noise), noise

    return lax.scan(back, (key, jnp.zeros(2)), jnp.arange(3))[1]


@right(one_key)
def sampler_carries_new_key(key):
    """The sampler's carry holds the child that hasn't been used; the last step adds no noise."""

    def back(carry, t):
        key, x = carry
        key, use = random.split(key)
        noise = lax.cond(t > 0, lambda: random.normal(use, x.shape), lambda: jnp.zeros_like(x))
        return (key, denoise(x, t) + 0.1 * noise), noise

    return lax.scan(back, (key, jnp.zeros(2)), jnp.arange(3, -1, -1))[1]
