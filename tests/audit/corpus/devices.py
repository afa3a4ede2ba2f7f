"""Keys over the eight devices: shard_map, pmap and automatic sharding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

import keystream as ks
from tests.audit.corpus.program import mesh, styled

P = jax.P
wrong, right = styled("devices")


def key_and_rows():
    """Return one key and a row for each device."""
    return random.key(0), jnp.ones((8, 2))


def key_and_matrix():
    """Return one key and a matrix for a mesh of two by four."""
    return random.key(0), jnp.ones((2, 4))


def keys_and_rows():
    """Return a key and a row for each device."""
    return random.split(random.key(0), 8), jnp.ones((8, 2))


@wrong("KS12", key_and_rows)
def replicated_key(key, rows):
    """Each shard draws its noise from the same replicated key."""

    def noisy(key, x):
        return x * random.normal(key, x.shape)

    specs = (P(), P("data"))
    return jax.shard_map(noisy, mesh=mesh("data"), in_specs=specs, out_specs=P("data"))(key, rows)


@wrong("KS12", lambda: (random.PRNGKey(0), jnp.ones((8, 2))))
def replicated_legacy_key(key, rows):
    """The same with a legacy key, split once more inside: still equal on all shards."""

    def noisy(key, x):
        key, use = random.split(key)
        return x * random.normal(use, x.shape)

    specs = (P(), P("data"))
    return jax.shard_map(
        noisy, mesh=mesh("data"), in_specs=specs, out_specs=P("data"), check_vma=False
    )(key, rows)


@right(key_and_rows)
def key_for_each_shard(key, rows):
    """Each shard folds its index into the replicated key."""

    def noisy(key, x):
        use = random.fold_in(key, lax.axis_index("data"))
        return x * random.normal(use, x.shape)

    specs = (P(), P("data"))
    return jax.shard_map(noisy, mesh=mesh("data"), in_specs=specs, out_specs=P("data"))(key, rows)


@right(keys_and_rows)
def sharded_keys(keys, rows):
    """The keys are sharded as the rows are, one for each device."""

    def noisy(keys, x):
        return x * random.normal(keys[0], x.shape)

    return jax.shard_map(noisy, mesh=mesh("data"), in_specs=P("data"), out_specs=P("data"))(
        keys, rows
    )


@wrong("KS12", key_and_matrix)
def one_axis_of_two_folded(key, matrix):
    """On a mesh of two axes only one index is folded: shards along the other agree."""

    def noisy(key, x):
        use = random.fold_in(key, lax.axis_index("data"))
        return x * random.normal(use, x.shape)

    spec = P("data", "model")
    return jax.shard_map(noisy, mesh=mesh("data", "model"), in_specs=(P(), spec), out_specs=spec)(
        key, matrix
    )


@right(key_and_matrix)
def both_axes_folded(key, matrix):
    """Both indices are folded, one after the other."""

    def noisy(key, x):
        for axis in ("data", "model"):
            key = random.fold_in(key, lax.axis_index(axis))
        return x * random.normal(key, x.shape)

    spec = P("data", "model")
    return jax.shard_map(noisy, mesh=mesh("data", "model"), in_specs=(P(), spec), out_specs=spec)(
        key, matrix
    )


@right(key_and_matrix, shows=None)
def sharing_declared(key, matrix):
    """Shards along `model` share their mask, and `vary` says so."""

    def masked(key, x):
        return x * random.bernoulli(key, 0.5, x.shape)

    spec = P("data", "model")
    return ks.shard_map(
        masked, mesh=mesh("data", "model"), in_specs=spec, out_specs=spec, vary="data"
    )(key, matrix)


@wrong("KS12", key_and_rows)
def pmap_broadcasts_key(key, rows):
    """`in_axes=None` hands the same key to all devices."""

    def noisy(key, x):
        return x * random.normal(key, x.shape)

    return jax.pmap(noisy, in_axes=(None, 0))(key, rows)


@right(keys_and_rows)
def pmap_over_keys(keys, rows):
    """A key for each device, mapped over."""

    def noisy(key, x):
        return x * random.normal(key, x.shape)

    return jax.pmap(noisy)(keys, rows)


@wrong("KS12", key_and_rows)
def loop_on_each_shard(key, rows):
    """The steps on a shard have keys of their own; the shards have the same ones."""

    def walk(key, x):
        def step(carry, key):
            return carry, random.normal(key)

        return x + lax.scan(step, 0, random.split(key, 2))[1]

    return jax.shard_map(
        walk, mesh=mesh("data"), in_specs=(P(), P("data")), out_specs=P("data"), check_vma=False
    )(key, rows)


@right(lambda: (random.key(0),))
def automatic_sharding(key):
    """One draw of a sharded array needs one key: each device makes its own part of it."""
    where = jax.sharding.NamedSharding(mesh("data"), P("data"))
    return jax.jit(lambda key: random.normal(key, (16,)), out_shardings=where)(key)


@wrong("KS01", keys_and_rows)
def shard_draws_twice(keys, rows):
    """Two kinds of noise on a shard come from one key."""

    def noisy(keys, x):
        return x * random.normal(keys[0], x.shape), x * random.normal(keys[0], x.shape)

    return jax.shard_map(noisy, mesh=mesh("data"), in_specs=P("data"), out_specs=P("data"))(
        keys, rows
    )
