"""Compute threefry2x32 in one pass over memory, as JAX functions, on an accelerated CPU.

Every round stands in one expression, which XLA turns into one pass over memory. That pass
is a function of its own, which XLA must not inline: fused with the cipher that made its key
it would grow exponentially, and fused with what takes the bits it would be computed again
for each use and change last digits. `docs/accelerate.md` has what was tried and measured.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from keystream import _cipher

F = TypeVar("F", bound=Callable[..., Any])


def block(
    first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return both words of the block at each counter; the operands broadcast as in NumPy."""
    shape = np.broadcast_shapes(first.shape, second.shape, hi.shape, lo.shape)
    first, second, hi, lo = (_spread(words, shape) for words in (first, second, hi, lo))
    return _cipher.rounds((first, second), hi, lo)


def _spread(words: jax.Array, shape: tuple[int, ...], behind: int = 0) -> jax.Array:
    """Broadcast as NumPy does, the last `behind` dimensions of `shape` left out."""
    last = len(shape) - behind
    return lax.broadcast_in_dim(words, shape, range(last - words.ndim, last))


def pairs(first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array) -> jax.Array:
    """Return both words of each block side by side, uint32 of shape (..., 2).

    By choosing between the two: where they are concatenated, XLA computes a block for each.
    """
    x, y = block(first, second, hi, lo)
    shape = (*x.shape, 2)
    place = lax.broadcasted_iota(np.uint32, shape, x.ndim)
    return lax.select(place == np.uint32(0), _spread(x, shape, 1), _spread(y, shape, 1))


def _apart(fun: F, *static: str) -> F:
    """Have XLA compute a function apart from what surrounds its call."""

    @functools.wraps(fun)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with set_xla_metadata(inlineable=None):  # The word is about the call alone.
            return fun(*args, **kwargs)

    compiled = jax.jit(inside, static_argnames=static)

    def call(*args: Any, **kwargs: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return compiled(*args, **kwargs)

    return call  # type: ignore[return-value] # the same signature


def both_words(
    first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return both words of each block; the operands broadcast."""
    both = _pairs(first, second, hi, lo)
    return both[..., 0], both[..., 1]


def float_bits(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """Return what `bits` does, where floats of as many bits are made of it.

    The bits are handed over as floats and taken for integers again where they are used:
    XLA lets a result take over the memory of an operand only if both have one type.
    """
    draw = _float_branch if words.ndim == 1 else _float_bits
    made = draw(words, bit_width=bit_width, shape=shape)
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
    x, y = block(*_counted(words, shape))
    if bit_width == 64:
        wide = lax.convert_element_type(x, np.uint64)
        high = lax.shift_left(wide, lax.full_like(wide, 32))
        return high | lax.convert_element_type(y, np.uint64)
    return lax.convert_element_type(x ^ y, np.dtype(f"uint{bit_width}"))


def _make_float_bits(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    made = _make_bits(words, bit_width=bit_width, shape=shape)
    return lax.bitcast_convert_type(made, np.dtype(f"float{bit_width}"))


def _float_branch(words: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    # XLA of jax 0.10 takes over the memory of a branch, but not of a call. This branch is
    # always taken, which XLA can't know.
    def always(words: jax.Array) -> jax.Array:
        return _make_float_bits(words, bit_width=bit_width, shape=shape)

    def never(_: jax.Array) -> jax.Array:
        return lax.full(shape, 0, np.dtype(f"float{bit_width}"))

    made: jax.Array = lax.cond((words[0] | np.uint32(1)) != np.uint32(0), always, never, words)
    return made


def _counted(words: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """Return the operands of each key's first blocks, in C order over `shape`."""
    behind = range(words.ndim - 1, words.ndim - 1 + len(shape))
    first, second = (lax.expand_dims(words[..., i], behind) for i in (0, 1))
    lo = lax.reshape(lax.iota(np.uint32, math.prod(shape)), shape)
    return first, second, lax.full_like(lo, 0), lo


_pairs = _apart(pairs)
_float_bits = _apart(_make_float_bits, "bit_width", "shape")
split = _apart(_make_split, "shape")
fold_in = _apart(_make_fold_in)
bits = _apart(_make_bits, "bit_width", "shape")
