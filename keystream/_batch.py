"""Items in lanes: samplers and functions mapped over keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keystream import _check, _check_key, _children, _placement
from keystream._call import Frozen, bound, freeze
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error
from keystream._placement import Placement
from keystream._scheme import Counter, advance

Sampler = Callable[..., Any]


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    start: Any = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> Callable[..., Any]:
    """Return `fun(key, *args)` mapped over lanes, lane i with child i of the key.

    Reach for it as for `jax.vmap` where each lane draws. For draws without inputs use
    `sample`; for keys you already have `batched`.

    `ks.vmap(fun)(key, xs)` equals `jax.vmap(fun)(ks.keys(key, n), xs)`, whose keys are
    `jax.random.split(key, n)` under JAX's default settings.

    Args:
        fun: `fun(key, *args)` for one lane.
        in_axes: As in `jax.vmap`, for `*args` alone: the key is not counted. Keyword
            arguments are mapped over their first axis.
        out_axes: As in `jax.vmap`.
        start: Position of lane 0, an integer scalar, static or traced.
        axis_name: As in `jax.vmap`.
        axis_size: How many lanes; needed where nothing is mapped.
        spmd_axis_name: As in `jax.vmap`.

    Returns:
        A function of one typed key and the arguments of `fun`.

    Key use:
        The call consumes the key that it is given; calls over disjoint ranges of
        positions are one consumption.

    Guarantees:
        Lane i's key and raw bits depend on neither the number of lanes nor the axes. Lanes
        equal the loop exactly for keys, bits and what is made of bits alone; floats agree
        to last digits.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or draws otherwise under `vmap` (rbg).
        ArgumentTypeError, ArgumentValueError: Bad axes, lanes of different numbers, no
            lanes at all, or a bad `start`.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> def noisy(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.vmap(noisy)(ks.key(42), jnp.zeros(5, int)).shape
        (5,)
    """
    _check.function_of("vmap", "fun", fun, "fun(key, *args)")

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        impl = _check_key.one_key(
            "vmap", key, each="jax.vmap(lambda key: ks.vmap(fun)(key, xs))(keys)"
        )
        _check_key.lanes("vmap", impl, key)
        axes = _per_argument(in_axes, len(args))
        _check_axis_leaves("out_axes", out_axes)
        _check.arrays("vmap", "args", (args, kwargs))
        lanes = _count_lanes(axes, args, kwargs, axis_size)
        first = _children.base(_check.start("vmap", start, lanes, impl), lanes, impl)
        keys = _children.eager_row(key, (lanes,), first)
        call = jax.vmap(
            fun,
            in_axes=(0, *axes),
            out_axes=out_axes,
            axis_name=axis_name,
            axis_size=lanes,
            spmd_axis_name=spmd_axis_name,
        )
        return call(keys, *args, **kwargs)

    return mapped


def _per_argument(in_axes: Any, count: int) -> tuple[Any, ...]:
    if in_axes is None or _check.static_int(in_axes) is not None:
        return (in_axes,) * count
    if not isinstance(in_axes, (tuple, list)):
        wanted = "an int, None, or a tuple with one entry for each argument after the key"
        raise error(ArgumentTypeError, "vmap", "in_axes", wanted, in_axes)
    if len(in_axes) != count:
        wanted = f"one entry for each argument after the key ({count})"
        cure = "The key has no entry: ks.vmap(fun, in_axes=(0, None))(key, x, y)."
        raise error(ArgumentValueError, "vmap", "in_axes", wanted, in_axes, cure, must="hold")
    return tuple(in_axes)


def _check_axis_leaves(argument: str, axes: Any) -> None:
    for axis in jax.tree.leaves(axes):
        if _check.static_int(axis) is None:
            wanted = "an int, None, or a pytree of them"
            raise error(ArgumentTypeError, "vmap", argument, wanted, axes)


def _count_lanes(
    axes: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any], axis_size: Any
) -> int:
    sizes: set[int] = set()
    if axis_size is not None:
        sizes.add(_check.count("vmap", "axis_size", axis_size))
    for axis, leaf in _axis_leaves((axes, 0), (args, kwargs)):
        if axis is None:
            continue
        where, shape = _check.static_int(axis), jnp.shape(leaf)
        if where is None or not -len(shape) <= where < len(shape):
            wanted = f"an axis of {Words(_shape_words(shape))}"
            raise error(ArgumentValueError, "vmap", "in_axes", wanted, axis)
        sizes.add(shape[where])
    if not sizes:
        cure = "For a number of lanes: ks.vmap(fun, axis_size=n)."
        raise error(
            ArgumentValueError, "vmap", "axis_size", "given where nothing is mapped", None, cure
        )
    if len(sizes) > 1:
        got = Words(" and ".join(map(str, sorted(sizes))))
        raise error(ArgumentValueError, "vmap", "args", "of one number of lanes", got)
    _check.items("vmap", tuple(sizes), argument="axis_size")
    return sizes.pop()


def _shape_words(shape: tuple[int, ...]) -> str:
    return f"an array of shape {shape}" if shape else "a scalar, which has none"


def _axis_leaves(axes: Any, args: Any) -> list[tuple[Any, Any]]:
    try:
        spread = jax.tree.broadcast(axes, args, is_leaf=lambda leaf: leaf is None)
    except ValueError:
        wanted = "a prefix of the arguments after the key"
        raise error(ArgumentValueError, "vmap", "in_axes", wanted, axes[0]) from None
    none = jax.tree.leaves(spread, is_leaf=lambda leaf: leaf is None)
    leaves = jax.tree.leaves(args, is_leaf=lambda leaf: leaf is None)
    return [(a, v) for a, v in zip(none, leaves, strict=True) if v is not None]


def batched(sampler: Sampler) -> Sampler:
    """Return a one-key sampler made to take a key array of any shape in front.

    Reach for it where the keys are at hand, as from `keys`, `derive` or `shard_keys`. For
    draws from one key use `sample`.

    `ks.batched(sampler)(keys, *args)[i, j] == sampler(keys[i, j], *args)`.

    Args:
        sampler: Any function of one key and further arguments that returns a pytree of
            arrays: a `jax.random` sampler or your own.

    Returns:
        A function of a typed key array and the sampler's arguments, which every lane
        shares. What it returns has the shape of the keys in front.

    Key use:
        The call consumes each key of the array.

    Guarantees:
        Lanes equal the loop exactly for keys, bits and what is made of bits alone; floats
        agree to last digits. A key of shape () is passed through. Sharded keys stay where
        they are.

    Raises:
        KeyTypeError, KeyImplError: Not typed keys, or an implementation that is refused or
            draws otherwise under `vmap` (rbg).
        ArgumentTypeError: `sampler` is not a function.

    Example:
        >>> import jax, keystream as ks
        >>> ks.batched(jax.random.normal)(ks.keys(ks.key(42), (2, 3)), (4,)).shape
        (2, 3, 4)
    """
    _check.function_of("batched", "sampler", sampler, "sampler(key, *args)")

    @functools.wraps(sampler)
    def call(keys: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        impl = _check_key.key_array("batched", keys)
        if keys.shape:
            _check_key.lanes("batched", impl, keys, argument="keys")
        return _over_keys(bound(sampler, args, kwargs), keys)

    return call


def _over_keys(fun: Sampler, keys: jax.Array) -> Any:
    for _ in keys.shape:
        fun = jax.vmap(fun)
    return fun(keys)


def sample(
    sampler: Sampler,
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
        or a raw bit of a draw: exact for bits and what is made of bits alone (uniform,
        randint, bernoulli, permutation). Samplers that go through float functions agree to
        last digits, and one that rejects may rarely give another value; the documentation
        has a table. With `batch_size` or `out_sharding` the call is compiled, once for
        each sampler, shape and static argument: pass the same function, not a new lambda.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or draws otherwise under `vmap` (rbg).
        ArgumentTypeError, ArgumentValueError: A bad `sampler`, `shape`, `start` or
            `batch_size`; a mesh that doesn't divide `shape`.
        MeshAxisError: The sharding names an axis that the mesh doesn't have.

    Example:
        >>> import jax, keystream as ks
        >>> ks.sample(jax.random.normal, ks.key(42), 10).shape
        (10,)
        >>> ks.sample(jax.random.normal, ks.key(42), (2, 3), shape=(4,)).shape
        (2, 3, 4)
    """
    _check.function_of("sample", "sampler", sampler, "sampler(key, *args)")
    impl = _check_key.one_key(
        "sample", key, each="jax.vmap(lambda key: ks.sample(f, key, 3))(keys)"
    )
    _check_key.lanes("sample", impl, key)
    sizes = _check.shape("sample", shape)
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
    _check.items("sample", sizes)
    if batch is None or batch >= total:
        return _over_keys(bound(sampler, args, kwargs), _children.eager_row(key, sizes, first))
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
    fun: Sampler,
    key: jax.Array,
    counter: Callable[[jax.Array], Counter],
    shape: tuple[int, ...],
    batch: int | None,
    empty: Callable[[Sampler, int], Any],
) -> Any:
    """Draw for every place of a shape, `batch` places at a time, into one buffer.

    The last batch is moved back to end with the shape, so that all are of one size and
    nothing is joined afterwards: the few draws made twice are the same ones.
    """
    total = _check.size_of(shape)

    def draw(index: jax.Array) -> Any:
        return _over_keys(fun, _children.children(key, counter(index)))

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


def _zeros(draw: Sampler, total: int) -> Any:
    out = jax.eval_shape(draw, jax.ShapeDtypeStruct((1,), np.uint32))
    return jax.tree.map(lambda leaf: lax.full((total, *leaf.shape[1:]), 0, leaf.dtype), out)


def _varying(draw: Sampler, total: int) -> Any:
    # Where JAX checks it, a buffer has to vary over the mesh axes over which the draws do.
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (total, *leaf.shape[1:])), draw(lax.iota(np.uint32, 1))
    )
