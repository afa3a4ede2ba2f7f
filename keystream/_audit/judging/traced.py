"""Judge a traced program: pairs of uses, single uses, keys returned (KS10) or unused (KS15)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from keystream._audit.judging.findings import Findings, Verdict
from keystream._audit.judging.pairs import Pairs
from keystream._audit.judging.single import SingleUses
from keystream._audit.judging.view import KeyUse, View, WrittenUse
from keystream._audit.judging.windows import judge_windows
from keystream._audit.places import is_installed
from keystream._audit.reading.lineage import (
    CHILD,
    SPLIT,
    Lineage,
    Origin,
    Step,
    make_handle,
    place_in_step,
)
from keystream._audit.reading.program import Program
from keystream._audit.reading.uses import Act
from keystream._audit.values import Severity


def judge(whole: Program) -> Verdict:
    """Hold what is done with keys against the rules."""
    reader, lineage = whole.reader, whole.reader.lineage
    view = View(lineage)
    failures = reader.failures
    findings = Findings(lineage, view, failures)
    ends = [each for use in reader.uses for each in use.handles_everywhere()]
    used = lineage.mark_used([*ends, *reader.escaped, whole.returned, whole.shown])
    uses = [use for use in reader.uses if use.act is not Act.BUILD]
    with failures.kept(lambda: "two uses of one key"):
        Pairs(lineage, uses, view, findings, used).judge_all()
        judge_windows(lineage, uses, view, findings)
    SingleUses(reader, view, findings, used).judge_all()
    with failures.kept(lambda: "keys that are returned"):
        _find_returned(whole, view, findings)
    with failures.kept(lambda: "keys that nobody uses"):
        _find_unused(lineage, view, findings, used)
    return findings.verdict()


def _find_returned(whole: Program, view: View, findings: Findings) -> None:
    """Find draws that whoever gets a returned key would make again."""
    lineage = whole.reader.lineage
    handed = [*whole.returned.tolist(), *_legacy_keys(whole, view)]
    nodes = set(lineage.nodes(np.asarray(handed, np.int64)).tolist())
    if not nodes:
        return
    others: set[int] = set()
    for use in whole.reader.uses:
        if use.act is not Act.DRAW:
            continue
        for handles in use.handles_everywhere():
            written = view.as_written(KeyUse(use, int(handles[0])))
            found = _find_above(lineage, written.handle, nodes, others)
            if found is not None:
                _add_returned(view, findings, written, *found)
                break


def _find_above(
    lineage: Lineage, handle: int, nodes: set[Any], others: set[int]
) -> tuple[int, Step | None] | None:
    """Return the returned key that a key was made of by constant steps, and the first of these.

    `others` remembers the keys above which there is none.
    """
    at: int | None = handle
    first: Step | None = None
    passed: list[int] = []
    while at is not None and at not in others:
        step = lineage.step(at)
        if int(step.nodes[place_in_step(at)]) in nodes:
            return at, first
        passed.append(at)
        at, first = lineage.above(at) if step.kind in (CHILD, SPLIT) else None, step
    others.update(passed)
    return None


def _add_returned(
    view: View, findings: Findings, written: WrittenUse, at: int, step: Step | None
) -> None:
    # Who folds a key may want other children of it next time; a library that was handed it
    # will fold the same again.
    folded = step is not None and step.origin is not Origin.SPLIT
    if step is not None and folded:
        frames = view.call(step.where).frames
        folded = not (frames and is_installed(frames[-1][0]))
    severity: Severity | None = "warning" if folded else None
    findings.add("KS10", [written], at, steps=(step,) if step else (), severity=severity)


def _legacy_keys(whole: Program, view: View) -> list[int]:
    """Return the keys of which words are returned because the whole program has no others."""
    lineage = whole.reader.lineage
    found = []
    for handle in whole.shown.tolist():
        root = lineage.step(lineage.root_and_depth(handle)[0])
        made = view.call(root.where).function if root.where is not None else ""
        if made.endswith("PRNGKey") or root.origin is Origin.WORDS_ARGUMENT:
            found.append(handle)
    return found


_ARGUMENTS = (Origin.ARGUMENT, Origin.WORDS_ARGUMENT)


class Waste(NamedTuple):
    """One split, and its children that nobody uses."""

    step: Step
    first: int
    """The handle of the first of them; -1 if there is none."""
    message: str


def _find_unused(lineage: Lineage, view: View, findings: Findings, used: list[np.ndarray]) -> None:
    """Find keys that are neither used, nor handed back, nor given to what can't be read."""
    for index, step in enumerate(lineage.steps[: len(used)]):
        if step.origin in _ARGUMENTS and len(step.nodes) and not used[index].any():
            findings.note("KS15", make_handle(index, 0), "an argument key is never used")
    splits: dict[Any, list[Waste]] = {}
    for waste in _unused_children(lineage.steps[: len(used)], used):
        if view.is_users_own(waste.step):
            splits.setdefault(view.call(waste.step.where).place, []).append(waste)
    for several in splits.values():
        # A line that runs often may leave its last children unused.
        if all(waste.first >= 0 for waste in several):
            first = several[0]
            findings.note("KS15", first.first, first.message, first.step)


def _unused_children(steps: list[Step], used: list[np.ndarray]) -> Iterator[Waste]:
    for index, step in enumerate(steps):
        if step.origin is not Origin.SPLIT or not len(step.nodes) or step.repeats is not None:
            continue
        unused = np.flatnonzero(~used[index])
        if len(unused) < len(step.nodes):
            # The key that would be split next stays over at the end of every program.
            unused = unused[step.numbers[unused] > 0]
        are = "is" if len(unused) == 1 else "are"
        message = f"{len(unused)} of {len(step.nodes)} children of a split {are} never used"
        yield Waste(step, make_handle(index, int(unused[0])) if len(unused) else -1, message)
