"""What a call that returned must have returned: its type and shape, and its keys.

Keys are held against the cipher of `tests.reference`, in Python's integers, wherever they are
threefry2x32 and concrete: so a position, a seed or a name that was cut is seen.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream import host
from tests import reference

Given = dict[str, Any]


def _is_key(value: Any, shape: tuple[int, ...] | None = ()) -> None:
    assert isinstance(value, jax.Array), f"no key: {type(value).__name__}"
    assert jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key), f"no key: {value.dtype}"
    assert shape is None or value.shape == shape, f"shape {value.shape}, not {shape}"


def _words(key: Any) -> tuple[int, ...] | None:
    """Return the words of one concrete threefry2x32 key."""
    if isinstance(key, jax.core.Tracer) or jax.random.key_impl(key) != "threefry2x32":
        return None
    with jax.ensure_compile_time_eval():
        data = jax.random.key_data(key)
    if isinstance(data, jax.core.Tracer):
        return None
    return tuple(int(word) for word in np.asarray(data))


def _at(keys: Any, index: int) -> Any:
    place = np.unravel_index(index % keys.size, keys.shape)
    with jax.ensure_compile_time_eval():
        if len(keys.devices()) == 1:
            return keys[place]
        # JAX indexes no dimension that an explicit axis cuts; what is cut is small here.
        data = np.asarray(jax.random.key_data(keys))[place]
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(keys))


def _follows(got: Any, key: Any, *path: Any) -> None:
    """Hold a key against the path by which it is derived."""
    _is_key(got)
    parent, child = _words(key), _words(got)
    if parent is None or child is None or any(isinstance(p, jax.core.Tracer) for p in path):
        return
    plain = [_part(part) for part in path]
    assert child == reference.derive("threefry2x32", parent, *plain), f"another child than {path}"


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return str.__str__(part)
    if isinstance(part, bytes):
        return bytes(part)
    return int(part) if hasattr(part, "dtype") else operator.index(part)


def _size(shape: Any) -> tuple[int, ...]:
    return tuple(map(int, shape)) if isinstance(shape, (tuple, list)) else (int(shape),)


def key(result: Any, given: Given) -> None:
    """The seed's key, of the implementation asked for."""
    _is_key(result)
    impl, seed = given.get("impl"), given["seed"]
    if isinstance(impl, str):
        assert jax.random.key_impl(result) == impl
    if hasattr(seed, "ndim") and seed.ndim:
        return
    if not isinstance(seed, (int, np.integer, str, bytes, list)) or impl not in (
        None,
        "threefry2x32",
    ):
        return
    plain = [_part(each) for each in seed] if isinstance(seed, list) else _part(seed)
    made = _words(result)
    assert made in (None, reference.seed_words("threefry2x32", plain)), "another seed"


