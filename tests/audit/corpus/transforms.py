"""Keys through jit, grad, remat and rules of one's own."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import random

from tests.audit.corpus.program import key_and_batch, one_key, styled

wrong, right = styled("transforms")


@jax.jit
def jitted_noise(key: jax.Array) -> jax.Array:
    return random.normal(key, (3,))


@wrong("KS01")
def jitted_twice(key):
    """A compiled function is called twice with one key."""
    return jitted_noise(key), jitted_noise(key)


@right()
def jitted_with_two_keys(key):
    """A compiled function is called with one key and then another."""
    first, second = random.split(key)
    return jitted_noise(first), jitted_noise(second)


def dropped(weights: jax.Array, key: jax.Array, x: jax.Array) -> jax.Array:
    keep = random.bernoulli(key, 0.5, x.shape)
    return jnp.tanh(jnp.where(keep, x, 0.0) @ weights)


@right(key_and_batch, shows=None)
def remat_replays(key, x):
    """Under remat the backward pass makes the forward mask again, as it must."""

    def loss(weights):
        return jax.checkpoint(dropped)(weights, key, x).sum()

    return jax.grad(loss)(jnp.ones(2))


@wrong("KS01", key_and_batch, shows=None)
def remat_twice(key, x):
    """Two layers under remat drop the same units."""

    def loss(weights):
        layer = jax.checkpoint(dropped)
        return (layer(weights, key, x) + layer(2 * weights, key, x)).sum()

    return jax.grad(loss)(jnp.ones(2))


@right(key_and_batch, shows=None)
def value_and_gradient(key, x):
    """The mask of the forward pass is kept for the backward pass."""
    first, second = random.split(key)

    def loss(weights):
        return (dropped(weights, first, x) + dropped(2 * weights, second, x)).sum()

    return jax.value_and_grad(loss)(jnp.ones(2))


@functools.partial(jax.custom_vjp)
def noisy_round(x: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.floor(x + random.uniform(key, x.shape))


def _round_forward(x, key):
    return noisy_round(x, key), None


def _round_backward(_, cotangent):
    return cotangent, None


noisy_round.defvjp(_round_forward, _round_backward)


@right(lambda: (*one_key(), jnp.linspace(0.0, 3.0, 3)), shows=None)
def straight_through(key, x):
    """Stochastic rounding with a straight-through gradient draws in the forward pass only."""
    return jax.value_and_grad(lambda x: noisy_round(x, key).sum())(x)


@wrong("KS01", lambda: (*one_key(), jnp.linspace(0.0, 3.0, 3)), shows=None)
def straight_through_twice(key, x):
    """Weights and activations are rounded by one key."""
    return noisy_round(x, key), noisy_round(2.5 * x, key)


@jax.custom_vjp
def scaled_noise(scale: jax.Array, key: jax.Array) -> jax.Array:
    return scale * random.normal(key, (3,))


def _scaled_forward(scale, key):
    return scaled_noise(scale, key), key


def _scaled_backward(key, cotangent):
    # The noise isn't kept: it is made again, from the key.
    return (cotangent @ random.normal(key, (3,)), None)


scaled_noise.defvjp(_scaled_forward, _scaled_backward)


@right(shows=None)
def noise_made_again_backward(key):
    """A backward rule makes the forward noise again, to save the memory."""
    return jax.grad(lambda scale: (scaled_noise(scale, key) ** 2).sum())(2.0)


@jax.custom_jvp
def jittered(x: jax.Array, key: jax.Array) -> jax.Array:
    return x + random.normal(key, x.shape)


@jittered.defjvp
def _jittered_jvp(primals, tangents):
    return jittered(*primals), tangents[0]


@wrong("KS01", lambda: (*one_key(), jnp.zeros(3)))
def custom_rule_twice(key, x):
    """A function with a rule of its own adds the same noise twice."""
    return jittered(x, key), jittered(x, key)


@right(lambda: (*one_key(), jnp.zeros(3)), shows=None)
def custom_rule_once(key, x):
    """A function with a rule of its own, differentiated."""
    return jax.jvp(lambda x: jittered(x, key), (x,), (x,))


@wrong("KS02", key_and_batch, shows=None)
def drawn_inside_split_outside(key, x):
    """What is differentiated draws from the key that the line behind it splits."""
    gradient = jax.grad(lambda weights: dropped(weights, key, x).sum())(jnp.ones(2))
    noise = random.normal(random.split(key)[1], (2,))
    return gradient + noise


@right(one_key)
def partial_with_key(key):
    """Keys are bound by `partial`, one to each function."""
    draws = [functools.partial(random.normal, each) for each in random.split(key)]
    return [draw((3,)) for draw in draws]
