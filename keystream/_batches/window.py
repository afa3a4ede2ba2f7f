"""Draw a piece of one dense draw, by a key of an implementation of its own.

The bits that `jax.random` draws from a threefry2x32 key are blocks of its cipher, one for each
element, at the element's number in C order. A window is a key of an implementation that counts
otherwise: from `base`, the number of its first element, on, with the strides of the whole draw.
The strides are the implementation's, one for each shape, so that a draw is one expression; the
base is a part of the key's words, so that it may be traced.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl, threefry2x32_p, threefry_prng_impl
from jax.sharding import AxisType

from keystream import _compat, _impl
from keystream._checks.key import check_cipher, check_key
from keystream._checks.numbers import check_shape, check_size, check_start
from keystream._checks.static import size_of, static_int
from keystream._checks.values import is_symbolic, read_setting
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    KeyImplError,
    KeystreamError,
    Phrase,
    complete,
    error,
    public,
)
from keystream._keys import one_pass
from keystream._keys.children import as_varying, one_dispatch
from keystream._keys.placement import multiply
from keystream._keys.scheme import Counter, advance, array_counter
from keystream._known import KNOWN, NARROW_END, POSITIONS_END
from keystream._types import Position, Shape

MOST_DIMS = 8
MOST_CHILDREN = 8
"""What a sampler splits its key into. Into more it splits for elements that it draws one by
one, which knows nothing of a shape."""

MIXING = frozenset(("permutation", "binomial", "multinomial", "orthogonal"))
"""The samplers of `jax.random` that mix elements after a draw: `choice` without replacement
stands on `permutation` or `gumbel`."""


@public
def window(key: jax.Array, /, shape: Shape, start: Position | Sequence[Position]) -> jax.Array:
    """Return a typed key that draws a piece of one dense draw, as fast as a bulk draw.

    Reach for it where the parts of one array are drawn apart: on shards of a mesh, in
    microbatches, or where few of many numbers are needed. For a key per item use `keys`.

    `sampler(ks.window(key, shape, start), piece)` equals
    `sampler(key, shape)[start[0] : start[0] + piece[0], ...]`.

    Args:
        key: One typed threefry2x32 key, whole or a shard's own.
        shape: The shape of the whole draw: an int or a tuple of static ints, of at most 8
            dimensions and less than 2**63 elements. `()` is a draw of one number.
        start: Where the piece begins, one integer scalar for each dimension, static or
            traced, or an int where there is one dimension. How large the piece is says the
            sampler's own `shape`, of as many dimensions.

    Returns:
        A typed key of shape (). `jax.random.split` into at most 8 and `fold_in` give windows of
        children: `jax.random.split(ks.window(key, shape, start))[i]` is
        `ks.window(jax.random.split(key)[i], shape, start)`.

    Key use:
        Consumes its piece of `key`: pieces of one shape that don't overlap are together one
        consumption. What is drawn from a window is drawn from the key.

    Guarantees:
        Bit for bit for what is made of bits alone (bits, uniform on [0, 1), randint,
        bernoulli, rademacher); floats that XLA computes otherwise in other shapes agree to
        last digits (normal, truncated_normal, exponential, gumbel, laplace, logistic, cauchy
        and all that are made element by element, of users and libraries too).

        Refused as they draw: a piece of another number of dimensions or larger than `shape`,
        a split into more than 8, and with them what draws elements one by one or in other
        shapes (gamma and what stands on it, dirichlet, maxwell, `mode="high"`); of
        `jax.random` also what mixes elements (permutation, choice without replacement,
        binomial, multinomial, orthogonal). What mixes elements behind a draw elsewhere can't
        be seen: a sort or a sum along a dimension that is cut, `categorical` along one, a
        loop that goes on until all elements are accepted. It gives other numbers, as does an
        initializer that scales by the shape that it is given. The documentation has a table.

        Works eagerly and under `jit`, `vmap`, `scan`, `grad`, `remat` and `shard_map`, with keys
        and starts that vary. It takes memory for the piece alone, and no communication. A
        traced `start`, or `start + piece`, outside of `shape` isn't clamped: it draws what
        stands there when the numbers are written in one row, the first ones of the next row,
        and before the first row and behind the last one numbers that no draw of this shape has.

    Raises:
        KeyTypeError: Not one typed key.
        KeyImplError: A key of another implementation than threefry2x32, whose cipher isn't
            public; a window; or `jax_threefry_partitionable` is off, with which draws
            have other counters.
        ArgumentTypeError, ArgumentValueError: A bad `shape`; a `start` that is no integer for
            each dimension, is negative or beyond `shape`; when it is drawn from, what is
            refused above.

    Example:
        >>> import jax, keystream as ks
        >>> key = ks.key(42)
        >>> whole = jax.random.uniform(key, (8, 6))
        >>> piece = jax.random.uniform(ks.window(key, (8, 6), (4, 0)), (2, 6))
        >>> bool((piece == whole[4:6]).all())
        True
    """
    impl = check_key(key, shape, start, call="ks.window(key, shape, start)")
    check_cipher(impl, key)
    _check_counters()
    dense = check_shape(shape)
    _check_dense(dense)
    starts = _check_starts(start, dense)
    return _wrap(key, _base(starts, dense), dense=dense)


def _check_counters() -> None:
    if not read_setting("jax_threefry_partitionable"):
        wanted, got = "used with jax_threefry_partitionable on, JAX's default", Phrase("off")
        cure = 'To switch it on: jax.config.update("jax_threefry_partitionable", True).'
        raise error(KeyImplError, "key", wanted, got, cure)


def _check_dense(dense: tuple[int, ...]) -> None:
    if any(is_symbolic(size) for size in dense):
        raise error(ArgumentTypeError, "shape", "of static ints", Phrase("symbolic sizes"))
    if len(dense) > MOST_DIMS:
        wanted = f"of at most {MOST_DIMS} dimensions"
        raise error(ArgumentValueError, "shape", wanted, dense)
    if size_of(dense) >= POSITIONS_END:
        raise error(ArgumentValueError, "shape", "of less than 2**63 elements", dense)


def _check_starts(start: Any, dense: tuple[int, ...]) -> list[Any]:
    """Return an int or a traced integer scalar for each dimension."""
    starts = list(start) if isinstance(start, (tuple, list)) else [start]
    if len(starts) != len(dense):
        wanted = f"one integer for each of the {len(dense)} dimensions of shape"
        cure = f"For the first piece: start = {(0,) * len(dense)}."
        raise error(ArgumentValueError, "start", wanted, start, cure)
    made = []
    for value, size in zip(starts, dense, strict=True):
        number = check_start(value, 0, KNOWN["threefry2x32"])
        if static_int(number) is not None and number > size:
            raise error(ArgumentValueError, "start", f"within shape {dense}", start)
        made.append(number)
    return made


def _base(starts: list[Any], dense: tuple[int, ...]) -> Counter:
    """Return the number of the first element in C order, modulo 2**64."""
    whole, stride = 0, 1
    traced: list[Counter] = []
    for start, size in zip(reversed(starts), reversed(dense), strict=True):
        number = static_int(start)
        if number is None:
            traced.append(_times(array_counter(start), stride))
        else:
            whole += number * stride
        stride *= size
    base = Counter(np.uint32(whole >> 32), np.uint32(whole & 0xFFFFFFFF))
    return functools.reduce(advance, traced, base)


def _times(index: Counter, stride: int) -> Counter:
    if stride == 1:
        return index if index.hi is not None else Counter(index.lo & 0, index.lo)
    product = multiply(index.lo, stride, narrow=False)
    if index.hi is None:
        return product
    return Counter(product.hi + index.hi * np.uint32(stride & 0xFFFFFFFF), product.lo)


def _make(key: jax.Array, base: Counter, *, dense: tuple[int, ...]) -> jax.Array:
    # The audit reads these: the words of the key, and then the base.
    static = all(isinstance(word, np.uint32) for word in base)
    words, begin = jax.random.key_data(key), (np if static else jnp).stack(base)
    if AxisType.Explicit in jax.typeof(key).sharding.mesh.axis_types:
        # Under `vmap` JAX can't join to keys over Explicit axes what isn't laid out as they are.
        begin = begin + (words & np.uint32(0))
    joined = jnp.concatenate((words, begin))
    window: jax.Array = jax.random.wrap_key_data(joined, impl=_implementation(dense))
    return window


_wrap = one_dispatch(_make, static="dense")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of an implementation: equal to that of another one of the same shape."""

    fun: Callable[..., Any]
    dense: tuple[int, ...]

    def __call__(self, *args: Any) -> Any:
        """Do it; what is refused is refused in the name of `window`."""
        try:
            _check_counters()
            _check_samplers()
            return self.fun(self.dense, *args)
        except KeystreamError as raised:
            complete(raised, "window")
            raise


