"""equinox: a key is an argument like any other."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import random

from tests.audit.corpus.program import one_key, styled

wrong, right = styled("equinox", "equinox")


@wrong("KS03", one_key)
def layers_of_one_key(key):
    """Two layers are made with one key, which each splits for weight and bias."""
    import equinox as eqx

    layers = [eqx.nn.Linear(3, 3, key=key) for _ in range(2)]
    return [layer.weight for layer in layers]


@right(one_key)
def layers_of_two_keys(key):
    """Two layers are made with the rows of a split."""
    import equinox as eqx

    layers = [eqx.nn.Linear(3, 3, key=each) for each in random.split(key)]
    return [layer.weight for layer in layers]


def dropout() -> Any:
    """Return what only drops."""
    import equinox as eqx

    return eqx.nn.Dropout(0.5)


@wrong("KS01", one_key)
def two_dropouts_one_key(key):
    """Two dropout layers of a model are called with one key."""
    x = jnp.linspace(1.0, 2.0, 64)
    return dropout()(x, key=key), dropout()(x, key=key)


@right(one_key, shows=lambda result: bool(((result[0] == 0) != (result[1] == 0)).any()))
def two_dropouts_two_keys(key):
    """Each dropout layer is called with a key of its own."""
    x = jnp.linspace(1.0, 2.0, 64)
    return [dropout()(x, key=each) for each in random.split(key)]


@wrong("KS11", one_key, shows=lambda result: bool(((result[0] == 0) == (result[1] == 0)).all()))
def batch_of_one_key(key):
    """The model is mapped over the batch with the key closed over."""
    return jax.vmap(lambda x: dropout()(x, key=key))(jnp.ones((4, 64)))


@right(one_key, shows=lambda result: bool(((result[0] == 0) != (result[1] == 0)).any()))
def batch_of_keys(key):
    """The model is mapped over the batch and a key for each example."""
    draw = lambda x, key: dropout()(x, key=key)
    return jax.vmap(draw)(jnp.ones((4, 64)), random.split(key, 4))


@wrong("KS02", one_key, shows=None)
def model_and_data(key):
    """The data are drawn from the key that makes the model."""
    import equinox as eqx

    x = random.normal(key, (2,))
    return eqx.nn.MLP(2, 1, 3, 1, key=key)(x)


@right(one_key, shows=None)
def gradient_of_a_model(key):
    """A model, its data and its loss's gradient, through equinox's filters."""
    import equinox as eqx

    data, weights = random.split(key)
    model = eqx.nn.MLP(2, 1, 3, 1, key=weights)
    x = random.normal(data, (2,))
    gradient = eqx.filter_grad(lambda model: model(x).sum())(model)
    return [leaf for leaf in jax.tree.leaves(gradient) if eqx.is_array(leaf)]


@right(one_key, shows=None)
def ensemble(key):
    """Models are made in lanes, each from its own key."""
    import equinox as eqx

    made = eqx.filter_vmap(lambda key: eqx.nn.Linear(2, 2, key=key))(random.split(key, 3))
    return made.weight