def on_host(law: Callable[[Any, Given], None]) -> Callable[[Any, Given], None]:
    """Hold host keys against the law of typed ones."""

    def typed(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return type(value)(map(typed, value))
        if isinstance(value, dict):
            return {name: typed(each) for name, each in value.items()}
        return host.to_jax(value)

    def check(result: Any, given: Given) -> None:
        key = {"key": host.to_jax(given["key"])} if "key" in given else {}
        law(typed(result), {**given, **key})

    return check


def fresh(result: Any, _: Given) -> None:
    """An int of 128 bits."""
    assert type(result) is int
    assert 0 <= result < 2**128


def fingerprint(result: Any, given: Given) -> None:
    """The text of these words."""
    impl = str(jax.random.key_impl(given["key"]))
    with jax.ensure_compile_time_eval():
        words = tuple(np.asarray(jax.random.key_data(given["key"])).tolist())
    assert result == reference.fingerprint(impl, words)


def derive(result: Any, given: Given) -> None:
    """The key at the path."""
    path = [given[name] for name in ("first", "second") if name in given]
    if any(part.shape for part in path if hasattr(part, "shape")):
        shapes = [part.shape for part in path if hasattr(part, "shape")]
        _is_key(result, np.broadcast_shapes(*shapes))
        if result.size and len(path) == 1 and not isinstance(result, jax.core.Tracer):
            part = path[0] if isinstance(path[0], jax.Array) else np.asarray(path[0])
            last = part.reshape(-1)[-1]  # of a np.matrix that would be a row
            if not isinstance(last, jax.core.Tracer):
                _follows(_at(result, -1), given["key"], int(last))
        return
    _follows(result, given["key"], *path)


def split(result: Any, given: Given) -> None:
    """A tuple of children, or a dict of named ones."""
    num = given.get("num", 2)
    if isinstance(num, (tuple, list)):
        assert list(result) == list(map(_part, num))
        for name, use in result.items():
            _follows(use, given["key"], name)
        return
    assert len(result) == int(num)
    assert type(result) is tuple
    for i, use in enumerate(result):
        if i in (0, int(num) - 1):
            _follows(use, given["key"], i)


def keys(result: Any, given: Given) -> None:
    """Consecutive children."""
    shape = _size(given["shape"])
    _is_key(result, shape)
    first, total = given.get("start", 0), math.prod(shape)
    if total and not isinstance(first, jax.core.Tracer) and not isinstance(result, jax.core.Tracer):
        _follows(_at(result, -1), given["key"], int(first) + total - 1)


def window(result: Any, given: Given) -> None:
    """A key that draws what the whole draw has at its start."""
    _is_key(result)
    shape = _size(given["shape"])
    start = given["start"]
    starts = tuple(start) if isinstance(start, (tuple, list)) else (start,)
    parts = (result, given["key"], *starts)
    if any(isinstance(part, jax.core.Tracer) for part in parts) or math.prod(shape) > 2**12:
        return
    with jax.ensure_compile_time_eval():
        whole = np.asarray(jax.random.bits(given["key"], shape))
        first = np.asarray(jax.random.bits(result, tuple(min(size, 1) for size in shape)))
    assert (first == whole[tuple(slice(int(at), int(at) + 1) for at in starts)]).all()


def shuffled(result: Any, given: Given) -> None:
    """The place of each index in the random order."""
    n, index = int(given["n"]), given["index"]
    assert jax.numpy.shape(result) == jax.numpy.shape(index)
    key = given["key"]
    words = tuple(key.tolist()) if isinstance(key, np.ndarray) else _words(key)
    if words is None or isinstance(result, jax.core.Tracer) or isinstance(index, jax.core.Tracer):
        return
    for place, at in zip(np.ravel(result).tolist(), np.ravel(index).tolist(), strict=True):
        assert place == reference.shuffled(words, n, at), f"another place of {at}"


def unshuffled(result: Any, given: Given) -> None:
    """The index at each place of the random order."""
    shuffled(given["index"], {**given, "index": result})


def split_tree(result: Any, given: Given) -> None:
    """Keys in the same tree."""
    is_leaf = given.get("is_leaf")
    leaves = jax.tree.leaves(result)
    assert len(leaves) == len(jax.tree.leaves(given["tree"], is_leaf=is_leaf))
    for leaf in leaves:
        _is_key(leaf)


def a_key(result: Any, _: Given) -> None:
    """One key."""
    _is_key(result)


def key_array(result: Any, _: Given) -> None:
    """Keys."""
    _is_key(result, None)


def child_of_process(result: Any, given: Given) -> None:
    """Child 0, on one process."""
    _follows(result, given["key"], 0)


def stream(result: Any, _: Given) -> None:
    """A stream at its beginning."""
    assert type(result) is ks.Stream
    _is_key(jax.tree.leaves(result)[0])


def stream_next(result: Any, given: Given) -> None:
    """The key at the position, and the stream after it."""
    use, after = result
    _is_key(use)
    assert type(after) is ks.Stream
    if isinstance(use, jax.core.Tracer) or isinstance(after.words, jax.core.Tracer):
        return
    assert after.position == given["stream"].position + 1
    _follows(use, jax.tree.leaves(given["stream"])[0], given["stream"].position)


def stream_take(result: Any, given: Given) -> None:
    """So many keys, and the stream after them."""
    taken, after = result
    _is_key(taken, (int(given["n"]),))
    assert type(after) is ks.Stream


def stream_skip(result: Any, given: Given) -> None:
    """The stream so much further."""
    assert type(result) is ks.Stream
    if isinstance(result.words, jax.core.Tracer) or isinstance(given["n"], jax.core.Tracer):
        return
    assert result.position == given["stream"].position + int(given["n"])


def stream_at(result: Any, given: Given) -> None:
    """The key at that position."""
    _follows(result, jax.tree.leaves(given["stream"])[0], given["i"])


def position(result: Any, _: Given) -> None:
    """A Python int."""
    assert type(result) is int
    assert 0 <= result < 2**63


def position_words(result: Any, _: Given) -> None:
    """Two words in the last dimension."""
    assert result.dtype == np.uint32
    assert result.shape[-1] == 2


def streams(result: Any, given: Given) -> None:
    """Streams of these names."""
    assert type(result) is ks.Streams
    assert list(result.names) == list(map(_part, given["names"]))


def streams_next(result: Any, _: Given) -> None:
    """A key, and streams."""
    _is_key(result[0])
    assert type(result[1]) is ks.Streams


def streams_at(result: Any, given: Given) -> None:
    """A key for each name."""
    assert tuple(result) == given["streams"].names
    for use in result.values():
        _is_key(use)


def iterated(result: Any, given: Given) -> None:
    """Children, from the start on."""
    for i, use in enumerate(result):
        _follows(use, given["key"], int(given.get("start", 0)) + i)


def anything(result: Any, _: Given) -> None:
    """Whatever it is, nothing of it is looked at."""
    del result


def nothing(result: Any, _: Given) -> None:
    """None."""
    assert result is None


def a_bool(result: Any, _: Given) -> None:
    """True or False."""
    assert type(result) is bool


def a_dict(result: Any, _: Given) -> None:
    """A dict."""
    assert isinstance(result, dict)


def a_text(result: Any, _: Given) -> None:
    """A text."""
    assert isinstance(result, str)


def some_json(result: Any, _: Given) -> None:
    """JSON."""
    json.loads(result)


def agreed(result: Any, given: Given) -> None:
    """The seed, or a fresh one."""
    assert type(result) is int
    assert given.get("seed") is None or result == int(given["seed"])


def dumped(result: Any, given: Given) -> None:
    """Text, or words, that can be read back."""
    read = ks.loads if isinstance(result, str) else ks.from_words
    assert ks.dumps(read(result, like=given["tree"])) == ks.dumps(given["tree"])


def loaded(result: Any, given: Given) -> None:
    """What was saved."""
    if isinstance(given.get("text"), str):
        json.loads(given["text"])
    else:
        assert isinstance(given.get("words"), Mapping)
    for leaf in jax.tree.leaves(result, is_leaf=lambda x: isinstance(x, ks.Stream)):
        assert isinstance(leaf, (jax.Array, ks.Stream))


def sampled(result: Any, given: Given) -> None:
    """Arrays with the shape in front."""
    shape = _size(given["shape"])
    for leaf in jax.tree.leaves(result):
        assert leaf.shape[: len(shape)] == shape, f"shape {leaf.shape}, not {shape} in front"


def scanned(result: Any, _: Given) -> None:
    """A carry, and outputs."""
    assert type(result) is tuple
    assert len(result) in (2, 3)
