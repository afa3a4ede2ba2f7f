"""Keep the audit's own failures from whoever asked for it: what fails is told as unseen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

CAUGHT: tuple[type[BaseException], ...] = (Exception,)
"""What is told rather than raised. Tests put nothing in its place, and so see all of it."""


class Failures:
    """What couldn't be looked at because keystream failed, in words."""

    def __init__(self) -> None:
        self.told: dict[str, None] = {}

    def add(self, what: Callable[[], str], problem: BaseException) -> None:
        """Remember that something failed, if only that it did."""
        try:
            words = what()
        except CAUGHT:
            words = "somewhere"
        self.told[f"{words}: keystream failed here, please report it ({problem!r})"] = None

    @contextlib.contextmanager
    def kept(self, what: Callable[[], str]) -> Iterator[None]:
        """Tell what fails in a `with` block; the program goes on below it."""
        try:
            yield
        except CAUGHT as problem:
            self.add(what, problem)
