"""Turn trees of keys and streams into the nodes of a document, and nodes into trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import jax
import numpy as np

from keystream import _impl
from keystream._checks.key import check_concrete, check_impl, legacy_cure
from keystream._checks.values import check_not_donated, is_traced
from keystream._errors import (
    ArgumentValueError,
    KeyImplError,
    KeyTypeError,
    Phrase,
    SavedError,
    error,
    summary,
)
from keystream._impl import is_key_dtype, is_typed_key
from keystream._saving.document import (
    BY_NAME,
    DEPTH,
    Container,
    KeysNode,
    Node,
    Source,
    StreamNode,
    differing,
    end_of,
    positions,
    write_name,
)
from keystream._streams.stream import Stream, make_stream
from keystream._streams.streams import Streams

ANY = object()
"""Asked for where nothing is said of the structure."""


def view(tree: Any) -> Any:
    """Return a container with what is one level below it; anything else as it is."""
    if type(tree) is dict:
        # JAX would sort the keys, and can't where their types differ.
        return Container("dict", tuple(tree), tuple(tree.values()))
    if tree is None or type(tree) is Stream:
        return tree
    found = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_after_the_top())[0]
    if any(not path for path, _ in found):  # a leaf is the only thing at an empty path
        return tree
    kind = {Streams: "streams", list: "list", tuple: "tuple"}.get(type(tree), "node")
    if kind == "streams":
        names = tree.names
    else:
        names = tuple(_label(path[0]) if kind == "node" else None for path, _ in found)
    of_class = type(tree).__qualname__ if kind == "node" else ""
    return Container(kind, names, tuple(child for _, child in found), of_class)


def _after_the_top() -> Callable[[Any], bool]:
    """Return what tells JAX to stop below the top, also in a container that holds itself."""
    asked = iter((False,))
    return lambda _: next(asked, True)


def _label(entry: Any) -> str | None:
    """Return the text of a place that is the same in every process; None where it has none."""
    known = isinstance(entry, (jax.tree_util.GetAttrKey, jax.tree_util.SequenceKey)) or (
        isinstance(entry, jax.tree_util.DictKey) and type(entry.key) in (str, bytes, int)
    )
    return jax.tree_util.keystr((entry,)) if known else None


# From trees to nodes.


def take(tree: Any, place: str = "tree", depth: int = 0) -> Node:
    """Return the node of a tree; refuse what can't be saved, saying where it is."""
    if depth > DEPTH:
        wanted = f"at most {DEPTH} levels below the top"
        raise error(ArgumentValueError, "tree", wanted, Phrase("more"))
    if tree is None:
        return None
    if is_typed_key(tree):
        return _take_keys(tree, place)
    if type(tree) is Stream:
        return _take_stream(tree, place)
    found = view(tree)
    if not isinstance(found, Container):
        raise _not_ours(tree, place)
    for name in found.names if found.kind in BY_NAME else ():
        if write_name(name) is None:
            cure = "For their texts: {str(k): v for k, v in tree.items()}."
            wanted = "str in UTF-8, bytes or ints of 64 bits as its keys"
            raise error(KeyTypeError, place, wanted, name, cure, must="have")
    places = [place + found.place(index) for index in range(len(found.below))]
    pairs = zip(found.below, places, strict=True)
    if found.kind == "streams":
        return found._replace(below=tuple(_take_stream(*pair) for pair in pairs))
    below = tuple(take(*pair, depth + 1) for pair in pairs)
    return found._replace(below=below)


def _take_keys(keys: jax.Array, place: str) -> KeysNode:
    check_impl(keys, argument=place)
    _check_held(keys, place)
    cure = "Outside of jit: ks.{caller}(tree)."
    words = np.array(check_concrete(keys, cure, place))
    return KeysNode(str(jax.random.key_impl(keys)), keys.shape, words.reshape(-1))


