"""A tree of keys and streams -> a plain document, see `docs/saving.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keystream import _check_key, _check_tree, _impl
from keystream._check import is_traced
from keystream._errors import ArgumentValueError, KeyTypeError, Words, error, summary
from keystream._impl import NARROW_END, POSITIONS_END, Impl, is_typed_key
from keystream._stream import Stream
from keystream._streams import Streams

DEPTH = 64
"""Levels that a tree may have: what is written can always be read, in any caller's stack."""

_KINDS = {
    type(None): "none",
    Stream: "stream",
    Streams: "streams",
    dict: "dict",
    list: "list",
    tuple: "tuple",
}


def kind_of(tree: Any, function: str = "loads", argument: str = "like") -> str:
    """Return what a tree is at its top: `node` is any other container, `leaf` not ours."""
    if type(tree) in _KINDS:
        return _KINDS[type(tree)]
    if isinstance(tree, (jax.Array, jax.ShapeDtypeStruct)):
        return "keys" if jnp.issubdtype(tree.dtype, jax.dtypes.prng_key) else "leaf"
    # A leaf is the only thing that JAX finds at an empty path.
    leaves = _check_tree.flatten_with_path(function, argument, tree, _after_the_top())[0]
    return "leaf" if any(not path for path, _ in leaves) else "node"


def parts(tree: Any) -> list[tuple[Any, Any]]:
    """Return what is one level below a container, each with JAX's name for its place."""
    if type(tree) is dict:
        # JAX would sort the keys, and can't where their types differ.
        return [(jax.tree_util.DictKey(name), child) for name, child in tree.items()]
    return [(path[0], child) for path, child in _below(tree)]


def _below(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=_after_the_top()
    )[0]
    return found


def _after_the_top() -> Callable[[Any], bool]:
    """Return what tells JAX to stop below the top, also in a container that holds itself."""
    asked = iter((False,))
    return lambda _: next(asked, True)


def refilled(tree: Any, children: list[Any]) -> Any:
    """Return a container like `tree` with other children one level below."""
    structure = jax.tree.structure(tree, is_leaf=_after_the_top())
    return jax.tree.unflatten(structure, children)


def label(entry: Any) -> str | None:
    """Return the text of a place that is the same in every process; None where it has none."""
    known = isinstance(entry, (jax.tree_util.GetAttrKey, jax.tree_util.SequenceKey)) or (
        isinstance(entry, jax.tree_util.DictKey) and type(entry.key) in (str, bytes, int)
    )
    return jax.tree_util.keystr((entry,)) if known else None


def named(name: Any) -> Any:
    """Return a name as JSON that tells str, bytes and int apart, or None if it is none."""
    if type(name) is str:
        # Two lone surrogates would come back as one character.
        return name if name.encode(errors="replace").decode() == name else None
    if type(name) is bytes:
        return {"bytes": name.hex()}
    if type(name) is int and -POSITIONS_END <= name < POSITIONS_END:
        return {"int": str(name)}
    return None


def hexed(words: np.ndarray) -> str:
    """Write words as hexadecimal digits, eight for each."""
    return words.astype(">u4").tobytes().hex()


def unhexed(data: str) -> np.ndarray:
    """Read what `hexed` wrote, in one row and in memory of its own."""
    return np.frombuffer(bytes.fromhex(data), ">u4").astype(np.uint32)


def positions(words: np.ndarray) -> list[int]:
    """Return the positions that pairs of words stand for, in C order."""
    pairs = words.reshape(-1, 2).astype(np.uint64)
    found: list[int] = (pairs[:, 0] << np.uint64(32) | pairs[:, 1]).tolist()
    return found


