"""Functions that were compiled ahead of time run as they are: that they ran is noticed."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import jax

from keystream._audit.recorder import state

_USES = re.compile(r"threefry|rng-bit-generator|(?=.*\bxor\().*\bshift-right-logical\(", re.DOTALL)
"""What ciphers are made of: compiled code doesn't say what it was written as."""

_CALLS_BACK = re.compile(r"xla_ffi(_partitioned)?_python_\w+_callback")

_turn = threading.Lock()
_depth = 0
_looked_at: WeakSet[Any] = WeakSet()


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Notice calls of functions that were compiled before anything could be recorded.

    Nothing of JAX tells of such a call, so that the method itself is another one as long as
    a recording is under way; it comes back with the last of them.
    """
    global _depth  # noqa: PLW0603 - how many recordings are under way
    with _turn:
        _depth += 1
        if _depth == 1:
            _watch()
    try:
        yield
    finally:
        with _turn:
            _depth -= 1
            if _depth == 0:
                _unwatch()


def _watch() -> None:
    stock: Callable[..., Any] = jax.stages.Compiled.__call__

    @functools.wraps(stock)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _look(self)
        return stock(self, *args, **kwargs)

    jax.stages.Compiled.__call__ = call  # type: ignore[method-assign]


def _unwatch() -> None:
    call = jax.stages.Compiled.__call__
    jax.stages.Compiled.__call__ = call.__wrapped__  # type: ignore[attr-defined, method-assign]


def _look(compiled: Any) -> None:
    text = ""
    with contextlib.suppress(Exception):
        if compiled in _looked_at:
            return
        _looked_at.add(compiled)
    with contextlib.suppress(Exception):  # no text of it on this backend
        text = compiled.as_text() or ""
    if _CALLS_BACK.search(text) or (text and not _USES.search(text)):
        return
    name = re.match(r"HloModule (?:jit_)?([^,\s]+)", text)
    state.unseen(f"compiled ahead of time: {name[1] if name else 'a function without a name'}")
