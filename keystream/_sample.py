"""Items in lanes: draws of any shape, in batches and on a mesh."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keystream import _check, _check_key, _children, _placement
from keystream._call import Frozen, bound, few_dims, freeze, over_keys
from keystream._placement import Placement
from keystream._scheme import Counter, advance


def sample(
    sampler: Callable[..., Any],
    key: jax.Array,
    shape: Any,
    /,
    *args: Any,
    start: Any = 0,
    batch_size: int | None = None,
    out_sharding: Any = None,
    **kwargs: Any,
) -> Any:
    """Draw for every place of a shape, place i with child i of the key.

    Reach for it where each draw should stand on its own: the same number for item i
    however many are drawn, in whatever batches, on whatever mesh. For keys rather than
    draws use `keys`.

    `ks.sample(sampler, key, n)[i] == sampler(ks.derive(key, i))`, and under JAX's default
    settings `ks.sample(sampler, key, n)` is `jax.vmap(sampler)(jax.random.split(key, n))`.

    Args:
        sampler: Any function of one key and further arguments that returns a pytree of
            arrays: a `jax.random` sampler or your own.
        key: One typed key.
        shape: An int or a tuple of sizes of zero or more; `()` is one draw, from child
            `start`.
        *args: Further arguments of the sampler, shared by all draws. Arrays may be traced;
            anything else stays what it is.
        start: Position of the first draw, an integer scalar, static or traced.
        batch_size: How many draws are made at once; bounds the memory to the result and
            the work space of one batch. None for all of them.
        out_sharding: Where to put the draws on a mesh: a NamedSharding, or a PartitionSpec
            for the mesh in context, over the dimensions of `shape`. Each device then makes
            its own part, without communication.
        **kwargs: Keyword arguments of the sampler, its own `shape=` among them.

    Returns:
        What the sampler returns, each array with `shape` in front.

    Key use:
        Consumes `key`; calls over disjoint ranges of positions are one consumption.

    Guarantees:
        Neither `shape`, `batch_size`, the mesh nor the number of processes changes a key
        or a raw bit of a draw: exact for bits and what is made of bits alone (uniform on
        [0, 1), randint, bernoulli, permutation). Float functions, and uniform with another
        range, agree to last digits, and a sampler that rejects may rarely give another value;
        the documentation has a table.

        With `batch_size` or `out_sharding` the call is compiled, once for
        each sampler, shape and static argument: pass the same function, not a new lambda.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or draws otherwise under `vmap` (rbg).
        ArgumentTypeError, ArgumentValueError: A bad `sampler`, `shape`, `start` or
            `batch_size`; a mesh that doesn't divide `shape`, or isn't the one in context.
        BodyError: `sampler` doesn't take what it is called with, or returns no arrays.
        MeshAxisError: The sharding names an axis that the mesh doesn't have.

    Example:
        >>> import jax, keystream as ks
        >>> ks.sample(jax.random.normal, ks.key(42), 10).shape
        (10,)
        >>> ks.sample(jax.random.normal, ks.key(42), (2, 3), shape=(4,)).shape
        (2, 3, 4)
    """
    _check.function_of("sample", "sampler", sampler, "sampler(key, *args)")
    several = "For a key per draw that is there already: ks.batched(sampler)(keys)."
    right = "ks.sample(sampler, key, n)"
    impl = _check_key.one_key("sample", key, shape, call=right, several=several)
    _check_key.lanes("sample", impl, key)
    sizes = _check.shape("sample", shape)
    few_dims("sample", "shape", sizes)
    total = _check.size_of(sizes)
    first = _children.base(_check.start("sample", start, total, impl), total, impl)
    batch = None if batch_size is None else _check.batch_size("sample", batch_size)
    if out_sharding is not None:
        _check_key.shards("sample", impl, key)
        place = _placement.resolve("sample", sizes, out_sharding)
        _check.items("sample", place.local)
        call, arrays = freeze(sampler, args, kwargs)
        return _placement.spread(
            place, _local_draws, key, first, arrays, options=_Options(call, batch)
        )
    _check_key.here("sample", impl, key)
    _check.items("sample", sizes)
    if batch is None or batch >= total:
        return over_keys(
            bound("sample", sampler, args, kwargs), _children.eager_row(key, sizes, first)
        )
    call, arrays = freeze(sampler, args, kwargs)
    return _batched_draws(key, first, arrays, shape=sizes, options=_Options(call, batch))


class _Options(NamedTuple):
    call: Frozen
    batch: int | None


def _make_batched(
    key: jax.Array,
    start: Counter | None,
    arrays: list[Any],
    shape: tuple[int, ...],
    options: _Options,
) -> Any:
    def counter(index: jax.Array) -> Counter:
        offset = Counter(None, index)
        return offset if start is None else advance(start, offset)

    empty = _varying if jax.sharding.get_abstract_mesh().manual_axes else _zeros
    return _in_batches(options.call.thaw(arrays), key, counter, shape, options.batch, empty)


_batched_draws = _children.one_dispatch(_make_batched, static=("shape", "options"))


def _local_draws(
    key: jax.Array,
    start: Counter | None,
    arrays: list[Any],
    *,
    place: Placement,
    options: _Options,
) -> Any:
    counter = functools.partial(_placement.positions, place, start)
    fun = options.call.thaw(arrays)
    return _in_batches(fun, key, counter, place.local, options.batch, _zeros)


def _in_batches(
    fun: Callable[..., Any],
    key: jax.Array,
    counter: Callable[[jax.Array], Counter],
    shape: tuple[int, ...],
    batch: int | None,
    empty: Callable[[Callable[..., Any], int], Any],
) -> Any:
    """Draw for every place of a shape, `batch` places at a time, into one buffer.

    The last batch is moved back to end with the shape, so that all are of one size and
    nothing is joined afterwards: the few draws made twice are the same ones.
    """
    total = _check.size_of(shape)

    def draw(index: jax.Array) -> Any:
        return over_keys(fun, _children.children(key, counter(index)))

    if batch is None or batch >= total:
        return draw(lax.iota(np.uint32, total).reshape(shape))
    last = total - batch

    def one(i: Any, buffers: Any) -> Any:
        chunk = lax.convert_element_type(i, np.uint32)
        first = jnp.minimum(chunk * np.uint32(batch), np.uint32(last))
        drawn = draw(first + lax.iota(np.uint32, batch))
        return jax.tree.map(
            lambda buffer, part: lax.dynamic_update_slice_in_dim(buffer, part, first, 0),
            buffers,
            drawn,
        )

    buffers = lax.fori_loop(0, -(-total // batch), one, empty(draw, total))
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), buffers)


def _zeros(draw: Callable[..., Any], total: int) -> Any:
    out = jax.eval_shape(draw, jax.ShapeDtypeStruct((1,), np.uint32))
    return jax.tree.map(lambda leaf: lax.full((total, *leaf.shape[1:]), 0, leaf.dtype), out)


def _varying(draw: Callable[..., Any], total: int) -> Any:
    # Where JAX checks it, a buffer has to vary over the mesh axes over which the draws do.
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (total, *leaf.shape[1:])), draw(lax.iota(np.uint32, 1))
    )
