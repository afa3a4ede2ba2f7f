"""KS15: keys that nobody uses, which is a note."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from keystream._audit.judging.taken import View
from keystream._audit.judging.wording import Findings
from keystream._audit.reading.lineage import Lineage, Step


class Waste(NamedTuple):
    """One split, and its children that nobody uses."""

    step: Step
    first: int
    """The handle of the first of them; -1 if there is none."""
    message: str


def look(lineage: Lineage, view: View, findings: Findings, used: list[np.ndarray]) -> None:
    """Find keys that are neither used, nor handed back, nor given to what can't be read."""
    for index, step in enumerate(lineage.steps[: len(used)]):
        if step.what.startswith("argument ") and len(step.nodes) and not used[index].any():
            findings.note("KS15", (index << 32,), "an argument key is never used")
    splits: dict[Any, list[Waste]] = {}
    for waste in _splits(lineage.steps[: len(used)], used):
        if view.made_by_user(waste.step):
            splits.setdefault(view.call(waste.step.where).place, []).append(waste)
    for several in splits.values():
        # A line that runs often may leave its last children unused.
        if all(waste.first >= 0 for waste in several):
            first = several[0]
            findings.note("KS15", tuple(lineage.way(first.first)), first.message, first.step)


def _splits(steps: list[Step], used: list[np.ndarray]) -> Iterator[Waste]:
    for index, step in enumerate(steps):
        if step.what != "split" or not len(step.nodes):
            continue
        unused = np.flatnonzero(~used[index])
        if len(unused) < len(step.nodes):
            # The key that would be split next stays over at the end of every program.
            unused = unused[step.numbers[unused] > 0]
        are = "is" if len(unused) == 1 else "are"
        message = f"{len(unused)} of {len(step.nodes)} children of a split {are} never used"
        yield Waste(step, index << 32 | int(unused[0]) if len(unused) else -1, message)
