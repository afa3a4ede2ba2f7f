"""Compute threefry2x32 in one pass over memory, for what JAX lowers to a loop on CPU.

Every round stands in one expression, which XLA turns into one pass over memory. That pass
is a function of its own, which XLA must not inline: fused with the cipher that made its key
it would grow exponentially, and fused with what takes the bits it would be computed again
for each use and change last digits. `docs/accelerate.md` has what was tried and measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from keystream import _compat
from keystream._keys import cipher

F = TypeVar("F", bound=Callable[..., Any])

NEW_XLA = _compat.JAX >= (0, 11)
"""XLA of jax 0.12 runs JAX's loop in one thread, that of 0.10 in several."""

FEW = range(5, 24)
MANY = range(1200, 12_000 if NEW_XLA else 1200)
MANY_LANES = range(800, 12_000 if NEW_XLA else 1500)
"""Numbers of blocks, of one key or with a key for each, for which JAX's loop is kept: XLA
decides by a count of operations, in which a loop's body counts once, whether a program runs
in the calling thread (below about 1,000) and whether an expression is given to several
threads (from about 200,000 on). Either costs some 30 microseconds, more than the loop takes
for so few."""


FLOATS_FROM = 2**20
"""Numbers from which on the first touch of fresh memory is what a draw waits for."""


def pays(blocks: int, *, lanes: bool) -> bool:
    """Whether one pass is no slower for so many blocks, each with a key of its own or not."""
    return blocks not in FEW and blocks not in (MANY_LANES if lanes else MANY)


def block(
    first: jax.Array, second: jax.Array, hi: jax.Array, lo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return both words of the block at each counter; the operands broadcast as in NumPy."""
    shape = np.broadcast_shapes(first.shape, second.shape, hi.shape, lo.shape)
    first, second, hi, lo = (spread(words, shape) for words in (first, second, hi, lo))
    return cipher.rounds((first, second), hi, lo)


def spread(words: jax.Array, shape: tuple[int, ...], behind: int = 0) -> jax.Array:
    """Broadcast as NumPy does, the last `behind` dimensions of `shape` left out."""
    last = len(shape) - behind
    return lax.broadcast_in_dim(words, shape, range(last - words.ndim, last))


def join(x: jax.Array, y: jax.Array, bit_width: int) -> jax.Array:
    """Return an unsigned integer of `bit_width` bits for each block, as `jax.random.bits` does."""
    if bit_width == 64:
        wide = lax.convert_element_type(x, np.uint64)
        high = lax.shift_left(wide, lax.full_like(wide, 32))
        return high | lax.convert_element_type(y, np.uint64)
    return lax.convert_element_type(x ^ y, np.dtype(f"uint{bit_width}"))


def apart(fun: F, *static: str) -> F:
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


def hand_over_floats(
    make: Callable[..., jax.Array],
    words: jax.Array,
    *,
    bit_width: int,
    **options: Any,
) -> jax.Array:
    """Return what `make` makes of the words of one key, where floats are made of it.

    The bits are handed over as floats and taken for integers again where they are used: XLA
    lets a result take over the memory of an operand only if both have one type. XLA of jax 0.10
    takes over that of a branch, and not of a call. This one is always taken, which XLA can't know.
    """
    dtype = np.dtype(f"float{bit_width}")

    def always(words: jax.Array) -> jax.Array:
        made = make(words, bit_width=bit_width, **options)
        return lax.bitcast_convert_type(made, dtype)

    shape = jax.eval_shape(always, words).shape

    def never(_: jax.Array) -> jax.Array:
        return lax.full(shape, 0, dtype)

    made: jax.Array = lax.cond((words[0] | np.uint32(1)) != np.uint32(0), always, never, words)
    return lax.bitcast_convert_type(made, np.dtype(f"uint{bit_width}"))
