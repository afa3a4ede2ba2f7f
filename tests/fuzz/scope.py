"""The names that generated code may use: keys, streams, functions, meshes, and hostile things.

Functions of the user's stand here and nowhere else: what goes wrong within one of these,
or in what it calls, is the user's own error.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import datetime
import decimal
import fractions
import functools
import io
import json
import math
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import keystream as ks
from keystream import _compat, host, interop
from tests.fuzz import hostile
from tests.fuzz.hostile import Mine

WORDS = (0x5EC2E701, 0x7E11A50F)
"""The words of the keys here, which no message may hold."""


def _key(impl: str, *words: int) -> Any:
    if not _compat.has_impl(impl):  # the nearest that this JAX has
        return jax.random.key(words[0], impl="rbg")
    return jax.random.wrap_key_data(np.array(words, np.uint32), impl=impl)


key = _key("threefry2x32", *WORDS)
other = _key("threefry2x32", WORDS[1], WORDS[0])
four = _key("threefry4x32", *WORDS, *WORDS)
philox = _key("philox4x32", *WORDS)
rbg = _key("rbg", *WORDS, *WORDS)
unsafe = _key("unsafe_rbg", *WORDS, *WORDS)
narrow = _key("philox2x32", WORDS[0])
keys = jax.random.split(key, 3)
nokeys = keys[:0]
legacy = jax.random.key_data(key)
host_key = np.array(WORDS, np.uint32)
host_keys = host.keys(host_key, 3)
committed = jax.device_put(key, jax.devices()[-1])

gone = jax.random.clone(key)
gone.delete()
gone_int = jnp.array(3) + 0
gone_int.delete()
gone_ids = jnp.arange(3) + 0
gone_ids.delete()

stream = ks.Stream(key)
later = stream.skip(5)
last = stream.skip(2**63 - 1)
narrow_stream = ks.Stream(four).skip(7)
several = jax.vmap(ks.Stream)(keys)
holed = jax.tree.map(lambda _: 0, stream)
gone_stream = stream.skip(1)
for _leaf in jax.tree.leaves(gone_stream):
    _leaf.delete()
streams = ks.Streams(key, ("params", "dropout", b"data"))
no_streams = ks.Streams(key, ())
many_streams = jax.vmap(lambda key: ks.Streams(key, ("params", "dropout")))(keys)
holed_streams = jax.tree.map(lambda _: 0, streams)
unstreams = jax.tree.map(lambda _: 0, streams, is_leaf=lambda x: isinstance(x, ks.Stream))
gone_streams = ks.Streams(key, ("params", "dropout"))
for _leaf in jax.tree.leaves(gone_streams):
    _leaf.delete()
mixed_streams = jax.tree.map(
    lambda _: ks.Stream(four), streams, is_leaf=lambda x: isinstance(x, ks.Stream)
)

xs = jnp.arange(4.0)
ids = np.array([WORDS[0], 3, 5])
text = ks.dumps({"key": key, "noise": later, "all": streams, "keys": [keys, None]})
words = ks.to_words({"key": key, "noise": later, "all": streams, "keys": [keys, None]})
like = {"key": key, "noise": later, "all": streams, "keys": [keys, None]}
saved = ks.manifest()

mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
explicit = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
lonely = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])
foreign = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
abstract = AbstractMesh((4, 2), ("data", "model"))


def take(thing: Any, *names: str) -> Any:
    """Return an attribute of an attribute."""
    return functools.reduce(getattr, names, thing)


def draw(key: Any, *_: Any, **__: Any) -> Any:
    """Draw two words from a key, whatever comes besides."""
    return jax.random.bits(key, (2,), np.uint32)


def normal(key: Any, shape: Any = (), dtype: Any = float) -> Any:
    """Draw as JAX does, from what it takes."""
    return jax.random.normal(key, shape, dtype)


def one(key: Any) -> Any:
    """Take a key and nothing else."""
    return jax.random.bits(key)


def nothing() -> Any:
    """Take nothing."""
    return 0


def five(_a: Any, _b: Any, _c: Any, _d: Any, _e: Any) -> Any:
    """Take too much."""
    return 0


def named(key: Any, *, scale: Any) -> Any:
    """Want a keyword."""
    return jax.random.bits(key) * scale


def raises(*_: Any, **__: Any) -> Any:
    """Raise on purpose."""
    raise Mine("on purpose")


def misuses(*args: Any) -> Any:
    """Raise a TypeError of the user's own."""
    return args[0] + "text"


