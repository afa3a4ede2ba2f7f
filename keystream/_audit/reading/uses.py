"""What a program does with keys, and the loops, mapped bodies and branches around that."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from keystream._audit.places import Path
from keystream._audit.reading.lineage import Handles


class Act(enum.Enum):
    """What is done with keys."""

    DRAW = "draw"
    SPLIT = "split"
    FOLD = "fold"
    NAME = "name"
    BUILD = "build"
    """They are built from values."""


DRAWN, FLOAT, REBUILT, LOST = 1, 2, 4, 8
"""What a value was made from: a draw, float data, words of a key that were computed with, or
that were moved about in a way that isn't followed."""
SOURCES = DRAWN | FLOAT | REBUILT | LOST
WORDS_DRAWN = 16
"""Of the words that a key is built from: bits drawn with a key of another implementation."""


class Scope(NamedTuple):
    """A loop, or an axis of a mesh, around a body."""

    kind: str
    """`scan`, `while` or `axis`."""
    name: Any
    """Of an axis."""
    bit: int
    """What marks values that differ over it."""
    where: Path


class Choice(NamedTuple):
    """A branch that a body stands in: of which choice, and which."""

    token: int
    branch: int


class Use(NamedTuple):
    """Something that is done with keys."""

    act: Act
    handles: Handles
    """Flat."""
    where: Any
    """The path of equations; of a recorded use, its moment."""
    scopes: tuple[Scope, ...]
    choices: tuple[Choice, ...]
    shape: tuple[int, ...]
    """What is drawn, or the shape of a split."""
    width: int
    """Bits of each number that is drawn."""
    sources: int
    """What keys are built from: `DRAWN`, `FLOAT`, `REBUILT`, `WORDS_DRAWN`."""
    also: list[Handles]
    """The same keys as seen from outside of a loop, and in its next step."""

    def handles_everywhere(self) -> list[Handles]:
        """Return the keys, flat, as seen from everywhere."""
        return [self.handles, *(each.ravel() for each in self.also)]
