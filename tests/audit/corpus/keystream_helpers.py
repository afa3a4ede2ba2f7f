"""keystream's own helpers, used rightly and wrongly."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from jax import lax, random

import keystream as ks
from tests.audit.corpus.program import key_and_batch, mesh, one_key, styled

P = jax.P
wrong, right = styled("keystream")


@wrong("KS05")
def one_name_twice(key):
    """Two places derive the key of the same name."""
    return [random.normal(ks.derive(key, "noise"), (3,)) for _ in range(2)]


@right()
def names(key):
    """Each use derives a name of its own."""
    return [random.normal(ks.derive(key, name), (3,)) for name in ("noise", "mask")]


@wrong("KS05")
def named_split_and_name(key):
    """A name is handed out by a split of names and derived again."""
    first = ks.split(key, ("params", "noise"))["noise"]
    return random.normal(first, (3,)), random.normal(ks.derive(key, "noise"), (3,))


@right()
def names_and_positions(key):
    """Names lie where no position does, so that one key may have both kinds of children."""
    named = random.normal(ks.derive(key, "noise"), (3,))
    return named, ks.sample(random.normal, key, 3)


@wrong("KS04")
def split_and_position(key):
    """Position 0 is the first of the keys that were split off."""
    first, _ = ks.split(key)
    return random.normal(first, (3,)), random.normal(ks.derive(key, 0), (3,))


@wrong("KS03")
def samples_overlap(key):
    """Two samples of one key begin at the same position."""
    return ks.sample(random.normal, key, 3), ks.sample(random.normal, key, 5)


@right()
def samples_in_parts(key):
    """Two samples of one key at disjoint positions."""
    return ks.sample(random.normal, key, 3), ks.sample(random.normal, key, 5, start=3)


@wrong("KS07")
def scan_with_outer_key(key):
    """The body is handed a key for the step and draws from the one outside."""
    outside, inside = ks.split(key)

    def step(_, carry, x):
        return carry, x * random.normal(outside, (3,))

    return ks.scan(step, 0, jnp.ones(3), key=inside)[1]


@right()
def scan_with_its_key(key):
    """The body draws from the key of the step."""

    def step(key, carry, x):
        return carry, x * random.normal(key, (3,))

    return ks.scan(step, 0, jnp.ones(3), key=key)[1]


@right()
def carried_scan_goes_on(key):
    """The key that comes back from a carried scan hasn't been used, and goes on."""
    step = lambda key, carry, _: (carry, random.normal(key))
    key, _, first = ks.scan_carried(step, 0, key=key, length=2)
    return first, random.normal(key)


@wrong("KS05")
def stream_not_kept(key):
    """The stream that comes back is dropped, so the next key is the same one."""
    streams = ks.Streams(key, ("noise", "mask"))
    first, _ = streams.next("noise")
    second, _ = streams.next("noise")
    return random.normal(first, (3,)), random.normal(second, (3,))


@right()
def stream_kept(key):
    """The stream that comes back is asked for the next key."""
    streams = ks.Streams(key, ("noise", "mask"))
    first, streams = streams.next("noise")
    second, streams = streams.next("noise")
    return random.normal(first, (3,)), random.normal(second, (3,))


@right()
def stream_in_a_loop(key):
    """A stream rides in the carry of a scan."""

    def step(stream, _):
        key, stream = stream.next()
        return stream, random.normal(key)

    return lax.scan(step, ks.Stream(key), length=3)[1]


@wrong("KS08")
def stream_outside_a_loop(key):
    """Each step asks the stream outside for its next key."""
    stream = ks.Stream(key)
    return lax.scan(lambda x, _: (x, random.normal(stream.next()[0])), 0, length=3)[1]


@wrong("KS13", lambda: ())
def one_seed_for_two_roots():
    """Two parts of a program make their key from the same seed."""
    return random.normal(ks.key(42), (3,)), random.normal(ks.key(42), (3,))


@right(lambda: (random.key(0), jnp.ones((8, 2))))
def shards_vary(key, rows):
    """`vary` says that shards draw different numbers."""
    noisy = lambda key, x: x * random.normal(key, x.shape)
    spec = P("data")
    return ks.shard_map(noisy, mesh=mesh("data"), in_specs=spec, out_specs=spec, vary="data")(
        key, rows
    )


@right(lambda: (random.key(0), jnp.ones((8, 2))))
def shards_keyed_by_example(key, rows):
    """All shards get the key, and derive their examples' keys by number."""

    def noisy(key, ids, x):
        return x * ks.batched(random.normal)(ks.derive(key, ids))[:, None]

    spec = P("data")
    mapped = ks.shard_map(noisy, mesh=mesh("data"), in_specs=(spec, spec), out_specs=spec, vary=())
    return mapped(key, jnp.arange(8), rows)[:, 0]


@wrong("KS12", lambda: (random.key(0), jnp.ones((8, 2))))
def shards_closed_over(key, rows):
    """Each shard is handed its key, and draws from the one outside."""
    outside, inside = ks.split(key)
    noisy = lambda _, x: x * random.normal(outside, x.shape)
    spec = P("data")
    return ks.shard_map(
        noisy, mesh=mesh("data"), in_specs=spec, out_specs=spec, vary="data", check_vma=False
    )(inside, rows)


@right(lambda: (random.key(0), jnp.ones((8, 2))))
def for_axis_in_shards(key, rows):
    """Inside a `jax.shard_map` each shard takes its key by `for_axis`."""

    def noisy(key, x):
        return x * random.normal(ks.for_axis(key, "data"), x.shape)

    specs = (P(), P("data"))
    return jax.shard_map(noisy, mesh=mesh("data"), in_specs=specs, out_specs=P("data"))(key, rows)


@wrong("KS02", shows=None)
def drawn_and_sampled(key):
    """A draw from the key itself stands beside samples, whose keys are its children."""
    return random.normal(key, (3,)), ks.sample(random.normal, key, 3)


@right(key_and_batch)
def lanes_with_keys(key, batch):
    """`ks.vmap` gives each lane its child."""
    return ks.vmap(lambda key, x: random.normal(key, x.shape))(key, batch)


@right(one_key, mode="run")
def iterated(key):
    """An iterator in a Python loop gives each turn a key."""
    return [random.normal(each, (3,)) for each in itertools.islice(ks.iter_keys(key), 3)]


@wrong("KS01", one_key, mode="run")
def iterated_twice(key):
    """Two iterators over one key hand out the same keys."""
    keys = itertools.chain(*(itertools.islice(ks.iter_keys(key), 2) for _ in range(2)))
    return [random.normal(each, (3,)) for each in keys]
