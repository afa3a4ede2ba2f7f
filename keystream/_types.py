"""Name the types that the public signatures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import jax
import numpy as np

if TYPE_CHECKING:
    import typing_extensions  # a checker brings it along

    C = typing_extensions.TypeVar("C", default=Any)
else:
    C = TypeVar("C")
"""What a loop carries. Where only `Numbers` tell it, mypy would take it for `Never`."""

F = TypeVar("F", bound=Callable[Concatenate[jax.Array, ...], Any])
"""What takes a key first, and comes back mapped. With a ParamSpec mypy refuses lambdas in `jit`."""

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")

Numbers: TypeAlias = (
    bool
    | int
    | float
    | complex
    | np.generic
    | np.ndarray
    | tuple[Any, ...]
    | list[Any]
    | dict[Any, Any]
    | None
)
"""What may hold numbers or NumPy arrays where the body is given JAX arrays."""

Position: TypeAlias = int | np.integer[Any] | np.ndarray | jax.Array

Part: TypeAlias = str | bytes | Position
"""A part of a path: a name, a position, or an array of positions."""

Seed: TypeAlias = (
    int
    | str
    | bytes
    | Sequence[int | np.integer[Any]]
    | np.integer[Any]
    | np.random.SeedSequence
    | np.ndarray
    | jax.Array
)

Shape: TypeAlias = int | np.integer[Any] | Sequence[int | np.integer[Any]]

Leaf: TypeAlias = (
    bool | int | float | complex | str | np.generic | np.ndarray | jax.Array | jax.ShapeDtypeStruct
)
L = TypeVar("L", bound=Leaf)
