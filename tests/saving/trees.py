"""Trees of keys and streams: made by hand, drawn by hypothesis, and what they hold."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from hypothesis import strategies as st

import keystream as ks
from keystream import _compat

SHAPES = ((), (1,), (0,), (2, 3))
_WIDTHS = {"threefry2x32": 2, "threefry4x32": 4, "philox4x32": 2, "rbg": 4}
WIDTHS = {impl: width for impl, width in _WIDTHS.items() if _compat.has_impl(impl)}


class State(NamedTuple):
    """A container that text can't rebuild by itself."""

    noise: Any
    step: Any


def keys(impl: str, shape: tuple[int, ...], first: int = 0) -> jax.Array:
    """Return keys of words that count upwards, so that every byte of them differs."""
    impl = impl if impl in WIDTHS else "rbg"  # which every JAX has
    width = WIDTHS[impl]
    count = int(np.prod(shape, dtype=int)) * width
    words = (np.arange(count, dtype=np.uint64) + first) * 0x9E3779B1 + 0x01020304
    return jax.random.wrap_key_data(words.astype(np.uint32).reshape(*shape, width), impl=impl)


def stream(key: jax.Array, *positions: int) -> ks.Stream:
    """Return a stream at a position, or several for an array of keys."""
    words = [[position >> 32, position & 0xFFFFFFFF] for position in positions]
    place = np.array(words, np.uint32).reshape(*key.shape, 2)
    return ks.Stream.tree_unflatten(None, (key, jax.numpy.asarray(place)))


def named(*streams: tuple[str | bytes, ks.Stream]) -> ks.Streams:
    """Return streams by name."""
    names, each = zip(*streams, strict=True)
    return ks.Streams.tree_unflatten(names, each)


def content(tree: Any) -> Any:
    """Return all that a tree holds, in plain Python: equal content is the same tree."""
    if tree is None:
        return None
    if isinstance(tree, ks.Stream):
        key, words = tree.tree_flatten()[0]
        assert words.dtype == np.uint32
        return "Stream", content(key), np.asarray(words).tolist()
    if isinstance(tree, ks.Streams):
        streams, names = tree.tree_flatten()
        return "Streams", names, [content(each) for each in streams]
    if type(tree) is dict:
        return dict, [(type(name), name, content(each)) for name, each in tree.items()]
    if isinstance(tree, jax.Array):
        words = np.asarray(jax.random.key_data(tree))
        return str(jax.random.key_impl(tree)), tree.shape, words.ravel().tolist()
    below = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is not tree)[0]
    assert all(path for path, _ in below), f"a {type(tree).__name__}"
    return type(tree), [(str(path[0]), content(each)) for path, each in below]


def skeleton(tree: Any) -> Any:
    """Return what `like` must agree in: all but words and positions, and the order of dicts."""
    match content(tree):
        case ("Stream", (impl, shape, _), _):
            return "Stream", impl, shape
        case ("Streams", names, each):
            below = zip(names, tree.tree_flatten()[0], strict=True)
            return "Streams", {name: skeleton(s) for name, s in below}, len(each)
        case (kind, list(below)) if kind is dict:
            return dict, {(type(n), n): skeleton(each) for n, each in tree.items()}, len(below)
        case (str(impl), tuple(shape), _):
            return impl, shape
        case (kind, list(below)):
            children = jax.tree.leaves(tree, is_leaf=lambda node: node is not tree)
            return kind, [name for name, _ in below], list(map(skeleton, children))
    return None


@st.composite
def some_keys(draw: Any, shapes: tuple[tuple[int, ...], ...] = SHAPES) -> jax.Array:
    """Draw keys of every implementation, of random words."""
    impl, shape = draw(st.sampled_from(sorted(WIDTHS))), draw(st.sampled_from(shapes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    words = rng.integers(0, 2**32, (*shape, WIDTHS[impl]), np.uint32)
    return jax.random.wrap_key_data(words, impl=impl)


@st.composite
def some_stream(draw: Any, shapes: tuple[tuple[int, ...], ...] = ((), (3,), (0,))) -> ks.Stream:
    """Draw a stream, or several, anywhere up to the end of its positions."""
    key = draw(some_keys(shapes))
    last = (2**63 if jax.random.key_impl(key) == "threefry2x32" else 2**32) - 1
    place = st.integers(0, last) | st.sampled_from([0, 2**31, 2**32 - 1, last])
    return stream(key, *(draw(place) for _ in range(key.size)))


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | st.binary(
    min_size=1, max_size=3
)
SOME_STREAMS = st.lists(
    st.tuples(NAMES, some_stream(((),))), min_size=1, max_size=3, unique_by=lambda pair: pair[0]
).map(lambda pairs: named(*pairs))
LEAVES = st.none() | some_keys() | some_stream() | SOME_STREAMS
DICT_NAMES = NAMES | st.sampled_from(["", b"", "1", b"1", 1, -(2**63), 2**63 - 1])


def grown(names: Any) -> Callable[[Any], Any]:
    """Put trees into containers; into those that text can't rebuild where all names are str."""

    def grow(below: Any) -> Any:
        plain = st.lists(below, max_size=3), st.lists(below, max_size=3).map(tuple)
        found = st.one_of(*plain, st.dictionaries(names, below, max_size=3))
        if names is DICT_NAMES:
            return found
        ordered = st.dictionaries(names, below, max_size=2).map(collections.OrderedDict)
        return found | ordered | st.builds(State, below, below)

    return grow


TREES = st.recursive(LEAVES, grown(DICT_NAMES), max_leaves=6)
STATES = st.recursive(LEAVES, grown(st.sampled_from("abc")), max_leaves=6)
