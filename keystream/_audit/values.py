"""The immutable values that a report is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From the worst to the mildest."""


class Place(NamedTuple):
    """A line of somebody's code."""

    file: str
    """As Python tells it: a path, or `<ipython-input-3-...>` where there is no file."""
    line: int
    """From 1; 0 where it isn't known."""
    function: str
    text: str = ""
    """The source line, stripped; empty where the source is gone."""

    def __str__(self) -> str:
        function = self.function.replace(".<locals>", "")
        return f"{self.where} in {function}" if function else self.where

    @property
    def where(self) -> str:
        """The file and the line, as editors and terminals open them: `train.py:12`."""
        file = relative(self.file) or "<unknown>"
        return f"{file}:{self.line}" if self.line > 0 else file


class Finding(NamedTuple):
    """One thing that is wrong with a key, or looks so."""

    rule: str
    """A row of the table: `KS01`."""
    severity: Severity
    message: str
    """What happened, in one sentence: `a key is drawn from twice`."""
    places: tuple[Place, ...] = ()
    """Where it happened, in the order of the program: the user's own code, and besides the lines
    of installed libraries. The last one is the user's."""
    labels: tuple[str, ...] = ()
    """What happens at each of the places: `drawn from here first, by jax.random.normal`."""
    lineage: tuple[str, ...] = ()
    """The key's path in words: `("argument key", "split[1]", "fold_in(step)")`."""
    why: str = ""
    """Why it matters, where there is more to say than the table does."""
    cure: str = ""
    """Code, where there is better than what stands in the table."""
    silenced: str = ""
    """The reason in the comment that silences it."""


class Count(NamedTuple):
    """What is done with keys on one line of source."""

    place: Place
    draws: int = 0
    bits: int = 0
    """Random bits that were drawn."""
    splits: int = 0
    folds: int = 0


class Branch(NamedTuple):
    """A key, or what is done with it, and what comes of it: a tree."""

    label: str
    """`argument key`, `split[0]`, `normal (4,) float32`."""
    place: Place | None = None
    findings: tuple[int, ...] = ()
    """Positions in the findings of the report."""
    children: tuple[Branch, ...] = ()


def relative(file: str) -> str:
    """Return a file's path below the working directory, if it lies there."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
