"""Calls of what a user handed over: a body, a sampler, a condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream import _check_tree
from keystream._errors import ArgumentValueError, BodyError, Words, error


def called(function: str, form: str, fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `fun`; add to what it raises how it was called, as in `form`."""
    try:
        return fun(*args, **kwargs)
    except Exception as cause:
        note = f"{function} calls {form}."
        if note not in getattr(cause, "__notes__", ()):  # as it is in a loop within a loop
            cause.add_note(note)
        raise


def drawn(function: str, form: str, fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `fun`; refuse what it returns where that is no pytree of arrays."""
    out = called(function, form, fun, *args, **kwargs)
    _check_tree.arrays(function, form.partition("(")[0], out, cls=BodyError, must="return")
    return out


def bound(
    function: str, sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[jax.Array], Any]:
    """Return a sampler that still wants its key."""
    return lambda key: drawn(function, "sampler(key, *args)", sampler, key, *args, **kwargs)


_MOST_DIMS = 32
"""Dimensions of a key array: Python's stack holds about 60 `vmap`s inside of each other."""


def few_dims(function: str, argument: str, shape: tuple[int, ...]) -> None:
    """Refuse a key array of more dimensions than there can be `vmap`s."""
    if len(shape) > _MOST_DIMS:
        wanted, got = f"of at most {_MOST_DIMS} dimensions", Words(f"{len(shape)} of them")
        raise error(ArgumentValueError, function, argument, wanted, got)


def over_keys(fun: Callable[..., Any], keys: jax.Array) -> Any:
    """Map what wants one key over a key array, one `vmap` for each of its dimensions."""
    for _ in keys.shape:
        fun = jax.vmap(fun)
    return fun(keys)
