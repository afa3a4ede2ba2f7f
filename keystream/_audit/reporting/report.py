"""The report: what an audit found, as a value that can be asked, printed and handed to CI."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any

from keystream._audit.reporting import content, html, sarif, text
from keystream._audit.reporting.content import Content
from keystream._audit.values import SEVERITIES, Branch, Count, Finding, Place, Severity
from keystream._errors import (
    ArgumentValueError,
    KeyAuditError,
    Phrase,
    RecordingError,
    complete,
    error,
    public,
)
from keystream._value import Value, set_attributes

_COLUMNS = ("place", "draws", "bits", "splits", "folds")


class Summary(tuple[Count, ...]):
    """The counts of each source line, in the order of the source; printed as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = [_COLUMNS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in rows
        )

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for count in self:
            yield text.clean(str(count.place)), *(f"{number:,}" for number in count[1:])
        yield "in all", *(f"{number:,}" for number in text.sums(self))


class Report(Value):
    """What an audit found, and what it looked at; it doesn't change.

    `print(report)` tells it like a compiler does. `report.ok` is true where there is no error,
    `report.complete` where there is nothing that couldn't be looked at.
    The report of `ks.recording()` is filled when the block ends, and can't be asked before.

    Made by `ks.audit` and `ks.recording` alone. Two reports are equal that say the same.

    Guarantees:
        Plain values: it holds no array and no key, and can be copied, pickled and compared.

    Raises:
        RecordingError: The block of `ks.recording()` hasn't ended.
        ImmutableError: An attribute is assigned to.

    Example:
        >>> import jax, keystream as ks
        >>> def twice(key):
        ...     return jax.random.uniform(key) + jax.random.normal(key)
        >>> report = ks.audit(twice, ks.key(0))
        >>> report.ok, [found.rule for found in report.findings]
        (False, ['KS01'])
    """

    __slots__ = ("_content",)
    _another = "ks.audit(fun, *args)"
    _content: Content | None

    def __init__(self, _content: Content | None = None) -> None:
        set_attributes(self, _content=_content)

    @property
    def subject(self) -> str:
        """What was audited."""
        return self._content_for().subject

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, from the worst to the mildest, then by place."""
        return self._content_for().findings

    @property
    def silenced(self) -> tuple[Finding, ...]:
        """What was found, and is meant: a comment at its line says so, and why."""
        return self._content_for().silenced

    @property
    def counts(self) -> tuple[Count, ...]:
        """Draws, bits, splits and folds of each source line."""
        return self._content_for().counts

    @property
    def lineage(self) -> tuple[Branch, ...]:
        """The keys as trees, from their seeds and arguments to the draws."""
        return self._content_for().lineage

    @property
    def unseen(self) -> tuple[str, ...]:
        """What couldn't be looked at, and why."""
        return self._content_for().unseen

    @property
    def keys(self) -> int:
        """How many keys were followed."""
        return self._content_for().keys

    @property
    def complete(self) -> bool:
        """Was all of it looked at? If not, `unseen` says what wasn't."""
        return not self.unseen

    @property
    def ok(self) -> bool:
        """Is there no error? Warnings and notes are none."""
        return not self.at_least("error")

    @public
    def at_least(self, level: Severity = "error") -> tuple[Finding, ...]:
        """Return the findings that are at least as bad as `level`.

        Args:
            level: "error", "warning" or "note", from the worst to the mildest.

        Returns:
            A tuple of findings, in the order of `findings`.

        Raises:
            ArgumentValueError: `level` is none of "error", "warning" and "note".
        """
        _check_level(level)
        return content.at_least(self._content_for().findings, level)

    @public
    def raise_if_found(self, level: Severity = "error") -> None:
        """Raise where there are findings at least as bad as `level`.

        Args:
            level: "error", "warning" or "note", from the worst to the mildest.

        Raises:
            KeyAuditError: There are some; `.report` is this report.
            ArgumentValueError: `level` is none of "error", "warning" and "note".
        """
        _check_level(level)
        whole = self._content_for()
        found = content.at_least(whole.findings, level)
        if found:
            wanted = "free of errors" if level == "error" else f"free of {level}s and worse"
            got = Phrase(text.tally(found))
            told = "They are:\n\n" + text.write(whole._replace(findings=found))
            raised = error(KeyAuditError, text.clean(whole.subject), wanted, got, told)
            complete(raised, "audit")
            raised.report = self
            raise raised

    def summary(self) -> Summary:
        """Return draws, bits, splits and folds of each source line, to print or to ask."""
        return Summary(self._content_for().counts)

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return content.to_json(self._content_for())

    def to_sarif(self) -> str:
        """Return the findings as SARIF 2.1.0, which CI services show beside the code."""
        return sarif.write(self._content_for())

    def to_html(self) -> str:
        """Return a page that needs nothing but itself: the findings, and the keys as a tree."""
        return html.write(self._content_for())

    def _repr_html_(self) -> str | None:
        # Of one that is still recording, its text is all that there is to show.
        return None if self._content is None else html.fragment(self._content)

    def __str__(self) -> str:
        if self._content is None:
            return "still recording: the report is filled when the block ends"
        return text.write(self._content)

    def __repr__(self) -> str:
        if self._content is None:
            return "Report(still recording)"
        told = text.tally(self._content.findings)
        return f"Report({self._content.subject!r}: {told})"

    def __eq__(self, other: object) -> bool:
        # As text: trees of thousands of levels can't be compared by Python.
        return isinstance(other, Report) and _as_json(self) == _as_json(other)

    def __hash__(self) -> int:
        return hash(self._content and self._content.findings)

    def __reduce__(self) -> tuple[Any, ...]:
        return read, (_as_json(self),)

    def _content_for(self) -> Content:
        if self._content is None:
            cure = "Ask it below the block: with ks.recording() as report: ..."
            got = Phrase("one that still records")
            raise complete(error(RecordingError, "report", "complete", got, cure), "Report")
        return self._content


