"""Keys that come out of mapped bodies, and go from shard to shard."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import mesh, styled

P = jax.P
wrong, right = styled("mapped")
ROUND = [(shard, (shard + 1) % 8) for shard in range(8)]


DATA = P("data")


def mapped(body, outputs, key_specs=DATA, axes=("data",)):
    """Map a body over the keys of all shards; every result is sharded over all axes."""
    specs = (P(*axes),) * outputs
    return jax.shard_map(
        body, mesh=mesh(*axes), in_specs=key_specs, out_specs=specs, check_vma=False
    )


def keys_of_shards():
    """Return a key for each of eight shards."""
    return (random.split(random.key(0), 8),)


def legacy_of_shards():
    """Return the words of a key for each of eight shards."""
    return (random.split(random.PRNGKey(0), 8),)


def keys_of_grid():
    """Return a key for each shard of a mesh of two by four."""
    return (random.split(random.key(0), (2, 4)),)


def noise(key):
    return random.normal(key, (1, 2))


@wrong("KS10", keys_of_shards)
def used_key_leaves(keys):
    """Each shard hands back the key that it has drawn from; the next call draws again."""

    def step(keys):
        return noise(keys[0]), keys

    step = mapped(step, 2)
    first, after = step(keys)
    return first, step(keys)[0], after


@right(keys_of_shards)
def other_child_leaves(keys):
    """Each shard draws from one child, and hands back the other; two calls go on from there."""

    def step(keys):
        use, key = random.split(keys[0])
        return noise(use), key[None]

    step = mapped(step, 2)
    first, keys = step(keys)
    second, _ = step(keys)
    return first, second


@wrong("KS01", keys_of_shards)
def used_key_drawn_outside(keys):
    """A key that the shards have drawn from is drawn from again when it has come out."""

    def step(keys):
        return noise(keys[0]), keys

    first, keys = mapped(step, 2)(keys)
    return first, jax.vmap(lambda key: random.normal(key, (2,)))(keys)


@right(keys_of_shards)
def fresh_key_drawn_outside(keys):
    """What comes out of the shards is a child that they haven't used."""

    def step(keys):
        use, key = random.split(keys[0])
        return noise(use), key[None]

    first, keys = mapped(step, 2)(keys)
    return first, jax.vmap(lambda key: random.normal(key, (2,)))(keys)


@wrong("KS02", keys_of_shards)
def drawn_then_split_next_call(keys):
    """The key that comes out was drawn from, and the next call splits it."""

    def step(keys):
        use, _ = random.split(keys[0])
        return random.bits(use, (1, 2)), use[None]

    step = mapped(step, 2)
    first, keys = step(keys)
    second, keys = step(keys)
    words = random.key_data(keys)
    third = jax.vmap(lambda key: random.bits(key, (2,)))(keys)
    return [each.astype(float) for each in (first, second, third, second, words)]


@wrong("KS03", keys_of_shards)
def parent_split_again_outside(keys):
    """The shards split their keys and hand them back; outside they are split again."""

    def step(keys):
        return noise(random.split(keys[0])[0]), keys

    first, keys = mapped(step, 2)(keys)
    return first, jax.vmap(lambda key: random.normal(random.split(key)[0], (2,)))(keys)


@right(keys_of_shards)
def other_child_split_outside(keys):
    """Inside one child is used, outside the other one."""

    def step(keys):
        return noise(random.split(keys[0])[0]), keys

    first, keys = mapped(step, 2)(keys)
    return first, jax.vmap(lambda key: random.normal(random.split(key)[1], (2,)))(keys)


@wrong("KS01", legacy_of_shards)
def legacy_key_leaves_used(keys):
    """The words of a used legacy key come out, and are drawn from in the next call."""

    def step(keys):
        return noise(keys[0]), keys

    step = mapped(step, 2)
    first, keys = step(keys)
    return first, step(keys)[0]


@right(legacy_of_shards)
def legacy_child_leaves(keys):
    """The words of a child that isn't used come out, and go on."""

    def step(keys):
        use, key = random.split(keys[0])
        return noise(use), key[None]

    step = mapped(step, 2)
    first, keys = step(keys)
    return first, step(keys)[0]


@wrong("KS01")
def folded_key_leaves_used(key):
    """A key that is folded with the number of the shard comes out used."""

    def step(key):
        use = random.fold_in(key, lax.axis_index("data"))
        return noise(use), use[None]

    first, keys = mapped(step, 2, P())(key)
    return first, jax.vmap(lambda key: random.normal(key, (2,)))(keys)


@right()
def folded_key_leaves_split(key):
    """A key that is folded with the number of the shard is split; one child comes out."""

    def step(key):
        use, key = random.split(random.fold_in(key, lax.axis_index("data")))
        return noise(use), key[None]

    first, keys = mapped(step, 2, P())(key)
    return first, jax.vmap(lambda key: random.normal(key, (2,)))(keys)


