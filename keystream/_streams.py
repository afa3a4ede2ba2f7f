"""Hand out keys from several streams under one key, told apart by name: `Streams`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from keystream import _check, _check_key, _children, _impl, _on_host, _stream_steps, _tree
from keystream._errors import (
    ArgumentTypeError,
    KeyTypeError,
    error,
    summary,
    unknown_name,
)
from keystream._scheme import Counter
from keystream._stream import Stream, made
from keystream._stream_steps import make_begun
from keystream._tree import Tree
from keystream._types import Position
from keystream._value import Value, set_attributes


@jax.tree_util.register_pytree_with_keys_class
class Streams(Value):
    """Streams by name under one key, in one immutable value.

    Reach for it in a training state whose parts draw at their own pace: the two lines of a
    loop, `key, streams = streams.next("dropout")`, never give a key twice, and adding or
    reordering names changes no other name's keys. Each has a position of its own. For one
    stream use `Stream`. Where every step draws once of each name, `at(step)` needs no state:
    such a run resumes from its seed and step alone.

    Item i of a name, its key at position i, is `ks.derive(key, name, i)`.

    `name in streams` and `for name in streams` ask for the names, as of a dict. A pytree of
    the streams by name, two leaves each; the names are part of its structure.
    It goes through `jit`, `vmap`, `scan`, `remat`, `shard_map`, `device_put` and `tree.map`.

    Args:
        key: One typed key.
        names: A tuple or list of distinct names, non-empty str or bytes.

    Returns:
        Streams at position 0 each.

    Key use:
        Uses up the children of `key` by these names, not the key: never also draw from it,
        split it or hand it on. Two `Streams` with a name in common on one key give the same
        keys for it. `next` and `at` reach the same keys: use one of them for a name.

    Guarantees:
        The same keys eagerly and under every transform; a call of `next`, `[name]` or `at` is
        one dispatch eagerly, compiled once for each number of names (`next` for each place
        among them). `==` compares the names in their order, keys and positions, as one bool;
        there is no hash. The buffers are its own: donating it deletes neither the caller's key
        nor another stream. Each position lies in 0 ... 2**63 - 1, or 2**32 - 1 for
        implementations without a public cipher: leaving that range raises eagerly; under
        tracing it can't be seen, and positions count on modulo 2**64 (2**32).

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or refused.
        ArgumentTypeError: `names` is no tuple or list of str and bytes.
        ArgumentValueError: An empty name, or one given twice.
        ImmutableError: An attribute is assigned to.

    Example:
        >>> import keystream as ks
        >>> streams = ks.Streams(ks.key(42), ("params", "dropout"))
        >>> key, streams = streams.next("dropout")
        >>> bool(key == ks.derive(ks.key(42), "dropout", 0))
        True
        >>> streams["dropout"].position, streams["params"].position
        (1, 0)
        >>> sorted(streams.at(1000))
        ['dropout', 'params']
    """

    __slots__ = ("_names", "_streams")
    _another = "key, streams = streams.next('params')"
    _names: tuple[str | bytes, ...]
    _streams: tuple[Any, ...]

    def __init__(self, key: jax.Array, /, names: Any) -> None:
        impl = _check_key.one_key("Streams", key, names, call="ks.Streams(key, names)")
        _check_key.here("Streams", impl, key)
        if not isinstance(names, (tuple, list)):
            cure = "For a single one: ks.Streams(key, ('name',))."
            raise error(ArgumentTypeError, "Streams", "names", "a tuple of names", names, cure)
        known = _check.distinct_names("Streams", names)
        tree = _tree.plan("Streams", tuple((name,) for name in known), impl)
        set_attributes(self, _names=known, _streams=_begun(key, tree))

    @property
    def names(self) -> tuple[str | bytes, ...]:
        """The names, in the order in which they were given."""
        return self._names

    def next(self, name: str | bytes, /) -> tuple[jax.Array, Streams]:
        """Return the next key of one stream, and the streams to go on with.

        Args:
            name: One of `names`.

        Returns:
            `(key, streams)`: a typed key of shape (), and streams whose position of that
            name is one further.

        Key use:
            Hands out the child of that name at its position.

        Guarantees:
            No other stream moves, and no other name's keys depend on the call.

        Raises:
            UnknownNameError: There is no such name; proposes the nearest.
            ArgumentValueError: The stream is at its last position, which only `at` reaches.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer keys and positions.

        Example:
            >>> import keystream as ks
            >>> streams = ks.Streams(ks.key(42), ("params", "dropout"))
            >>> key, streams = streams.next("dropout")
            >>> streams["dropout"].position, streams["params"].position
            (1, 0)
        """
        index = self._index(name)
        self._check_streams("Streams.next")
        after = self._streams[index]._after("Streams.next", 1, each="streams.next(name)")
        places = [stream._known for stream in self._streams]
        places[index] = after
        use, streams = _next(self._streams, index=index)
        return use, _made(self._names, tuple(map(_placed, streams, places)))

    def __getitem__(self, name: str | bytes) -> Stream:
        """Return the stream of one name, at its position.

        Args:
            name: One of `names`.

        Returns:
            A `Stream`, whose item i is `ks.derive(key, name, i)`.

        Key use:
            Hands out no key. The stream gives the keys that `next(name)` would give: go on with
            one of the two.

        Guarantees:
            The stream has buffers of its own, as every stream has.

        Raises:
            UnknownNameError: There is no such name; proposes the nearest.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer keys and positions.

        Example:
            >>> import keystream as ks
            >>> stream = ks.Streams(ks.key(42), ("params", "dropout"))["dropout"]
            >>> bool(stream.next()[0] == ks.derive(ks.key(42), "dropout", 0))
            True
        """
        index = self._index(name)
        self._check_streams("Streams")
        stream: Stream = self._streams[index]
        stream._impl("Streams", each="streams[name]")
        return stream.skip(0)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and name in self._names

    def __iter__(self) -> Iterator[str | bytes]:
        return iter(self._names)

    def at(self, step: Position, /) -> dict[Any, jax.Array]:
        """Return a key for each name at one step, whatever the positions.

        Args:
            step: An integer, static or traced.

        Returns:
            A dict in the order of `names`: `ks.derive(key, name, step)` each. (`jit` sorts
            the dicts that it returns, and can't sort str among bytes.)

        Key use:
            Hands out the child of each name at `step`; so does `next` when it comes there. Use
            one of the two for a name.

        Guarantees:
            Neither the positions nor what was asked for before have a part in it.

        Raises:
            ArgumentTypeError, ArgumentValueError: `step` is no position of the
                implementation.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer keys and positions.

        Example:
            >>> import keystream as ks
            >>> keys = ks.Streams(ks.key(42), ("params", "dropout")).at(1000)
            >>> bool(keys["dropout"] == ks.derive(ks.key(42), "dropout", 1000))
            True
        """
        self._check_streams("Streams.at")
        impls = [s._impl("Streams.at", each="streams.at(step)") for s in self._streams]
        for impl, stream in zip(impls, self._streams, strict=True):
            _check_key.here("Streams.at", impl, stream._key, argument="streams")
        wide = all(impl.cipher for impl in impls)
        impl = _impl.IMPLS["threefry2x32" if wide else "rbg"]
        step = _check.start("Streams.at", step, 1, impl, argument="step")
        counter = _children.base(step, 1, impl) or Counter(None, np.uint32(0))
        keys = tuple(stream._key for stream in self._streams)
        if wide and keys and not _check.is_traced(keys, counter):
            counter = _children.two_words(keys[0], counter)
        return dict(zip(self._names, _at(keys, counter), strict=True))

    def tree_flatten_with_keys(self) -> tuple[Any, tuple[str | bytes, ...]]:
        """Name the streams for JAX."""
        keys = map(jax.tree_util.DictKey, self._names)
        return tuple(zip(keys, self._streams, strict=True)), self._names

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[str | bytes, ...]]:
        """List the streams for JAX."""
        return self._streams, self._names

    @classmethod
    def tree_unflatten(cls, names: tuple[str | bytes, ...], streams: Any) -> Streams:
        """Put streams of any kind in place, unchecked, as JAX asks for."""
        return _made(names, tuple(streams))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Streams.tree_unflatten, (self._names, self._streams)

    def __copy__(self) -> Streams:
        for stream in self._streams:
            if isinstance(stream, Stream):
                stream.__reduce__()
        return _stream_steps.copied(self)

    def __deepcopy__(self, _: object) -> Streams:
        return self.__copy__()

    def __eq__(self, other: object) -> bool:
        if type(other) is not Streams:
            return NotImplemented
        if self._names != other._names:
            return False
        # One by one: tuples take what is identical for equal, without asking.
        pairs = zip(self._streams, other._streams, strict=True)
        equal = [bool(one == another) for one, another in pairs]
        return all(equal)

    # A key has no hash, and neither has a value that holds one.
    __hash__ = None  # type: ignore[assignment]

    if not TYPE_CHECKING:  # to which any name would be one

        def __getattr__(self, name):
            from keystream import _stream_names  # noqa: PLC0415 - of use to the mistaken alone

            # Of a value that isn't filled yet, Python asks for what it is filled with.
            names = () if name.startswith("_") else self._names
            raise _stream_names.stranger(self, name, names)

    def __repr__(self) -> str:
        pairs = zip(self._names, self._streams, strict=True)
        shown = ", ".join(f"{n!r}: {s if isinstance(s, Stream) else summary(s)}" for n, s in pairs)
        return f"Streams({{{shown}}})"

    def _index(self, name: object) -> int:
        known = _check.name("Streams", name)
        if known not in self._names:
            raise unknown_name("Streams", "stream", known, self._names)
        return self._names.index(known)

    def _check_streams(self, function: str) -> None:
        """Refuse what `jax.tree.map` with streams as leaves may have put in their place."""
        for stream in self._streams:
            if not isinstance(stream, Stream):
                cure = "For fresh ones: ks.Streams(key, names)."
                wanted = "a Stream for each name"
                raise error(KeyTypeError, function, "streams", wanted, stream, cure, must="hold")


def _made(names: tuple[str | bytes, ...], streams: tuple[Any, ...]) -> Streams:
    found = object.__new__(Streams)
    set_attributes(found, _names=names, _streams=streams)
    return found


def _placed(stream: Stream, known: int | None) -> Stream:
    return made(stream._key, stream._words, known)


def _begun(key: jax.Array, tree: Tree) -> tuple[Stream, ...]:
    """Return a stream at position 0 for each end of a tree."""
    if not tree.ends:
        return ()
    words = _tree.words_on_host(key, tree)
    if words is None:
        pairs: Any = _begin(key, tree.counters, tree.structure)
    else:
        place = _on_host.place_of(key)
        keys = _on_host.hand_over(words, key.dtype, place)
        zeros = np.zeros((len(keys), 2), np.uint32)
        pairs = zip(keys, _on_host.hand_over(zeros, None, place), strict=True)
    return tuple(made(use, words, 0) for use, words in pairs)


def _make_begin(
    key: jax.Array, counters: tuple[Counter, ...], structure: tuple[Any, ...]
) -> tuple[tuple[jax.Array, jax.Array], ...]:
    return tuple(map(make_begun, _tree.make_ends(key, counters, structure)))


def _make_next(streams: tuple[Stream, ...], index: int) -> tuple[jax.Array, tuple[Stream, ...]]:
    use, moved = streams[index].next()
    return use, tuple(moved if i == index else s.skip(0) for i, s in enumerate(streams))


def _make_at(keys: tuple[jax.Array, ...], counter: Counter) -> tuple[jax.Array, ...]:
    return tuple(_children.child(key, counter) for key in keys)


_begin = _children.one_dispatch(_make_begin, static="structure")
_next = _children.one_dispatch(_make_next, static="index")
_at = _children.one_dispatch(_make_at)
