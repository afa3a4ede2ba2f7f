"""Conclude an audit: from a program, traced or recorded, to its report."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from keystream import _compat
from keystream._audit import failures
from keystream._audit.failures import Failures
from keystream._audit.jaxprs import Traced, drop_unneeded, trace
from keystream._audit.judging import recorded, traced
from keystream._audit.judging.callers import CALLED
from keystream._audit.judging.findings import Verdict, phrase_of
from keystream._audit.judging.view import KeyUse, View, WrittenUse
from keystream._audit.places import is_installed
from keystream._audit.reading import program, records
from keystream._audit.reading.lineage import Lineage, Origin, by_step
from keystream._audit.reading.reader import Reader
from keystream._audit.reading.uses import Act, Use
from keystream._audit.recording.record import record_uses
from keystream._audit.recording.recordings import Record
from keystream._audit.reporting.content import Row, grow
from keystream._audit.reporting.report import Report, fill, make_report
from keystream._audit.values import Branch, Count, Finding, Place


def audit_traced(
    subject: str, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Report:
    """Return the report of a call, by its jaxpr."""
    call, failed = trace(fun, args, kwargs), Failures()
    try:
        return _judge_traced(subject, call)
    except failures.CAUGHT as problem:
        failed.add(lambda: "the whole program", problem)
        return make_report(subject, (), unseen=failed.told)


def _judge_traced(subject: str, call: Traced) -> Report:
    whole = program.read(*call)
    verdict, failed = traced.judge(whole), whole.reader.failures
    if any(finding.severity == "error" for finding in verdict.findings):
        with failed.kept(lambda: "numbers that are thrown away"):
            verdict = verdict._replace(findings=tuple(_lower_severities(verdict.findings, call)))
    unseen = [
        f"what {name} does with the keys that it is given" for name in sorted(whole.reader.escapes)
    ]
    unseen += sorted(whole.reader.cut)
    unseen += dict.fromkeys(_lost_keys(whole.reader, verdict.view))
    if not _compat.tells_lanes():
        unseen.append("KS11: this version of JAX doesn't tell what stands inside of vmap")
    if not _compat.tells_loops():
        unseen.append("KS07: this version of JAX doesn't tell what it moves out of a loop")
    uses = verdict.view.without_replays(whole.reader.uses)
    return _report(subject, whole.reader.lineage, uses, verdict, unseen, failed)


def _lost_keys(reader: Reader, view: View) -> Iterator[str]:
    """Yield what is drawn from keys of which it isn't known where they come from."""
    lost: dict[int, str] = {}
    for index, step in enumerate(reader.lineage.steps):
        if step.origin is Origin.UNKNOWN:
            lost[index] = step.phrase
        elif step.parents is not None and lost:
            above = [lost[each] for each, _ in by_step(step.parents) if each in lost]
            if above:
                lost[index] = above[0]
    for use in reader.uses if lost else ():
        for index, _ in by_step(use.handles) if use.act is Act.DRAW else ():
            if index in lost:
                place = view.call(use.where).place or NOWHERE
                yield f"what else draws from {lost[index]}, as is done at {place.where}"


def _lower_severities(findings: tuple[Finding, ...], call: Traced) -> Iterator[Finding]:
    """Lower errors about numbers that are thrown away, as those of a run for shapes alone."""
    less = drop_unneeded(call)
    real = findings if less is None else traced.judge(program.read(*less)).findings
    told = set(map(_lines_of_use, real))
    for finding in findings:
        if finding.severity == "error" and _lines_of_use(finding) not in told:
            yield finding._replace(severity="warning", why=_THROWN_AWAY)
        else:
            yield finding


def _lines_of_use(finding: Finding) -> tuple[str, frozenset[Place]]:
    """Return what is the same of a finding when its equations stand in another program."""
    marks = zip(finding.places, finding.labels, strict=True)
    return finding.rule, frozenset(p for p, label in marks if not label.startswith(CALLED))


_THROWN_AWAY = "No result depends on one of the two: its numbers are thrown away."


def audit_records(subject: str, recorded_uses: Sequence[Record], unseen: Sequence[str]) -> Report:
    """Return the report of a run, by its records."""
    failed = Failures()
    try:
        lineage, uses = records.read(recorded_uses, failed)
        verdict = recorded.judge(lineage, uses, failed)
        return _report(subject, lineage, uses, verdict, unseen, failed)
    except failures.CAUGHT as problem:
        failed.add(lambda: "the whole run", problem)
        return make_report(subject, (), unseen=[*unseen, *failed.told])


