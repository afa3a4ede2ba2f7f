"""Look at what a sampler returns for one key, and make its draws a bounded number at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream import ArgumentTypeError
from keystream._errors import Phrase, error
from keystream.testing import _arguments

__tracebackhide__ = True  # pytest shows the line that calls the check

CHUNK = 2**18
"""How many numbers are held at once, whatever is asked for."""


class Form(NamedTuple):
    """What a sampler returns for one key."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return math.prod(self.shape)


def form_of(argument: str, sampler: Callable[..., Any], key: jax.Array, args: Any) -> Form:
    """Return what a sampler returns for one key: one array of numbers, by tracing it once."""
    _arguments.check_function(argument, sampler)
    wanted = "a function that returns one array of real numbers"
    cure = "For one leaf of several: lambda key: sampler(key)[0]."
    try:
        out = jax.eval_shape(lambda key: sampler(key, *args), key)
    except TypeError as told:
        got = Phrase(f"one that can't be called as sampler(key, *args): {_first_line(told)}")
        raise error(ArgumentTypeError, argument, wanted, got) from told
    if not isinstance(out, jax.ShapeDtypeStruct):
        got = Phrase(f"one that returns {type(out).__name__}")
        raise error(ArgumentTypeError, argument, wanted, got, cure)
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(out.dtype, kind) for kind in kinds) or 0 in out.shape:
        got = Phrase(f"one that returns {out.dtype.name}[{','.join(map(str, out.shape))}]")
        raise error(ArgumentTypeError, argument, wanted, got)
    return Form(tuple(out.shape), out.dtype)


def _first_line(told: BaseException) -> str:
    lines = str(told).splitlines()
    return lines[0][:200] if lines else type(told).__name__


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


def compile_sampler(sampler: Callable[..., Any], args: Any) -> Callable[[jax.Array], Any]:
    """Return a function of one key: a sampler without arguments keeps JAX's cache of it."""
    return jax.jit(functools.partial(_call, sampler, args) if args else sampler)


def _call(sampler: Callable[..., Any], args: Any, key: jax.Array) -> Any:
    return sampler(key, *args)
