"""Run a program by plain Python: a loop is a loop, a lane a step of one, a key two words.

This is the second implementation of what the audit says. It knows no jaxpr and no lineage: the
names of JAX that `programs` writes are functions here that do what they mean, one number after
the other, by the cipher of `tests.reference`. What is drawn, split and folded is written down
with the line of the program and the words of the key.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, SimpleNamespace
from typing import Any, NamedTuple

from tests import reference


class Number(int):
    """A number that only a run knows: a counter, the index of a lane or a shard, an argument."""

    def __add__(self, other: int) -> Number:
        return Number(int(self) + other)


class Made(NamedTuple):
    """How a key was made from another one."""

    act: str
    number: int
    known: bool
    """Does the program alone tell the number?"""
    line: int
    parent: tuple[int, int] = (0, 0)
    """The words of the key that it was made from."""


class Key(NamedTuple):
    """Two words, and how they were made."""

    words: tuple[int, int]
    way: tuple[Made, ...] = ()


class Record(NamedTuple):
    """One thing done with a key."""

    act: str
    line: int
    key: Key
    count: int
    """Numbers that are drawn, children that are split off; what is folded in."""
    known: bool
    inside: tuple[tuple[str, int, int], ...]
    """The loops, lanes, shards and branches around it: what, which one, which step."""


class Words:
    """Runs a program once."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.inside: list[tuple[str, int, int]] = []
        self.begun = 0

    @contextlib.contextmanager
    def step(self, what: str, which: int, place: int) -> Iterator[None]:
        """Be inside of something."""
        self.inside.append((what, which, place))
        yield
        self.inside.pop()

    def begin(self) -> int:
        """Return a number for a loop that begins."""
        self.begun += 1
        return self.begun

    def note(self, act: str, key: Key, count: int, known: bool = True) -> int:
        """Write down what is done with a key; return the line of the program."""
        frame = sys._getframe(2)
        while frame.f_code.co_filename == __file__:
            assert frame.f_back is not None
            frame = frame.f_back
        record = Record(act, frame.f_lineno, key, count, known, tuple(self.inside))
        self.records.append(record)
        return frame.f_lineno

    # jax.random

    def draw(self, key: Key, shape: tuple[int, ...] = ()) -> Any:
        self.note("draw", key, shape[0] if shape else 1)
        return Float(_bits(key.words) / 2**32)

    def split(self, key: Key, num: int = 2) -> list[Key]:
        line = self.note("split", key, num)
        return [_child(key, Made("split", each, True, line, key.words)) for each in range(num)]

    def fold_in(self, key: Key, number: int) -> Key:
        known = not isinstance(number, Number)
        line = self.note("fold", key, int(number), known)
        return _child(key, Made("fold", int(number), known, line, key.words))

    def key(self, seed: int) -> Key:
        line = sys._getframe(1).f_lineno
        return Key((0, seed), (Made("seed", seed, True, line),))

    # jax.lax, jax.vmap

    def scan(self, fun: Any, carry: Any, xs: Any, length: int | None = None) -> Any:
        which = self.begin()
        for place, x in enumerate([None] * length if length else xs):
            with self.step("loop", which, place):
                carry, _ = fun(carry, x)
        return carry, None

    def map(self, fun: Any, xs: Any) -> Any:
        return self.each("loop", fun, xs)

    def each(self, what: str, fun: Any, xs: Any) -> Any:
        which, found = self.begin(), Floats()
        for place, x in enumerate(xs):
            with self.step(what, which, place):
                found.append(fun(x))
        return found

    def fori_loop(self, first: int, last: int, fun: Any, carry: Any) -> Any:
        which = self.begin()
        for place in range(first, last):
            with self.step("loop", which, place):
                carry = fun(Number(place), carry)
        return carry

    def while_loop(self, goes_on: Any, fun: Any, state: Any) -> Any:
        which, place = self.begin(), 0
        while goes_on(state):
            with self.step("loop", which, place):
                state = fun(state)
            place += 1
        return state

    def cond(self, flag: bool, one: Any, other: Any, *operands: Any) -> Any:
        return (one if flag else other)(*operands)

    def where(self, flag: bool, one: Key, other: Key) -> Key:
        taken = one if flag else other
        return taken._replace(way=(*taken.way, Made("pick", 0, True, 0)))

    def shard_map(self, fun: Any, **_: Any) -> Any:
        def mapped(key: Key, xs: Any) -> Any:
            which, found = self.begin(), Floats()
            for place, x in enumerate(xs):
                with self.step("shard", which, place):
                    self.shard = place
                    found.append(fun(key, Float(x)))
            return found

        return mapped

    def names(self) -> dict[str, Any]:
        """Return what a program calls."""
        plain = lambda fun, **_: fun
        valued = lambda fun, **_: lambda *args: (0.0, fun(*args))
        return {
            "R": SimpleNamespace(
                normal=self.draw, uniform=self.draw, bits=self.draw, split=self.split,
                fold_in=self.fold_in, key=self.key,
            ),
            "lax": SimpleNamespace(
                scan=self.scan, map=self.map, fori_loop=self.fori_loop, cond=self.cond,
                while_loop=self.while_loop, axis_index=lambda _: Number(self.shard),
            ),
            "jax": SimpleNamespace(
                jit=plain, checkpoint=plain, grad=plain, value_and_grad=valued,
                vmap=lambda fun: lambda xs: self.each("lane", fun, xs), shard_map=self.shard_map,
            ),
            "jnp": SimpleNamespace(
                where=self.where, arange=lambda n: [*map(Number, range(int(n)))], stack=list,
                concatenate=lambda arrays: [key for keys in arrays for key in keys],
            ),
            "P": lambda *_: None,
            "mesh": None,
        }  # fmt: skip


class Float(float):
    """A number that is drawn; what it is doesn't matter."""

    def sum(self) -> float:
        return self

    def astype(self, _: Any) -> float:
        return self


class Floats(list):
    """Numbers of lanes."""

    def sum(self) -> float:
        return Float(sum(self))


def _bits(words: tuple[int, int]) -> int:
    one, other = _block(words, 0)
    return int(one ^ other)


def _child(key: Key, made: Made) -> Key:
    return Key(_block(key.words, made.number), (*key.way, made))


@functools.lru_cache(maxsize=1 << 12)
def _block(words: tuple[int, int], number: int) -> tuple[int, int]:
    return reference.threefry2x32(words, (0, number))


@functools.lru_cache(maxsize=1)
def compiled(text: str, file: str) -> CodeType:
    """Return the code of a program, which is run several times."""
    return compile(text, file, "exec")


def run(text: str, file: str, flag: bool, step: int) -> list[Record]:
    """Return what a program does with keys."""
    words = Words()
    namespace = words.names()
    exec(compiled(text, file), namespace)
    program: Callable[..., Any] = namespace["program"]
    program(Key((0, 2**31)), flag, Number(step))
    return words.records