def _report(
    subject: str,
    lineage: Lineage,
    uses: list[Use],
    verdict: Verdict,
    unseen: Sequence[str],
    failed: Failures,
) -> Report:
    counts: list[Count] = []
    trees: tuple[Branch, ...] = ()
    with failed.kept(lambda: "counts and trees of keys"):
        counts = [*count_uses(uses, verdict.view)]
        trees = lineage_trees(lineage, uses, verdict)
    return make_report(
        subject,
        verdict.findings,
        counts,
        trees,
        [*unseen, *failed.told],
        keys=sum(len(step.nodes) for step in lineage.steps if step.repeats is None),
        looked_at=_frames_of(uses, verdict.view),
    )


def _frames_of(uses: Iterable[Use], view: View) -> list[Place]:
    """Return the lines on the way to any use, of code that nobody installed."""
    found = {frame for use in uses for frame in view.call(use.where).frames}
    return [Place(*frame) for frame in found if not is_installed(frame[0])]


@contextlib.contextmanager
def audit_block(subject: str) -> Iterator[Report]:
    """Record what runs in a `with` block; the report is filled when the block ends."""
    report = Report()
    with record_uses() as found:
        yield report
    fill(report, audit_records(subject, found.records, found.unseen))


class Span:
    """A recording that has begun, for those in whose code no `with` block can stand."""

    def __init__(self, subject: str) -> None:
        """Begin.

        Args:
            subject: What the report is about: a program, a test.
        """
        self._subject = subject
        self._until_the_end = contextlib.ExitStack()
        self._found = self._until_the_end.enter_context(record_uses())

    def end(self) -> Report:
        """Stop recording, and return what was found."""
        self._until_the_end.close()
        return audit_records(self._subject, self._found.records, self._found.unseen)

    def drop(self) -> None:
        """Stop recording, and look at nothing."""
        self._until_the_end.close()


NOWHERE = Place("", 0, "")
MOST = 2000
"""Branches up to which a tree is something to look at."""


def count_uses(uses: Iterable[Use], view: View) -> Iterator[Count]:
    """Yield what is done with keys on each line, as often as it is said or done."""
    for use in uses:
        place = view.call(use.where).place or NOWHERE
        if use.act is Act.DRAW:
            bits = len(use.handles) * math.prod(use.shape) * use.width
            yield Count(place, draws=1, bits=bits)
        elif use.act is Act.SPLIT:
            yield Count(place, splits=1)
        elif use.act in (Act.FOLD, Act.NAME):
            yield Count(place, folds=1)


def lineage_trees(lineage: Lineage, uses: Iterable[Use], verdict: Verdict) -> tuple[Branch, ...]:
    """Return the keys that are drawn from as trees, with what draws from them.

    Of the keys of one array the first is shown; what a sampler makes for itself is not.
    """
    found: dict[int, list[int]] = {}
    for index, keys in enumerate(verdict.keys):
        for key in keys:
            found.setdefault(key, []).append(index)
    tree = _Tree(lineage, verdict.view, found)
    for use in uses:
        if use.act is Act.DRAW and len(tree.rows) < MOST:
            tree.draw(verdict.view.as_written(KeyUse(use, int(use.handles[0]))))
    for handle in found:
        tree.key(handle)
    return grow(tree.rows)


class _Tree:
    """Rows while they are added, each after the one that it grows from."""

    def __init__(self, lineage: Lineage, view: View, found: dict[int, list[int]]) -> None:
        self.lineage, self.view, self.found = lineage, view, found
        self.rows: list[Row] = []
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
            below = self._add(each, Row(phrase_of(self.lineage, each), place, marks, below))
        return below

    def draw(self, written: WrittenUse) -> None:
        """Add a draw to its key, once for each line and function."""
        function, place = written.call.function, written.call.place
        name = (written.handle, function, place)
        if name not in self.places:
            self._add(name, Row(_label_of_draw(written), place, (), self.key(written.handle)))

    def _add(self, name: Any, row: Row) -> int:
        self.places[name] = len(self.rows)
        self.rows.append(row)
        return self.places[name]


def _label_of_draw(written: WrittenUse) -> str:
    # What a sampler draws from children of its own has another shape than what it returns.
    outer = bool((written.use.handles == written.handle).any())
    shape = f" {tuple(map(int, written.use.shape))}" if outer and written.use.shape else ""
    return f"{written.call.function}{shape}"
