"""A recording between two calls, for those in whose code no `with` block can stand."""

from __future__ import annotations

import contextlib

from keystream._audit.recorder.door import recorded
from keystream._audit.recording import concluded
from keystream._audit.report import Report


class Span:
    """A recording that has begun, and is asked for its report once."""

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
