"""flax linen: a key for each collection, folded by path and counter."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import styled

wrong, right = styled("flax linen", "flax")


def net() -> Any:
    """Return a small network with dropout."""
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.Dropout(0.5, deterministic=False)(nn.tanh(nn.Dense(4)(x)))
            return nn.Dropout(0.5, deterministic=False)(x)

    return Net()


def dropout() -> Any:
    """Return what only drops."""
    from flax import linen as nn

    return nn.Dropout(0.5, deterministic=False)


def key_weights_batch() -> tuple[Any, ...]:
    """Return a key, the weights, which have been drawn elsewhere, and a batch."""
    params = {"Dense_0": {"kernel": jnp.ones((2, 4)), "bias": jnp.linspace(0.1, 0.4, 4)}}
    return random.key(0), {"params": params}, jnp.linspace(1.0, 2.0, 8).reshape(4, 2)


def key_and_ramp() -> tuple[Any, ...]:
    """Return a key and what is dropped from, all its numbers different."""
    return random.key(0), jnp.linspace(1.0, 2.0, 64)


def same_mask(result: Any) -> bool:
    first, second = result
    return bool(((first == 0) == (second == 0)).all())


def other_mask(result: Any) -> bool:
    return not same_mask(result)


@wrong("KS05", key_and_ramp, shows=same_mask)
def two_applies_one_key(key, x):
    """Two passes of one step get the same dropout key, and so the same masks."""
    first = dropout().apply({}, x, rngs={"dropout": key})
    second = dropout().apply({}, 2 * x, rngs={"dropout": key})
    return first, second


@right(key_and_ramp, shows=other_mask)
def two_applies_two_keys(key, x):
    """Each pass gets a dropout key of its own."""
    keys = random.split(key)
    return [dropout().apply({}, x, rngs={"dropout": each}) for each in keys]


@wrong("KS08", lambda: (random.key(0), jnp.ones((3, 64))))
def train_loop_one_dropout_key(key, batches):
    """Every step of the training loop drops the same units."""

    def step(carry, x):
        mask = dropout().apply({}, x, rngs={"dropout": key})
        return carry, mask.sum() + 0.5

    return lax.scan(step, 0, batches)[1]


@right(lambda: (random.key(0), jnp.ones((3, 64))), shows=other_mask)
def train_loop_step_folded(key, batches):
    """Every step folds its number into the dropout key."""

    def step(i, x):
        return i + 1, dropout().apply({}, x, rngs={"dropout": random.fold_in(key, i)})

    return lax.scan(step, 0, batches)[1][:2]


@right(key_weights_batch, shows=None)
def noise_beside_dropout(key, weights, x):
    """The key that goes to dropout also makes eight numbers of noise, far from the hash folded."""
    noisy = x + random.normal(key, x.shape)
    return net().apply(weights, noisy, rngs={"dropout": key})


@right(key_weights_batch, shows=None)
def noise_and_dropout(key, weights, x):
    """Input noise and dropout have a key each."""
    noise, drop = random.split(key)
    noisy = x + random.normal(noise, x.shape)
    return net().apply(weights, noisy, rngs={"dropout": drop})


@wrong("KS10", key_weights_batch, shows=None)
def state_keeps_dropout_key(key, weights, x):
    """The training state keeps the dropout key that the step has used."""
    y = net().apply(weights, x, rngs={"dropout": key})
    return {"loss": y.sum(), "dropout_key": key}


@right(key_weights_batch, shows=None)
def init_with_one_key(key, _, x):
    """`init` folds one key by path and counter for both collections."""
    return net().init(key, x)


@right(key_weights_batch, shows=None)
def init_and_train(key, _, x):
    """The usual beginning: a key for the weights and one for dropout."""
    params, drop = random.split(key)
    weights = net().init({"params": params, "dropout": drop}, x)
    use = random.fold_in(drop, 1)

    def loss(weights):
        return net().apply(weights, x, rngs={"dropout": use}).sum()

    return jax.grad(loss)(weights)


def stack(split: bool) -> Any:
    """Return three layers of dropout, scanned over."""
    from flax import linen as nn

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
            return x, nn.Dropout(0.5, deterministic=False)(x)

    scanned = nn.scan(Layer, split_rngs={"params": True, "dropout": split}, length=3)
    return scanned()


@wrong("KS08", key_and_ramp, shows=lambda result: same_mask(result[:2]))
def layers_drop_alike(key, x):
    """`split_rngs={"dropout": False}` scans over layers that drop the same units."""
    return stack(split=False).apply({}, x, None, rngs={"dropout": key})[1]


@right(key_and_ramp, shows=lambda result: other_mask(result[:2]))
def layers_drop_apart(key, x):
    """`split_rngs={"dropout": True}` gives each layer a key."""
    return stack(split=True).apply({}, x, None, rngs={"dropout": key})[1]


def gradient_through(layers: Any, key: jax.Array, x: jax.Array) -> jax.Array:
    def loss(scale: jax.Array) -> tuple[jax.Array, jax.Array]:
        dropped = layers.apply({}, scale * x, None, rngs={"dropout": key})[1]
        return dropped.sum(), dropped

    return jax.jit(jax.grad(loss, has_aux=True))(jnp.float32(1.0))[1]


@wrong("KS08", key_and_ramp, shows=lambda result: same_mask(result[:2]))
def layers_drop_alike_in_a_loss(key, x):
    """The same scan over layers, inside of a gradient."""
    return gradient_through(stack(split=False), key, x)


@right(key_and_ramp, shows=lambda result: other_mask(result[:2]))
def layers_drop_apart_in_a_loss(key, x):
    """The same scan with a key for each layer, inside of a gradient."""
    return gradient_through(stack(split=True), key, x)


@right(key_weights_batch, shows=None)
def shared_weights_in_lanes(key, _, x):
    """`nn.vmap` with shared weights initialises them once, from an unsplit key."""
    from flax import linen as nn

    mapped = nn.vmap(
        nn.Dense, variable_axes={"params": None}, split_rngs={"params": False}, in_axes=0
    )
    return mapped(3).init(key, x)
