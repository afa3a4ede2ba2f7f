"""Bind a sampler to its arguments, and map what wants one key over many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream._called import drawn
from keystream._errors import ArgumentValueError, Words, error


def bound(
    function: str, sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[jax.Array], Any]:
    """Return what still wants its key."""
    form = "sampler(key, *args)"
    return lambda key: drawn(function, "sampler", sampler, form, key, *args, **kwargs)


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
