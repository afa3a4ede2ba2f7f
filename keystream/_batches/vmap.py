"""Map functions and samplers over keys: `vmap`, `batched`."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp

from keystream._checks.calls import bind_sampler, call_for_arrays, check_few_dims, map_over_keys
from keystream._checks.key import check_draws_in_lanes, check_key, check_key_in_context, check_keys
from keystream._checks.mesh import check_axes_in_context
from keystream._checks.numbers import check_count, check_size, check_start
from keystream._checks.tree import axis_pairs, check_arrays, check_bounded
from keystream._errors import public
from keystream._keys import children, placement
from keystream._types import F, Position


@public
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
        ArgumentTypeError, ArgumentValueError: Arguments that are no arrays, a bad
            `axis_size` or `start`.
        BodyError: `fun` returns no arrays.

        For all else `jax.vmap` has errors of its own.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> def noisy(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.vmap(noisy)(ks.key(42), jnp.zeros(5, int)).shape
        (5,)
    """
    check_bounded("in_axes", in_axes)
    check_bounded("out_axes", out_axes)

    @functools.wraps(fun)
    def lane(key: jax.Array | None, /, *args: Any, **kwargs: Any) -> Any:
        return call_for_arrays("fun(key, *args)", fun, key, *args, **kwargs)

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        several = "For a key per lane that is there already: jax.vmap(fun)(keys, xs)."
        call = "ks.vmap(fun)(key, xs)"
        impl = check_key(key, *args, call=call, several=several)
        check_draws_in_lanes(impl, key)
        check_key_in_context(impl, key)
        check_axes_in_context("spmd_axis_name", spmd_axis_name)
        check_arrays("args", (args, kwargs))
        over = functools.partial(
            jax.vmap,
            out_axes=out_axes,
            axis_name=axis_name,
            spmd_axis_name=spmd_axis_name,
        )
        axes = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        beside = _mapped(axes, args, kwargs)
        lanes = jnp.shape(beside[0][1])[beside[0][0]] if beside else None
        if axis_size is not None:
            lanes = check_count("axis_size", axis_size)
        if lanes is None:  # JAX has an error for it, about what the user gave alone.
            return over(functools.partial(lane, None), in_axes)(*args, **kwargs)
        check_size((lanes,), argument="axis_size")
        first = children.start_counter(check_start(start, lanes, impl), lanes, impl)
        keys = placement.make_keys_beside(key, lanes, first, beside)
        return over(lane, (0, *axes))(keys, *args, **kwargs)

    return public(mapped, "vmap")  # type: ignore[return-value] # F, mapped


def _mapped(axes: tuple[Any, ...], args: Any, kwargs: dict[str, Any]) -> list[tuple[int, Any]]:
    """Return each array that is mapped with its axis; none where JAX will refuse."""
    try:
        pairs = axis_pairs((axes, 0), (args, kwargs))
    except ValueError:
        return []
    mapped = [(axis, leaf) for axis, leaf in pairs if axis is not None]
    fits = [type(at) is int and -jnp.ndim(leaf) <= at < jnp.ndim(leaf) for at, leaf in mapped]
    return mapped if all(fits) else []


@public
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
        BodyError: It returns no arrays.

    Example:
        >>> import jax, keystream as ks
        >>> ks.batched(jax.random.normal)(ks.keys(ks.key(42), (2, 3)), (4,)).shape
        (2, 3, 4)
    """

    @functools.wraps(sampler)
    def call(keys: jax.Array, /, *args: Any, **kwargs: Any) -> Any:
        impl = check_keys(keys)
        if keys.shape:
            check_draws_in_lanes(impl, keys, argument="keys")
            check_few_dims("keys", keys.shape)
        return map_over_keys(bind_sampler(sampler, args, kwargs), keys)

    return public(call, "batched")  # type: ignore[return-value] # F, mapped
