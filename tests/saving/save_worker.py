"""One of two processes that save keys which lie on both; writes what came of it as JSON."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

index, count, port = map(int, sys.argv[1:4])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", count, index)

import keystream as ks  # noqa: E402 - after JAX knows its devices

mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
keys = ks.shard_keys(ks.key(42), mesh, P("data"))
words = np.asarray(jax.random.key_data(ks.key(42)))
everywhere = NamedSharding(mesh, P())
same = jax.make_array_from_callback(words.shape, everywhere, lambda part: words[part])
try:
    told = ks.dumps({"keys": keys})
except ks.ArgumentValueError as error:
    told = str(error)
result = {
    "parted": told,
    "own": ks.dumps([shard.data for shard in keys.addressable_shards]),
    "replicated": ks.dumps(jax.random.wrap_key_data(same, impl="threefry2x32")),
}
Path(sys.argv[4]).write_text(json.dumps(result))

from jax.experimental import multihost_utils  # noqa: E402

multihost_utils.sync_global_devices("end")
