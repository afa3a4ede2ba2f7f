"""Make keys from a key and counters, for every helper that makes keys.

`child` is the only place where a key becomes another one. A counter below 2**32 is
`jax.random.fold_in`, which every implementation has; one with a high word is a block of
the public threefry2x32 cipher, which continues the same sequence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Here and not at first use, although it is half of what importing keystream costs (it brings
# Pallas along): imported late, it makes JAX 0.12 compile every jitted function once more.
from jax.extend.random import threefry2x32_p

from keystream import _compat
from keystream._checks.static import size_of, static_int
from keystream._checks.values import is_symbolic, is_traced, read_setting
from keystream._impl import accepted_impl, wrap
from keystream._keys.scheme import Counter, advance, array_counter, narrow, widen
from keystream._known import NARROW_END, Impl

P = ParamSpec("P")
R = TypeVar("R")


def one_dispatch(fun: Callable[P, R], static: str | tuple[str, ...] = ()) -> Callable[P, R]:
    """Compile `fun` for eager calls; while tracing call it as it is, so that it inlines."""
    compiled = jax.jit(fun, static_argnames=static)

    @functools.wraps(fun)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        traced = is_traced(*args, *kwargs.values())
        return (fun if traced else compiled)(*args, **kwargs)

    return call


def child(key: jax.Array, counter: Counter) -> jax.Array:
    """Return the child of one key at one counter."""
    if counter.hi is None:
        return jax.random.fold_in(key, counter.lo)
    words = jax.random.key_data(key)
    operands = (words[0], words[1], jnp.asarray(counter.hi), jnp.asarray(counter.lo))
    block = threefry2x32_p.bind(*operands)
    return wrap(as_varying(jnp.stack(block), operands), key.dtype)


def as_varying(block: jax.Array, operands: Sequence[jax.Array]) -> jax.Array:
    """Have a block vary over the mesh axes over which any of its operands does."""
    # The type rule of threefry2x32_p forgets over which mesh axes its operands vary (jax
    # 0.10.2 and 0.12.0), so that shard_map would take children that differ for equal ones.
    # Adding a zero that varies as they do puts it right; XLA folds it away.
    if not _compat.cipher_forgets_axes():
        return block
    return block + functools.reduce(lax.add, [word * np.uint32(0) for word in operands])


def children(keys: jax.Array, counters: Counter) -> jax.Array:
    """Return child `counters[i]` of `keys[i]`; the two broadcast as in NumPy."""
    shape = jnp.broadcast_shapes(keys.shape, counters.lo.shape)
    keys, key_axes = _mapped_axes(keys, shape)
    hi, lo = counters
    lo, axes = _mapped_axes(lo, shape)
    hi = None if hi is None else _mapped_axes(hi, shape)[0]
    fun = child
    for in_axes in zip(reversed(key_axes), reversed(axes), strict=True):
        fun = jax.vmap(fun, in_axes)
    return fun(keys, Counter(hi, lo))


def _mapped_axes(value: Any, shape: tuple[int, ...]) -> tuple[Any, list[int | None]]:
    # Dimensions that only broadcast are dropped here and closed over by vmap: no key is
    # made twice, and nothing is copied.
    missing = len(shape) - len(value.shape)
    own = [d for d, size in enumerate(value.shape) if size == shape[missing + d]]
    dropped = tuple(d for d in range(len(value.shape)) if d not in own)
    axes: list[int | None] = [0 if d - missing in own else None for d in range(len(shape))]
    return (value.squeeze(dropped) if dropped else value), axes


def walk(key: jax.Array, path: tuple[Any, ...]) -> jax.Array:
    """Follow a path of counters and integer arrays from one key."""
    keys = key
    for depth, part in enumerate(path):
        keys = settle(keys) if depth else keys
        counter = part if isinstance(part, Counter) else array_counter(part)
        scalar = not (keys.shape or np.shape(counter.lo))
        keys = child(keys, counter) if scalar else children(keys, counter)
    return keys


def axis_child(key: jax.Array, names: tuple[Any, ...]) -> jax.Array:
    """Return the child of one key at this shard's or lane's index along mapped axes."""
    index = lax.axis_index(names if len(names) > 1 else names[0])
    return child(key, Counter(None, index.astype(np.uint32)))


def settle(keys: jax.Array) -> jax.Array:
    """Have keys computed before they are used, where XLA would do worse than that."""
    # XLA fuses chained blocks of a cipher that is lowered unrolled into one expression
    # that grows exponentially: three vectorized folds of threefry4x32 keys on a CPU ran
    # for more than ten minutes (jax 0.10.2). threefry2x32 is lowered as a loop there,
    # and accelerated (`_speed/lowering`) as a call, which isn't inlined.
    if jax.random.key_impl(keys) == "threefry2x32":
        return keys
    words = lax.optimization_barrier(jax.random.key_data(keys))
    return wrap(words, keys.dtype)


def start_counter(start: Any, size: int, impl: Impl) -> Counter | None:
    """Return the counter of a checked start: None for zero, no high word if none is needed."""
    number = static_int(start)
    if number is None:
        start = jnp.asarray(start) if is_symbolic(start) else start
        counter = array_counter(start)
        if not impl.cipher:
            return narrow(counter)
        return counter if counter.hi is not None else Counter(counter.lo & 0, counter.lo)
    if not impl.cipher:
        # With no items the start may be one past the end, which the word can't hold.
        number %= NARROW_END
    fits = number == 0 if is_symbolic(size) else max(number + 1, number + size) <= NARROW_END
    if fits or not impl.cipher:
        return Counter(None, np.uint32(number)) if number else None
    return Counter(np.uint32(number >> 32), np.uint32(number & 0xFFFFFFFF))


def row(
    key: jax.Array, shape: tuple[int, ...], start: Counter | None, out_sharding: Any = None
) -> jax.Array:
    """Return consecutive children of one key, in C order, from `start` on.

    A row of one dimension can be laid out over Explicit mesh axes; each device then makes its
    own part.
    """
    if start is None and out_sharding is None and _split_is_fold(key):
        return jax.random.split(key, shape)
    numbers = lax.broadcasted_iota(np.uint32, (size_of(shape),), 0, out_sharding=out_sharding)
    index = Counter(None, numbers if len(shape) == 1 else numbers.reshape(shape))
    return children(key, index if start is None else advance(start, index))


def _split_is_fold(key: jax.Array) -> bool:
    # Where it holds, `split` is the form that people write by hand and that JAX's own
    # tools read.
    impl = accepted_impl(key.dtype)
    always = impl and not impl.ambient_split
    return bool(always or read_setting("jax_threefry_partitionable"))


def eager_tuple(key: jax.Array, num: int) -> tuple[jax.Array, ...]:
    """Return the first children of one key: compiled for each number, inlined in a trace."""
    return (_make_tuple if is_traced(key) else _tuple)(key, num)


def _make_tuple(key: jax.Array, num: int) -> tuple[jax.Array, ...]:
    return tuple(row(key, (num,), None))


def eager_walk(key: jax.Array, path: tuple[Any, ...]) -> jax.Array:
    """Follow a path: compiled for its length and its arrays' shapes, inlined in a trace."""
    if is_traced(key, path):
        return walk(key, path)
    return _walk(key, tuple(two_words(key, part) for part in path))


def eager_row(key: jax.Array, shape: tuple[int, ...], start: Counter | None) -> jax.Array:
    """Return consecutive children: compiled for each shape, inlined in a trace."""
    if is_traced(key, start):
        return row(key, shape, start)
    return _row(key, shape, two_words(key, start))


def two_words(key: jax.Array, counter: Any) -> Any:
    """Give a static counter both its words, so that all of them share one compiled call."""
    if type(counter) is not Counter or np.shape(counter.lo):
        return counter
    impl = accepted_impl(key.dtype)
    return widen(counter) if impl and impl.cipher else counter


_tuple: Callable[..., tuple[jax.Array, ...]] = jax.jit(_make_tuple, static_argnums=1)
_walk: Callable[..., jax.Array] = jax.jit(walk)
_row: Callable[..., jax.Array] = jax.jit(row, static_argnums=1)
