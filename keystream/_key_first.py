"""The key goes first: said of a body that has it elsewhere, and of a call that names it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

from keystream._errors import ArgumentTypeError, Words, error

_NAMES = ("key", "rng", "rng_key", "prng_key")
"""What a key is called by those who write bodies."""


def note(cause: Exception, function: str, fun: Callable[..., Any], form: str) -> None:
    """Add to what came out of a body that the key is handed first, if the body has it elsewhere.

    JAX only says that it can't add a key, or draw from a number.
    """
    # Nothing that a body's author made may hide the error itself.
    with contextlib.suppress(Exception):
        if form not in str(cause) and _elsewhere(fun):
            BaseException.add_note(cause, f"{function} hands the key first: {form}.")


def _elsewhere(fun: Callable[..., Any]) -> bool:
    parameters = inspect.signature(fun).parameters.values()
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = next((each.name for each in parameters if each.kind in places), "")
    return first not in _NAMES and any(each.name in _NAMES for each in parameters)


def by_position(
    function: str,
    fun: Callable[..., Any],
    call: Callable[..., Any],
    form: str,
    *,
    key: str = "key",
    keywords: bool = False,
) -> Callable[..., Any]:
    """Return a call that looks like `fun`; where Python would misname what is amiss, say it.

    Args:
        function: Who makes it.
        fun: Whose name and signature it has.
        call: What is called with the key and the arguments.
        form: How it is called rightly, as code.
        key: What the first argument is.
        keywords: Whether others may be given by name.
    """
    cure = f"By position: {form}."

    @functools.wraps(fun)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        if not args:
            got = Words(next((f"{name}= by name" for name in kwargs), "no argument"))
            wanted = "given first, by position"
            raise error(ArgumentTypeError, function, key, wanted, got, cure)
        if kwargs and not keywords:
            got = Words(f"{next(iter(kwargs))}= by name")
            raise error(ArgumentTypeError, function, "args", "given by position", got, cure)
        return call(*args, **kwargs)

    return mapped
