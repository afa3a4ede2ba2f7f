"""List what makes keys in eager code: JAX itself, other libraries, and keystream."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax

import keystream as ks

Next = Callable[[], jax.Array]
"""Return the next key."""


class Maker(NamedTuple):
    """One way to get a key after the other."""

    name: str
    begin: Callable[[jax.Array, int], Next]
    """Take a key, and how many will be asked for."""
    module: str = "jax"
    """What has to be imported, or is missing."""
    distribution: str = "jax"
    """Under which name to install it."""

    def missing(self) -> bool:
        """Is the library not installed?"""
        return importlib.util.find_spec(self.module) is None


def _split(key: jax.Array, _: int) -> Next:
    def following() -> jax.Array:
        nonlocal key
        key, use = jax.random.split(key)
        return cast("jax.Array", use)

    return following


def _ks_split(key: jax.Array, _: int) -> Next:
    def following() -> jax.Array:
        nonlocal key
        key, use = ks.split(key)
        return use

    return following


def _fold_in(key: jax.Array, _: int) -> Next:
    numbers = itertools.count()
    return lambda: jax.random.fold_in(key, next(numbers))


def _derive(key: jax.Array, _: int) -> Next:
    numbers = itertools.count()
    return lambda: ks.derive(key, next(numbers))


def _stream(key: jax.Array, _: int) -> Next:
    stream = ks.Stream(key)

    def following() -> jax.Array:
        nonlocal stream
        use, stream = stream.next()
        return use

    return following


def _streams(key: jax.Array, _: int) -> Next:
    streams = ks.Streams(key, ("params", "dropout", "data"))

    def following() -> jax.Array:
        nonlocal streams
        use, streams = streams.next("dropout")
        return use

    return following


def _iter_keys(key: jax.Array, _: int) -> Next:
    return ks.iter_keys(key).__next__


def _nnx(key: jax.Array, _: int) -> Next:
    rngs: Any = importlib.import_module("flax.nnx").Rngs(dropout=key)
    following: Next = rngs.dropout
    return following


def _haiku(key: jax.Array, _: int) -> Next:
    following: Next = importlib.import_module("haiku").PRNGSequence(key).__next__
    return following


def _haiku_reserved(key: jax.Array, count: int) -> Next:
    sequence: Any = importlib.import_module("haiku").PRNGSequence(key)
    left = 0

    def following() -> jax.Array:
        # Reserving is part of the price.
        nonlocal left
        if not left:
            sequence.reserve(count)
            left = count
        left -= 1
        use: jax.Array = next(sequence)
        return use

    return following


def _stateful(_: jax.Array, __: int) -> Next:
    # It takes a seed, not a key.
    following: Next = importlib.import_module("jax.experimental.random").stateful_rng(42).key
    return following


SPLIT, ITERATOR = "jax.random.split", "ks.iter_keys"
MAKERS = (
    Maker(SPLIT, _split),
    Maker("jax.random.fold_in", _fold_in),
    Maker("stateful_rng", _stateful, "jax.experimental.random"),
    Maker("flax nnx.Rngs", _nnx, "flax", "flax"),
    Maker("haiku PRNGSequence", _haiku, "haiku", "dm-haiku"),
    Maker("haiku, reserved", _haiku_reserved, "haiku", "dm-haiku"),
    Maker("ks.split", _ks_split),
    Maker("ks.derive", _derive),
    Maker("Stream.next", _stream),
    Maker("Streams.next", _streams),
    Maker(ITERATOR, _iter_keys),
)


def maker(name: str) -> Maker:
    """Return the maker of that name."""
    return next(each for each in MAKERS if each.name == name)
