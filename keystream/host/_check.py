"""Validate host keys, and word errors as the functions of `keystream.host` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from keystream import _errors
from keystream._checks.static import concrete_int, is_typed
from keystream._errors import KeyTypeError, error
from keystream._known import KNOWN

P = ParamSpec("P")
R = TypeVar("R")

KIND = "threefry2x32"
IMPL = KNOWN[KIND]
"""All that there is on the host: the others' ciphers aren't written in NumPy."""


def public(fun: Callable[P, R]) -> Callable[P, R]:
    """Return a public function whose errors begin with its name, `host.derive`."""
    return _errors.public(fun, f"host.{fun.__name__}")


def check_keys(keys: Any, argument: str = "key") -> np.ndarray:
    """Return host keys; refuse all but uint32 arrays of shape (..., 2)."""
    if isinstance(keys, np.ndarray) and keys.dtype == np.uint32 and keys.shape[-1:] == (2,):
        return keys
    raise error(KeyTypeError, argument, "a host key, uint32[2]", keys, _to_key(keys))


def check_key(key: Any, argument: str = "key") -> np.ndarray:
    """Return one host key; refuse an array of them."""
    if check_keys(key, argument).ndim > 1:
        cure = "For each of them: [ks.{caller}(key) for key in keys.reshape(-1, 2)]."
        raise error(KeyTypeError, argument, "one host key, uint32[2]", key, cure)
    held: np.ndarray = key
    return held


def _to_key(value: Any) -> str:
    if is_typed(value):
        return "For the words of a JAX key: ks.{beside}from_jax(key)."
    if isinstance(value, (str, bytes, np.random.SeedSequence)) or concrete_int(value) is not None:
        return "To make a key from a seed: ks.{beside}key(seed)."
    return "To make one: ks.{beside}key(42)."