@functools.lru_cache(maxsize=256)
def _implementation(dense: tuple[int, ...]) -> Any:
    tag = _impl.window_name(dense)
    return define_prng_impl(
        key_shape=(4,),
        seed=Operation(_seed, dense),
        split=Operation(_split, dense),
        fold_in=Operation(_fold_in, dense),
        random_bits=Operation(_random_bits, dense),
        name=tag,
        tag=tag,
    )


def _check_samplers() -> None:
    """Refuse the samplers of `jax.random` that mix elements, as far as they can be seen."""
    for names in _compat.samplers_of(_impl.is_window_dtype):
        found = names & MIXING or ({"choice"} if {"choice", "gumbel"} <= names else ())
        if found:
            wanted = "one that makes its elements each by itself"
            cure = "For the whole draw: the key itself, and a slice."
            raise error(ArgumentValueError, "sampler", wanted, Phrase(min(found)), cure)


def _seed(dense: tuple[int, ...], _: jax.Array) -> Any:
    cure = f"For a window: ks.window(ks.key(seed), {dense}, start)."
    raise error(KeyImplError, "key", "made from a seed", Phrase("a window's type"), cure)


def _split(_: tuple[int, ...], words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    if size_of(shape) > MOST_CHILDREN:
        wanted = f"split into at most {MOST_CHILDREN} (what draws elements one by one isn't cut)"
        cure = "To split before: ks.window(child, shape, start) of each child."
        raise error(ArgumentValueError, "key", wanted, Phrase(str(size_of(shape))), cure)
    children: jax.Array = _children(words, shape)
    return children


@functools.partial(jax.jit, static_argnums=1)
def _children(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    made = threefry_prng_impl.split(words[:2], shape)
    base = jnp.broadcast_to(words[2:], made.shape)
    return jnp.concatenate((made, base), axis=-1)


def _fold_in(_: tuple[int, ...], words: jax.Array, data: jax.Array) -> jax.Array:
    child: jax.Array = _child(words, data)
    return child


@jax.jit
def _child(words: jax.Array, data: jax.Array) -> jax.Array:
    return jnp.concatenate((threefry_prng_impl.fold_in(words[:2], data), words[2:]))


def _random_bits(
    dense: tuple[int, ...], words: jax.Array, bit_width: int, piece: tuple[int, ...]
) -> jax.Array:
    _check_piece(dense, piece)
    large = bit_width >= 32 and size_of(piece) >= one_pass.FLOATS_FROM
    floats = large and _compat.function_drawing().startswith("_uniform")
    bits: jax.Array = _bits(words, bit_width=bit_width, dense=dense, piece=piece, floats=floats)
    return bits


def _check_piece(dense: tuple[int, ...], piece: tuple[int, ...]) -> None:
    if len(piece) != len(dense):
        wanted = f"of {len(dense)} dimensions as shape {dense} is, however it is drawn"
        raise error(ArgumentValueError, "piece", wanted, piece)
    if any(size > whole for size, whole in zip(piece, dense, strict=True)):
        raise error(ArgumentValueError, "piece", f"no larger than shape {dense}", piece)
    check_size(piece, argument="piece")


@functools.partial(jax.jit, static_argnames=("bit_width", "dense", "piece", "floats"))
def _bits(words: jax.Array, *, piece: tuple[int, ...], floats: bool, **options: Any) -> jax.Array:
    draw: Callable[..., jax.Array] = functools.partial(_draw, piece=piece, **options)
    if not one_pass.pays(size_of(piece), lanes=False):
        return draw(words)
    fast = functools.partial(_draw_floats if floats else _draw_apart, piece=piece, **options)
    bits: jax.Array = lax.platform_dependent(words, cpu=fast, default=draw)
    return bits


def _draw(words: jax.Array, **options: Any) -> jax.Array:
    return _make_bits(words, _block, **options)


def _block(first: Any, second: Any, hi: Any, lo: Any) -> tuple[jax.Array, jax.Array]:
    x, y = threefry2x32_p.bind(first, second, hi, lo)
    return as_varying(x, (lo,)), as_varying(y, (lo,))


def _make_apart(words: jax.Array, **options: Any) -> jax.Array:
    return _make_bits(words, one_pass.block, **options)


_draw_apart = one_pass.apart(_make_apart, "bit_width", "dense", "piece")


def _draw_floats(words: jax.Array, *, bit_width: int, **options: Any) -> jax.Array:
    return one_pass.hand_over_floats(_make_apart, words, bit_width=bit_width, **options)


def _make_bits(
    words: jax.Array,
    block: Callable[..., Any],
    *,
    bit_width: int,
    dense: tuple[int, ...],
    piece: tuple[int, ...],
) -> jax.Array:
    first, second, hi, lo = words
    x, y = block(first, second, *_counters(Counter(hi, lo), dense, piece))
    return one_pass.join(x, y, bit_width)


def _counters(base: Counter, dense: tuple[int, ...], piece: tuple[int, ...]) -> Counter:
    """Return the number of each element of a piece in the whole draw.

    Where there are at most 2**32 in all there is nothing to carry.
    """
    strides = [size_of(dense[dim + 1 :]) for dim in range(len(dense))]
    spans = [(size - 1) * stride for size, stride in zip(piece, strides, strict=True)]
    narrow = sum(spans) < NARROW_END
    numbers, offset = base, Counter(None, np.uint32(0))
    for dim, (stride, span) in enumerate(zip(strides, spans, strict=True)):
        index = lax.broadcasted_iota(np.uint32, piece, dim)
        step = multiply(index, stride, narrow=span < NARROW_END)
        if narrow:  # One carry, at the end.
            offset = advance(offset, step)
        else:
            numbers = advance(numbers, step)
    if size_of(dense) > NARROW_END:
        return advance(numbers, offset)
    lo = base.lo + offset.lo
    return Counter(lax.broadcast(base.hi, piece), lo)
