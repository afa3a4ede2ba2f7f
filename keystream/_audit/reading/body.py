"""What is known while the equations of one body are read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keystream._audit.path import Path
from keystream._audit.reading.lineage import Handles
from keystream._audit.reading.numbers import Binding

DRAWN, FLOAT, REBUILT = 1, 2, 4
"""What a value was made from: a draw, float data, words of a key that were computed with."""
_SCOPES_FROM = 3


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

    what: str
    """`draw`, `split`, `fold`, `name`, `made` or `return`."""
    handles: Handles
    """Flat."""
    where: Any
    """The path of equations; of a recorded use, its moment."""
    scopes: tuple[Scope, ...]
    choices: tuple[Choice, ...]
    shape: tuple[int, ...]
    """What is drawn, or the shape of a split."""
    width: int
    """Bits of each number that is drawn; of keys that are made, what they are made from."""
    also: list[Handles]
    """The same keys as seen from outside of a loop, and in its next step."""

    def everywhere(self) -> list[Handles]:
        """Return the keys, flat, as seen from everywhere."""
        return [self.handles, *(each.ravel() for each in self.also)]


class Body:
    """The equations of one function, with what it was called with."""

    def __init__(
        self,
        binding: Binding,
        where: Path | None,
        scopes: tuple[Scope, ...] = (),
        choices: tuple[Choice, ...] = (),
        replay: bool = False,
    ) -> None:
        self.binding = binding
        self.where = where
        self.scopes = scopes
        self.choices = choices
        self.replay = replay
        """Does it repeat, for a gradient, what was counted already?"""
        self.masks: dict[Any, int] = {}
        """What values were made from, and the scopes over which they differ."""
        self.held: dict[Any, np.ndarray] = {}
        """The handles of keys, and those of the words of keys."""

    def mask(self, atoms: Any) -> int:
        """Return what any of these were made from."""
        found = 0
        for atom in atoms:
            if not hasattr(atom, "val"):
                found |= self.masks.get(atom, 0)
        return found

    def handles(self, atom: Any) -> np.ndarray | None:
        """Return the handles of an operand that holds keys, or words of keys."""
        return None if hasattr(atom, "val") else self.held.get(atom)

    def bit(self, depth: int = 0) -> int:
        """Return the mark of a scope inside this body."""
        return 1 << (_SCOPES_FROM + len(self.scopes) + depth)

    def path(self, eqn: Any) -> Path:
        """Return the way to an equation of this body."""
        return Path(self.where, eqn, self.binding.jaxpr)
