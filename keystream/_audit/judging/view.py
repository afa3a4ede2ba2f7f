"""Look at uses of keys as the user wrote them: as calls of `jax.random`, not as what is inside.

A sampler may split its key and draw from the children, as `jax.random.randint` does: read, these
are a split and two draws; written, they are one draw from the key that the sampler was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from keystream import _compat
from keystream._audit.places import (
    Call,
    Path,
    are_two_derivatives,
    call,
    frames_of,
    is_sampler,
    user_frames,
)
from keystream._audit.reading.lineage import SAME, Lineage, Origin, Step
from keystream._audit.reading.uses import Act, Use

MANY = 8
"""Uses of one key that are compared with each other: of a hundred one needs no 4,950 pairs."""


class KeyUse(NamedTuple):
    """One use of one key, as it was read."""

    use: Use
    handle: int
    maybe: bool = False
    """Is it this key in some cases only?"""


class WrittenUse(NamedTuple):
    """One use of one key, as the user wrote it.

    `jax.random.randint(key)` splits its key and draws from the children: to the user it is a
    draw from `key`.
    """

    use: Use
    handle: int
    """The key that was used."""
    lineage: Lineage
    act: Act
    """A draw, whatever a sampler does; else as in `Use`."""
    call: Call
    maybe: bool

    @property
    def steps(self) -> list[Step]:
        """Return what made the keys from the root to that key."""
        steps = map(self.lineage.step, self.lineage.way(self.handle))
        return [step for step in steps if step.kind != SAME]


class View:
    """Shows uses as the user wrote them; each equation is looked up once."""

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.call: Callable[[Any], Call] = functools.cache(call)
        self._samplers: dict[int, int | None] = {}
        """By key: the first on the way to it that a sampler made for itself."""

    def allows_both(self, one: KeyUse, other: KeyUse) -> bool:
        """May two uses of one key both stand: in different branches, or inside one call?"""
        branches = {*self._choices(one), *self._choices(other)}
        exclusive = len({token for token, _ in branches}) < len(branches)
        first, second = one.use.where, other.use.where
        return exclusive or is_one_call(first, second) or self.is_replay(first, second)

    def _choices(self, seen: KeyUse) -> list[tuple[int, int]]:
        guards = (self.lineage.step(each).guard for each in self.lineage.way(seen.handle))
        return [*seen.use.choices, *(guard for guard in guards if guard)]

    def drop_repeats(
        self, draws: list[KeyUse], _: Callable[[KeyUse, KeyUse], None]
    ) -> list[KeyUse]:
        """Leave out draws that others replay; of a loop, a jaxpr has each draw once."""
        left: list[KeyUse] = []
        for seen in draws:
            if not any(self.is_replay(seen.use.where, each.use.where) for each in left[:MANY]):
                left.append(seen)
        return left

    def is_replay(self, one: Any, other: Any) -> bool:
        """Does one path lead to the replay of the other, as a checkpoint makes it?

        It draws again, in the backward pass, what its forward pass has drawn.
        """
        again = one.replays.repeats(other.replays)
        return again and bool(self.call(one).traceback == self.call(other).traceback)

    def without_replays(self, uses: Iterable[Use]) -> list[Use]:
        """Return uses without those that replay earlier ones."""
        first: dict[Any, Any] = {}
        return [
            use
            for use in uses
            if not self.is_replay(
                first.setdefault((use.act, self.call(use.where).traceback), use.where), use.where
            )
        ]

    def is_doubtful(self, one: KeyUse, other: KeyUse) -> bool:
        """May two uses be meant? Whether they are branches of one choice a jaxpr says itself."""
        return are_two_derivatives(*(frames_of(each.use.where) for each in (one, other)))

    def is_backward(self, use: Use) -> bool:
        """Does a use stand in the backward pass of a gradient?"""
        return is_backward(use.where)

    def as_written(self, seen: KeyUse) -> WrittenUse:
        """Return a use as the user wrote it."""
        use, handle, maybe = seen
        inner = self._first_of_sampler(handle)
        if inner is not None:
            above, found = self.lineage.parent(inner), self.call(self.lineage.step(inner).where)
            assert above is not None, "a sampler is given a key"
            return WrittenUse(use, self._made(above), self.lineage, Act.DRAW, found, maybe)
        found = self.call(use.where)
        act = Act.DRAW if use.act is Act.DRAW or is_sampler(found) else use.act
        return WrittenUse(use, self._made(handle), self.lineage, act, found, maybe)

    def _made(self, handle: int) -> int:
        """Return a key as it was made, rather than as the same one."""
        while self.lineage.step(handle).kind == SAME:
            above = self.lineage.parent(handle)
            assert above is not None, "the same as another one"
            handle = above
        return handle

    def _first_of_sampler(self, handle: int) -> int | None:
        way: list[int] = []
        at: int | None = handle
        while at is not None and at not in self._samplers:
            way.append(at)
            at = self.lineage.parent(at)
        found = None if at is None else self._samplers[at]
        for each in reversed(way):
            if found is None and self._inside_sampler(self.lineage.step(each)):
                found = each
            self._samplers[each] = found
        return found

    def _inside_sampler(self, step: Step) -> bool:
        if step.where is None or step.origin not in (Origin.SPLIT, Origin.FOLD_IN):
            return False
        return is_sampler(self.call(step.where))

    def is_users_own(self, step: Step) -> bool:
        """Does the user's own code make these keys, rather than a sampler for itself?"""
        return step.where is not None and not is_sampler(self.call(step.where))


def is_backward(path: Path) -> bool:
    """Does an equation stand in the backward pass of a gradient?"""
    return _compat.BACKWARD in path.name_stack


def is_one_call(one: Path, other: Path) -> bool:
    """Do both belong to one call that the user wrote, as in a sampler of two algorithms?"""
    first, second = one.eqns, other.eqns
    common = 0
    while common < min(len(first), len(second)) and first[common] is second[common]:
        common += 1
    tails = first[common:] + second[common:]
    return common > 0 and not any(user_frames(eqn.source_info) for eqn in tails)
