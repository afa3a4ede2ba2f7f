"""What the public signatures promise a type checker. Checked by mypy, never run."""

from collections.abc import Callable, Iterator
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
assert_type(ks.check_manifest({})["jax"].saved, Any)
assert_type(ks.check_distinct(ks.keys(key, 3), timeout=5), None)
assert_type(ks.check_replicated(key), None)
assert_type(ks.__version__, str)

# Loops and lanes hand on what the body returns, whatever it is.
assert_type(ks.split_tree(key, {"a": 0.0}, is_leaf=lambda x: x is None), Any)
assert_type(ks.fori_loop(0, 3, step, 0.0, key=key), Any)
assert_type(ks.while_loop(lambda val: val < 3, step, 0.0, key=key), Any)
assert_type(ks.map(step, np.arange(3), key=key, batch_size=2), Any)
assert_type(ks.sample(jax.random.normal, key, (3,), batch_size=2, dtype=np.float32), Any)
assert_type(ks.pmap(step, axis_size=2), Callable[..., Any])

# Streams: the key comes first, the state to go on with last.
stream = ks.Stream(key)
assert_type(stream, ks.Stream)
assert_type(stream.next(), tuple[jax.Array, ks.Stream])
assert_type(stream.take(3), tuple[jax.Array, ks.Stream])
assert_type(stream.skip(3), ks.Stream)
assert_type(stream.at(3), jax.Array)
assert_type(stream.position, int)
assert_type(stream.words, jax.Array)
streams = ks.Streams(key, ("params", b"dropout"))
assert_type(streams, ks.Streams)
assert_type(streams.next("params"), tuple[jax.Array, ks.Streams])
assert_type(streams["params"], ks.Stream)
assert_type(streams.at(3), dict[str | bytes, jax.Array])
assert_type(streams.names, tuple[str | bytes, ...])
assert_type("params" in streams, bool)
assert_type(list(streams), list[str | bytes])
assert_type(ks.iter_keys(key, start=3), Iterator[jax.Array])
for use in ks.iter_keys(key):
    assert_type(use, jax.Array)

# The audit's report.
report = ks.audit(step, key, 0.0, 0.0, run=True)
assert_type(ks.audit(step, key, 0.0, 0.0).ok, bool)
assert_type(report.raise_if_found("warning"), None)
assert_type([finding.rule for finding in report.findings], list[str])
assert_type(report.to_html(), str)
with ks.recording() as recorded:
    assert_type(recorded.ok, bool)
assert_type(ks.recording().__enter__().ok, bool)

# Every error is ours, and the builtin that a caller expects.
assert_type(ks.KeystreamError("it"), ks.KeystreamError)
mistakes: tuple[type[TypeError], ...] = (ks.KeyTypeError, ks.ArgumentTypeError, ks.BodyError)
values: tuple[type[ValueError], ...] = (
    ks.ArgumentValueError,
    ks.KeyImplError,
    ks.KeysDifferError,
    ks.KeysEqualError,
    ks.ManifestError,
    ks.MeshAxisError,
    ks.SavedError,
    ks.SeedsDifferError,
)
missing: KeyError = ks.UnknownNameError("it")
absent: AttributeError = ks.UnknownNameError("it")
fixed: AttributeError = ks.ImmutableError("it")
late: TimeoutError = ks.PeerError("it")
misplaced: RuntimeError = ks.RecordingError("it")
found: AssertionError = ks.KeyAuditError("it")

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
ks.Stream(42)  # type: ignore[arg-type]
ks.Stream()  # type: ignore[call-arg]
stream.take()  # type: ignore[call-arg]
stream.position = 3  # type: ignore[misc]
stream.nxt()  # type: ignore[attr-defined]
key, stream = stream.skip(3)  # type: ignore[misc]
streams.next()  # type: ignore[call-arg]
streams.next(3)  # type: ignore[arg-type]
ks.keys(key)  # type: ignore[call-arg]
ks.keys(key, 3, 5)  # type: ignore[misc, call-arg, unused-ignore]
ks.map(step, np.arange(3), key)  # type: ignore[call-arg, misc, unused-ignore]
ks.for_axis(key)  # type: ignore[call-arg]
ks.shard_map(step, in_specs=(), out_specs=())  # type: ignore[call-arg]
ks.audit(key)  # type: ignore[arg-type]
report.raise_if_found("warnings")  # type: ignore[arg-type]
ks.check_manifest("m.json")  # type: ignore[arg-type]
ks.spilt(key)  # type: ignore[attr-defined]
ks.PRNGKey(42)  # type: ignore[attr-defined]
ks.testing  # type: ignore[attr-defined]  # noqa: B018
