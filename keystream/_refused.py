"""Calls of ours that Python refuses, since an argument is missing or one too many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from keystream._errors import ArgumentTypeError, Words, error

F = TypeVar("F", bound=Callable[..., Any])


def refused(function: str, cures: Mapping[str, str]) -> Callable[[F], F]:
    """Return a decorator that adds a cure to Python's error of a call that doesn't fit.

    Args:
        function: Who says it.
        cures: By a piece of Python's message; the first that is in it counts. A message with
            none of them stays Python's own.
    """

    def decorated(fun: F) -> F:
        @functools.wraps(fun)
        def _face(*args: Any, **kwargs: Any) -> Any:
            try:
                return fun(*args, **kwargs)
            except TypeError as cause:
                told = str(cause)
                cure = next((cure for piece, cure in cures.items() if piece in told), "")
                trace = cause.__traceback__
                if not cure or trace is None or trace.tb_next is not None:
                    raise  # it comes from within
                wanted, got = "its signature", Words(f"Python's {told!r}")
                raise error(
                    ArgumentTypeError, function, "call", wanted, got, cure, must="fit"
                ) from cause

        return cast("F", _face)

    return decorated
