"""What the public signatures promise a type checker. Checked by mypy, never run."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, assert_type

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

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
assert_type(ks.split(key), tuple[Array, Array])
assert_type(ks.split(key, 1), tuple[Array])
assert_type(ks.split(key, num=3), tuple[Array, Array, Array])
assert_type(ks.split(key, 4), tuple[Array, Array, Array, Array])
assert_type(ks.split(key, 5), tuple[Array, ...])
assert_type(ks.split(key, len("abc")), tuple[Array, ...])
assert_type(ks.split(key, ("params", "dropout")), dict[str, Array])
assert_type(ks.split(key, ["params", "dropout"]), dict[str, Array])
assert_type(ks.split(key, ("params", b"dropout")), dict[str | bytes, Array])
carry_key, use = ks.split(key)
assert_type(use, jax.Array)


def flax_init(rngs: Array | dict[str, Array]) -> None:
    """Take what `flax.linen.Module.init` takes."""


flax_init(ks.split(key, ("params", "dropout")))

assert_type(ks.keys(key, 8), jax.Array)
assert_type(ks.keys(key, (8, 2), start=3), jax.Array)
assert_type(ks.derive(key), jax.Array)
assert_type(ks.derive(key, "noise", 3, np.arange(5)), jax.Array)
assert_type(ks.shard_keys(key, jax.make_mesh((1,), ("data",)), jax.P("data")), jax.Array)


# A loop hands on what its body returns. Numbers and NumPy arrays may stand for arrays.
class State(NamedTuple):
    """What a user's loop carries."""

    total: Array
    turns: Array


def step(key: jax.Array, carry: Any, x: Any) -> tuple[Any, Any]:
    """Take the key first."""
    return carry, jax.random.normal(key) + x


def add(key: Array, carry: Array, x: Array) -> tuple[Array, Array]:
    """Carry an array over arrays."""
    return carry + x, jax.random.normal(key)


