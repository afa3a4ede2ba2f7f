"""The questions that the statistical checks ask of what they are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keystream import ArgumentTypeError, ArgumentValueError, KeyTypeError
from keystream._errors import Words, error
from keystream.testing import _arguments
from keystream.testing._statistics.two_stage_rule import Rule

__tracebackhide__ = True  # pytest shows the line that calls the check


def child(function: str, key: Any) -> jax.Array:
    """Return what a caller's `derive` made of a key, where it is a key."""
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise error(KeyTypeError, function, "derive(key, i)", "one typed key", key)
    if key.shape:
        raise error(KeyTypeError, function, "derive(key, i)", "one typed key", key)
    return key


def integer(function: str, argument: str, value: Any, least: int, most: int) -> int:
    """Return a whole number within bounds."""
    wanted = f"a whole number from {least:,} to {most:,}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise error(ArgumentTypeError, function, argument, wanted, value)
    if not least <= value <= most:
        raise error(ArgumentValueError, function, argument, wanted, value)
    return int(value)


def rule(function: str, false_alarm: Any, tests: Any) -> Rule:
    """Return the rule of a false-alarm rate and a number of tests."""
    wanted = "a probability between 0 and 1, both excluded"
    if isinstance(false_alarm, bool) or not isinstance(
        false_alarm, (int, float, np.integer, np.floating)
    ):
        raise error(ArgumentTypeError, function, "false_alarm", wanted, false_alarm)
    if not 0 < false_alarm < 1:
        raise error(ArgumentValueError, function, "false_alarm", wanted, float(false_alarm))
    return Rule(float(false_alarm), integer(function, "tests", tests, 1, 10**9))


class Form(NamedTuple):
    """What a sampler returns for one key."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return math.prod(self.shape)


def form(
    function: str, argument: str, sampler: Callable[..., Any], key: jax.Array, args: Any
) -> Form:
    """Return what a sampler returns for one key: one array of numbers, by tracing it once."""
    _arguments.function(function, argument, sampler)
    wanted = "a function that returns one array of real numbers"
    cure = "For one leaf of several: lambda key: sampler(key)[0]."
    try:
        out = jax.eval_shape(lambda key: sampler(key, *args), key)
    except TypeError as told:
        got = Words(f"one that can't be called as sampler(key, *args): {_first_line(told)}")
        raise error(ArgumentTypeError, function, argument, wanted, got) from told
    if not isinstance(out, jax.ShapeDtypeStruct):
        got = Words(f"one that returns {type(out).__name__}")
        raise error(ArgumentTypeError, function, argument, wanted, got, cure)
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(out.dtype, kind) for kind in kinds) or 0 in out.shape:
        got = Words(f"one that returns {out.dtype.name}[{','.join(map(str, out.shape))}]")
        raise error(ArgumentTypeError, function, argument, wanted, got)
    return Form(tuple(out.shape), out.dtype)


def _first_line(told: BaseException) -> str:
    lines = str(told).splitlines()
    return lines[0][:200] if lines else type(told).__name__