def _take_stream(stream: Any, place: str) -> StreamNode:
    key, words = stream.tree_flatten()[0] if type(stream) is Stream else (stream, None)
    if not is_typed_key(key) or not _are_words(words, key):
        wanted, cure = "a Stream of a key and its position", "For a fresh one: ks.Stream(key)."
        got = Phrase(repr(stream)) if type(stream) is Stream else stream
        raise error(KeyTypeError, place, wanted, got, cure)
    keys = _take_keys(key, place)
    _check_held(words, place)
    node = StreamNode(keys, positions(np.asarray(words)))
    end = end_of(keys.impl)
    if any(each >= end for each in node.positions):
        wanted = f"at positions below 2**{end.bit_length() - 1}"
        cure = "For a stream of its own: ks.Stream(ks.derive(key, 'more'))."
        raise error(ArgumentValueError, place, wanted, Phrase("one beyond"), cure)
    return node


def _are_words(words: Any, key: jax.Array) -> bool:
    known = isinstance(words, (jax.Array, np.ndarray)) and words.dtype == np.uint32
    return known and words.shape == (*key.shape, 2)


def _not_ours(leaf: Any, place: str) -> KeyTypeError:
    wanted = "a key, a key array, a Stream or Streams"
    cure = "For keys and other arrays in one file: np.savez(file, w=w, **ks.to_words(keys))."
    if isinstance(leaf, Iterator):
        cure = "It can't be saved, a stream can: ks.Stream(key)."
    cure = legacy_cure(leaf) or cure
    abstract = isinstance(leaf, jax.ShapeDtypeStruct)
    got = Phrase(f"the ShapeDtypeStruct of {summary(leaf)}") if abstract else leaf
    return error(KeyTypeError, place, wanted, got, cure)


def _check_held(array: Any, place: str) -> None:
    """Refuse what this process can't copy to the host."""
    if is_traced(array):
        cure = "Outside of jit: ks.{caller}(tree)."
        raise error(KeyTypeError, place, "concrete", array, cure)
    check_not_donated(place, array)
    if isinstance(array, jax.Array) and not _is_held(array):
        wanted = "held by this process as a whole"
        got = Phrase(f"{summary(array)} with parts on other processes")
        cure = (
            "For this process's parts: "
            "ks.{caller}([shard.data for shard in keys.addressable_shards])."
        )
        raise error(ArgumentValueError, place, wanted, got, cure)


def _is_held(array: jax.Array) -> bool:
    return bool(array.is_fully_addressable or array.is_fully_replicated)


# From nodes to trees.


def build(source: Source, node: Node, like: Any = ANY, at: str = "") -> Any:
    """Return the tree of a node, in the structure of `like` if that is given."""
    asked = like if like is ANY else view(like)
    value: Any = None
    match node:
        case Container():
            return _build_container(source, node, like, asked, at)
        case KeysNode():
            value = _build_keys(source, node, at)
        case StreamNode():
            value = _build_stream(source, node, at)
    if asked is not ANY and not _fits(value, asked):
        raise _unlike(source, at, f"{_describe(value)}, as saved", _describe(asked))
    return value


def _build_keys(source: Source, node: KeysNode, at: str) -> jax.Array:
    known = _impl.IMPLS.get(node.impl)
    if known is None or known.refused:
        which = "of " + ", ".join(n for n, each in _impl.IMPLS.items() if not each.refused)
        argument = f"{source.argument} at {at}" if at else source.argument
        got = Phrase(f"keys of {summary(node.impl)}")
        raise error(KeyImplError, argument, which, got)
    words = node.words.reshape(*node.shape, known.words)
    # Inside a traced function too they are constants.
    with jax.ensure_compile_time_eval():
        return _impl.wrap(jax.device_put(words), node.impl)


def _build_stream(source: Source, node: StreamNode, at: str) -> Stream:
    keys = _build_keys(source, node.keys, at)
    with jax.ensure_compile_time_eval():
        words = jax.device_put(node.position_words)
    return make_stream(keys, words, None if node.keys.shape else node.positions[0])


