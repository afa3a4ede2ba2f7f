"""Count how many floats lie between two floats of one type."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

Array = np.ndarray[Any, Any]

FAR = np.inf
"""Between a NaN, or an infinity, and anything else."""


def distance(one: Array, other: Array) -> Array:
    """Return the number of steps between floats of one dtype, elementwise, as float64.

    0 between equal ones, two NaNs and the two zeros; 1 between neighbors; of complex numbers
    it is the larger one of both parts.
    """
    if np.issubdtype(one.dtype, np.complexfloating):
        parts = distance(one.real, other.real), distance(one.imag, other.imag)
        return np.asarray(np.maximum(*parts))
    (size, sign_one), (size_other, sign_other) = _parts(one), _parts(other)
    low, high = np.minimum(size, size_other), np.maximum(size, size_other)
    steps = np.where(sign_one == sign_other, high - low, high + low).astype(np.float64)
    either, both = (f(np.isnan(one), np.isnan(other)) for f in (np.logical_or, np.logical_and))
    ends = np.logical_or(np.isinf(one), np.isinf(other))
    steps = np.where(np.logical_or(either, ends) & (steps > 0), FAR, steps)
    return np.asarray(np.where(both, 0.0, steps))


def _parts(values: Array) -> tuple[Array, Array]:
    """Return the magnitudes of floats as numbers in their order, and the signs."""
    width = 8 * values.dtype.itemsize
    bits = np.array(values, order="C", copy=True).reshape(-1).view(f"u{width // 8}")
    wide = bits.astype(np.uint64).reshape(values.shape)
    top = np.uint64(1) << np.uint64(width - 1)
    return wide & (top - np.uint64(1)), wide & top


def same_bits(one: Array, other: Array) -> Array:
    """Return where floats are the same number: the two zeros aren't, any two NaNs are."""
    if np.issubdtype(one.dtype, np.complexfloating):
        return np.asarray(same_bits(one.real, other.real) & same_bits(one.imag, other.imag))
    zeros = np.signbit(one.astype(np.float64)) == np.signbit(other.astype(np.float64))
    return np.asarray((distance(one, other) == 0) & (zeros | np.isnan(one)))


def is_float(dtype: Any) -> bool:
    """Is it a float or a complex type, those of ml_dtypes among them?"""
    return bool(jnp.issubdtype(dtype, jnp.inexact))
