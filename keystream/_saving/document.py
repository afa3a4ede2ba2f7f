"""Read and write saved documents: JSON, or JSON beside arrays, to typed nodes and back.

The format is specified in `docs/saving.md`. Reading is lenient about spelling and strict about
content: what was read is written anew, and must give the checksum that was saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from keystream._checks.static import size_of
from keystream._errors import KeystreamError, Phrase, SavedError, error, summary
from keystream._impl import IMPLS
from keystream._keys.scheme import SCHEME
from keystream._known import NARROW_END, POSITIONS_END

FORMAT = "keystream"
VERSION = 1
FIELDS = ("format", "version", "scheme", "tree", "checksum")
HEADER = "keystream"
"""The array of the document itself; those of its data are called keystream_0, keystream_1, ..."""

DEPTH = 64
"""Levels that a tree may have: what is written can always be read, in any caller's stack."""

BY_NAME = ("dict", "streams")
"""Containers whose items are found by name, in whatever order; all others keep their order."""

_MOST_DIMENSIONS = 32


class KeysNode(NamedTuple):
    """Keys of one implementation, with their words in one row, in C order."""

    impl: str
    shape: tuple[int, ...]
    words: np.ndarray


class StreamNode(NamedTuple):
    """A stream, or several for an array of keys, with their positions in C order."""

    keys: KeysNode
    positions: list[int]

    @property
    def position_words(self) -> np.ndarray:
        """The positions as two words each, the high one first."""
        words = np.array(self.positions, ">u8").view(">u4").astype(np.uint32)
        return words.reshape(*self.keys.shape, 2)


class Container(NamedTuple):
    """A container, and what is one level below: nodes, or the items of a tree."""

    kind: str
    """dict, streams, list, tuple, or node for any other."""
    names: tuple[Any, ...]
    """The names of dicts and streams; JAX's of a node's items, or None; None elsewhere."""
    below: tuple[Any, ...]
    type: str = ""
    """The class of a node."""

    def place(self, index: int) -> str:
        """Return where an item is, as code."""
        name = self.names[index]
        return f"[{name!r}]" if self.kind in BY_NAME else name or f"[{index}]"


Node: TypeAlias = KeysNode | StreamNode | Container | None


class Source(NamedTuple):
    """Where a document comes from, for messages: a function of ours and its argument."""

    function: str
    argument: str
    document: str
    """Code for the document's text."""

    @property
    def earlier(self) -> str:
        """The cure for what is damaged."""
        return f"For the copy before: ks.{self.function}(earlier)."

    def fault(
        self, requirement: str, got: object, cure: str = "", *, at: str = "", must: str = "be"
    ) -> SavedError:
        """Word what is wrong with the document, or with one place in its tree."""
        argument = f"{self.argument} at {at}" if at else self.argument
        return error(SavedError, argument, requirement, got, cure, must=must)


def differing(wanted: Iterable[Any], got: Iterable[Any]) -> Phrase:
    """Say which names are missing and which are there besides."""
    # By their texts, since 1 == True.
    asked, found = ({repr(name): summary(name) for name in names} for names in (wanted, got))
    missing = [f"no {asked[each]}" for each in asked if each not in found]
    besides = [f"also {found[each]}" for each in found if each not in asked]
    return Phrase(", ".join((missing + besides)[:8]))


def positions(words: np.ndarray) -> list[int]:
    """Return the positions that pairs of words stand for, in C order."""
    found: list[int] = words.astype(">u4").reshape(-1).view(">u8").tolist()
    return found


# Writing.


def write(node: Node, put: Callable[[np.ndarray], str] | None = None) -> Any:
    """Return a node as JSON; `put` keeps its words elsewhere and returns their name."""
    match node:
        case KeysNode(impl, shape, words):
            # Data without words stay in the document: Orbax refuses arrays without elements.
            if put is not None and words.size:
                data = put(words.reshape(*shape, -1))
            else:
                data = words.astype(">u4").tobytes().hex()
            return {"kind": "keys", "impl": impl, "shape": list(shape), "data": data}
        case StreamNode(keys, found):
            saved = {"kind": "stream", "keys": write(keys, put)}
            if put is not None and found:
                return {**saved, "position": put(node.position_words)}
            texts = [*map(str, found)]
            return {**saved, "position": texts if keys.shape else texts[0]}
        case Container(kind, names, below):
            items = [write(each, put) for each in below]
            if kind in ("list", "tuple"):
                return {"kind": kind, "items": items}
            each = names if kind == "node" else map(write_name, names)
            named = [list(pair) for pair in zip(each, items, strict=True)]
            of_class = {"type": node.type} if kind == "node" else {}
            return {"kind": kind, "items": named, **of_class}
    return None


