"""Calls of what a user handed over: a body, a sampler, a condition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from keystream import _check, _check_tree, _key_first, _misfit
from keystream._errors import BodyError, Words, error

_LONGEST = 160
"""Characters of Python's own message that are quoted."""


def called(
    function: str, argument: str, fun: Callable[..., Any], form: str, /, *args: Any, **kwargs: Any
) -> Any:
    """Call `fun`; where it doesn't take what it is called with, say how it will be called."""
    try:
        return fun(*args, **kwargs)
    except TypeError as cause:
        signature = _signature(fun)
        if _takes(signature, args, kwargs, cause):
            raise
        told = (str(cause).strip().splitlines() or [""])[0][:_LONGEST]
        wanted, got = f"a function {form}", Words(f"Python's {told!r}")
        cure = ""
        # From 3.13 on Python proposes an argument itself.
        if argument == "sampler" and signature is not None and "Did you mean" not in told:
            cure = _misfit.cure(function, fun, signature, args, kwargs)
        raise error(BodyError, function, argument, wanted, got, cure) from cause


def held(
    function: str,
    argument: str,
    fun: Callable[..., Any],
    form: str,
    hold: Callable[[Any], None],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call `fun` with a key first, and `hold` with what it returns; return that.

    An error in either is told where the key stands, if `fun` has it elsewhere.
    """
    try:
        out = called(function, argument, fun, form, *args, **kwargs)
        hold(out)
    except Exception as cause:
        _key_first.note(cause, function, fun, form)
        raise
    return out


def drawn(
    function: str, argument: str, fun: Callable[..., Any], form: str, /, *args: Any, **kwargs: Any
) -> Any:
    """Call `fun` with a key first; refuse what it returns where that is no pytree of arrays."""

    def arrays(out: Any) -> None:
        _check_tree.arrays(function, argument, out, cls=BodyError, must="return")

    return held(function, argument, fun, form, arrays, *args, **kwargs)


def predicate(function: str, is_leaf: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Return an `is_leaf` that is held to its answer, True or False."""
    form = "is_leaf(node)"
    _check.function_of(function, "is_leaf", is_leaf, form)

    def asked(node: Any) -> bool:
        out = called(function, "is_leaf", is_leaf, form, node)
        if not isinstance(out, (bool, np.bool_)):
            raise error(BodyError, function, "is_leaf", "True or False", out, must="return")
        return bool(out)

    return asked


def _signature(fun: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(fun)
    except (TypeError, ValueError):
        return None


def _takes(signature: inspect.Signature | None, args: Any, kwargs: Any, cause: TypeError) -> bool:
    """Did the call itself succeed, so that the error is one of the user's own code?"""
    trace = cause.__traceback__
    while trace is not None and trace.tb_frame.f_code is not called.__code__:
        trace = trace.tb_next
    if trace is not None and trace.tb_next is None:
        return False  # Python, or C, raised it before any line of the user's ran.
    return signature is None or _misfit.binds(signature, args, kwargs)
