"""Loops under gradients and remat: differentiation moves out of them what is alike in each step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import differs, one_key, repeats, styled

wrong, right = styled("differentiated")

WEIGHTS = (0.9, 0.8, 0.7)


def drawn_again(result: Any) -> bool:
    """Are there equal draws? The gradient beside them says nothing."""
    return repeats(result["draws"])


def drawn_apart(result: Any) -> bool:
    """Are all draws different?"""
    return differs(result["draws"])


Loss = Callable[..., tuple[jax.Array, Any]]


def gradient(loss: Loss, *rest: Any) -> dict[str, Any]:
    """Return the gradient of a loss that hands out its draws, and the draws."""
    (_, draws), grad = jax.value_and_grad(loss, has_aux=True)(jnp.array(WEIGHTS), *rest)
    return {"draws": draws, "gradient": grad}


def noisy(state: jax.Array, weights: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A layer: its state, and the noise that it has drawn."""
    noise = random.uniform(key, state.shape)
    return jnp.tanh(state * weights * noise), noise


def scan_layers(weights: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    state, draws = lax.scan(lambda h, _: noisy(h, weights, key), jnp.ones(3), length=3)
    return state.sum(), draws


def scan_keys(weights: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    keys = random.split(key, 3)
    state, draws = lax.scan(lambda h, key: noisy(h, weights, key), jnp.ones(3), keys)
    return state.sum(), draws


@wrong("KS07", shows=drawn_again)
def dropout_of_scanned_layers(key):
    """All layers of a scan drop the same units, in a jitted step with the gradient inside."""
    return jax.jit(functools.partial(gradient, scan_layers))(key)


@right(shows=drawn_apart)
def dropout_of_layers_with_keys(key):
    """Each layer of the scan has a key."""
    return jax.jit(functools.partial(gradient, scan_keys))(key)


@wrong("KS07", shows=drawn_again)
def gradient_of_a_jitted_loss(key):
    """The loss is compiled, and its gradient taken outside."""
    return gradient(jax.jit(scan_layers), key)


@right(shows=drawn_apart)
def gradient_of_a_jitted_loss_with_keys(key):
    """The loss is compiled, its gradient taken outside, and each layer has a key."""
    return gradient(jax.jit(scan_keys), key)


@wrong("KS07", shows=drawn_again)
def pulled_back(key):
    """The same loop under jax.vjp."""
    _, pull, draws = jax.vjp(lambda w: scan_layers(w, key), jnp.array(WEIGHTS), has_aux=True)
    return {"draws": draws, "gradient": pull(jnp.float32(1.0))}


@wrong("KS07", shows=drawn_again)
def forward_over_reverse(key):
    """The same loop in a Hessian."""
    hessian = jax.jacfwd(jax.grad(scan_layers, has_aux=True), has_aux=True)
    found, draws = hessian(jnp.array(WEIGHTS), key)
    return {"draws": draws, "hessian": found}


@right(shows=drawn_apart)
def forward_over_reverse_with_keys(key):
    """A Hessian of a loop in which each step has a key."""
    hessian = jax.jacfwd(jax.grad(scan_keys, has_aux=True), has_aux=True)
    found, draws = hessian(jnp.array(WEIGHTS), key)
    return {"draws": draws, "hessian": found}


def counted(weights: jax.Array, key: jax.Array, tag: Callable[[Any], Any]) -> Any:
    def step(i: Any, carry: Any) -> Any:
        state, draws = carry
        state, noise = noisy(state, weights, random.fold_in(key, tag(i)))
        return state, draws.at[i].set(noise)

    state, draws = lax.fori_loop(0, 3, step, (jnp.ones(3), jnp.zeros((3, 3))))
    return state.sum(), draws


@wrong("KS08", shows=drawn_again)
def constant_folded_in_fori_loop(key):
    """A constant is folded in at each step, where the number of the step was meant."""
    return gradient(functools.partial(counted, tag=lambda _: 7), key)


@right(shows=drawn_apart)
def step_folded_in_fori_loop(key):
    """The number of the step is folded in."""
    return gradient(functools.partial(counted, tag=lambda i: i), key)


@wrong("KS07", shows=drawn_again)
def split_inside_the_step(key):
    """Each step splits the same key from outside."""

    def loss(weights, key):
        def layer(h, _):
            first, second = random.split(key)
            h, one = noisy(h, weights, first)
            h, two = noisy(h, weights, second)
            return h, (one, two)

        state, draws = lax.scan(layer, jnp.ones(3), length=2)
        return state.sum(), draws

    return gradient(loss, key)


@wrong("KS07", shows=drawn_again)
def key_handed_on_in_the_carry(key):
    """The carry holds a key that no step advances."""

    def loss(weights, key):
        def layer(carry, _):
            h, key = carry
            h, noise = noisy(h, weights, key)
            return (h, key), noise

        (state, _), draws = lax.scan(layer, (jnp.ones(3), key), length=3)
        return state.sum(), draws

    return gradient(loss, key)


@right(shows=drawn_apart)
def key_advanced_in_the_carry(key):
    """The carry holds a key that each step splits."""

    def loss(weights, key):
        def layer(carry, _):
            h, key = carry
            key, use = random.split(key)
            h, noise = noisy(h, weights, use)
            return (h, key), noise

        (state, _), draws = lax.scan(layer, (jnp.ones(3), key), length=3)
        return state.sum(), draws

    return gradient(loss, key)


def blocks(weights: jax.Array, key: jax.Array, *, apart: bool) -> tuple[jax.Array, Any]:
    def block(h: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        keys = random.split(key, 2)
        layer = (
            (lambda h, k: noisy(h, weights, k)) if apart else (lambda h, _: noisy(h, weights, key))
        )
        return lax.scan(layer, h, keys)

    state, draws = lax.scan(block, jnp.ones(3), random.split(key, 2))
    return state.sum(), draws


@wrong("KS07", shows=drawn_again)
def inner_loop_alike(key):
    """The inner of two loops uses the key of the outer one's step, in each of its own steps."""
    return gradient(functools.partial(blocks, apart=False), key)


@right(shows=drawn_apart)
def both_loops_with_keys(key):
    """Both loops have a key in each step."""
    return gradient(functools.partial(blocks, apart=True), key)


def train(loss: Loss, key: jax.Array) -> dict[str, Any]:
    def step(weights: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        grad, draws = jax.grad(loss, has_aux=True)(weights, key)
        return weights - 0.1 * grad, draws

    weights, draws = lax.scan(step, jnp.array(WEIGHTS), random.split(key, 2))
    return {"draws": draws, "weights": weights}


@wrong("KS07", shows=drawn_again)
def whole_training_loop(key):
    """The loop over layers stands in the gradient, and that in a loop over steps with keys."""
    return train(scan_layers, key)


@right(shows=drawn_apart)
def whole_training_loop_with_keys(key):
    """Layers and steps have keys of their own."""
    return train(scan_keys, key)


@wrong("KS07", shows=drawn_again)
def mapped_examples(key):
    """Examples are mapped in a loss, with one key for all of them."""

    def loss(weights, key):
        states, draws = lax.map(lambda x: noisy(x, weights, key), jnp.eye(3) + 1.0)
        return states.sum(), draws

    return gradient(loss, key)


@right(lambda: (*one_key(),), shows=lambda result: bool(jnp.unique(result["draws"]).size == 3))
def variational_dropout(key):
    """One mask is drawn outside, and every step uses it on purpose."""

    def loss(weights, key):
        mask = random.uniform(key, (3,))
        state, _ = lax.scan(
            lambda h, _: (jnp.tanh(h * weights * mask), None), jnp.ones(3), length=3
        )
        return state.sum(), mask

    return jax.jit(functools.partial(gradient, loss))(key)


def checkpointed(weights: jax.Array, key: jax.Array, *, twice: bool) -> tuple[jax.Array, Any]:
    @jax.checkpoint
    def layer(h: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        first, second = (key, key) if twice else random.split(key)
        h, one = noisy(h, weights, first)
        h, two = noisy(h, weights, second)
        return h, (one, two)

    @jax.checkpoint
    def network(h: jax.Array) -> tuple[jax.Array, Any]:
        return lax.scan(layer, h, random.split(key, 2))

    state, draws = network(jnp.ones(3))
    return state.sum(), draws


@wrong("KS01", shows=drawn_again)
def twice_in_checkpointed_layers(key):
    """A layer draws twice from its key, in a checkpoint in a loop in a checkpoint."""
    return gradient(functools.partial(checkpointed, twice=True), key)


@right(shows=drawn_apart)
def checkpointed_layers_with_keys(key):
    """Checkpoints in a loop in a checkpoint, each draw with a key: replays are no reuse."""
    return gradient(functools.partial(checkpointed, twice=False), key)


@wrong("KS01", shows=None)
def only_the_replay_is_left(key):
    """Of a gradient alone the compiler keeps what the backward pass draws again."""

    @jax.checkpoint
    def layer(weights, key):
        return jnp.tanh(weights * random.normal(key, (3,)) * random.uniform(key, (3,))).sum()

    return jax.jit(jax.grad(layer))(jnp.array(WEIGHTS), key)


@right(shows=None)
def only_the_replay_with_two_keys(key):
    """The backward pass draws again, from two keys."""

    @jax.checkpoint
    def layer(weights, key):
        one, two = random.split(key)
        return jnp.tanh(weights * random.normal(one, (3,)) * random.uniform(two, (3,))).sum()

    return jax.jit(jax.grad(layer))(jnp.array(WEIGHTS), key)


@wrong("KS07", shows=drawn_again)
def checkpointed_scan_with_one_key(key):
    """All steps of a checkpointed scan draw from one key."""
    return gradient(jax.checkpoint(scan_layers), key)


@right(shows=drawn_apart)
def checkpointed_scan_with_keys(key):
    """Each step of a checkpointed scan has a key."""
    return gradient(jax.checkpoint(scan_keys), key)


@wrong("KS07", shows=drawn_again)
def seeds_of_one_network(key):
    """Gradients for two networks at once, each with a key, and one for all of its layers."""
    return jax.vmap(functools.partial(gradient, scan_layers))(random.split(key, 2))


@right(shows=drawn_apart)
def seeds_of_one_network_with_keys(key):
    """Gradients for two networks at once, and a key for each of their layers."""
    return jax.vmap(functools.partial(gradient, scan_keys))(random.split(key, 2))
