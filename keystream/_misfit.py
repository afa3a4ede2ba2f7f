"""What to write instead where a sampler doesn't take what it is called with."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

import jax

from keystream._errors import summary

_OWN = ("start", "batch_size", "out_sharding")
"""Options of `sample` itself."""


def cure(
    function: str,
    sampler: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:
    """Return the cure of a call that lacks the shape of a draw, or misspells an option."""
    named = signature.parameters
    if list(named)[1:2] == ["shape"] and binds(signature, (args[0], (), *args[1:]), kwargs):
        rest = ", ".join(["()", *["*args"] * (len(args) > 1), *["**kwargs"] * bool(kwargs)])
        name = summary(sampler)
        of_jax = getattr(jax.random, name, None) is sampler
        face = f"jax.random.{name}" if of_jax else "sampler"
        call = f"sample({face}, key, n, " if function == "sample" else f"batched({face})(keys, "
        return f"The shape of each draw comes next: ks.{call}{rest})."
    known = (*named, *(_OWN if function == "sample" else ()))
    for each in kwargs:
        near = difflib.get_close_matches(each, known, 1, 0.7)
        if each not in known and near:
            return f"Did you mean {near[0]}?"
    return ""


def binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Does a call fit a signature?"""
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
