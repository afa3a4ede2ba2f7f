"""A plain document -> a tree of keys and streams, held against the tree that is asked for."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from keystream import _check, _compat, _impl
from keystream._document import (
    end,
    hexed,
    kind_of,
    label,
    named,
    parts,
    position_words,
    refilled,
    unhexed,
)
from keystream._envelope import Source, differing
from keystream._errors import KeyImplError, SavedError, Words, error, summary
from keystream._stream import Stream, made
from keystream._streams import Streams

ANY = object()
"""Asked for where nothing is said of the structure."""

_FIELDS = {
    "keys": ("kind", "impl", "shape", "data"),
    "stream": ("kind", "keys", "position"),
    "streams": ("kind", "items"),
    "dict": ("kind", "items"),
    "list": ("kind", "items"),
    "tuple": ("kind", "items"),
    "node": ("kind", "type", "items"),
}


def build(source: Source, node: Any, like: Any = ANY, path: tuple[str, ...] = ()) -> Any:
    """Return the tree of a document, in the structure of `like` if that is given."""
    at = "".join(path)
    kind = _kind(source, node, at)
    if like is not ANY:
        like = _matched(source, node, like, at)
    match kind:
        case "none":
            return None
        case "keys":
            return _keys(source, node, at)
        case "stream":
            return _stream(source, node, at)
    if kind == "node" and like is ANY:
        cure = "To put it into a tree of its structure: "
        cure += f"ks.{source.function}({source.argument}, like=tree)."
        got = Words(f"None for {_described(source, node, at)} at {at or 'the top'}")
        wanted = "a tree of the same structure"
        raise error(SavedError, source.function, "like", wanted, got, cure)
    items = _items(source, node, at)
    likes = _likes(kind, items, like)
    children = {
        name: build(source, items[name][1], wanted, (*path, items[name][0]))
        for name, wanted in likes.items()
    }
    return _assembled(kind, children, like)


def _kind(source: Source, node: Any, at: str) -> str:
    """Return the kind of a node whose fields are those of its kind."""
    if node is None:
        return "none"
    kind = node.get("kind") if isinstance(node, dict) else None
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None or set(node) != set(fields):
        wanted = f"the fields {', '.join(fields)}" if fields else "a known kind"
        got = differing(fields, node) if fields else Words("another")
        raise source.fault(wanted, got, source.earlier, at=at, must="have")
    return str(kind)


def _items(source: Source, node: dict[str, Any], at: str) -> dict[Any, tuple[str, Any]]:
    """Return what is one level below: its name there, its place in a message, its document."""
    kind, saved = node["kind"], node["items"]
    named = kind not in ("list", "tuple")
    sound = isinstance(saved, list) and (
        not named or all(isinstance(item, list) and len(item) == 2 for item in saved)
    )
    wanted = (str, bytes) if kind == "streams" else (str, bytes, int)
    found: dict[Any, tuple[str, Any]] = {}
    for index, item in enumerate(saved if sound else ()):
        name, child = item if named else (None, item)
        if kind in ("dict", "streams"):
            key = _name(name)
            found[type(key), key] = f"[{key!r}]", child
            sound = sound and isinstance(key, wanted)
        else:
            found[index] = (name if isinstance(name, str) else f"[{index}]"), child
            sound = sound and (name is None or (kind == "node" and isinstance(name, str)))
        if kind == "streams":
            sound = sound and _kind(source, child, f"{at}[{key!r}]") == "stream"
    if not sound or len(found) < len(saved):
        raise source.fault("items with distinct names", Words("others"), at=at, must="have")
    return found


def _name(saved: Any) -> str | bytes | int | None:
    """Read a name of a dict or of a stream; None if it isn't as it is written."""
    if isinstance(saved, str):
        return saved
    if not isinstance(saved, dict) or len(saved) != 1:
        return None
    ((kind, text),) = saved.items()
    try:
        found = bytes.fromhex(text) if kind == "bytes" else int(text)
    except (TypeError, ValueError):
        return None
    return found if named(found) == saved else None


def _likes(kind: str, items: dict[Any, Any], like: Any) -> dict[Any, Any]:
    """Return what is asked for one level below, in the order of the result."""
    if like is ANY:
        return dict.fromkeys(items, ANY)
    found = parts(like)
    if kind in ("dict", "streams"):
        return {(type(entry.key), entry.key): child for entry, child in found}
    return {index: child for index, (_, child) in enumerate(found)}


def _assembled(kind: str, children: dict[Any, Any], like: Any) -> Any:
    below = list(children.values())
    match kind:
        case "list":
            return below
        case "tuple":
            return tuple(below)
        case "dict":
            return dict(zip((name for _, name in children), below, strict=True))
        case "streams":
            return Streams.tree_unflatten(tuple(name for _, name in children), below)
    return refilled(like, below)


def _matched(source: Source, node: Any, like: Any, at: str) -> Any:
    """Refuse a `like` that differs from what was saved; ANY where it takes any leaf."""
    if kind_of(like, source.function, f"like{at}") == "leaf" and _kind(source, node, at) in (
        "keys",
        "stream",
        "streams",
    ):
        return ANY
    found = _difference(source, node, like, at)
    if found is not None:
        must, wanted, got = found
        cure = f"To see what was saved: json.loads({source.document})['tree']."
        raise error(SavedError, source.function, f"like{at}", wanted, got, cure, must=must)
    return like


