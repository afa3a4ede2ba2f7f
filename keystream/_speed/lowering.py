"""The one-pass forms of what JAX computes with threefry2x32, for an accelerated CPU."""

from __future__ import annotations

import math

import jax
import numpy as np
from jax import lax

from keystream._keys.one_pass import apart, block, hand_over_floats, join, spread


def pairs(first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array) -> jax.Array:
    """Return both words of each block side by side, uint32 of shape (..., 2).

    By choosing between the two: where they are concatenated, XLA computes a block for each.
    """
    x, y = block(first, second, hi, lo)
    shape = (*x.shape, 2)
    place = lax.broadcasted_iota(np.uint32, shape, x.ndim)
    return lax.select(place == np.uint32(0), spread(x, shape, 1), spread(y, shape, 1))


def both_words(
    first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return both words of each block; the operands broadcast."""
    both = _pairs(first, second, hi, lo)
    return both[..., 0], both[..., 1]


def float_bits(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """Return what `bits` does, where floats of as many bits are made of it."""
    if words.ndim == 1:
        return hand_over_floats(_make_bits, words, bit_width=bit_width, shape=shape)
    made = _float_bits(words, bit_width=bit_width, shape=shape)
    return lax.bitcast_convert_type(made, np.dtype(f"uint{bit_width}"))


def _make_split(words: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Return the words of `shape` children of each key, `words` its two in the last axis."""
    return pairs(*_counted(words, shape))


def _make_fold_in(words: jax.Array, data: jax.Array) -> jax.Array:
    """Return the words of the child of each key at each position; the two broadcast."""
    lo = lax.convert_element_type(data, np.uint32)
    return pairs(words[..., 0], words[..., 1], lax.full_like(lo, 0), lo)


def _make_bits(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """Return unsigned integers of `bit_width` bits, a `shape` of them for each key."""
    return join(*block(*_counted(words, shape)), bit_width)


def _make_float_bits(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    made = _make_bits(words, bit_width=bit_width, shape=shape)
    return lax.bitcast_convert_type(made, np.dtype(f"float{bit_width}"))


def _counted(words: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """Return the operands of each key's first blocks, in C order over `shape`."""
    behind = range(words.ndim - 1, words.ndim - 1 + len(shape))
    first, second = (lax.expand_dims(words[..., i], behind) for i in (0, 1))
    lo = lax.reshape(lax.iota(np.uint32, math.prod(shape)), shape)
    return first, second, lax.full_like(lo, 0), lo


_pairs = apart(pairs)
_float_bits = apart(_make_float_bits, "bit_width", "shape")
split = apart(_make_split, "shape")
fold_in = apart(_make_fold_in)
bits = apart(_make_bits, "bit_width", "shape")
