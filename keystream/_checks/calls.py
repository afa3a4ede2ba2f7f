"""Call the functions that users hand over, and check what they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream._checks.tree import check_arrays
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    BodyError,
    Phrase,
    error,
)


def call_function(form: str, fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `fun`; add to what it raises how it was called, as in `form`."""
    try:
        return fun(*args, **kwargs)
    except Exception as cause:
        note = f"Called as {form}."
        if note not in getattr(cause, "__notes__", ()):  # as it is in a loop within a loop
            cause.add_note(note)
        raise


def call_for_arrays(form: str, fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `fun`; refuse what it returns where that is no pytree of arrays."""
    out = call_function(form, fun, *args, **kwargs)
    check_arrays(form.partition("(")[0], out, cls=BodyError, must="return")
    return out


def bind_sampler(
    sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[jax.Array], Any]:
    """Return a sampler that still wants its key."""
    return lambda key: call_for_arrays("sampler(key, *args)", sampler, key, *args, **kwargs)


_MOST_DIMS = 32
"""Dimensions of a key array: Python's stack holds about 60 `vmap`s inside of each other."""


def check_few_dims(argument: str, shape: tuple[int, ...]) -> None:
    """Refuse a key array of more dimensions than there can be `vmap`s."""
    if len(shape) > _MOST_DIMS:
        wanted, got = f"of at most {_MOST_DIMS} dimensions", Phrase(f"{len(shape)} of them")
        raise error(ArgumentValueError, argument, wanted, got)


def map_over_keys(fun: Callable[..., Any], keys: jax.Array) -> Any:
    """Map what wants one key over a key array, one `vmap` for each of its dimensions."""
    for _ in keys.shape:
        fun = jax.vmap(fun)
    return fun(keys)


def check_function(argument: str, value: object, form: str) -> None:
    """Refuse what can't be called; `form` is how it will be."""
    if not callable(value):
        raise error(ArgumentTypeError, argument, f"a function {form}", value)
