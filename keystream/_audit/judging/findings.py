"""Word what is wrong as findings: places, labels, the way to the key."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from keystream._audit.failures import Failures
from keystream._audit.judging.callers import Callers, find_callers
from keystream._audit.judging.view import View, WrittenUse
from keystream._audit.places import Call, is_installed, package
from keystream._audit.reading.lineage import CHILD, SAME, Lineage, Origin, Step, step_index
from keystream._audit.reading.uses import Act, Use
from keystream._audit.rules import RULES
from keystream._audit.values import SEVERITIES, Finding, Place, Severity


class Verdict(NamedTuple):
    """What was found, and about which keys."""

    findings: tuple[Finding, ...]
    keys: list[list[int]]
    """For each finding, the handles of the keys that it is about."""
    view: View


_DONE = {
    Act.DRAW: "drawn from here",
    Act.SPLIT: "split here",
    Act.FOLD: "folded here",
    Act.NAME: "named from here",
    Act.BUILD: "made here",
}


class Findings:
    """Collects findings: one of a kind for each set of places."""

    def __init__(self, lineage: Lineage, view: View, failures: Failures) -> None:
        self.lineage, self.view, self.failures = lineage, view, failures
        self.found: dict[Any, Finding] = {}
        self.keys: dict[Any, list[int]] = {}
        """The keys that a finding is about."""
        self.find_callers = functools.cache(find_callers)

    def add(
        self,
        rule: str,
        written_uses: list[WrittenUse],
        handle: int | None = None,
        *,
        message: str = "",
        steps: tuple[Step, ...] = (),
        severity: Severity | None = None,
        why: str = "",
        cure: str = "",
        repeated: bool = False,
    ) -> None:
        """Add a finding about a key, the first use's unless it is said which; `steps` made it.

        `repeated`: of one use that was run again.
        """
        handle = written_uses[0].handle if handle is None else handle
        callers = Callers()
        if len(written_uses) == 2 or repeated:
            callers = self.find_callers(written_uses[0].call, written_uses[-1].call)
        made = [self.view.call(step.where) for step in steps if step.where is not None]
        written_uses = sorted(written_uses, key=functools.cmp_to_key(_compare_lines))
        marks = list(_marks(made, written_uses, callers))
        if len({(each.file, each.function) for each, _ in marks}) == 1:
            marks.sort(key=lambda each: each[0].line)
        places, labels = zip(*dict.fromkeys(marks), strict=True) if marks else ((), ())
        row = RULES[rule]
        level = severity or row.severity
        if level == "error" and any(written.maybe for written in written_uses):
            level = "warning"
        library = _library(written_uses, rule)
        if library:
            level = "warning" if level == "error" else level
            message = f"{message or row.title}, inside {library}"
        libraries = {package(call.library.file) for call in made if call.library is not None}
        if rule == "KS05" and len(libraries) == 1:
            [name] = libraries
            message = message or f"{name} folds the same name or counter into a key twice"
            why, cure = _WHY_FOLDED.format(name), _CURE_FOLDED.format(name)
        elif rule in _ALIKE:
            cure = cure or callers.cure
        # Lines that do it with several keys of one array are told once, the worst of it.
        key = (rule, frozenset(places), step_index(self.lineage.root_and_depth(handle)[0]))
        known = self.found.get(key)
        if known is None or SEVERITIES.index(level) < SEVERITIES.index(known.severity):
            words = _phrases(self.lineage, handle)
            self.found[key] = Finding(
                rule,
                level,
                message or row.title,
                places,
                labels,
                words,
                why,
                cure,
                _library_reason(written_uses),
            )
        self.keys.setdefault(key, []).append(handle)

    def looking_at(self, use: Use) -> AbstractContextManager[None]:
        """Tell what fails while a use is looked at in a `with` block."""
        return self.failures.kept(lambda: f"a {use.act.value} in {self.view.call(use.where).place}")

    def note(self, rule: str, handle: int, message: str, made: Step | None = None) -> None:
        """Add a note about a key that nobody uses."""
        self.add(rule, [], handle, message=message, steps=(made,) if made else (), severity="note")

    def verdict(self) -> Verdict:
        """Return all that was found."""
        return Verdict(tuple(self.found.values()), [*self.keys.values()], self.view)


Mark = tuple[Place, str]


def _marks(made: list[Call], written_uses: list[WrittenUse], callers: Callers) -> Iterator[Mark]:
    """Yield where keys are made and used; of a line that is called again, the calls as well."""
    calls = [(call, f"made here, by {call.function}") for call in made]
    same = len({written.call.place for written in written_uses}) == 1 and callers.marks
    for index, written in enumerate(written_uses[:1] if same else written_uses):
        again = " again" if index and written_uses[0].act is written.act else ""
        by = f", by {written.call.function}" if written.call.function else ""
        calls.append((written.call, f"{_DONE[written.act]}{again}{by}"))
    for index, (call, label) in enumerate(calls):
        marks = [] if call.place is None else [(call.place, label)]
        if call.library is not None:
            inside = (call.library, f"inside {package(call.library.file)}")
            # The last one is where it went wrong: a line of the user's.
            marks.insert(0 if index == len(calls) - 1 else 1, inside)
        yield from marks
    yield from callers.marks if same else ()


_ALIKE = frozenset(("KS01", "KS03", "KS05"))
"""Rules by which two uses do one thing: one helper may do both."""


_WHY_FOLDED = (
    "{} folds names and counters of its own into each key that it is given, so two calls or two "
    "streams that are given one key draw the same numbers."
)
_CURE_FOLDED = "first, second = ks.split(key)  # give {} one for each call, and for each stream"


def _phrases(lineage: Lineage, handle: int) -> tuple[str, ...]:
    found = []
    way = [each for each in lineage.way(handle) if lineage.step(each).kind != SAME]
    for each, same in itertools.groupby(phrase_of(lineage, handle) for handle in way):
        times = len(list(same))
        found.append(each if times == 1 else f"{each} {times:,} times")
    return tuple(found)


def phrase_of(lineage: Lineage, handle: int) -> str:
    """Return a step on the way to a key in words."""
    step, number = lineage.step(handle), lineage.number(handle)
    if step.kind == CHILD and step.origin is Origin.SPLIT:
        return f"split[{number}]"
    if step.kind == CHILD and step.origin is Origin.FOLD_IN:
        return f"fold_in({number})"
    return step.phrase


_MEANT = {
    "diffrax/_brownian/tree.py": (
        "a Brownian path is a function of time: asked again for one time, it answers alike"
    ),
}
"""Code that draws from one key again on purpose, and why."""


def _compare_lines(one: WrittenUse, other: WrittenUse) -> int:
    """Compare two uses by the lines of the function in which their ways part."""
    for mine, theirs in zip(one.call.frames, other.call.frames, strict=False):
        if mine != theirs:
            same = (mine[0], mine[2]) == (theirs[0], theirs[2])
            return mine[1] - theirs[1] if same else 0
    return 0


def _library(written_uses: list[WrittenUse], rule: str) -> str:
    """Return the library that a call of the user's led to, and whose doing it is, or nothing.

    Two uses part in one of its functions, or below one of its lines; where a key is built from
    numbers, one of its lines does so. What stands above the user's first line, as a test runner
    does, is no library that was called.
    """
    ways = [written.call.frames for written in written_uses]
    if len(ways) == 2:
        pairs = enumerate(itertools.zip_longest(*ways))
        common = next((at for at, (one, other) in pairs if one != other), None)
        if common is None and written_uses[0].call.function == written_uses[1].call.function:
            return ""  # A line of the user's may have called it twice.
    elif rule == "KS14":
        common = None
    else:
        return ""
    shared = ways[0][:common]
    behind = [] if common is None else [way[common] for way in ways if len(way) > common]
    called = any(not is_installed(frame[0]) for frame in shared)
    theirs = called and all(is_installed(frame[0]) for frame in behind)
    inside = len(behind) == 2 and len({(frame[0], frame[2]) for frame in behind}) == 1
    if theirs and (inside or is_installed(shared[-1][0])):
        return package((behind or shared)[-1][0])
    return ""


def _library_reason(written_uses: list[WrittenUse]) -> str:
    """Return why a library does this on purpose, or nothing."""
    files = [
        written.call.frames[-1][0].replace("\\", "/")
        for written in written_uses
        if written.call.frames
    ]
    for file, reason in _MEANT.items():
        if files and all(found.endswith(file) and is_installed(found) for found in files):
            return reason
    return ""