def write_name(name: Any) -> Any:
    """Return a name as JSON that tells str, bytes and int apart, or None if it is none."""
    if type(name) is str:
        # Two lone surrogates would come back as one character.
        return name if name.encode(errors="replace").decode() == name else None
    if type(name) is bytes:
        return {"bytes": name.hex()}
    if type(name) is int and -POSITIONS_END <= name < POSITIONS_END:
        return {"int": str(name)}
    return None


def seal(tree: Any) -> dict[str, Any]:
    """Return the document of a tree that is JSON: with format, version, scheme and checksum."""
    inner = {"format": FORMAT, "version": VERSION, "scheme": SCHEME, "tree": tree}
    return {**inner, "checksum": checksum(inner)}


def checksum(inner: dict[str, Any]) -> str:
    """Return the checksum of all other fields of a document."""
    text = json.dumps(inner, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# Reading.


class Arrays:
    """The arrays that a document names, each to be read once."""

    def __init__(self, source: Source, words: Mapping[Any, Any]) -> None:
        self._source = source
        self._words = words
        self._unread = {
            name
            for name in words
            if isinstance(name, str) and (name == HEADER or name.startswith(f"{HEADER}_"))
        }

    def text(self) -> str:
        """Return the document's text."""
        header = self._read(HEADER)
        if header.dtype != np.uint8 or header.ndim != 1:
            raise self._fault(HEADER, "one row of uint8", header)
        return header.tobytes().decode("ascii", "replace")

    def data(self, name: str, shape: list[int], what: str) -> np.ndarray:
        """Return the words for each key or position of a shape, in memory of their own."""
        words = self._read(name)
        fits = words.shape[:-1] == tuple(shape) and (what == "key" or words.shape[-1:] == (2,))
        if words.dtype.newbyteorder("=") != np.uint32 or not words.ndim or not fits:
            raise self._fault(name, f"uint32 for each {what} of shape {summary(shape)}", words)
        return words.astype(np.uint32)

    def check_all_read(self) -> None:
        """Refuse arrays that the document doesn't name."""
        if self._unread:
            cure = "For two trees: ks.to_words([one, other])."
            got = differing((), sorted(self._unread))
            raise self._source.fault("the arrays of one tree", got, cure, must="hold")

    def _read(self, name: str) -> np.ndarray:
        if name not in self._unread:
            raise self._source.fault(f"an array {summary(name)}", Phrase("none"), must="hold")
        self._unread.remove(name)
        try:
            return np.asarray(self._words[name])
        except Exception as cause:  # a zip file or a device may fail in any way
            got = Phrase(f"{type(cause).__name__} from it")
            raise self._fault(name, "readable", got) from cause

    def _fault(self, name: str, wanted: str, got: object) -> SavedError:
        source = self._source._replace(argument=f"words[{summary(name)}]")
        return source.fault(wanted, got, source.earlier)


def read(source: Source, text: str, arrays: Arrays | None = None) -> Node:
    """Return the tree of a document as nodes; refuse one that isn't sound."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as cause:
        got = type(cause).__name__
        if isinstance(cause, json.JSONDecodeError):
            got = f"a break at character {cause.pos} of {len(text)} ({cause.msg})"
        wanted = "JSON as keystream writes it"
        raise source.fault(wanted, Phrase(got), source.earlier) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise source.fault("what keystream wrote", Phrase("other JSON"), source.earlier)
    version = found.get("version")
    if type(version) is not int or version != VERSION:
        wanted = f"of format version {VERSION}, the newest that this keystream reads"
        got = f"version {summary(version)}"
        raise source.fault(wanted, Phrase(got), "Upgrade keystream to read it.")
    if set(found) != set(FIELDS):
        wanted = f"the fields {', '.join(FIELDS)}"
        raise source.fault(wanted, differing(FIELDS, found), source.earlier, must="hold")
    node, scheme = _parse(source, found["tree"], arrays), found["scheme"]
    if arrays is not None:
        arrays.check_all_read()
    inner = {"format": FORMAT, "version": VERSION, "scheme": scheme, "tree": write(node)}
    if type(scheme) is not int or checksum(inner) != found["checksum"]:
        wanted = "the content that its checksum was made of"
        raise source.fault(wanted, Phrase("another"), source.earlier, must="hold")
    if scheme != SCHEME:
        wanted = f"of derivation scheme {SCHEME}, as this keystream has it"
        got = f"scheme {scheme}"
        raise source.fault(wanted, Phrase(got), "Load it with the keystream that wrote it.")
    return node


def _parse(source: Source, raw: Any, arrays: Arrays | None, at: str = "", depth: int = 0) -> Node:
    """Return a node of JSON, with its data from the arrays if there are any."""
    if raw is None:
        return None
    try:
        node = _parse_node(source, raw, arrays, at, depth)
    except KeystreamError:
        raise
    except (TypeError, ValueError, OverflowError):  # of what isn't as it is written
        node = None
    if node is None:
        wanted = "a node as keystream writes it"
        raise source.fault(wanted, Phrase("another"), source.earlier, at=at)
    return node


# None stands for what isn't as it is written.


def _parse_node(source: Source, raw: Any, arrays: Arrays | None, at: str, depth: int) -> Node:
    match raw:
        case {"kind": "keys", "impl": str(), "shape": [*_], "data": str(), **rest} if not rest:
            return _parse_keys(raw, arrays)
        case {"kind": "stream", "keys": {"kind": "keys"}, "position": _, **rest} if not rest:
            keys = _parse(source, raw["keys"], arrays, at)
            if isinstance(keys, KeysNode):
                return _parse_stream(keys, raw["position"], arrays)
        case {"kind": str() as kind, "items": [*items], **rest} if depth <= DEPTH:
            found = _open(kind, items, rest)
            if found is None:
                return None
            below = tuple(
                _parse(source, each, arrays, at + found.place(index), depth + 1)
                for index, each in enumerate(found.below)
            )
            if kind != "streams" or all(isinstance(each, StreamNode) for each in below):
                return found._replace(below=below)
    return None


def _parse_keys(raw: dict[str, Any], arrays: Arrays | None) -> KeysNode | None:
    impl, shape, data = raw["impl"], raw["shape"], raw["data"]
    sized = all(type(size) is int and 0 <= size < 2**31 for size in shape)
    if not sized or len(shape) > _MOST_DIMENSIONS:
        return None
    if arrays is not None and data:
        words = arrays.data(data, shape, "key").reshape(-1)
    else:
        words = np.frombuffer(bytes.fromhex(data), ">u4").astype(np.uint32)
    # An implementation that isn't known is refused later, when all else is known to be sound.
    fits = impl not in IMPLS or words.size == size_of(shape) * IMPLS[impl].words
    return KeysNode(impl, tuple(shape), words) if fits else None


def _parse_stream(keys: KeysNode, position: Any, arrays: Arrays | None) -> StreamNode | None:
    if arrays is not None and position:
        found = positions(arrays.data(position, list(keys.shape), "position"))
    else:
        found = [int(each) for each in (position if keys.shape else [position])]
    end = end_of(keys.impl)
    fits = len(found) == size_of(keys.shape) and all(0 <= each < end for each in found)
    return StreamNode(keys, found) if fits else None


def end_of(impl: str) -> int:
    """Return where the positions of an implementation end."""
    return POSITIONS_END if impl not in IMPLS or IMPLS[impl].cipher else NARROW_END


def _open(kind: str, items: list[Any], rest: dict[Any, Any]) -> Container | None:
    """Return a container whose items are still JSON."""
    if kind in ("list", "tuple") and not rest:
        return Container(kind, (None,) * len(items), tuple(items))
    names, below = zip(*items, strict=True) if items else ((), ())
    match kind, rest:
        case "node", {"type": str(of_class)} if len(rest) == 1:
            known = all(name is None or isinstance(name, str) for name in names)
            return Container(kind, names, below, of_class) if known else None
        case "dict" | "streams", {} if not rest:
            names = tuple(map(_parse_name, names))
            kinds = (str, bytes) if kind == "streams" else (str, bytes, int)
            known = all(isinstance(name, kinds) for name in names) and len(set(names)) == len(names)
            return Container(kind, names, below) if known else None
    return None


def _parse_name(raw: Any) -> str | bytes | int | None:
    match raw:
        case str():
            return raw
        case {"bytes": str(digits), **rest} if not rest:
            return bytes.fromhex(digits)
        case {"int": str(digits), **rest} if not rest:
            return int(digits)
    return None
