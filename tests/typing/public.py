"""What the public signatures promise a type checker. Checked by mypy, never run."""

from collections.abc import Callable
from typing import Any, assert_type

import jax
import numpy as np

import keystream as ks

key = ks.key(42)
assert_type(key, jax.Array)
assert_type(ks.key("run 7", impl="rbg"), jax.Array)
assert_type(ks.key(np.random.SeedSequence(7)), jax.Array)
assert_type(ks.fresh_seed(), int)
assert_type(ks.agree_on_seed(), int)
assert_type(ks.agree_on_seed(np.int64(7), timeout=5), int)
assert_type(ks.fingerprint(key), str)
assert_type(ks.SCHEME, int)

# A tuple to unpack, or a dict by name.
assert_type(ks.split(key), tuple[jax.Array, ...])
assert_type(ks.split(key, 3), tuple[jax.Array, ...])
assert_type(ks.split(key, ("params", "dropout")), dict[str | bytes, jax.Array])
carry_key, use = ks.split(key)
assert_type(use, jax.Array)

assert_type(ks.keys(key, 8), jax.Array)
assert_type(ks.keys(key, (8, 2), start=3), jax.Array)
assert_type(ks.derive(key), jax.Array)
assert_type(ks.derive(key, "noise", 3, np.arange(5)), jax.Array)
assert_type(ks.shard_keys(key, jax.make_mesh((1,), ("data",)), jax.P("data")), jax.Array)


def step(key: jax.Array, carry: Any, x: Any) -> tuple[Any, Any]:
    """Take the key first."""
    return carry, jax.random.normal(key) + x


assert_type(ks.scan(step, 0.0, key=key, length=3), tuple[Any, Any])
assert_type(ks.scan_carried(step, 0.0, key=key, length=3), tuple[jax.Array, Any, Any])
assert_type(ks.for_process(key), jax.Array)
assert_type(ks.for_axis(key, "data"), jax.Array)
assert_type(ks.vmap(step), Callable[..., Any])
assert_type(ks.batched(jax.random.normal), Callable[..., Any])
assert_type(
    ks.shard_map(step, in_specs=(), out_specs=jax.P("data"), vary="data"), Callable[..., Any]
)
assert_type(ks.dumps({"key": key}), str)
assert_type(ks.loads("", like=key), Any)
assert_type(ks.to_words(key), dict[str, Any])
np.savez("state.npz", w=np.zeros(3), **ks.to_words(key))
assert_type(ks.from_words({}), Any)
assert_type(ks.accelerate(), bool)
assert_type(ks.manifest(), dict[str, Any])
assert_type(ks.check_manifest({}), dict[str, ks.Difference])

# What is wrong at run time is wrong here too; an unused ignore is an error under `strict`.
ks.split(key, ("params", 3))  # type: ignore[list-item, arg-type, call-overload, unused-ignore]
ks.scan(step, 0.0, length=3)  # type: ignore[call-arg]
ks.scan(step, 0.0, None, key)  # type: ignore[call-arg]
ks.fingerprint("key")  # type: ignore[arg-type]
ks.agree_on_seed("run 7")  # type: ignore[arg-type]
ks.agree_on_seed(7, 5.0)  # type: ignore[call-arg, misc, unused-ignore]
ks.sample(jax.random.normal)  # type: ignore[call-arg]
ks.accelerate("on")  # type: ignore[arg-type]
ks.loads(b"")  # type: ignore[arg-type]
ks.loads("", key)  # type: ignore[misc, call-arg, unused-ignore]
