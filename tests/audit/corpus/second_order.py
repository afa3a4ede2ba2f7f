"""Derivatives of derivatives, products with them, and lanes that are tangents."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

wrong, right = styled("second order")


def key_and_points():
    """Return one key, a point, and three points or directions."""
    return random.key(0), jnp.linspace(1.0, 2.0, 3), jnp.eye(3)


def rows_agree(result):
    """Is what was added to the first two rows equal?"""
    return bool((result[0] == result[1]).all())


@jax.checkpoint
def layer(x, key):
    """Add noise, and compute it again in a backward pass."""
    return jnp.tanh(x + random.normal(key, x.shape))


def network(x, key):
    """Return the sum of two checkpointed layers, each with a key."""
    first, second = random.split(key)
    return layer(layer(x, first), second).sum()


# --- lanes that are tangents ------------------------------------------------------------------


@right(key_and_points)
def hessian_of_checkpointed_layers(key, x, _):
    """The lanes of `hessian` are tangents and cotangents, in what is computed again as well."""
    return jnp.diagonal(jax.hessian(lambda x: network(x, key))(x))


@wrong("KS11", key_and_points, shows=rows_agree)
def hessians_of_examples(key, _, rows):
    """The Hessian of each example is taken of layers with the same noise."""
    return jax.vmap(jax.hessian(lambda row: network(row, key)))(0 * rows)


@right(key_and_points)
def jacobian_of_a_checkpointed_scan(key, x, _):
    """The lanes of `jacrev` are cotangents."""

    def states(x):
        return lax.scan(lambda h, key: (layer(h, key), None), x, random.split(key, 2))[0]

    return jnp.diagonal(jax.jacrev(states)(x))


@wrong("KS11", key_and_points, shows=rows_agree)
def gradients_of_checkpointed_examples(key, _, rows):
    """The gradient of each example is taken of layers with the same noise."""
    return jax.vmap(jax.grad(lambda row: network(row, key)))(0 * rows)


@right(key_and_points)
def jacobian_of_one_scale(key, x, _):
    """One number scales a vector, and the lanes are tangents of that."""
    return jnp.diagonal(jax.jacfwd(lambda x: jnp.tanh(x * random.normal(key)))(x))


@wrong("KS11", key_and_points, shows=rows_agree)
def points_of_one_scale(key, _, rows):
    """Each lane has a point and a direction of its own, and all have the same scale."""

    def along(row, direction):
        return jax.jvp(lambda row: jnp.tanh(row + random.normal(key)), (row,), (direction,))[0]

    return jax.vmap(along)(0 * rows, rows)


@right(key_and_points)
def hessian_of_a_mean_over_keys(key, x, _):
    """Each sample has a key, and the lanes around the samples are tangents."""

    def objective(x):
        sample = lambda key: jnp.tanh(x + random.normal(key, x.shape)).sum()
        return jax.vmap(sample)(random.split(key, 2)).mean()

    return jnp.diagonal(jax.hessian(objective)(x))


# --- one function, differentiated more than once ----------------------------------------------


def noisy(x, key):
    """Return a function's value that is made with noise."""
    return jnp.tanh(x * random.normal(key, x.shape))


@right(key_and_points)
def gauss_newton_by_both_modes(key, x, _):
    """A product with a Gauss-Newton matrix calls one function forward and backward."""
    fun = lambda x: noisy(x, key)
    _, pushed = jax.jvp(fun, (x,), (x,))
    _, pull = jax.vjp(fun, x)
    return pull(pushed)[0]


@right(key_and_points)
def gauss_newton_by_one_linearization(key, x, _):
    """The same product of a function that is called once."""
    _, push = jax.linearize(lambda x: noisy(x, key), x)
    return jax.linear_transpose(push, x)(push(x))[0]


@wrong("KS01", key_and_points, shows=rows_agree)
def both_modes_of_two_functions(key, x, _):
    """Two functions that are differentiated draw the same noise."""
    _, pushed = jax.jvp(lambda x: random.normal(key, x.shape) * x, (x,), (x / x,))
    _, pull = jax.vjp(lambda x: x * random.normal(key, x.shape), x)
    return pushed, pull(x / x)[0]


@wrong("KS01", key_and_points, shows=rows_agree)
def gradients_of_two_batches(key, x, _):
    """The gradients of two batches are taken with the same noise."""
    grad = jax.grad(lambda w, x: (w * random.normal(key, w.shape) + x).sum())
    return grad(x, 1.0), grad(x, 2.0)


@right(key_and_points)
def trace_in_a_loop(key, x, directions):
    """Each step of a loop takes a product with the Hessian of one function."""
    grad = jax.grad(lambda x: noisy(x, key).sum())
    return lax.map(lambda v: v @ jax.jvp(grad, (x,), (v,))[1], directions)


@wrong("KS07", key_and_points, shows=rows_agree)
def product_of_a_loop(key, x, _):
    """A product is taken of a function in which all layers draw the same noise."""

    def layers(x):
        def body(h, _):
            noise = random.normal(key, x.shape)
            return jnp.tanh(h * noise), noise

        return lax.scan(body, x, length=2)[1]

    return jax.jvp(layers, (x,), (x,))[0]


@wrong("KS07", key_and_points, shows=rows_agree)
def gradients_in_a_loop(key, x, rows):
    """The gradient of each example is taken in a loop, with the same noise."""
    grad = jax.grad(lambda w, row: (w * random.normal(key, w.shape) + row).sum())
    return lax.map(lambda row: grad(x, row), rows)


# --- keys of which one is chosen, or that stand beside others -----------------------------------


@wrong("KS02", shows=None)
def child_chosen_of_a_drawn_key(key):
    """A key is drawn from, and one of its children chosen."""
    first, second = random.split(key)
    noise = random.normal(first)
    child, _ = random.split(first)
    return noise, random.normal(jnp.where(noise > 0, child, second))


@right(one_key)
def child_chosen_of_a_split_key(key):
    """One of two children is chosen, and nothing else is made of them."""
    coin, first, second = random.split(key, 3)
    toss = random.normal(coin)
    return toss, random.normal(jnp.where(toss > 0, random.split(first)[0], second))


def _noise_of_steps(key, beside):
    def step(total, key):
        keys = jnp.concatenate([beside(key), random.split(random.fold_in(key, 9), 2)])
        draws = jax.vmap(random.normal)(keys)
        return total + draws.sum(), draws

    return lax.scan(step, 0.0, random.split(key, 3))[1]


@wrong("KS07")
def outer_keys_beside_those_of_the_step(key):
    """Some lanes of each step draw from keys of outside, the others from keys of the step."""
    key, outer = random.split(key)
    return _noise_of_steps(key, lambda _: random.split(outer, 2))


@right()
def all_keys_of_the_step(key):
    """All lanes of each step draw from keys of the step."""
    return _noise_of_steps(key, lambda key: random.split(random.fold_in(key, 8), 2))


def key_and_examples():
    """Return one key, weights, and an example for each lane that is as long as they are."""
    return random.key(0), jnp.ones(5), jnp.linspace(1.0, 2.0, 15).reshape(3, 5)


@wrong("KS11", key_and_examples, shows=lambda kept: bool((kept[0] == kept[1]).all()))
def slopes_of_examples(key, weights, rows):
    """Each example's gradient goes through one dropout mask, and weights are as long as it is."""

    def loss(weights, row):
        kept = random.bernoulli(key, 0.5, row.shape)
        return jnp.where(kept, row, 0.0) @ weights

    return jax.vmap(jax.grad(loss), (None, 0))(weights, rows) != 0
