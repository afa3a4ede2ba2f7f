"""A recording, and what is said of it when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from keystream._audit.dynamic import concluded
from keystream._audit.recorder.door import recorded
from keystream._audit.reporting.report import Report, fill


@contextlib.contextmanager
def spanned(subject: str) -> Iterator[Report]:
    """Record what runs in a `with` block; the report is filled when the block ends."""
    report = Report()
    with recorded() as found:
        yield report
    fill(report, concluded(subject, found.records, found.unseen))


class Span:
    """A recording that has begun, for those in whose code no `with` block can stand."""

    def __init__(self, subject: str) -> None:
        """Begin.

        Args:
            subject: What the report is about: a program, a test.
        """
        self._subject = subject
        self._until_the_end = contextlib.ExitStack()
        self._found = self._until_the_end.enter_context(recorded())

    def end(self) -> Report:
        """Stop recording, and return what was found."""
        self._until_the_end.close()
        return concluded(self._subject, self._found.records, self._found.unseen)

    def drop(self) -> None:
        """Stop recording, and look at nothing."""
        self._until_the_end.close()