def _difference(source: Source, node: Any, like: Any, at: str) -> tuple[str, str, Words] | None:
    """Return how `like` differs from a node at its top: must, what was saved, what is asked."""
    kind = _kind(source, node, at)
    whole = "be", f"{_described(source, node, at)}, as saved", _likeness(like)
    if kind_of(like) != kind:
        return whole
    if kind in ("keys", "stream"):
        key = like if kind == "keys" else like.tree_flatten()[0][0]
        saved = _spec(source, node if kind == "keys" else node["keys"], at)
        return None if kind_of(key) != "keys" or (key.dtype, tuple(key.shape)) == saved else whole
    if kind == "none":
        return None
    items = _items(source, node, at)
    asked = _likes(kind, items, like)
    if kind in ("dict", "streams"):
        names = differing((name for _, name in items), (name for _, name in asked))
        return None if set(items) == set(asked) else ("have", "the names that were saved", names)
    if len(items) != len(asked):
        return whole
    labels = [(name, label(entry)) for (name, _), (entry, _) in _labelled(node, like)]
    if all(None in pair or pair[0] == pair[1] for pair in labels):
        return None
    old, new = (", ".join(filter(None, side)) for side in zip(*labels, strict=True))
    return "have", f"the parts that were saved ({old})", Words(new)


def _labelled(node: Any, like: Any) -> Any:
    """Pair the saved parts with those asked for; in a list and a tuple they have no names."""
    if node["kind"] != "node":
        return ()
    return zip(node["items"], parts(like), strict=True)


def _described(source: Source, node: Any, at: str) -> str:
    """Say in a few words what was saved."""
    kind = _kind(source, node, at)
    match kind:
        case "none":
            return "None"
        case "keys":
            dtype, shape = _spec(source, node, at)
            return summary(jax.ShapeDtypeStruct(shape, dtype))
        case "stream":
            return f"a Stream of {_described(source, node['keys'], at)}"
        case "streams":
            return f"Streams of {len(_items(source, node, at))} names"
    what = f"node {summary(node['type'])}" if kind == "node" else kind
    return f"a {what} of {len(_items(source, node, at))}"


def _likeness(like: Any) -> Words:
    """Say in a few words what is asked for."""
    kind = kind_of(like)
    match kind:
        case "none" | "keys" | "leaf":
            return Words(summary(like))
        case "stream":
            return Words(f"a Stream of {summary(like.tree_flatten()[0][0])}")
        case "streams":
            return Words(f"Streams of {len(like.names)} names")
    what = f"node {type(like).__qualname__!r}" if kind == "node" else kind
    return Words(f"a {what} of {len(parts(like))}")


def _spec(source: Source, keys: Any, at: str) -> tuple[Any, tuple[int, ...]]:
    """Return the dtype and the shape of saved keys."""
    if _kind(source, keys, at) != "keys":
        raise source.fault("keys", Words("another kind"), source.earlier, at=at, must="have")
    impl, shape = keys["impl"], keys["shape"]
    known = _impl.IMPLS.get(impl) if isinstance(impl, str) else None
    if known is None or known.refused:
        which = "of " + ", ".join(n for n, each in _impl.IMPLS.items() if not each.refused)
        argument = f"{source.argument} at {at}" if at else source.argument
        got = Words(f"keys of {summary(impl)}")
        raise error(KeyImplError, source.function, argument, which, got)
    sound = isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS
    if not sound or any(type(size) is not int or not 0 <= size < 2**31 for size in shape):
        wanted = "a shape of sizes below 2**31"
        raise source.fault(wanted, shape, source.earlier, at=at, must="have")
    return _compat.key_dtype(impl), tuple(shape)


_MOST_DIMENSIONS = 32


def _keys(source: Source, node: Any, at: str) -> jax.Array:
    dtype, shape = _spec(source, node, at)
    shape = (*shape, _impl.IMPLS[node["impl"]].words)
    words = _words(node["data"])
    if words is None or words.size != _check.size_of(shape):
        wanted = f"{8 * _check.size_of(shape)} hexadecimal digits of data"
        raise source.fault(wanted, Words("others"), source.earlier, at=at, must="have")
    # Inside a traced function too they are constants.
    with jax.ensure_compile_time_eval():
        return _impl.wrap(jax.device_put(words.reshape(shape)), dtype)


def _words(data: Any) -> np.ndarray | None:
    try:
        words = unhexed(data)
    except (TypeError, ValueError):
        return None
    return words if hexed(words) == data else None


def _stream(source: Source, node: Any, at: str) -> Stream:
    _, shape = _spec(source, node["keys"], at)
    impl = _impl.IMPLS[node["keys"]["impl"]]
    saved = node["position"] if shape else [node["position"]]
    sound = isinstance(saved, list) and len(saved) == _check.size_of(shape)
    found = [_position(each, end(impl)) for each in saved] if sound else [None]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        wanted = f"a position below 2**{end(impl).bit_length() - 1} in decimals for each key"
        raise source.fault(wanted, Words("others"), source.earlier, at=at, must="have")
    with jax.ensure_compile_time_eval():
        words = jax.device_put(position_words(known, shape))
    return made(_keys(source, node["keys"], at), words, None if shape else known[0])


def _position(text: Any, beyond: int) -> int | None:
    """Read a position as it is written; None if it isn't, or isn't one."""
    if not isinstance(text, str) or not text.isdecimal() or len(text) > len(str(beyond)):
        return None
    number = int(text)
    return number if str(number) == text and number < beyond else None