def text_of(*_: Any, **__: Any) -> Any:
    """Return no array."""
    return "text"


def object_of(*_: Any, **__: Any) -> Any:
    """Return no array either."""
    return object()


def wide_of(*_: Any, **__: Any) -> Any:
    """Return a number that fits no type."""
    return 2**70


def none_of(*_: Any, **__: Any) -> Any:
    """Return nothing."""
    return None


def key_of(key: Any, *_: Any, **__: Any) -> Any:
    """Return the key."""
    return key


def tree_of(key: Any, *_: Any, **__: Any) -> Any:
    """Return a pytree."""
    return {"a": jax.random.bits(key), "b": (jnp.zeros(3),)}


def numpy_of(*_: Any, **__: Any) -> Any:
    """Return NumPy's objects."""
    return np.array([object()])


def badnode_of(*_: Any, **__: Any) -> Any:
    """Return a pytree that can't be flattened."""
    return hostile.BadNode()


def generates(*_: Any, **__: Any) -> Any:
    """Return a generator."""
    yield 1


async def awaited(*_: Any, **__: Any) -> Any:
    """Return a coroutine."""
    return 1


def step(key: Any, carry: Any, x: Any) -> Any:
    """Go on as a scan does."""
    del x
    return carry, jax.random.bits(key)


def grows(_key: Any, carry: Any, _x: Any) -> Any:
    """Return another carry than came in."""
    return (carry, carry), None


def wider(_key: Any, carry: Any, _x: Any) -> Any:
    """Return a carry of another shape."""
    return jax.tree.map(lambda leaf: jnp.zeros((2, *jnp.shape(leaf))), carry), None


def triple(_key: Any, carry: Any, _x: Any) -> Any:
    """Return three."""
    return carry, 1, 2


def bad_y(_key: Any, carry: Any, _x: Any) -> Any:
    """Return an output that is no array."""
    return carry, "text"


def turn(_key: Any, _i: Any, val: Any) -> Any:
    """Go on as a counted loop does."""
    return val


def again(_key: Any, val: Any) -> Any:
    """Go on as a conditional loop does."""
    return val


def doubled(*args: Any) -> Any:
    """Return another value than came in."""
    return (args[-1], args[-1])


def stop(val: Any) -> Any:
    """End at once."""
    del val
    return False


def stop_array(val: Any) -> Any:
    """End at once, in four places."""
    del val
    return jnp.zeros(4, bool)


def stop_number(val: Any) -> Any:
    """Say 0 for False."""
    del val
    return 0


def stop_float(val: Any) -> Any:
    """Say 0.0 for False."""
    del val
    return jnp.float32(0)


def stop_tree(val: Any) -> Any:
    """Say False twice."""
    del val
    return (jnp.bool_(False), jnp.bool_(False))


def whole(key: Any, *args: Any) -> Any:
    """Return what a mapped body returns over an axis."""
    del args
    return jax.random.bits(key, (1,))


def axis_index(*args: Any) -> Any:
    """Take a JAX function for the user's."""
    return lax.axis_index(*args)


@functools.wraps(jax.checkpoint(draw))
def rematted(*args: Any, **kwargs: Any) -> Any:
    """Take what JAX made of the user's function, which refuses what it can't trace."""
    return jax.checkpoint(draw)(*args, **kwargs)


def plus(key: Any, x: Any) -> Any:
    """Add noise to a pytree."""
    return jax.tree.map(lambda leaf: leaf + jax.random.uniform(key), x)


partial = functools.partial(draw, shape=3)
report = ks.audit(lambda key: jax.random.bits(key) + jax.random.bits(key), key)
clean = ks.audit(one, key)


def enter(made: Any) -> Any:
    """Begin a recording and end it; return what it gave."""
    with made as found:
        jax.random.bits(ks.key(1))
    return found


def again_and_again(iterator: Any, times: int = 3) -> list[Any]:
    """Take some."""
    return [next(iterator) for _ in range(times)]


def names() -> dict[str, Any]:
    """Return all of them, the classes of `hostile` too."""
    found = {**vars(hostile), **globals()}
    return {name: value for name, value in found.items() if not name.startswith("_")}


_USED = (
    pickle,
    copy,
    collections,
    contextlib,
    interop,
    datetime,
    decimal,
    fractions,
    io,
    json,
    math,
    lax,
    NamedSharding,
    P,
)