def _build_container(source: Source, node: Container, like: Any, asked: Any, at: str) -> Any:
    if node.kind == "streams" and _takes_any(asked):
        asked = ANY
    if asked is not ANY:
        _check_alike(source, node, asked, at)
    elif node.kind == "node":
        cure = "To put it into a tree of its structure: "
        cure += f"ks.{source.function}({source.argument}, like=tree)."
        got = Phrase(f"None for {_describe(node)} at {at or 'the top'}")
        wanted = "a tree of the same structure"
        raise error(SavedError, "like", wanted, got, cure)
    else:
        asked = node._replace(below=(ANY,) * len(node.below))
    order = [*range(len(node.below))]
    if node.kind in BY_NAME:
        indices = {name: index for index, name in enumerate(node.names)}
        order = [indices[name] for name in asked.names]
    below = [
        build(source, node.below[index], wanted, at + node.place(index))
        for index, wanted in zip(order, asked.below, strict=True)
    ]
    names = tuple(node.names[index] for index in order)
    match node.kind:
        case "list":
            return below
        case "tuple":
            return tuple(below)
        case "dict":
            return dict(zip(names, below, strict=True))
        case "streams":
            return Streams.tree_unflatten(names, below)
    return jax.tree.unflatten(jax.tree.structure(like, is_leaf=_after_the_top()), below)


def _is_keys(value: Any) -> TypeGuard[jax.Array | jax.ShapeDtypeStruct]:
    return isinstance(value, (jax.Array, jax.ShapeDtypeStruct)) and is_key_dtype(value.dtype)


def _takes_any(asked: Any) -> bool:
    """Does what is asked for take any key or stream, since it is a leaf of another kind?"""
    return not (asked is None or isinstance(asked, (Container, Stream)) or _is_keys(asked))


def _fits(value: Any, asked: Any) -> bool:
    """Is None, a key array or a stream what is asked for?"""
    if value is None or _takes_any(asked):
        return value is not None or asked is None
    if isinstance(value, Stream) and isinstance(asked, Stream):
        value, asked = _key_of(value), _key_of(asked)
        if not _is_keys(asked):
            return True
    if not is_typed_key(value) or not _is_keys(asked):
        return False
    return value.dtype == asked.dtype and value.shape == tuple(asked.shape)


def _key_of(stream: Stream) -> Any:
    return stream.tree_flatten()[0][0]


def _check_alike(source: Source, node: Container, asked: Any, at: str) -> None:
    """Refuse a container that differs from the one that was saved, at its top."""
    if isinstance(asked, Container) and asked.kind == node.kind:
        if node.kind in BY_NAME:
            names = differing(node.names, asked.names)
            if not names:
                return
            raise _unlike(source, at, "the names that were saved", names, must="have")
        if len(asked.below) == len(node.below):
            pairs = [*zip(node.names, asked.names, strict=True)]
            if all(None in pair or pair[0] == pair[1] for pair in pairs):
                return
            old, new = (", ".join(filter(None, side)) for side in zip(*pairs, strict=True))
            raise _unlike(source, at, f"the parts that were saved ({old})", new, must="have")
    raise _unlike(source, at, f"{_describe(node)}, as saved", _describe(asked))


def _unlike(source: Source, at: str, wanted: str, got: str, *, must: str = "be") -> SavedError:
    cure = f"To see what was saved: json.loads({source.document})['tree']."
    return error(SavedError, f"like{at}", wanted, Phrase(got), cure, must=must)


def _describe(value: Any) -> str:
    """Say in a few words what was saved, or is asked for, at one place."""
    if isinstance(value, Stream):
        return f"a Stream of {summary(_key_of(value))}"
    if not isinstance(value, Container):
        return summary(value)
    count = len(value.below)
    if value.kind == "streams":
        return f"Streams of {count} names"
    return f"a {value.kind}{f' {summary(value.type)}' if value.type else ''} of {count}"
