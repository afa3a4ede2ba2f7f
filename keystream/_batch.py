"""Items in lanes: functions and samplers mapped over keys."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp

from keystream import (
    _check,
    _check_key,
    _check_mesh,
    _check_tree,
    _children,
    _placement,
)
from keystream._called import bound, drawn, few_dims, over_keys
from keystream._check_lanes import Mapped
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error
from keystream._types import F, Position


def vmap(
    fun: F,
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    start: Position = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> F:
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
        to last digits. The keys are laid out over a mesh as the axis that is mapped beside
        them; each device makes its own.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or draws otherwise under `vmap` (rbg).
        ArgumentTypeError, ArgumentValueError: Bad axes, lanes of different numbers, no
            lanes at all, or a bad `start`.
        BodyError: `fun` returns no arrays.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> def noisy(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.vmap(noisy)(ks.key(42), jnp.zeros(5, int)).shape
        (5,)
    """
    _check.function_of("vmap", "fun", fun, "fun(key, *args)")
    _check.hashable("vmap", "axis_name", axis_name)
    _check.hashable("vmap", "spmd_axis_name", spmd_axis_name)

    def lane(key: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        out = drawn("vmap", "fun(key, *args)", fun, key, *args, **kwargs)
        _check_tree.out_axes("vmap", out_axes, out)
        return out

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        several = "For a key per lane that is there already: jax.vmap(fun)(keys, xs)."
        call = "ks.vmap(fun)(key, xs)"
        impl = _check_key.one_key("vmap", key, *args, call=call, several=several)
        _check_key.lanes("vmap", impl, key)
        _check_key.here("vmap", impl, key)
        _check_mesh.axes_in_context("vmap", "spmd_axis_name", spmd_axis_name)
        axes = _per_argument(in_axes, len(args))
        _check_axis_leaves("in_axes", axes)
        _check_axis_leaves("out_axes", out_axes)
        _check_tree.arrays("vmap", "args", (args, kwargs))
        lanes, over = _count_lanes(axes, args, kwargs, axis_size)
        first = _children.base(_check.start("vmap", start, lanes, impl), lanes, impl)
        keys = _placement.keys_beside(key, lanes, first, over)
        over_lanes = jax.vmap(
            lane,
            in_axes=(0, *_check_tree.whole_axes(axes)),
            out_axes=_check_tree.whole_axes(out_axes),
            axis_name=axis_name,
            axis_size=lanes,
            spmd_axis_name=spmd_axis_name,
        )
        try:
            return over_lanes(keys, *args, **kwargs)
        except ValueError as cause:
            # Whether a result differs between lanes only JAX knows.
            if "out_axes" not in str(cause) or "None" not in str(cause):
                raise
            wanted, got = "an axis for what differs between lanes", Words("None")
            cure = "To have them side by side: ks.vmap(fun, out_axes=0)."
            raise error(ArgumentValueError, "vmap", "out_axes", wanted, got, cure) from cause

    return mapped  # type: ignore[return-value] # F, mapped


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
    for axis in _check_tree.leaves("vmap", argument, axes):
        if _check.static_int(axis) is None:
            wanted = "an int, None, or a pytree of them"
            raise error(ArgumentTypeError, "vmap", argument, wanted, axes)


def _count_lanes(
    axes: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any], axis_size: Any
) -> tuple[int, list[tuple[int, Any]]]:
    """Return the number of lanes, and each array that is mapped with its axis."""
    mapped: list[tuple[int, Any]] = []
    sizes: set[int] = set()
    if axis_size is not None:
        sizes.add(_check.count("vmap", "axis_size", axis_size))
    try:
        pairs = _check_tree.axis_pairs((axes, 0), (args, kwargs))
    except ValueError:
        wanted = "a prefix of the arguments after the key"
        raise error(ArgumentValueError, "vmap", "in_axes", wanted, axes) from None
    given = Mapped(axes, args, kwargs, axis_size)
    for axis, leaf in pairs:
        if axis is None:
            continue
        where, shape = int(axis), jnp.shape(leaf)
        if not shape:
            raise given.no_axis(where, leaf)
        if not -len(shape) <= where < len(shape):
            wanted = f"an axis of an array of shape {shape}"
            raise error(ArgumentValueError, "vmap", "in_axes", wanted, where)
        sizes.add(shape[where])
        mapped.append((where, leaf))
    if not sizes:
        cure = "For a number of lanes: ks.vmap(fun, axis_size=n)."
        raise error(
            ArgumentValueError, "vmap", "axis_size", "given where nothing is mapped", None, cure
        )
    if len(sizes) > 1:
        raise given.unlike(sizes)
    _check.items("vmap", tuple(sizes), argument="axis_size")
    return sizes.pop(), mapped


def batched(sampler: F) -> F:
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
        BodyError: It returns no arrays.

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
            few_dims("batched", "keys", keys.shape)
        return over_keys(bound("batched", sampler, args, kwargs), keys)

    return call  # type: ignore[return-value] # F, mapped
