"""The draws of a sampler as NumPy arrays, a bounded number at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream.testing._statistics.inputs import Form

CHUNK = 2**18
"""How many numbers are held at once, whatever is asked for."""


def chunks(
    sampler: Callable[..., Any], key: jax.Array, num: int, args: Any, form: Form, size: int
) -> Iterator[np.ndarray]:
    """Yield the draws of child 0, 1, ... of a key, as rows of float64.

    Every call to the sampler has the same shape, so that it is compiled once; of the last
    one what is too much is dropped.
    """
    batch = -(-size // 4)
    for first in range(0, num, size):
        drawn = ks.sample(sampler, key, size, *args, start=first, batch_size=batch)
        rows = np.asarray(drawn).astype(np.float64).reshape(size, form.size)
        yield rows[: num - first]


def rows_at_once(num: int, form: Form) -> int:
    """Return how many draws of this form are made at once."""
    return max(1, min(num, CHUNK // form.size))


def labels(shape: tuple[int, ...]) -> list[str]:
    """Return what a message calls each coordinate of a draw; nothing where there is one."""
    if not shape:
        return [""]
    if len(shape) == 1:
        return [f" of coordinate {i}" for i in range(shape[0])]
    return [f" of coordinate {tuple(map(int, i))}" for i in np.ndindex(shape)]


def compiled(sampler: Callable[..., Any], args: Any) -> Callable[[jax.Array], Any]:
    """Return a function of one key: a sampler without arguments keeps JAX's cache of it."""
    return jax.jit(functools.partial(_call, sampler, args) if args else sampler)


def _call(sampler: Callable[..., Any], args: Any, key: jax.Array) -> Any:
    return sampler(key, *args)
