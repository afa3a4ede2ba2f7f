"""Find the lines that call a helper again, where two uses of a key stand on its one line.

Two uses have the frames of their calls, the outermost first. Where these part, two lines of the
user's call one function. Where all are equal, one line does, in a loop or twice in a statement:
it is the innermost one whose source says so.
"""

from __future__ import annotations

import ast
import itertools
from typing import NamedTuple

from keystream._audit.places import Call, is_installed, place
from keystream._audit.source import FUNCTIONS, first_line, last_line, nodes
from keystream._audit.values import Place
from keystream._compat import Frame

_LOOPS = (
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


CALLED = "called here"
"""How the labels of such lines begin."""


class Callers(NamedTuple):
    """The lines that call one function, and what it is called."""

    marks: tuple[tuple[Place, str], ...] = ()
    """Each line with what happens there."""
    name: str = ""
    """Empty where both uses are written there themselves."""
    is_loop: bool = False

    @property
    def cure(self) -> str:
        """Code that gives each call a key of its own, or nothing."""
        if not self.name:
            return ""
        if self.is_loop:
            return f"keys = ks.keys(key, n)  # above the loop\n{self.name}(keys[i])  # for call i"
        return (
            f"first, second = ks.split(key)  # where {self.name} is called\n"
            f"{self.name}(first), {self.name}(second)  # a key for each call"
        )


def find_callers(one: Call, other: Call) -> Callers:
    """Return the lines of the user's that call for both of two uses."""
    pairs = list(zip(one.frames, other.frames, strict=False))
    at = next((i for i, (first, second) in enumerate(pairs) if first != second), None)
    if at is None:
        return _find_line(one.frames)
    if any(is_installed(file) for file, _, _ in pairs[at]):
        return Callers()
    names = {_name(call.frames, at) for call in (one, other)}
    labels = (CALLED, f"{CALLED} again")
    marks = tuple(zip(map(place, pairs[at]), labels, strict=True))
    return Callers(marks, names.pop() if len(names) == 1 else "")


def _find_line(frames: tuple[Frame, ...]) -> Callers:
    """Return the line that does it again: of those that say so the innermost, or the caller's."""
    own = [i for i, (file, _, _) in enumerate(frames) if not is_installed(file)]
    for i in reversed(own):
        if kind := _repeats(frames[i]):
            name, label = _name(frames, i), f"{CALLED}, more than once"
            break
    else:
        if len(own) < 2:
            return Callers()
        i, kind, label = own[-2], "", CALLED
        name = _name(frames, i)
    if not name and i == own[-1]:
        return Callers()
    return Callers(((place(frames[i]), label),), name, kind == "loop")


def _name(frames: tuple[Frame, ...], at: int) -> str:
    """Return the name of the function that one of the frames calls; nothing of a nameless one."""
    parts = [function.split(".") for _, _, function in frames[at + 1 :]]
    # A method that Python calls has its class's name.
    named = [each[:-1] if each[-1].startswith("__") else each for each in parts]
    return next((each[-1] for each in named if each and each[-1].isidentifier()), "")


def _repeats(frame: Frame) -> str:
    """Return how the source of a frame says that its line does a thing again; or nothing."""
    file, line, _ = frame
    around = [node for node in nodes(file) if first_line(node) <= line <= last_line(node)]
    function = max((first_line(n) for n in around if isinstance(n, FUNCTIONS)), default=0)
    if any(isinstance(node, _LOOPS) and first_line(node) >= function for node in around):
        return "loop"
    calls = [node for node in around if isinstance(node, ast.Call)]
    for one, other in itertools.combinations(calls, 2):
        apart = other not in ast.walk(one) and one not in ast.walk(other)
        if apart and _arguments(one) & _arguments(other):
            return "twice"
    return "loop" if any(isinstance(node, ast.Lambda) for node in around) else ""


def _arguments(call: ast.Call) -> set[str]:
    """Return the names in the arguments of a call."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return {node.id for each in given for node in ast.walk(each) if isinstance(node, ast.Name)}
