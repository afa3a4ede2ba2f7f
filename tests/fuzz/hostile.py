"""Classes that misbehave, each in one way. What they raise on purpose is `Mine`."""

from __future__ import annotations

import collections
import enum
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np


class Mine(Exception):  # noqa: N818 - it is no error of ours
    """What a user's own code raises: it passes through a helper, and is no escape."""


class Endless(BaseException):
    """Something went on asking an iterator without an end."""


def _raise(*_: Any, **__: Any) -> Any:
    raise Mine("on purpose")


def _bad(base: type, *names: str) -> type:
    return type(
        f"Bad{''.join(names).replace('_', '')}{base.__name__}",
        (base,),
        dict.fromkeys(names, _raise),
    )


BadRepr = _bad(object, "__repr__", "__str__")
BadEq = _bad(object, "__eq__", "__ne__")
BadEq.__hash__ = lambda _: 7  # type: ignore[method-assign]
BadHash = _bad(object, "__hash__")
BadLen = _bad(tuple, "__len__")
BadIter = _bad(tuple, "__iter__")
BadIndex = _bad(object, "__index__", "__int__")
BadBool = _bad(object, "__bool__")
BadGet = _bad(object, "__getattr__")
BadInt = _bad(int, "__repr__", "__lt__", "__index__")
BadStr = _bad(str, "__repr__", "encode")
BadBytes = _bad(bytes, "__repr__", "__bytes__")
BadCall = _bad(object, "__call__")
BadList = _bad(list, "__iter__", "__len__", "__repr__")
BadDict = _bad(dict, "__iter__", "items", "keys")


class OddIndex:
    """An `__index__` that returns no int."""

    def __index__(self) -> Any:
        return "three"  # noqa: PLE0305


class OddName:
    """A callable with a name that is no text, and of another type."""

    __name__ = 3  # type: ignore[assignment]

    def __call__(self, *_: Any) -> Any:
        return np.float32(0)


class OddShape:
    """An array to whoever asks for its attributes only."""

    shape = ("a", None)
    dtype = "nothing"
    ndim = 2


class Count:
    """An iterable without an end."""

    def __iter__(self) -> Iterator[int]:
        yield from range(100_000)
        raise Endless


class Text(str):
    """A str of another class."""


class Raw(bytes):
    """Bytes of another class."""


class Whole(int):
    """An int of another class."""


class Pair(tuple):
    """A tuple of another class."""


class Row(list):
    """A list of another class."""


class Color(enum.IntEnum):
    """An int with a name."""

    RED = 1


class Word(enum.StrEnum):
    """A str with a name."""

    NOISE = "noise"


class Odd(enum.Enum):
    """Neither."""

    ONE = 1


class Ids(np.ndarray):
    """An array of another class."""


Point = collections.namedtuple("Point", "x, y")  # noqa: PYI024


class Torn(Mapping[str, Any]):
    """A mapping that can't be read."""

    def __getitem__(self, name: str) -> Any:
        raise Mine(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("keystream", "keystream_0"))

    def __len__(self) -> int:
        return 2


class BadNode:
    """A pytree node that can't be flattened."""


jax.tree_util.register_pytree_node(BadNode, _raise, _raise)


class Node:
    """A pytree node with an int, a tuple and an object for the names of its places."""

    def __init__(self, *leaves: Any) -> None:
        self.leaves = leaves


jax.tree_util.register_pytree_with_keys(
    Node,
    lambda node: (tuple(((f"place {i}", i), leaf) for i, leaf in enumerate(node.leaves)), None),
    lambda _, leaves: Node(*leaves),
)


class Plain:
    """A pytree node without names for its places."""

    def __init__(self, *leaves: Any) -> None:
        self.leaves = leaves


jax.tree_util.register_pytree_node(
    Plain, lambda node: (node.leaves, None), lambda _, leaves: Plain(*leaves)
)


def recursive() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def deep(levels: int = 3000) -> Any:
    """Return a list in a list in a list."""
    found: Any = 0.0
    for _ in range(levels):
        found = [found]
    return found
