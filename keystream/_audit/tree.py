"""The lineage as trees to look at, and what is done on each line as counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from keystream._audit.judging.judge import Verdict
from keystream._audit.judging.taken import Seen, Taken, View
from keystream._audit.judging.wording import word
from keystream._audit.reading.body import Use
from keystream._audit.reading.lineage import Lineage
from keystream._audit.reporting import trees
from keystream._audit.values import Branch, Count, Place

NOWHERE = Place("", 0, "")
MOST = 2000
"""Branches up to which a tree is something to look at."""


def counts(uses: Iterable[Use], view: View) -> Iterator[Count]:
    """Yield what is done with keys on each line, as often as it is said or done."""
    for use in uses:
        place = view.call(use.where).place or NOWHERE
        if use.what == "draw":
            bits = len(use.handles) * math.prod(use.shape) * use.width
            yield Count(place, draws=1, bits=bits)
        elif use.what == "split":
            yield Count(place, splits=1)
        elif use.what in ("fold", "name"):
            yield Count(place, folds=1)


def branches(lineage: Lineage, uses: Iterable[Use], verdict: Verdict) -> tuple[Branch, ...]:
    """Return the keys that are drawn from as trees, with what draws from them.

    Of the keys of one array the first is shown; what a sampler makes for itself is not.
    """
    found: dict[int, list[int]] = {}
    for index, keys in enumerate(verdict.keys):
        for key in keys:
            found.setdefault(key, []).append(index)
    tree = _Tree(lineage, verdict.view, found)
    for use in uses:
        if use.what == "draw" and len(tree.rows) < MOST:
            tree.draw(verdict.view.taken(Seen(use, int(use.handles[0]))))
    for handle in found:
        tree.key(handle)
    return trees.grow(tree.rows)


class _Tree:
    """Rows while they are added, each after the one that it grows from."""

    def __init__(self, lineage: Lineage, view: View, found: dict[int, list[int]]) -> None:
        self.lineage, self.view, self.found = lineage, view, found
        self.rows: list[trees.Row] = []
        self.places: dict[Any, int] = {}

    def key(self, handle: int) -> int:
        """Return the row of a key; add it, and those that it was made from."""
        missing: list[int] = []
        at: int | None = handle
        while at is not None and at not in self.places:
            missing.append(at)
            at = self.lineage.parent(at)
        below = -1 if at is None else self.places[at]
        for each in reversed(missing):
            step = self.lineage.step(each)
            place = self.view.call(step.where).place if step.where else None
            marks = tuple(self.found.get(each, ()))
            below = self._add(each, trees.Row(word(self.lineage, each), place, marks, below))
        return below

    def draw(self, taken: Taken) -> None:
        """Add a draw to its key, once for each line and function."""
        function, place = taken.call.function, taken.call.place
        name = (taken.handle, function, place)
        if name not in self.places:
            self._add(name, trees.Row(_drawn(taken), place, (), self.key(taken.handle)))

    def _add(self, name: Any, row: trees.Row) -> int:
        self.places[name] = len(self.rows)
        self.rows.append(row)
        return self.places[name]


def _drawn(taken: Taken) -> str:
    # What a sampler draws from children of its own has another shape than what it returns.
    outer = taken.handle in taken.use.handles.tolist()
    shape = f" {tuple(map(int, taken.use.shape))}" if outer and taken.use.shape else ""
    return f"{taken.call.function}{shape}"
