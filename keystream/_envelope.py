"""What stands around a document: format, version, scheme, checksum; as text or as arrays."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from keystream import _impl
from keystream._document import (
    DEPTH,
    hexed,
    position_words,
    positions,
    texts,
    unhexed,
)
from keystream._errors import SavedError, Words, error, summary
from keystream._scheme import SCHEME

FORMAT = "keystream"
VERSION = 1
FIELDS = ("format", "version", "scheme", "tree", "checksum")
HEADER = "keystream"
"""The array of the document itself; those of its data are called keystream_0, keystream_1, ..."""

_NESTING = 3 * DEPTH + 8
"""Levels of JSON in a document of a tree of DEPTH levels, and some."""


class Source(NamedTuple):
    """Where a document comes from, for messages: a function of ours and its argument."""

    function: str
    argument: str

    @property
    def earlier(self) -> str:
        """The cure for what is damaged."""
        return f"For the copy before: ks.{self.function}(earlier)."

    @property
    def document(self) -> str:
        """How to come by the document's text."""
        return "text" if self.argument == "text" else f"bytes({self.argument}[{HEADER!r}])"

    def fault(
        self, requirement: str, got: object, cure: str = "", *, at: str = "", must: str = "be"
    ) -> SavedError:
        """Word what is wrong with the document, or with one place in its tree."""
        argument = f"{self.argument} at {at}" if at else self.argument
        return error(SavedError, self.function, argument, requirement, got, cure, must=must)


def differing(wanted: Iterable[Any], got: Iterable[Any]) -> Words:
    """Say which names are missing and which are there besides."""
    # By their texts, since 1 == True.
    asked, found = ({repr(name): summary(name) for name in names} for names in (wanted, got))
    missing = [asked[each] for each in asked if each not in found]
    besides = [found[each] for each in found if each not in asked]
    said = [
        f"{word} {', '.join(names[:4])}{', ...' * (len(names) > 4)}"
        for word, names in (("no", missing), ("also", besides))
        if names
    ]
    return Words(", ".join(said))


def sealed(tree: Any) -> dict[str, Any]:
    """Put a document into its envelope."""
    inner = {"format": FORMAT, "version": VERSION, "scheme": SCHEME, "tree": tree}
    return {**inner, "checksum": _checksum(inner)}


