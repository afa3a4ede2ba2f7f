"""One call: did it obey its law, was it refused in our words, or is it an escape?"""

from __future__ import annotations

import functools
import re
import signal
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

import keystream as ks
from keystream import KeystreamError
from keystream._checks import calls as _called
from tests.fuzz import contexts, hostile, scope

LONGEST = 700
"""Characters of a message: more are no help."""

PATIENCE = 60.0
"""Seconds after which a call counts as hanging; the slowest compile for a few."""

_FOREIGN = re.compile(
    r"Traced<|Tracer|_src|site-packages|Traceback|XlaRuntime|\n"
    r"|0x(?!ffffffff)[0-9a-f]{6}|<[a-z. _]+ (object )?at "
)
_SECRETS = [form for word in scope.WORDS for form in (str(word), f"{word:x}")]


class Hang(BaseException):
    """A call that took too long."""


class Verdict(NamedTuple):
    """What became of one call."""

    kind: str
    """`obeyed`, `refused`, `own` (a user's code, JAX or Python says what is wrong) or `escape`."""
    error: str = ""
    """Of an escape: the type of its error, or which rule a message broke."""
    message: str = ""

    @property
    def shape(self) -> tuple[str, str]:
        """What two escapes of one cause have in common."""
        text = re.sub(r"'[^']*'|\"[^\"]*\"|\d+|\[[^\]]*\]|\([^)]*\)", "_", self.message)
        return self.error, text[:70]


class Trial(NamedTuple):
    """A call to be made: where, its text with a place for each argument, their texts."""

    context: str
    template: str
    given: Mapping[str, str]

    @property
    def code(self) -> str:
        """Return the call as a user would write it."""
        return self.template.format(**self.given)

    def __str__(self) -> str:
        return f"again({self.context!r}, {self.code!r})"


Law = Callable[[Any, dict[str, Any]], None]


@functools.cache
def _compiled(code: str) -> types.CodeType:
    return compile(code, "<fuzz>", "eval")


@functools.cache
def _scope() -> dict[str, Any]:
    return scope.names()


def judged(trial: Trial, law: Law, speaks: tuple[str, ...]) -> Verdict:
    """Make a call and say what became of it."""
    found: list[Verdict] = []
    slots = {name: f"given_{name}" for name in trial.given}
    call = compile(trial.template.format(**slots), "<fuzz>", "eval")

    def made(names: dict[str, Any]) -> None:
        if not found:
            found.append(_within({**_scope(), **names}, trial, call, law, speaks))

    try:
        with _alarm():
            contexts.BY_NAME[trial.context](made)
    except Hang:
        return Verdict("escape", "Hang", f"no end within {PATIENCE:g} s")
    if scope.key.is_deleted() or scope.keys.is_deleted() or scope.xs.is_deleted():
        return Verdict("escape", "Deleted", "an array of the caller's was deleted")
    return found[0] if found else Verdict("escape", "Lost", "the context was left before the call")


def _within(
    names: dict[str, Any], trial: Trial, call: Any, law: Law, speaks: tuple[str, ...]
) -> Verdict:
    try:
        given = {name: eval(code, names) for name, code in trial.given.items()}
    except Exception as problem:
        # The argument itself can't be made here, such as an int that JAX can't hold.
        return Verdict("unmade", type(problem).__name__, str(problem))
    try:
        result = eval(call, {**names, **{f"given_{name}": value for name, value in given.items()}})
    except Hang:
        raise
    except hostile.Endless:
        return Verdict("escape", "Endless", "an endless iterator was asked again and again")
    except BaseException as problem:
        return _of_error(problem, speaks)
    try:
        law(result, given)
    except Hang:
        raise
    except BaseException as broken:
        return Verdict("escape", f"law: {type(broken).__name__}", str(broken)[:300])
    return Verdict("obeyed")


def _of_error(problem: BaseException, speaks: tuple[str, ...]) -> Verdict:
    if isinstance(problem, KeystreamError):
        wrong = broken_rule(str(problem), speaks)
        return Verdict("escape", f"message: {wrong}", str(problem)) if wrong else Verdict("refused")
    if isinstance(problem, hostile.Mine):
        return Verdict("own")
    kind = type(problem)
    broken = isinstance(problem, _BROKEN) or not isinstance(problem, Exception) or not str(problem)
    if not broken and _came_from(problem) != "ours":
        return Verdict("own")
    return Verdict("escape", f"{kind.__module__}.{kind.__qualname__}", str(problem)[:300])


def broken_rule(text: str, speaks: tuple[str, ...]) -> str:
    """Say which rule of a message this one breaks, or nothing."""
    if text.startswith("audit: ") and "They are:" in text:
        text = text.partition("They are:")[0]  # what follows is a report of many lines
    if not text.startswith(tuple(f"{name}: " for name in speaks)):
        return "not by the function's name"
    rest = text.partition(": ")[2]
    if not (
        ("must " in rest and " got " in rest) or re.search(r"no \w+ named .*; there are", rest)
    ):
        return "no requirement"
    if len(text) > LONGEST:
        return "too long"
    quoted = re.sub(r"(JAX|Python)'s (\"[^\"]*\"|'[^']*')", "", text)
    if _FOREIGN.search(quoted):
        return "foreign text"
    return "a secret" if any(secret in text for secret in _SECRETS) else ""


def _came_from(problem: BaseException) -> str:
    """Say whose code raised it: "ours", or that of a user, of JAX, of Python at the call."""
    last, trace = "", problem.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename
        if file == "<fuzz>" or file == _DOOR:
            last = "call"
        elif file.startswith(_HOME) and code is not _CALLS and not file.startswith(_RECORDER):
            last = "ours"
        else:
            last = "theirs"
        trace = trace.tb_next
    return last


_HOME = ks.__file__.removesuffix("__init__.py")
_DOOR = f"{_HOME}_errors.py"
"""Here public functions are called, where Python refuses a call that doesn't fit."""
_BROKEN = (SystemError, RecursionError, MemoryError, AssertionError, NameError, NotImplementedError)
"""What no user can do anything with, whoever raised it."""
_CALLS = _called.call_function.__code__
"""Here the user's function is called, which may be JAX's own or a class of Python's."""
_RECORDER = f"{_HOME}_audit/recording/"
"""It stands between the user's code and JAX, and hands on what JAX raises."""


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    filtering = jax.config.jax_traceback_filtering  # type: ignore[attr-defined]
    jax.config.update("jax_traceback_filtering", "off")  # to see which frame raised
    try:
        yield
    finally:
        jax.config.update("jax_traceback_filtering", filtering)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def again(context: str, code: str) -> Any:
    """Make a call once more, and let come what comes."""
    got: list[Any] = []

    def made(names: dict[str, Any]) -> None:
        got.append(eval(code, {**_scope(), **names}))

    contexts.BY_NAME[context](made)
    return got[0]
