"""Networks and optimizers: flax, haiku, equinox and optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

_, flax_program = styled("flax", "flax")
_, haiku_program = styled("haiku", "haiku")
_, equinox_program = styled("equinox", "equinox")
_, optax_program = styled("optax", "optax")


@flax_program(one_key, shows=None)
def linen_attention(key):
    """Initialise and differentiate a linen attention layer with dropout."""
    from flax import linen as nn

    weights, drop = random.split(key)
    layer = nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.5, deterministic=False)
    x = jnp.ones((1, 3, 4))
    variables = layer.init({"params": weights, "dropout": drop}, x)
    use = random.fold_in(drop, 1)
    return jax.grad(lambda v: layer.apply(v, x, rngs={"dropout": use}).sum())(variables)


@flax_program(one_key, shows=None)
def linen_recurrent(key):
    """Initialise and run a linen LSTM over a sequence."""
    from flax import linen as nn

    layer = nn.RNN(nn.OptimizedLSTMCell(3))
    return layer.init_with_output(key, jnp.ones((1, 4, 2)))


@flax_program(one_key, shows=None)
def nnx_attention(key):
    """Make, run and differentiate an nnx network with attention and dropout."""
    from flax import nnx

    weights, drop = random.split(key)
    rngs = nnx.Rngs(params=weights, dropout=drop)
    layer = nnx.MultiHeadAttention(2, 4, dropout_rate=0.5, decode=False, rngs=rngs)

    def loss(layer: Any) -> jax.Array:
        return layer(jnp.ones((1, 3, 4)), deterministic=False).sum()

    return jax.tree.leaves(nnx.grad(loss)(layer))


@flax_program(one_key, shows=None)
def nnx_layers_in_lanes(key):
    """Make three layers in lanes, from split streams, and scan over them."""
    from flax import nnx

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def make(rngs: Any) -> Any:
        return nnx.Linear(2, 2, rngs=rngs)

    layers = make(nnx.Rngs(key))

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def forward(x: jax.Array, layer: Any) -> jax.Array:
        return jnp.tanh(layer(x))

    return forward(jnp.ones(2), layers)


@haiku_program(one_legacy, shows=None)
def haiku_mlp_with_dropout(rng):
    """Initialise and differentiate a haiku MLP with dropout."""
    import haiku as hk

    def forward(x: jax.Array) -> jax.Array:
        return hk.nets.MLP([4, 4, 1])(x, 0.5, hk.next_rng_key())

    model = hk.transform(forward)
    first, second = random.split(rng)
    x = jnp.ones((2, 3))
    params = model.init(first, x)
    return jax.grad(lambda params: model.apply(params, second, x).sum())(params)


@haiku_program(one_legacy, shows=None)
def haiku_layer_stack(rng):
    """A stack of haiku layers, scanned over, each of which draws its dropout."""
    import haiku as hk

    def layer(x: jax.Array) -> jax.Array:
        return hk.dropout(hk.next_rng_key(), 0.5, hk.Linear(3)(x))

    def forward(x: jax.Array) -> jax.Array:
        return hk.experimental.layer_stack(3)(layer)(x)

    model = hk.transform(forward)
    first, second = random.split(rng)
    params = model.init(first, jnp.ones(3))
    return model.apply(params, second, jnp.ones(3))


@equinox_program(one_key, shows=None)
def equinox_mlp_with_dropout(key):
    """Make and differentiate an equinox network with dropout over a batch."""
    import equinox as eqx

    first, second, third, drop = random.split(key, 4)
    model = eqx.nn.Sequential(
        [
            eqx.nn.Linear(2, 3, key=first),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Dropout(0.5),
            eqx.nn.Linear(3, 1, key=second),
        ]
    )
    xs = random.normal(third, (4, 2))

    def loss(model: Any) -> jax.Array:
        return jax.vmap(lambda x, key: model(x, key=key))(xs, random.split(drop, 4)).sum()

    return jax.tree.leaves(eqx.filter_grad(loss)(model))


@equinox_program(one_key, shows=None)
def equinox_attention(key):
    """Make and run an equinox attention layer with dropout."""
    import equinox as eqx

    first, second = random.split(key)
    layer = eqx.nn.MultiheadAttention(2, 4, dropout_p=0.5, key=first)
    x = jnp.ones((3, 4))
    return layer(x, x, x, key=second)


@optax_program(one_key, shows=None)
def optax_noisy_sgd(key):
    """Three steps of noisy SGD, its state carried."""
    import optax

    return steps(optax.noisy_sgd(0.1, key=key))


@optax_program(one_key, shows=None)
def optax_add_noise(key):
    """Three steps of Adam behind added noise."""
    import optax

    return steps(optax.chain(optax.add_noise(0.1, 0.5, key=key), optax.adam(0.1)))


@optax_program(one_key, shows=None)
def optax_differentially_private(key):
    """One differentially private aggregation of the gradients of examples."""
    import optax.contrib

    private = optax.contrib.differentially_private_aggregate(1.0, 0.1, key=key)
    params = {"w": jnp.ones(3), "b": jnp.ones(())}
    gradients = jax.tree.map(lambda p: jnp.ones((4, *p.shape)), params)
    return private.update(gradients, private.init(params), params)[0]


def steps(optimizer: Any) -> Any:
    """Take three steps on a bowl."""
    params = {"w": jnp.ones(3), "b": jnp.ones(())}

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        params, state = carry
        updates, state = optimizer.update(params, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), params["b"]

    return lax.scan(step, (params, optimizer.init(params)), length=3)[1]