def make_report(
    subject: str,
    findings: Iterable[Finding] = (),
    counts: Iterable[Count] = (),
    lineage: Iterable[Branch] = (),
    unseen: Iterable[str] = (),
    *,
    keys: int = 0,
    looked_at: Iterable[Place] = (),
) -> Report:
    """Return a report: silenced by the comments in the source, sorted, without repeats.

    Args:
        subject: What was audited: `train_step`.
        findings: What was found.
        counts: What is done on each source line; those of one line are added up.
        lineage: The roots; their `findings` are positions in `findings` as given here.
        unseen: What couldn't be looked at, in text.
        keys: How many keys were followed.
        looked_at: Where else code was looked at, whose comments may silence nothing.
    """
    return Report(content.arrange(subject, findings, counts, lineage, unseen, keys, looked_at))


def fill(empty: Report, full: Report) -> None:
    """Fill the report of a recording, once."""
    assert empty._content is None
    set_attributes(empty, _content=full._content_for())


def hide(report: Report, hidden: Container[Finding], reason: str) -> Report:
    """Return a report in which some findings are silenced for a reason."""
    whole = report._content_for()
    findings = [
        each._replace(silenced=reason) if each in hidden else each for each in whole.findings
    ]
    given = [*findings, *whole.silenced]
    return make_report(
        whole.subject, given, whole.counts, whole.lineage, whole.unseen, keys=whole.keys
    )


def read(written: str | None) -> Report:
    """Return the report that `to_json` wrote."""
    return Report(None if written is None else content.from_json(written))


def _as_json(report: Report) -> str | None:
    return None if report._content is None else content.to_json(report._content)


def _check_level(level: object) -> None:
    if not isinstance(level, str) or level not in SEVERITIES:
        wanted = "'error', 'warning' or 'note'"
        cure = "For warnings and errors: report.raise_if_found('warning')."
        raise error(ArgumentValueError, "level", wanted, level, cure)
