"""Validate the arguments that the checks of the kit have in common."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import jax

from keystream import ArgumentTypeError, ArgumentValueError, KeyTypeError
from keystream._errors import error
from keystream.testing._compare import EXACT, Tolerance, is_key

__tracebackhide__ = True  # pytest shows the line that calls the check

ULPS = 64
"""How far apart floats may lie where nobody said: see `docs/testing.md`, where it is measured."""


def check_function(check: str, argument: str, value: Any) -> None:
    """Refuse what can't be called."""
    if not callable(value):
        raise error(ArgumentTypeError, check, argument, "a function", value)


def check_key(check: str, key: Any) -> None:
    """Refuse anything but one typed key that isn't traced."""
    if isinstance(key, jax.core.Tracer):
        cure = f"Call testing.{check} outside of jit."
        raise error(KeyTypeError, check, "key", "a concrete key, outside of jit", key, cure)
    if not is_key(key) or key.shape:
        raise error(KeyTypeError, check, "key", "one typed key", key, "For a seed: ks.key(seed).")


def check_child(check: str, key: Any) -> jax.Array:
    """Return what a caller's `derive` made of a key, where it is a key."""
    if not is_key(key) or key.shape:
        raise error(KeyTypeError, check, "derive(key, i)", "one typed key", key)
    return key


def tolerance(check: str, ulps: Any, atol: Any, exact: Any) -> Tolerance:
    """Return how far floats may lie apart, or refuse what says so."""
    for name, value in (("ulps", ulps), ("atol", atol)):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise error(ArgumentTypeError, check, name, "a number of zero or more", value)
        if not float(value) >= 0:
            raise error(ArgumentValueError, check, name, "a number of zero or more", value)
    if not isinstance(exact, bool):
        raise error(ArgumentTypeError, check, "exact", "True or False", exact)
    return EXACT if exact else Tolerance(float(ulps), float(atol))


def count(check: str, argument: str, given: Any, *, least: int, most: int | None = None) -> int:
    """Return an int within bounds, or refuse it."""
    wanted = f"an int of at least {least}"
    if most is not None:
        wanted = f"a whole number from {least:,} to {most:,}"
    if not _is_int(given):
        raise error(ArgumentTypeError, check, argument, wanted, given)
    if int(given) < least or (most is not None and int(given) > most):
        raise error(ArgumentValueError, check, argument, wanted, given)
    return int(given)


def counts(
    check: str, argument: str, given: Any, *, least: int = 1, several: int = 1
) -> tuple[int, ...]:
    """Return a sequence of ints of at least `least` as a tuple, or refuse it."""
    wanted = f"{several} or more ints of at least {least}"
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise error(ArgumentTypeError, check, argument, wanted, given)
    if not all(map(_is_int, given)):
        raise error(ArgumentTypeError, check, argument, wanted, given)
    if len(given) < several or min(given) < least:
        raise error(ArgumentValueError, check, argument, wanted, given)
    return tuple(int(value) for value in given)


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
