"""Notice that functions ran which were compiled or exported ahead of time."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.export

from keystream import _compat
from keystream._audit.recording import recordings

_CALLS_BACK = re.compile(r"xla_ffi(_partitioned)?_python_\w+_callback")
_NAME = re.compile(r"(?:HloModule |module @)(?:jit_)?([^,\s]+)")

# What ciphers are made of: compiled code doesn't say what it was written as.
_USES = re.compile(
    r"threefry|rng.bit.generator|(?=.*\bxori?\b)(?=.*\b(shift.right.logical|shrui)\b)", re.DOTALL
)


class _Method(NamedTuple):
    """A way to run what was compiled before anything could be recorded."""

    owner: type
    name: str
    text: Callable[[Any], str | None]
    what: str


_METHODS = (
    _Method(jax.stages.Compiled, "__call__", lambda it: it.as_text(), "compiled"),
    _Method(jax.export.Exported, "call", lambda it: it.mlir_module(), "exported"),
)

_unseen_of: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""What is said of each when it runs; nothing of one that uses no keys."""


def _put() -> None:
    for method in _METHODS:
        setattr(method.owner, method.name, _notice(method))


def _take_back() -> None:
    for owner, name, *_ in _METHODS:
        setattr(owner, name, getattr(owner, name).__wrapped__)


watch = _compat.Together(_put, _take_back)
"""Notices calls of functions that were compiled before anything could be recorded. Nothing of JAX
tells of such a call, so that the method itself is another one as long as a recording is under
way; it comes back with the last of them."""


def _notice(method: _Method) -> Callable[..., Any]:
    stock: Callable[..., Any] = getattr(method.owner, method.name)

    @functools.wraps(stock)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _report_call(method, self)
        return stock(self, *args, **kwargs)

    return call


def _report_call(method: _Method, ready: Any) -> None:
    told = None
    with contextlib.suppress(Exception):  # what can't be hashed is read each time
        told = _unseen_of.get(ready)
    if told is None:
        told = _read(method, ready)
        with contextlib.suppress(Exception):
            _unseen_of[ready] = told
    if told:
        recordings.add_unseen(told)


def _read(method: _Method, ready: Any) -> str:
    text = ""
    with contextlib.suppress(Exception):  # no text of it on this backend
        text = method.text(ready) or ""
    if _CALLS_BACK.search(text) or (text and not _USES.search(text)):
        return ""
    name = _NAME.search(text)
    return f"{method.what} ahead of time: {name[1] if name else 'a function without a name'}"
