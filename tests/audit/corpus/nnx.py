"""flax nnx: keys are streams with a seed and a counter, inside the model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

wrong, right = styled("flax nnx", "flax")


def alike(result) -> bool:
    first, second = result
    return bool(((first == 0) == (second == 0)).all())


def apart(result) -> bool:
    return not alike(result)


def ramp():
    """Return what is dropped from."""
    return (jnp.linspace(1.0, 2.0, 64),)


@wrong("KS13", ramp)
def layers_with_own_rngs(x):
    """Each layer is given `nnx.Rngs(0)`: two equal layers."""
    from flax import nnx

    first = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    second = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    return first.kernel[...], second.kernel[...] + 0 * x[0]


@right(ramp)
def layers_with_one_rngs(x):
    """One `nnx.Rngs(0)` goes to both layers and counts."""
    from flax import nnx

    rngs = nnx.Rngs(0)
    first, second = nnx.Linear(3, 3, rngs=rngs), nnx.Linear(3, 3, rngs=rngs)
    return first.kernel[...], second.kernel[...] + 0 * x[0]


@wrong("KS13", ramp)
def streams_of_one_seed(x):
    """`nnx.Rngs(params=0, noise=0)` are two streams of the same keys."""
    from flax import nnx

    rngs = nnx.Rngs(params=0, noise=0)
    return random.normal(rngs.params(), (3,)), random.normal(rngs.noise(), (3,)) + 0 * x[0]


@right(ramp)
def streams_of_two_seeds(x):
    """`nnx.Rngs(params=0, noise=1)` are two streams."""
    from flax import nnx

    rngs = nnx.Rngs(params=0, noise=1)
    return random.normal(rngs.params(), (3,)), random.normal(rngs.noise(), (3,)) + 0 * x[0]


@wrong("KS05", one_key, shows=alike)
def streams_of_one_key(key):
    """Two dropout layers get an `nnx.Rngs` each, made from the same key."""
    from flax import nnx

    first = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))
    second = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))
    x = jnp.ones(64)
    return first(x), second(x)


@right(one_key, shows=apart)
def layer_called_twice(key):
    """A dropout layer is called twice, and its counter goes on."""
    from flax import nnx

    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))
    x = jnp.ones(64)
    return layer(x), layer(x)


@wrong("KS08", one_key, shows=lambda result: alike(result[:2]))
def merged_in_each_step(key):
    """Each step merges the model anew from a state outside, whose counter stands still."""
    from flax import nnx

    graph, state = nnx.split(nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key)))

    def step(carry, x):
        return carry, nnx.merge(graph, state, copy=True)(x)

    return lax.scan(step, 0, jnp.ones((3, 64)))[1]


@right(one_key, shows=lambda result: apart(result[:2]))
def state_carried(key):
    """The state with its counter rides in the carry."""
    from flax import nnx

    graph, state = nnx.split(nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key)))

    def step(state, x):
        layer = nnx.merge(graph, state, copy=True)
        y = layer(x)
        return nnx.state(layer), y

    return lax.scan(step, state, jnp.ones((3, 64)))[1]


@wrong("KS06", one_key, shows=None)
def key_of_the_model_drawn(key):
    """The key that the model's streams fold also draws the data."""
    from flax import nnx

    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))
    return layer(jnp.ones(4)), random.normal(key, (4,))


@right(one_key, shows=None)
def noisy_model_differentiated(key):
    """A network with dropout, its weights and its loss's gradient."""
    from flax import nnx

    weights, drop = random.split(key)
    rngs = nnx.Rngs(params=weights, dropout=drop)
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params):
        return nnx.merge(graph, params, rest, copy=True)(jnp.ones((4, 2))).sum()

    return jax.tree.leaves(jax.grad(loss)(params))