def walk(key: Array, carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
    """Carry a tuple over nothing."""
    return (carry[0] + jax.random.normal(key), carry[1]), None


def train(key: Array, state: State, batch: tuple[Array, Array]) -> tuple[State, Array]:
    """Carry a class over pairs."""
    return State(state.total + batch[0], state.turns + 1), jax.random.bits(key)


def follow(key: Array, stream: ks.Stream, _: object) -> tuple[ks.Stream, Array]:
    """Carry a stream."""
    return stream.skip(1), key


zeros, state = jnp.zeros(3), State(jnp.zeros(3), jnp.zeros(3))
assert_type(ks.scan(step, 0.0, key=key, length=3), tuple[Any, Any])
assert_type(ks.scan(add, zeros, zeros, key=key), tuple[Array, Array])
assert_type(ks.scan(add, 0, zeros, key=key), tuple[Array, Array])
assert_type(ks.scan(add, 0.0, np.arange(3), key=key, start=2), tuple[Array, Array])
assert_type(ks.scan(walk, (0, zeros), key=key, length=3)[0], tuple[Array, Array])
assert_type(ks.scan(walk, (0, 1.0), None, key=key, length=3)[1], None)
assert_type(ks.scan(train, state, (np.arange(3), zeros), key=key), tuple[State, Array])
assert_type(ks.scan(follow, ks.Stream(key), key=key, length=3), tuple[ks.Stream, Array])
assert_type(
    ks.scan(lambda key, c, x: (c + x, jax.random.normal(key)), zeros, zeros, key=key),
    tuple[Array, Array],
)
assert_type(
    ks.scan(lambda key, c, _: (c, jax.random.normal(key)), None, key=key, length=3)[1], Array
)
assert_type(ks.scan_carried(step, 0.0, key=key, length=3), tuple[jax.Array, Any, Any])
assert_type(ks.scan_carried(train, state, (zeros, zeros), key=key), tuple[Array, State, Array])


def turn(key: Array, i: int, val: Array) -> Array:
    """Go on, counting."""
    return val + i * jax.random.normal(key)


def go(key: Array, val: Array) -> Array:
    """Go on."""
    return val + jax.random.normal(key)


def draw(key: Array, low: Array, *, high: float = 1.0) -> Array:
    """Draw with an argument and an option."""
    return jax.random.uniform(key, (), minval=low, maxval=high)


assert_type(ks.fori_loop(0, 3, turn, 0.0, key=key), Array)
assert_type(ks.fori_loop(0, np.int64(3), turn, zeros, key=key), Array)
assert_type(ks.fori_loop(0, 3, lambda key, i, val: -turn(key, i, val), zeros, key=key), Array)
assert_type(ks.while_loop(lambda val: val < 3, go, 0.0, key=key), Array)
assert_type(ks.while_loop(lambda val: val.sum() < 3, go, zeros, key=key, start=2), Array)
assert_type(ks.map(go, np.arange(3), key=key, batch_size=2), Array)
assert_type(ks.map(lambda key, x: x + jax.random.normal(key), zeros, key=key), Array)

# What is mapped keeps its arguments and what it returns.
assert_type(ks.for_process(key), jax.Array)
assert_type(ks.for_axis(key, "data"), jax.Array)
assert_type(ks.vmap(add, in_axes=(0, None))(key, zeros, zeros), tuple[Array, Array])
assert_type(ks.vmap(ks.vmap(draw))(key, zeros, high=3.0), Array)
assert_type(ks.vmap(lambda key: 2 * jax.random.normal(key), axis_size=3)(key), Array)
assert_type(ks.batched(jax.random.normal)(ks.keys(key, 3), (4,)), Array)
assert_type(ks.window(key, (8, 4), (jax.numpy.int32(3), 0)), jax.Array)
assert_type(ks.window(key, 8, 3), jax.Array)
assert_type(ks.pmap(draw, axis_size=2)(key, zeros), Array)
P: Any = jax.P  # has no types of its own in some releases
assert_type(
    ks.shard_map(draw, in_specs=(P(),), out_specs=P("data"), vary="data")(key, zeros), Array
)
jax.jit(ks.vmap(lambda key, x: x + jax.random.normal(key)))(key, zeros)


@partial(ks.vmap, in_axes=(0, None))
def lanes(key: Array, x: Array, y: Array) -> Array:
    """Stand under a decorator."""
    return x + y + jax.random.normal(key)


assert_type(lanes(key, zeros, zeros), Array)
assert_type(ks.sample(jax.random.normal, key, 3), Array)
assert_type(ks.sample(jax.random.normal, key, (3,), (4,), dtype=np.float32), Array)
assert_type(ks.sample(jax.random.normal, key, (3,), batch_size=2, dtype=np.float32), Array)
assert_type(ks.sample(draw, key, 3, zeros, high=3.0), Array)
assert_type(ks.sample(draw, key, 3, zeros, start=2, high=3.0), Array)
assert_type(ks.sample(lambda key: 2 * jax.random.normal(key), key, 3, out_sharding=None), Array)
assert_type(ks.index_shuffle(key, 10, 3), Array)
assert_type(ks.index_unshuffle(key, 10, np.arange(3)), Array)
assert_type(ks.dumps({"key": key}), str)
assert_type(ks.loads(""), Any)
assert_type(ks.loads("", like=key), Array)
assert_type(ks.loads("", like={"key": key}), dict[str, Array])
assert_type(ks.to_words(key), dict[str, Any])
np.savez("state.npz", w=np.zeros(3), **ks.to_words(key))
assert_type(ks.from_words({}), Any)
assert_type(ks.from_words({}, like=ks.Stream(key)), ks.Stream)
assert_type(ks.accelerate(), bool)
assert_type(ks.manifest(), dict[str, Any])
assert_type(ks.check_manifest({}), dict[str, ks.Difference])
assert_type(ks.check_manifest({})["jax"].saved, Any)
assert_type(ks.check_distinct(ks.keys(key, 3), timeout=5), None)
assert_type(ks.check_replicated(key), None)
assert_type(ks.__version__, str)

# A leaf has a key, a flat dict one for each name; deeper trees a checker can't follow.
params: dict[str, Any] = {}
assert_type(ks.split_tree(key, 0.0), Array)
assert_type(ks.split_tree(key, {"a": 0.0}), dict[str, Array])
assert_type(ks.split_tree(key, {"a": zeros}), dict[str, Array])
assert_type(ks.split_tree(key, params), Any)
assert_type(ks.split_tree(key, {"a": 0.0}, is_leaf=lambda x: x is None), Any)
assert_type(ks.split_tree(key, state), Any)

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
assert_type(streams.at(3), dict[Any, Array])
flax_init(streams.at(3))
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
ks.sample(jax.random.normal)  # type: ignore[call-overload]
ks.accelerate("on")  # type: ignore[arg-type]
ks.loads(b"")  # type: ignore[call-overload]
ks.loads("", key)  # type: ignore[call-overload]
ks.Stream(42)  # type: ignore[arg-type]
ks.Stream()  # type: ignore[call-arg]
stream.take()  # type: ignore[call-arg]
stream.position = 3  # type: ignore[misc]
stream.nxt()  # type: ignore[attr-defined]
key, stream = stream.skip(3)  # type: ignore[misc]
streams.next()  # type: ignore[call-arg]
streams.next(3)  # type: ignore[arg-type]
ks.key(1.5)  # type: ignore[arg-type]
ks.derive(key, 1.5)  # type: ignore[arg-type]
stream.at(1.5)  # type: ignore[arg-type]
ks.keys(key, 3, start=1.5)  # type: ignore[arg-type]
ks.keys(key, 1.5)  # type: ignore[arg-type]
ks.split(key, 1.5)  # type: ignore[call-overload]
ks.split(key, "params")  # type: ignore[call-overload]
one, two, three = ks.split(key)  # type: ignore[misc]
ks.keys(key)  # type: ignore[call-arg]
ks.keys(key, 3, 5)  # type: ignore[misc, call-arg, unused-ignore]
ks.map(go, np.arange(3), key)  # type: ignore[call-arg, misc, unused-ignore]
ks.for_axis(key)  # type: ignore[call-arg]
ks.shard_map(step, in_specs=(), out_specs=())  # type: ignore[call-arg]
ks.audit(key)  # type: ignore[arg-type]
report.raise_if_found("warnings")  # type: ignore[arg-type]
ks.check_manifest("m.json")  # type: ignore[arg-type]
ks.spilt(key)  # type: ignore[attr-defined]
ks.PRNGKey(42)  # type: ignore[attr-defined]
ks.testing  # type: ignore[attr-defined]  # noqa: B018
