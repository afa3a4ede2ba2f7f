"""Hand out the keys of one key in order: `Stream`, a key and a position as one value."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from keystream._checks.key import check_impl, check_key, check_key_in_context
from keystream._checks.numbers import check_count, check_size, check_start
from keystream._checks.values import is_donated, is_symbolic, is_traced
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    KeyTypeError,
    Phrase,
    error,
    public,
    summary,
)
from keystream._impl import is_typed_key
from keystream._keys import children
from keystream._keys.scheme import Counter
from keystream._known import NARROW_END, POSITIONS_END, Impl
from keystream._streams import steps
from keystream._types import Position
from keystream._value import Value, set_attributes


@jax.tree_util.register_pytree_with_keys_class
class Stream(Value):
    """Keys in order, as one immutable value: a key and the position of its next child.

    Reach for it where keys are asked for one after the other and the place must survive: in
    a training state, a scan carry, a checkpoint. Inside a loop of known length `scan` needs
    no state; for several streams that are told apart by name use `Streams`; for a plain
    Python loop that nothing is saved of `iter_keys`.

    Its item i, the key at position i, is `ks.derive(key, i)`, whatever was asked for before:
    `ks.Stream(key).skip(i).next()[0] == ks.Stream(key).at(i) == ks.derive(key, i)`.

    A stream is a pytree of two leaves, the key and `words`, so it goes through `jit`, `vmap`
    (streams with a leading axis), `scan`, `remat`, `shard_map`, `device_put` and `tree.map`.
    Unflattening checks nothing; a method that finds something else than a key and a
    position in its stream says so.

    Args:
        key: One typed key.

    Returns:
        A stream at position 0.

    Key use:
        Uses up the children at the positions that are handed out, not the key: never also
        draw from that key, split it or hand it on. Two streams on one key are one stream:
        they give the same keys.

    Guarantees:
        The same keys eagerly and under every transform; a call of `next`, `take`, `skip` or
        `at` is one dispatch eagerly, and leaves nothing but its arithmetic under `jit`.
        `==` compares key and position, as one bool; like a key, a stream has no hash.
        Every stream has buffers of its own: donating one deletes neither the caller's key
        nor another stream. A position lies in 0 ... 2**63 - 1, or 2**32 - 1 for
        implementations without a public cipher: leaving that range raises eagerly. Under
        tracing it can't be seen, and positions count on modulo 2**64 (2**32).

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or refused.
        ImmutableError: An attribute is assigned to.
        ArgumentTypeError, ArgumentValueError: Compared or copied while it is traced, or
            after it was donated.

    Example:
        >>> import keystream as ks
        >>> stream = ks.Stream(ks.key(42))
        >>> key, stream = stream.next()
        >>> keys, stream = stream.take(3)
        >>> stream.position
        4
        >>> bool(stream.at(0) == key)
        True
    """

    __slots__ = ("_key", "_known", "_words")
    _another = "stream.skip(1)"
    _key: Any
    _words: Any
    _known: int | None

    @public
    def __init__(self, key: jax.Array, /) -> None:
        check_key_in_context(check_key(key), key)
        _fill(self, *steps.begun(key), 0)

    @public
    def next(self) -> tuple[jax.Array, Stream]:
        """Return the key at the position, and the stream one position further.

        Returns:
            `(key, stream)`: a typed key of shape (), and the stream to go on with. To call
            `next` again on the old stream is to get the same key again.

        Key use:
            Hands out the child at the position, once for each position of a stream.

        Guarantees:
            The same key eagerly and under every transform; one dispatch eagerly. The old stream
            stays as it was.

        Raises:
            ArgumentValueError: The stream is at its last position, which only `at` reaches.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer a key and a position.

        Example:
            >>> import keystream as ks
            >>> key, stream = ks.Stream(ks.key(42)).next()
            >>> bool(key == ks.derive(ks.key(42), 0)), stream.position
            (True, 1)
        """
        after = self._after(1, each="stream.next()")
        use, key, words = steps.step(self._key, self._words)
        return use, make_stream(key, words, after)

    @public
    def take(self, n: int, /) -> tuple[jax.Array, Stream]:
        """Return the next `n` keys as an array, and the stream `n` positions further.

        Args:
            n: A count, static; the call is compiled once for each.

        Returns:
            `(keys, stream)`: a typed key array of shape (n,), and the stream to go on with.

        Key use:
            Hands out the children at the next `n` positions.

        Guarantees:
            `take(n)` gives the keys of `n` calls of `next`, in their order, and the same stream.
            On a mesh they lie as the stream's key does: `jax.device_put(keys, sharding)` lays
            them out as what they are mapped beside.

        Raises:
            ArgumentTypeError, ArgumentValueError: `n` is no count, or leaves the positions.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer a key and a position.

        Example:
            >>> import keystream as ks
            >>> keys, stream = ks.Stream(ks.key(42)).take(3)
            >>> bool((keys == ks.keys(ks.key(42), 3)).all()), stream.position
            (True, 3)
        """
        n = check_count("n", n)
        check_size((n,), argument="n")
        known = 0 if is_symbolic(n) else n
        after = self._after(known, "n", each="stream.take(n)")
        after = None if is_symbolic(n) else after
        keys, key, words = steps.take(self._key, self._words, n=n)
        return keys, make_stream(key, words, after)

    @public
    def skip(self, n: Any, /) -> Stream:
        """Return the stream `n` positions further.

        Args:
            n: An integer of zero or more, static or traced. A traced negative one can't be
                seen, and goes back.

        Returns:
            The stream to go on with.

        Key use:
            Hands out nothing: the keys between are left unused.

        Guarantees:
            `skip(n)` is where `n` calls of `next` lead, at the same cost for every `n`.

        Raises:
            ArgumentTypeError, ArgumentValueError: `n` is no count, or leaves the positions.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer a key and a position.

        Example:
            >>> import keystream as ks
            >>> stream = ks.Stream(ks.key(42)).skip(2**40)
            >>> stream.position == 2**40
            True
        """
        n = check_start(n, 1, steps.WIDE, argument="n")
        known = 0 if is_traced(n) else n
        after = self._after(known, "n", each="stream.skip(n)")
        after = None if is_traced(n) else after
        key, words = steps.skip(self._key, self._words, n)
        return make_stream(key, words, after)

    @public
    def at(self, i: Position, /) -> jax.Array:
        """Return the key at position `i`, wherever the stream is.

        Args:
            i: An integer, static or traced. For an array of them: `ks.derive(key, ids)`.

        Returns:
            A typed key: `ks.derive(key, i)` for the key that the stream was made of.

        Key use:
            Hands out the child at `i`; so does `next` when the stream comes there. Use one of
            the two for a position.

        Guarantees:
            Neither the position nor what was asked for before has a part in it.

        Raises:
            ArgumentTypeError, ArgumentValueError: `i` is no position of the implementation.
            KeyTypeError: Several streams at once (`jax.vmap` them), or leaves that are no
                longer a key and a position.

        Example:
            >>> import keystream as ks
            >>> stream = ks.Stream(ks.key(42)).skip(5)
            >>> bool(stream.at(0) == ks.derive(ks.key(42), 0))
            True
        """
        impl = self._impl(each="stream.at(i)")
        check_key_in_context(impl, self._key, argument="stream")
        if getattr(i, "shape", ()):
            # Under `jax.vmap` JAX cuts NumPy's int64 before it comes here.
            cure = "For an array of them: ks.derive(key, ids)."
            wanted = "an integer, static or traced"
            raise error(ArgumentTypeError, "i", wanted, i, cure)
        i = check_start(i, 1, impl, argument="i")
        counter = children.start_counter(i, 1, impl) or Counter(None, np.uint32(0))
        return children.eager_walk(self._key, (counter,))

    @property
    @public
    def position(self) -> int:
        """The position of the next key: a Python int, known outside of tracing only."""
        self._impl(each="stream.words")
        known = self._place()
        if known is None:
            cure = "Inside a traced function: stream.words."
            raise error(ArgumentTypeError, "stream", "concrete", self, cure)
        return known

    @property
    @public
    def words(self) -> jax.Array:
        """The position in two words, high and low: uint32 of shape (2,), also under tracing."""
        if _is_donated(self):
            raise _donated()
        words: jax.Array = self._words
        return words

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], None]:
        """Name the leaves for JAX."""
        key, words = map(jax.tree_util.GetAttrKey, ("key", "words"))
        return ((key, self._key), (words, self._words)), None

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """List the leaves for JAX."""
        return (self._key, self._words), None

    @classmethod
    def tree_unflatten(cls, _: None, leaves: Any) -> Stream:
        """Put leaves of any kind in place, unchecked, as JAX asks for."""
        return make_stream(*leaves)

    @functools.partial(public, name="Stream")
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # Copies and pickles; JAX has its own words for an array that is gone or traced.
        _at_hand(self, "A stream doesn't change, so there is nothing to copy: stream.")
        return Stream.tree_unflatten, (None, (self._key, self._words))

    def __copy__(self) -> Stream:
        self.__reduce__()
        return steps.copy_arrays(self)

    def __deepcopy__(self, _: object) -> Stream:
        return self.__copy__()

    @functools.partial(public, name="Stream")
    def __eq__(self, other: object) -> bool:
        if type(other) is not Stream:
            return NotImplemented
        for stream in (self, other):
            _at_hand(stream, "Inside a traced function: (stream.words == other.words).all().")
        return _equal(self._key, other._key) and _equal(self._words, other._words)

    # A key has no hash, and neither has a value that holds one.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        whole = _is_words(self._words) and _is_one(self) and not _is_donated(self)
        place = self._place() if whole else None
        return f"Stream({summary(self._key)}, position={'...' if place is None else place})"

    def _impl(self, *, each: str) -> Impl:
        """Refuse all but one stream; return the implementation of its key."""
        if not is_typed_key(self._key) or not _is_words(self._words):
            cure = "For a fresh one: ks.Stream(key)."
            got = Phrase(f"{summary(self._key)} and {summary(self._words)}")
            wanted = "a typed key and two uint32 words"
            raise error(KeyTypeError, "stream", wanted, got, cure, must="hold")
        if not _is_one(self):
            subject = "streams" if each.startswith("streams") else "stream"
            cure = f"For each of them: jax.vmap(lambda {subject}: {each})(several)."
            got = Phrase(f"several, {summary(self._key)}")
            raise error(KeyTypeError, subject, "one", got, cure)
        if _is_donated(self):
            raise _donated()
        return check_impl(self._key, argument="stream")

    def _after(self, step: int, argument: str = "step", *, each: str) -> int | None:
        """Return the position `step` further, if it is known; refuse to leave the range."""
        impl = self._impl(each=each)
        check_key_in_context(impl, self._key, argument="stream")
        place = self._place()
        end = POSITIONS_END if impl.cipher else NARROW_END
        if place is None or place + step < end:
            return None if place is None else place + step
        wanted = f"such that the stream stays below 2**{end.bit_length() - 1}"
        got = Phrase(f"{step} from position {place}")
        cure = "For a stream of its own: ks.Stream(ks.derive(key, 'more'))."
        raise error(ArgumentValueError, argument, wanted, got, cure)

    def _place(self) -> int | None:
        """Return the position, or None while it is traced; reads the device at most once."""
        if self._known is None and not is_traced(self._words):
            # `device_get` is a transfer that `jax.transfer_guard("disallow")` lets through.
            hi, lo = jax.device_get(self._words).tolist()
            set_attributes(self, _known=hi << 32 | lo)
        return self._known


def _is_words(value: Any) -> bool:
    known = isinstance(value, (jax.Array, np.ndarray)) and value.dtype == np.uint32
    return known and value.shape[-1:] == (2,)


def _is_one(stream: Stream) -> bool:
    shapes = getattr(stream._key, "shape", None), getattr(stream._words, "shape", None)
    return shapes == ((), (2,))


def _at_hand(stream: Stream, cure: str) -> None:
    """Refuse a stream that is donated or traced."""
    if _is_donated(stream):
        raise _donated()
    if is_traced(stream._key, stream._words):
        raise error(ArgumentTypeError, "stream", "concrete", stream, cure)


def _equal(one: Any, other: Any) -> bool:
    """Are these one and the same leaf, or arrays of one type with equal contents?"""
    if one is other:
        return True
    arrays = (jax.Array, np.ndarray)
    if not isinstance(one, arrays) or not isinstance(other, arrays):
        return type(one) is type(other) and bool(one == other)
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    if is_typed_key(one):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    return bool(np.array_equal(jax.device_get(one), jax.device_get(other)))


def _donated() -> ArgumentValueError:
    wanted = "one that wasn't donated (go on with the one that came back)"
    return error(ArgumentValueError, "stream", wanted, Phrase("a donated one"))


def _is_donated(stream: Stream) -> bool:
    return is_donated(stream._key) or is_donated(stream._words)


def make_stream(key: Any, words: Any, known: int | None = None) -> Stream:
    """Return a stream that holds these, unchecked; `known` is its position, if it is known."""
    stream = object.__new__(Stream)
    _fill(stream, key, words, known)
    return stream


def _fill(stream: Stream, key: Any, words: Any, known: int | None) -> None:
    set_attributes(stream, _key=key, _words=words, _known=None if is_traced(words) else known)
