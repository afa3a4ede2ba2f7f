"""Judge pairs of uses of one key, of which one is too many: KS01 to KS06, KS09 and KS13.

Uses are grouped by the node of their key (see `lineage`): one node is one key, however it was
made. Two uses of a group are looked at as the user wrote them (`view`), which says what was done
twice: one key was drawn from twice, or its parent was split twice, and so on up to the root. The
place where their two ways part says which rule it is.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from keystream._audit.judging.findings import Findings
from keystream._audit.judging.view import MANY, KeyUse, View, WrittenUse
from keystream._audit.reading.draws import split_is_fold
from keystream._audit.reading.lineage import (
    CARRIED,
    CHILD,
    FOLD,
    Handles,
    Lineage,
    Origin,
    Step,
    mix,
)
from keystream._audit.reading.uses import Act, Use
from keystream._audit.values import Severity

LARGE = 1 << 12
"""Keys with which several things are done, from which on not all are looked at."""
DEEPEST = 8
"""Choices among choices that are followed."""


class Pairs:
    """Compares uses of one key, pair by pair."""

    def __init__(
        self,
        lineage: Lineage,
        uses: list[Use],
        view: View,
        findings: Findings,
        used: list[np.ndarray],
    ) -> None:
        self.lineage, self.uses, self.view, self.findings = lineage, uses, view, findings
        self.order = {id(use): place for place, use in enumerate(uses)}
        # Steps that are added from here on repeat others, for choices.
        led_on = [step for step, marks in zip(lineage.steps, used, strict=True) if marks.any()]
        self.split = {step.where for step in led_on if step.origin is Origin.SPLIT}
        """Where a key is split into children of which one is used."""
        self.counted = {s.where for s in led_on if s.origin is Origin.SPLIT and s.kind == CHILD}
        """The same, of children that folds could make."""
        self.unknown = {step.where for step in led_on if step.kind == FOLD}
        """Where a child is made that is used, by a number that the program alone doesn't tell."""
        self.folded: dict[Any, list[Step]] = collections.defaultdict(list)
        """By place: the folds that were made there."""
        for step in lineage.steps:
            if step.origin is Origin.FOLD_IN:
                self.folded[step.where].append(step)

    def judge_all(self) -> None:
        """Compare all that is done with each key."""
        for shared in self.group_by_key():
            with self.findings.looking_at(shared[0].use):
                self._judge(shared)

    def _judge(self, shared: list[KeyUse]) -> None:
        done: dict[Act, list[KeyUse]] = collections.defaultdict(list)
        for seen in shared:
            done[seen.use.act].append(seen)
        draws = self.view.drop_repeats(done[Act.DRAW], self._add_repeat)[:MANY]
        for place, first in enumerate(draws):
            others = [*draws[place + 1 :]]
            for act in (Act.SPLIT, Act.FOLD, Act.NAME):
                others += done[act][:MANY]
            for second in others:
                self.compare(first, second)
        splits = [seen for seen in done[Act.SPLIT] if seen.use.where in self.counted]
        folds = [seen for seen in done[Act.FOLD] if seen.use.where in self.unknown]
        for pair in itertools.product(splits[:MANY], folds[:MANY]):
            self._add_possible_child(*pair)

    def group_by_key(self) -> Iterator[list[KeyUse]]:
        """Yield what is done with each key with which several things are done."""
        entries = self._all_keys()
        if not entries:
            return
        handles = np.concatenate([each for _, each, _ in entries])
        codes = np.asarray([2 * place + maybe for place, _, maybe in entries], np.int32)
        owners = np.repeat(codes, [len(each) for _, each, _ in entries])
        nodes = self.lineage.nodes(handles)
        order = _repeated(nodes)
        order = order[np.argsort(nodes[order], kind="stable")]
        borders = np.flatnonzero(np.diff(nodes[order])) + 1
        # In the order of the program, which the numbers of nodes don't tell.
        for group in sorted(self._shared(order, borders, handles, owners), key=lambda g: int(g[0])):
            if (owners[group] // 2 != owners[group[0]] // 2).any():
                # One use of a key a hundred times is one: of lanes, of all steps of a loop.
                _, once = np.unique(owners[group], return_index=True)
                yield [
                    KeyUse(self.uses[owners[i] // 2], int(handles[i]), bool(owners[i] % 2))
                    for i in group[once].tolist()
                ]

    def _shared(
        self, order: np.ndarray, borders: np.ndarray, handles: Handles, owners: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield the groups; of very many that differ in their children's numbers, the first."""
        starts = np.r_[0, borders]
        ends = np.r_[borders, len(order)]
        several = np.flatnonzero(ends - starts > 1)
        if len(several) >= LARGE:
            alike = mix(self.lineage.ways_alike(handles[order]), FOLD, owners[order])
            several = several[np.argsort(handles[order[starts[several]]])]
            _, first = np.unique(np.add.reduceat(alike, starts)[several], return_index=True)
            several = several[first]
        for place in several:
            yield order[starts[place] : ends[place]]

    def _all_keys(self) -> list[tuple[int, Handles, bool]]:
        """Return the keys of each use: as they are, as seen from outside of loops, in all cases.

        With each the place of the use, and whether it is that key in some cases only.
        """
        found = [
            (place, handles, False)
            for place, use in enumerate(self.uses)
            for handles in use.handles_everywhere()
        ]
        cases = found
        for _ in range(DEEPEST if self.lineage.alternatives else 0):
            made = self.lineage.follow([each for _, each, _ in cases], self.lineage.alternatives)
            cases = [
                (place, keys, True)
                for (place, _, _), (_, keys) in zip(cases, made, strict=True)
                if keys.size
            ]
            found = [*found, *cases]
        return found

    def compare(self, one: KeyUse, other: KeyUse) -> None:
        """Say what is wrong with two uses of one key, if anything is."""
        if one.use is other.use or self.view.allows_both(one, other):
            return
        if self.order[id(other.use)] < self.order[id(one.use)]:
            one, other = other, one
        if self.view.is_doubtful(one, other):
            one = one._replace(maybe=True)
        if self._is_next_step(one, other):
            written_uses = [self.view.as_written(one), self.view.as_written(other)]
            message = "a used key is carried on into the next step"
            self.findings.add("KS09", written_uses, message=message)
            return
        self._add_pair(self.view.as_written(one), self.view.as_written(other))

    def _is_next_step(self, one: KeyUse, other: KeyUse) -> bool:
        """Is the key of both uses one only because a loop carries it into its next step?"""
        loops = [s for s in one.use.scopes if s.kind != "axis" and s in other.use.scopes]
        outside = [s.use for s in (one, other) if not (s.use.handles == s.handle).any()]
        first, second = (self.lineage.nodes(seen.use.handles) for seen in (one, other))
        if not (loops and outside) or (len(outside) == 2 and np.isin(first, second).any()):
            return False
        ways = [self.lineage.way(int(use.handles[0])) for use in outside]
        return any(self.lineage.step(each).kind == CARRIED for way in ways for each in way)

    def _add_possible_child(self, split: KeyUse, fold: KeyUse) -> None:
        """Warn of a number that may be a child's, whichever ways led to the key."""
        if self.view.allows_both(split, fold):
            return
        one, other = sorted((split, fold), key=lambda seen: self.order[id(seen.use)])
        written_uses = [self.view.as_written(one), self.view.as_written(other)]
        if len({self._depth(written) for written in written_uses}) > 1:
            self._add_pair(*written_uses)  # one of them stands inside of a sampler
        elif Act.DRAW in (written_uses[0].act, written_uses[1].act):
            self._add_beside_fold(*written_uses, named=False, severity="warning")
        else:
            message = "a key is split, and a number is folded in that may be a child's"
            self.findings.add("KS04", written_uses, message=message, severity="warning")

    def _add_repeat(self, first: KeyUse, second: KeyUse) -> None:
        """Tell of a line that a loop runs again with the key that it had before."""
        one, other = self.view.as_written(first), self.view.as_written(second)
        pairs, _ = self.lineage.parting(one.handle, other.handle)
        folds = [step for _, step in pairs if step.origin in (Origin.FOLD_IN, Origin.NAME)]
        rule = "KS08" if folds else "KS07"
        if not folds and _is_one_shuffle(one, other):
            self._add_shuffles([other])
        else:
            message = "a line that runs again derives the same key anew" if other.maybe else ""
            steps = tuple(folds[:1])
            self.findings.add(rule, [other], message=message, steps=steps, repeated=True)

    def _add_pair(self, one: WrittenUse, other: WrittenUse) -> None:
        pairs, beyond = self.lineage.parting(one.handle, other.handle)
        for steps in pairs:
            if self._are_different(*steps):
                is_root = steps[0].parents is None
                rule = "KS13" if is_root else _MADE_TWICE[frozenset(map(_act, steps))]
                self.findings.add(rule, [one, other], steps=steps)
                return
        shorter, longer = sorted((one, other), key=self._depth)
        if beyond is None:
            self._add_same_key(one, other)
        elif shorter.act is Act.DRAW:
            self._add_drawn_and_made(shorter, longer, beyond)

    def _depth(self, written: WrittenUse) -> int:
        return self.lineage.root_and_depth(written.handle)[1]

    def _add_same_key(self, one: WrittenUse, other: WrittenUse) -> None:
        acts = {one.act, other.act}
        if acts == {Act.DRAW}:
            self._add_drawn_twice(one, other)
        elif acts == {Act.DRAW, Act.SPLIT}:
            split = one if one.act is Act.SPLIT else other
            if split.use.where in self.split:
                self.findings.add("KS02", [one, other])
        elif Act.DRAW in acts:
            self._add_beside_fold(one, other, named=Act.NAME in acts)

    def _are_different(self, one: Step, other: Step) -> bool:
        if one.parents is None:
            return one is not other
        if one.origin is Origin.WINDOW:
            return False  # Equal windows are one key, wherever they were made.
        return one.where != other.where and not self.view.is_replay(one.where, other.where)

    def _add_drawn_twice(self, one: WrittenUse, other: WrittenUse) -> None:
        # A backward rule may make the noise of the forward pass again rather than keep it.
        backward = [self.view.is_backward(written.use) for written in (one, other)]
        again = one.use.shape == other.use.shape and one.call.function == other.call.function
        if again and backward == [False, True]:
            message = "the noise of a forward pass is made again in its backward pass"
            self.findings.add("KS01", [one, other], message=message, severity="note")
        elif _is_one_shuffle(one, other):
            self._add_shuffles([one, other])
        else:
            self.findings.add("KS01", [one, other])

    def _add_shuffles(self, written_uses: list[WrittenUse]) -> None:
        self.findings.add(
            "KS01",
            written_uses,
            message="one key shuffles several times alike",
            severity="warning",
            why="Rows that stood at one place stand at one place again: right where they belong "
            "together, as examples and their labels; wrong where the orders should differ.",
            cure="order = jax.random.permutation(key, n)  # and a[order] of all that belongs "
            "together",
        )

    def _add_drawn_and_made(self, drawn: WrittenUse, used: WrittenUse, step: Step) -> None:
        if _act(step) is Act.SPLIT:
            self.findings.add("KS02", [drawn, used], steps=(step,))
        else:
            self._add_beside_fold(drawn, used, named=step.origin is Origin.NAME, steps=(step,))

    def _add_beside_fold(
        self,
        one: WrittenUse,
        other: WrittenUse,
        *,
        named: bool,
        steps: tuple[Step, ...] = (),
        severity: Severity | None = None,
    ) -> None:
        harmless = named and self.lineage.step(one.handle).impl == "threefry2x32"
        drawn, message, why = one if one.act is Act.DRAW else other, "", ""
        if named:
            message = "a key is drawn from beside a name made of it"
        elif not steps and self._blocks(drawn) <= self._first_child(one, other):
            harmless = True
            message = "a key is drawn from beside a child that the draw doesn't reach"
            why = "They share no block of the cipher as long as the draw doesn't grow."
        self.findings.add(
            "KS06",
            [one, other],
            min(one, other, key=self._depth).handle,
            message=message,
            steps=steps,
            severity="note" if harmless else severity,
            why=why,
        )

    def _blocks(self, drawn: WrittenUse) -> float:
        """Return how many children's blocks a draw reads, from the first on.

        Each number is made of one block, at its own counter, whatever its width; where JAX is
        set otherwise, and inside of a sampler, it isn't known which.
        """
        use, impl = drawn.use, self.lineage.step(drawn.handle).impl
        itself = use.act is Act.DRAW and any(
            drawn.handle in handles for handles in use.handles_everywhere()
        )
        if impl != "threefry2x32" or not split_is_fold(impl) or not itself:
            return math.inf
        return math.prod(use.shape)

    def _first_child(self, *written_uses: WrittenUse) -> int:
        """Return the smallest number that is folded in, as far as the program tells."""
        steps = [step for written in written_uses for step in self.folded[written.use.where]]
        if not steps or any(step.kind != CHILD for step in steps):
            return 0
        return min(int(step.numbers.min(initial=2**63)) for step in steps)


def _repeated(nodes: np.ndarray) -> np.ndarray:
    """Return the places of numbers that come more than once; of a million few do."""
    ordered = np.sort(nodes)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(again):
        return np.empty(0, np.int64)
    found = np.minimum(np.searchsorted(again, nodes), len(again) - 1)
    return np.flatnonzero(again[found] == nodes)


_MADE_TWICE = {
    frozenset((Act.SPLIT,)): "KS03",
    frozenset((Act.SPLIT, Act.FOLD)): "KS04",
    frozenset((Act.FOLD,)): "KS05",
}


def _is_one_shuffle(one: WrittenUse, other: WrittenUse) -> bool:
    """Do two calls bring as many rows into one order?"""
    names = {one.call.function, other.call.function}
    return names == {"jax.random.permutation"} and one.use.shape == other.use.shape


def _act(step: Step) -> Act:
    return Act.SPLIT if step.origin is Origin.SPLIT else Act.FOLD