def _checksum(inner: dict[str, Any]) -> str:
    text = json.dumps(inner, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def opened(source: Source, text: str, fill: Callable[[Any], Any] = lambda tree: tree) -> Any:
    """Return the document in a text whose envelope is sound, its data filled in."""
    found = _parsed(source, text)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise source.fault("what keystream wrote", Words("other JSON"), source.earlier)
    version = found.get("version")
    if type(version) is not int or version != VERSION:
        wanted = f"of format version {VERSION}, the newest that this keystream reads"
        got = Words(f"version {summary(version)}")
        raise source.fault(wanted, got, "Upgrade keystream to read it.")
    if set(found) != set(FIELDS):
        wanted = f"the fields {', '.join(FIELDS)}"
        raise source.fault(wanted, differing(FIELDS, found), source.earlier, must="hold")
    inner = {name: found[name] for name in FIELDS[:-1]}
    inner["tree"] = fill(inner["tree"])
    if _checksum(inner) != found["checksum"]:
        wanted = "the content that its checksum was made of"
        raise source.fault(wanted, Words("another"), source.earlier, must="hold")
    if type(inner["scheme"]) is not int or inner["scheme"] != SCHEME:
        wanted = f"of derivation scheme {SCHEME}, as this keystream has it"
        got = Words(f"scheme {summary(inner['scheme'])}")
        raise source.fault(wanted, got, "Load it with the keystream that wrote it.")
    return inner["tree"]


def _parsed(source: Source, text: str) -> Any:
    odd: list[str] = []

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            odd.append("JSON with a field twice in one object")
        return made

    def number(_: str) -> None:
        odd.append("JSON with a number that isn't whole")

    try:
        found = json.loads(
            text, object_pairs_hook=fields, parse_float=number, parse_constant=number
        )
    except json.JSONDecodeError as cause:
        odd.append(f"a break at character {cause.pos} of {len(text)} ({cause.msg})")
    except (ValueError, RecursionError):
        odd.append("JSON beyond all bounds")
    if not odd and _nesting(found) > _NESTING:
        odd.append(f"JSON of more than {_NESTING} levels")
    if odd:
        # What doesn't begin as JSON was never a document, and may be where one lies.
        no_json = source.argument == "text" and text.strip() and "break at character 0 " in odd[0]
        cure = f"For a file: ks.loads({_path(text)}.read_text())." if no_json else source.earlier
        raise source.fault("JSON as keystream writes it", Words(odd[0]), cure)
    return found


def _path(text: str) -> str:
    """Return as code the path that a text is; just `path` for another, in which may be keys."""
    plain = len(text) <= _LONGEST and text.isprintable() and not set(text) & set('{"')
    named = plain and (pathlib.Path(text).suffix or pathlib.Path(text).is_file())
    return f"pathlib.Path({text!r})" if named else "path"


_LONGEST = 100
"""Characters of a path that are quoted."""


def _nesting(value: Any) -> int:
    level, count = [value], 0
    while level:
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        count += 1
    return count


def pulled(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a document of ours with names for its data, and add the arrays by these names."""
    if isinstance(tree, list):
        return [pulled(each, arrays) for each in tree]
    if not isinstance(tree, dict):
        return tree
    made = {name: pulled(each, arrays) for name, each in tree.items()}
    # Data without words stay in the document: Orbax refuses arrays without elements.
    if tree.get("kind") == "keys" and tree["data"]:
        shape = (*tree["shape"], _impl.IMPLS[tree["impl"]].words)
        made["data"] = _put(arrays, unhexed(tree["data"]).reshape(shape))
    if tree.get("kind") == "stream" and tree["position"]:
        shape, found = tuple(tree["keys"]["shape"]), tree["position"]
        found = [int(each) for each in (found if shape else [found])]
        made["position"] = _put(arrays, position_words(found, shape))
    return made


def _put(arrays: dict[str, np.ndarray], words: np.ndarray) -> str:
    name = f"{HEADER}_{len(arrays)}"
    arrays[name] = words
    return name


class Arrays:
    """Arrays that a document names, checked as they are read."""

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

    def filled(self, tree: Any) -> Any:
        """Return a document with the data of its arrays; refuse arrays that it doesn't name."""
        made = self._filled(tree)
        if self._unread:
            cure = "For two trees: ks.to_words([one, other])."
            got = differing((), sorted(self._unread))
            raise self._source.fault("the arrays of one tree", got, cure, must="hold")
        return made

    def _filled(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self._filled(each) for each in tree]
        if not isinstance(tree, dict):
            return tree
        made = {name: self._filled(each) for name, each in tree.items()}
        if tree.get("kind") == "keys" and tree.get("data"):
            made["data"] = hexed(self._data(tree["data"], tree.get("shape")))
        if tree.get("kind") == "stream" and tree.get("position"):
            keys = tree.get("keys")
            shape = keys.get("shape") if isinstance(keys, dict) else None
            words = self._data(tree["position"], shape, 2)
            made["position"] = texts(positions(words), words.shape[:-1])
        return made

    def _data(self, name: Any, shape: Any, width: int | None = None) -> np.ndarray:
        words = self._read(name)
        *leading, last = words.shape or (0,)
        alike = leading == shape and width in (None, last)
        if words.dtype.newbyteorder("=") != np.uint32 or not alike:
            each = "each key" if width is None else "each position"
            wanted = f"uint32 for {each} of shape {summary(shape)}"
            raise self._fault(name, wanted, words)
        return words

    def _read(self, name: Any) -> np.ndarray:
        if not isinstance(name, str) or name not in self._unread:
            got = Words("none")
            raise self._source.fault(f"an array {summary(name)}", got, must="hold")
        self._unread.remove(name)
        try:
            return _on_host(self._words[name])
        except Exception as cause:  # a zip file or a device may fail in any way
            got = Words(f"{type(cause).__name__} from it")
            raise self._fault(name, "readable", got) from cause

    def _fault(self, name: str, wanted: str, got: object) -> SavedError:
        source = self._source._replace(argument=f"words[{summary(name)}]")
        return source.fault(wanted, got, source.earlier)


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array) if isinstance(array, (np.ndarray, jax.Array)) else np.array(None)
