"""Turn a seed into words by the frozen scheme of `docs/scheme.md`, without importing JAX."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keystream._checks.names import check_name
from keystream._checks.static import concrete_int, is_integer_dtype
from keystream._errors import ArgumentTypeError, ArgumentValueError, error
from keystream._keys.scheme import encode

DIRECT_END = 2**64
"""Ints below it, from 0, are seeds as they are."""

Reader = Callable[[Any], int | None]


def direct_words(number: int) -> np.ndarray:
    """Return the words of the threefry2x32 key that an int in [0, 2**64) is."""
    return np.array([number >> 32, number & 0xFFFFFFFF], np.uint32)


def hash_seed(seed: Any, number: int | None, words: int, read: Reader = concrete_int) -> np.ndarray:
    """Return the words of any other seed, all of its entropy up to that width.

    `number` is the seed as an int, if it is one; `read` reads those of a list.
    """
    if isinstance(seed, np.random.SeedSequence):
        return seed.generate_state(words, np.uint32)
    kind, content = _content(seed, number, read)
    digest = hashlib.sha256(b"keystream:1:seed:%s:" % kind + content).digest()
    return np.frombuffer(digest, ">u4")[:words].astype(np.uint32)


def _content(seed: Any, number: int | None, read: Reader) -> tuple[bytes, bytes]:
    if number is not None:
        return b"int", encode(number)
    if isinstance(seed, (str, bytes)):
        text = check_name(seed, argument="seed", what="seed")
        return type(text).__name__.encode(), encode(text)
    if isinstance(seed, (list, tuple)):
        return b"list", b",".join(map(encode, _whole_list(seed, read)))
    wanted = "an int, a str, bytes, a list of ints or a SeedSequence"
    cure = _CURES.get(type(seed)) or listed(seed) or "For a fixed seed: ks.{beside}key(42)."
    raise error(ArgumentTypeError, "seed", wanted, seed, cure)


def listed(seed: Any) -> str:
    """Return the cure for a row of integers."""
    row = getattr(seed, "ndim", 0) == 1 and seed.size and is_integer_dtype(seed)
    return "For its list of ints: ks.{beside}key(seed.tolist())." if row else ""


_CURES = {
    float: "For the number's text: ks.{beside}key(repr(seed)).",
    bool: "For 0 or 1: ks.{beside}key(int(seed)).",
    type(None): "For a new seed each time: ks.{beside}key(ks.fresh_seed()).",
}


def _whole_list(seed: list[Any] | tuple[Any, ...], read: Reader) -> list[int]:
    numbers = [read(part) for part in seed]
    if not numbers:
        raise error(ArgumentValueError, "seed", "a list that is not empty", seed)
    if any(number is None for number in numbers):
        cure = "For a mixed one: ks.{beside}key(repr(seed))."
        raise error(ArgumentTypeError, "seed", "a list of ints", seed, cure)
    return [number for number in numbers if number is not None]
