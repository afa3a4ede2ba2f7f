"""One of several processes that draw together; writes what it holds as JSON."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

index, count, port = map(int, sys.argv[1:4])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8 // count)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
if count > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", count, index)

import keystream as ks  # noqa: E402 - after JAX knows its devices
from tests.spawn import refused  # noqa: E402

KEY = ks.key(42)


def held(array):
    """Return the parts of a global array that this process holds, by where they begin."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    parts = {}
    for shard in array.addressable_shards:
        where = ",".join(str(piece.start or 0) for piece in shard.index)
        parts[where] = np.asarray(shard.data).ravel().tolist()
    return parts


def draws(mesh):
    """Draw in every way that is laid out over a mesh."""
    place = NamedSharding(mesh, P("data", "model"))
    per_shard = ks.shard_map(
        lambda key: jax.random.bits(key)[None],
        mesh=mesh,
        in_specs=(),
        out_specs=P(("data", "model")),
        vary=("data", "model"),
    )
    return {
        "keys": held(ks.keys(KEY, (8, 4), start=2**32 - 5, out_sharding=place)),
        "sample": held(ks.sample(jax.random.bits, KEY, (8, 4), out_sharding=place)),
        "batches": held(ks.sample(jax.random.bits, KEY, (8, 4), batch_size=3, out_sharding=place)),
        "shard_keys": held(ks.shard_keys(KEY, mesh, P("data"))),
        "shard_map": held(per_shard(KEY)),
        "jitted": held(jax.jit(per_shard)(KEY)),
    }


def agreement(mesh):
    """Ask whether keys agree: right ones, and two planted faults."""
    words = np.array(jax.random.key_data(ks.keys(KEY, 8)))
    words[7] = words[0]
    place = NamedSharding(mesh, P(("data", "model")))
    repeated = jax.make_array_from_callback((8, 2), place, lambda part: words[part])
    everywhere = NamedSharding(mesh, P())
    unlike = jax.make_array_from_callback((2,), everywhere, lambda _: words[index + 1])
    wrap = jax.random.wrap_key_data
    ks.check_distinct(ks.shard_keys(KEY, mesh, P(("data", "model"))))
    return [
        refused(lambda: ks.check_distinct(wrap(repeated, dtype="threefry2x32"))),
        refused(lambda: ks.check_replicated(wrap(unlike, dtype="threefry2x32"))),
    ]


def seeds():
    """Agree on a seed: twice on a fresh one, on a given one, and in every wrong way."""
    given = (2**70, -(2**70))[index % 2]
    same = (7, np.int64(7), jnp.int32(7), np.array(7))[index]
    return {
        "fresh": [ks.agree_on_seed(), ks.agree_on_seed()],
        "same": [ks.agree_on_seed(2**70), ks.agree_on_seed(same)],
        "differ": refused(lambda: ks.agree_on_seed(given)),
        "some": refused(lambda: ks.agree_on_seed(None if index == 1 else 7)),
    }


def mixed(mesh):
    """Be in another function than the others, and then in the same again."""
    keys = ks.shard_keys(KEY, mesh, P(("data", "model")))
    elsewhere = (lambda: ks.agree_on_seed(7), lambda: ks.check_distinct(keys))[index == 1]
    return [refused(elsewhere), ks.agree_on_seed(8)]


result = {"seeds": seeds()}  # the first that JAX hears of its devices
result |= {"process": ks.fingerprint(ks.for_process(KEY))}
for kind in (AxisType.Auto, AxisType.Explicit):
    grid = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    result[kind.name] = draws(grid)
result["agreement"] = agreement(grid)
result["mixed"] = mixed(grid)
Path(sys.argv[4]).write_text(json.dumps(result))
if count > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("end")
