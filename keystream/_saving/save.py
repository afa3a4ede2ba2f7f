"""Save keys and streams as text or arrays, and read them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, overload

import numpy as np

from keystream._errors import ArgumentTypeError, Phrase, error, public, summary
from keystream._saving.document import HEADER, Arrays, Source, read, seal, write
from keystream._saving.tree import ANY, build, take
from keystream._types import T


@public
def dumps(tree: Any, /) -> str:
    """Return a tree of keys and streams as text: JSON that says what it holds.

    Reach for it to keep the randomness of a run beside its weights. For formats that take
    arrays rather than text use `to_words`; Orbax and pickle take keys and streams as they
    are. `loads` reads it back: `ks.loads(ks.dumps(tree)) == tree`.

    Args:
        tree: Typed keys, key arrays of any shape, `Stream` and `Streams` (also with leading
            axes, from `vmap`), in None, dicts with str, bytes and int keys, lists and tuples,
            and in any other pytree node; no other leaf. At most 64 levels deep.

    Returns:
        One line of ASCII: format and its version, `ks.SCHEME`, each key's implementation,
        shape and words, each stream's position, and a checksum of all that.

    Key use:
        Consumes nothing. The text holds the keys: whoever reads it knows them.

    Guarantees:
        Equal content gives equal text, on every version, device and setting. No pickle.
        A sharded array is copied to the host as a whole; one with parts on other processes
        is refused, unless it is replicated.

    Raises:
        KeyTypeError: A leaf or a dict key of another type, a traced one, or a stream that
            no longer holds a key and its position. Says where.
        KeyImplError: An implementation that keystream refuses.
        ArgumentValueError: Donated, partly on other processes, beyond the positions, or too
            deep.

    Example:
        >>> import keystream as ks
        >>> state = {"key": ks.key(42), "noise": ks.Stream(ks.key(7)).skip(1000)}
        >>> text = ks.dumps(state)
        >>> ks.loads(text)["noise"].position
        1000
        >>> bool(ks.loads(text)["key"] == ks.key(42))
        True
    """
    return json.dumps(seal(write(take(tree))))


@overload
def loads(text: str, /, *, like: None = None) -> Any: ...
@overload
def loads(text: str, /, *, like: T) -> T: ...
@public
def loads(text: str, /, *, like: Any = None) -> Any:
    """Read back what `dumps` wrote: the same tree of keys and streams.

    `like` brings what text can't hold: the classes of containers other than dict, list and
    tuple. It also says what is expected, so that a text of another structure is an error.
    `ks.loads(ks.dumps(tree), like=tree) == tree`.

    Args:
        text: A str that `dumps` wrote, in whatever layout of its JSON.
        like: A tree of the saved structure. Its containers must be the saved ones, with the
            same names and lengths; dicts and `Streams` come back in its order. A key in it,
            or a `jax.ShapeDtypeStruct` of one, must be of the saved implementation and
            shape; any other leaf takes whatever key or stream was saved there.

    Returns:
        The tree: keys and streams on the default device, uncommitted.

    Key use:
        Consumes nothing, and makes nothing new: what was already drawn from a saved key is
        not to be drawn again.

    Guarantees:
        The very words that were saved, under every setting, and as constants inside traced
        functions. Text of every format version so far can be read. Nothing is guessed: what
        is damaged, cut or unknown is an error.

    Raises:
        SavedError: Text that is damaged, of another format version or scheme, or of another
            structure than `like`; or a class in it for which there is no `like`. Says where.
        KeyImplError: An implementation that is unknown, or that keystream refuses.
        ArgumentTypeError: Not a str.

    Example:
        >>> import collections, keystream as ks
        >>> State = collections.namedtuple("State", "key, noise")
        >>> state = State(ks.key(42), ks.Stream(ks.key(7)))
        >>> ks.loads(ks.dumps(state), like=state).noise.position
        0
        >>> try:
        ...     ks.loads(ks.dumps(state)[:-10])
        ... except ks.SavedError as found:
        ...     print(str(found)[:52])
        loads: text must be JSON as keystream writes it, got
    """
    cure = "For a file: ks.loads(path.read_text())."
    source = Source("loads", "text", "text")
    given: object = text
    if not isinstance(given, str):
        raise error(ArgumentTypeError, "text", "a str", _type_of(given), cure)
    if text and not text.lstrip().startswith("{"):  # it may be where a document lies
        got = Phrase(f"{len(text)} characters that don't begin with a brace")
        raise source.fault("JSON as keystream writes it", got, cure)
    return build(source, read(source, text), ANY if like is None else like)


@public
def to_words(tree: Any, /) -> dict[str, Any]:
    """Return a tree of keys and streams as a flat dict of NumPy arrays, by name.

    Reach for it where a format takes arrays: `np.savez(file, w=w, **ks.to_words(tree))`,
    flax's msgpack, equinox's `tree_serialise_leaves`. For text use `dumps`.
    `ks.from_words(ks.to_words(tree)) == tree`.

    Args:
        tree: Keys, key arrays, `Stream` and `Streams`, in containers that `dumps` takes.

    Returns:
        `"keystream"`, uint8 of shape (n,): the text of `dumps` with names in place of the
        words; and under these names (`"keystream_0"`, ...) uint32 arrays: a key array's
        words, of its shape and one axis more, or the two words of positions.

    Key use:
        Consumes nothing. The arrays hold the keys.

    Guarantees:
        Trees of one structure give arrays of the same names, shapes and dtypes, whatever
        their keys and positions; none of the arrays is empty. A sharded array is copied to
        the host as a whole; one with parts on other processes is refused, unless it is
        replicated.

    Raises:
        KeyTypeError, KeyImplError, ArgumentValueError: What can't be saved; says where.

    Example:
        >>> import keystream as ks
        >>> words = ks.to_words({"noise": ks.Stream(ks.key(7)).skip(5)})
        >>> {name: array.shape for name, array in words.items() if name != "keystream"}
        {'keystream_0': (2,), 'keystream_1': (2,)}
        >>> words["keystream_1"].tolist()
        [0, 5]
    """
    # Any, so that the call of `np.savez` above type-checks: its `allow_pickle` is a bool.
    arrays: dict[str, np.ndarray] = {}

    def put(words: np.ndarray) -> str:
        name = f"{HEADER}_{len(arrays)}"
        arrays[name] = words
        return name

    node = take(tree)
    document = {**seal(write(node)), "tree": write(node, put)}
    return {HEADER: np.frombuffer(bytearray(json.dumps(document).encode()), np.uint8), **arrays}


@overload
def from_words(words: Mapping[str, Any], /, *, like: None = None) -> Any: ...
@overload
def from_words(words: Mapping[str, Any], /, *, like: T) -> T: ...
@public
def from_words(words: Mapping[str, Any], /, *, like: Any = None) -> Any:
    """Read back what `to_words` made: the same tree of keys and streams.

    Args:
        words: A mapping from names to NumPy or JAX arrays: what `np.load` returns, or a
            dict. Entries beside `"keystream"` and `"keystream_..."` are left alone, so that
            weights may lie in the same file.
        like: A tree of the saved structure, which brings the classes of other containers
            than dict, list and tuple; what differs from it is an error.

    Returns:
        The tree: keys and streams on the default device, uncommitted.

    Key use:
        Consumes nothing, and makes nothing new: what was already drawn from a saved key is
        not to be drawn again.

    Guarantees:
        The very words that were saved, under every setting, and as constants inside traced
        functions. The arrays are copied: changing them afterwards changes no key.

    Raises:
        SavedError: An array that is missing, too many, unreadable or of another dtype or
            shape than was saved; and a text among them that is damaged, of another version
            or scheme, or of another structure than `like`.
        KeyImplError: An implementation that is unknown, or that keystream refuses.
        ArgumentTypeError: Not a mapping.

    Example:
        >>> import io, numpy as np, keystream as ks
        >>> file = io.BytesIO()
        >>> np.savez(file, w=np.zeros(3), **ks.to_words({"key": ks.key(42)}))
        >>> _ = file.seek(0)
        >>> bool(ks.from_words(np.load(file))["key"] == ks.key(42))
        True
    """
    given: object = words
    if not isinstance(given, Mapping):
        wanted, cure = "a mapping to arrays", "For a file: ks.from_words(np.load(path))."
        raise error(ArgumentTypeError, "words", wanted, _type_of(given), cure)
    source = Source("from_words", "words", f"bytes(words[{HEADER!r}])")
    arrays = Arrays(source, words)
    return build(source, read(source, arrays.text(), arrays), ANY if like is None else like)


def _type_of(value: object) -> Phrase:
    """Name a type alone: in a text of the wrong type there may be keys."""
    return Phrase(summary(value) if hasattr(value, "dtype") else type(value).__name__)