@wrong("KS03")
def replicated_key_of_two_calls(key):
    """What all shards have alike comes out as itself: the caller goes on with its old key."""

    def step(key):
        use, key = random.split(key)
        return noise(random.fold_in(use, lax.axis_index("data"))), key

    step = jax.shard_map(
        step, mesh=mesh("data"), in_specs=P(), out_specs=(P("data"), P()), check_vma=False
    )
    first, _ = step(key)
    second, _ = step(key)
    return first, second


@right()
def replicated_key_goes_on(key):
    """What all shards have alike comes out as itself, and the next call has that."""

    def step(key):
        use, key = random.split(key)
        return noise(random.fold_in(use, lax.axis_index("data"))), key

    step = jax.shard_map(
        step, mesh=mesh("data"), in_specs=P(), out_specs=(P("data"), P()), check_vma=False
    )
    first, key = step(key)
    second, _ = step(key)
    return first, second


@wrong("KS01", keys_of_shards)
def pmapped_key_leaves_used(keys):
    """The state of a `pmap` holds the key that the step has drawn from."""
    step = jax.pmap(lambda key: (random.normal(key, (2,)), key))
    first, keys = step(keys)
    second, _ = step(keys)
    return first, second


@right(keys_of_shards)
def pmapped_key_goes_on(keys):
    """The state of a `pmap` holds the child that the step hasn't drawn from."""

    @jax.pmap
    def step(key):
        use, key = random.split(key)
        return random.normal(use, (2,)), key

    first, keys = step(keys)
    second, _ = step(keys)
    return first, second


@wrong("KS01", keys_of_shards)
def passed_round_and_drawn(keys):
    """Each shard draws from its own key, and from the one that its neighbor has drawn from."""

    def step(keys):
        passed = lax.ppermute(keys, "data", ROUND)
        return noise(keys[0]), noise(passed[0])

    return mapped(step, 2)(keys)


@right(keys_of_shards)
def child_passed_round(keys):
    """Each shard draws from one child, and its neighbor from the other."""

    def step(keys):
        mine, other = random.split(keys[0])
        passed = lax.ppermute(other[None], "data", ROUND)
        return noise(mine), noise(passed[0])

    return mapped(step, 2)(keys)


@wrong("KS01", keys_of_shards)
def gathered_and_drawn(keys):
    """A key that is gathered from another shard is one that this one has drawn from."""

    def step(keys):
        every = lax.all_gather(keys, "data", tiled=True)
        return noise(keys[0]), noise(random.split(every[0])[0]), noise(every[0])

    return mapped(step, 3)(keys)


@wrong("KS12", keys_of_shards)
def first_of_all_gathered(keys):
    """Of the keys that are gathered every shard takes the first one."""

    def step(keys, x):
        return (x * noise(lax.all_gather(keys, "data", tiled=True)[0]),)

    return mapped(step, 1, (DATA, DATA))(keys, jnp.ones((8, 2)))


@right(keys_of_shards)
def own_of_all_gathered(keys):
    """Of the keys that are gathered every shard takes its own."""

    def step(keys):
        every = lax.all_gather(keys, "data", tiled=True)
        return (noise(every[lax.axis_index("data")]),)

    return mapped(step, 1)(keys)


@wrong("KS12")
def copies_are_sharded(key):
    """A key is copied for each shard, and the copies are sharded: all shards have it."""

    def step(keys, x):
        return (x * noise(keys[0]),)

    return mapped(step, 1, (DATA, DATA))(jnp.broadcast_to(key, (8,)), jnp.ones((8, 2)))


@wrong("KS01", keys_of_grid)
def turned_grid_of_used_keys(keys):
    """On a mesh of two axes the keys come out used; the next call has them in another order."""

    def step(keys):
        return random.normal(keys[0, 0], (1, 1)), keys

    step = mapped(step, 2, P("data", "model"), ("data", "model"))
    first, keys = step(keys)
    second, _ = step(keys[::-1])
    return first, second


@right(keys_of_grid)
def turned_grid_of_children(keys):
    """On a mesh of two axes the keys come out as children, in an order that doesn't matter."""

    def step(keys):
        use, key = random.split(keys[0, 0])
        return random.normal(use, (1, 1)), key[None, None]

    step = mapped(step, 2, P("data", "model"), ("data", "model"))
    first, keys = step(keys)
    second, _ = step(keys[::-1])
    return first, second


@right()
def folded_on_both_axes(key):
    """Each axis of the mesh folds in its number, and the keys come out as they are."""

    def step(key):
        for axis in ("data", "model"):
            key = random.fold_in(key, lax.axis_index(axis))
        return (key[None, None],)

    (keys,) = mapped(step, 1, P(), ("data", "model"))(key)
    return jax.vmap(random.normal)(keys.ravel())