def position_words(found: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return the words of positions, for streams of a shape."""
    row = np.array(found, np.uint64)
    pairs = np.stack([row >> np.uint64(32), row & np.uint64(0xFFFFFFFF)], -1)
    return pairs.astype(np.uint32).reshape(*shape, 2)


def texts(found: list[int], shape: tuple[int, ...]) -> str | list[str]:
    """Write positions in decimals: one of a single stream, a list of several."""
    return [str(each) for each in found] if shape else str(found[0])


def end(impl: Impl) -> int:
    """Return where the positions of an implementation end."""
    return POSITIONS_END if impl.cipher else NARROW_END


def encode(function: str, tree: Any, path: tuple[str, ...] = ()) -> Any:
    """Return the document of a tree; refuse what can't be saved, saying where it is."""
    place = f"tree{''.join(path)}"
    kind = kind_of(tree, function, place)
    if len(path) > DEPTH:
        wanted = f"at most {DEPTH} levels below the top"
        raise error(ArgumentValueError, function, f"tree{path[0]}...", wanted, Words("more"))
    match kind:
        case "none":
            return None
        case "keys":
            return _keys(function, tree, place)
        case "stream":
            return _stream(function, tree, place)
        case "leaf":
            raise _not_ours(function, tree, place)
    items = []
    for entry, child in parts(tree):
        name = None if kind in ("list", "tuple") else _name(function, kind, entry, place)
        below = (*path, jax.tree_util.keystr((entry,)))
        if kind == "streams":
            found = _stream(function, child, f"tree{''.join(below)}")
        else:
            found = encode(function, child, below)
        items.append(found if kind in ("list", "tuple") else [name, found])
    node = {"kind": kind, "items": items}
    return {**node, "type": type(tree).__qualname__} if kind == "node" else node


def _name(function: str, kind: str, entry: Any, place: str) -> Any:
    if kind == "node":
        return label(entry)
    found = named(entry.key)
    if found is None:
        cure = "For their texts: {str(k): v for k, v in tree.items()}."
        wanted = "str in UTF-8, bytes or ints of 64 bits as its keys"
        raise error(KeyTypeError, function, place, wanted, entry.key, cure, must="have")
    return found


def _keys(function: str, keys: Any, place: str) -> dict[str, Any]:
    if not is_typed_key(keys):
        raise _not_ours(function, keys, place)
    _check_key.implementation(function, keys, argument=place)
    _check_held(function, keys, place)
    cure = f"Outside of jit: ks.{function}(tree)."
    words = np.asarray(_check_key.concrete_words(function, keys, cure, place))
    kind = str(jax.random.key_impl(keys))
    return {"kind": "keys", "impl": kind, "shape": list(keys.shape), "data": hexed(words)}


def _stream(function: str, stream: Any, place: str) -> dict[str, Any]:
    leaves = stream.tree_flatten()[0] if type(stream) is Stream else (stream, None)
    key, words = leaves
    if not is_typed_key(key) or not _are_words(words, key):
        wanted, cure = "a Stream of a key and its position", "For a fresh one: ks.Stream(key)."
        raise error(KeyTypeError, function, place, wanted, _leaves(stream), cure)
    keys = _keys(function, key, place)
    _check_held(function, words, place)
    found = positions(np.asarray(words))
    last = end(_impl.IMPLS[keys["impl"]])
    if any(each >= last for each in found):
        wanted = f"at positions below 2**{last.bit_length() - 1}"
        cure = "For a stream of its own: ks.Stream(ks.derive(key, 'more'))."
        raise error(ArgumentValueError, function, place, wanted, Words("one beyond"), cure)
    return {"kind": "stream", "keys": keys, "position": texts(found, key.shape)}


def _are_words(words: Any, key: jax.Array) -> bool:
    known = isinstance(words, (jax.Array, np.ndarray)) and words.dtype == np.uint32
    return known and words.shape == (*key.shape, 2)


def _leaves(stream: Any) -> Words:
    if type(stream) is not Stream:
        return Words(summary(stream))
    key, words = stream.tree_flatten()[0]
    return Words(f"one of {summary(key)} and {summary(words)}")


def _not_ours(function: str, leaf: Any, place: str) -> KeyTypeError:
    wanted = "a key, a key array, a Stream or Streams"
    if isinstance(leaf, Iterator):
        got, cure = Words("an iterator"), "It can't be saved, a stream can: ks.Stream(key)."
        return error(KeyTypeError, function, place, wanted, got, cure)
    cure = _check_key.legacy(leaf) or (
        "For keys and other arrays in one file: np.savez(file, w=w, **ks.to_words(keys))."
    )
    abstract = isinstance(leaf, jax.ShapeDtypeStruct)
    got = Words(f"the ShapeDtypeStruct of {summary(leaf)}") if abstract else leaf
    return error(KeyTypeError, function, place, wanted, got, cure)


def _check_held(function: str, array: Any, place: str) -> None:
    """Refuse what this process can't copy to the host."""
    if is_traced(array):
        cure = f"Outside of jit: ks.{function}(tree)."
        raise error(KeyTypeError, function, place, "concrete", array, cure)
    if not isinstance(array, jax.Array):
        return
    if array.is_deleted():
        wanted, cure = "one that still has its buffers", f"To save it before: ks.{function}(tree)."
        raise error(ArgumentValueError, function, place, wanted, Words("a donated one"), cure)
    if not _is_held(array):
        wanted = "held by this process as a whole"
        got = Words(f"{summary(array)} with parts on other processes")
        cure = (
            "For this process's parts: "
            f"ks.{function}([shard.data for shard in keys.addressable_shards])."
        )
        raise error(ArgumentValueError, function, place, wanted, got, cure)


def _is_held(array: jax.Array) -> bool:
    return bool(array.is_fully_addressable or array.is_fully_replicated)
