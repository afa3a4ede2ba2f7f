"""Items on devices, for programs that still use `jax.pmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from keystream import _check, _check_key, _children, _impl, _placement
from keystream._errors import ArgumentTypeError, ArgumentValueError, error


def pmap(
    fun: Callable[..., Any],
    axis_name: Hashable = "devices",
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Iterable[int] = (),
    devices: Sequence[Any] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Iterable[int] = (),
) -> Callable[..., Any]:
    """Return `fun(key, *args)` mapped over devices, lane i with child i of the key.

    For programs that still use `jax.pmap`; new ones use `shard_map`.

    Lane i gets `ks.derive(key, jax.lax.axis_index(axis_name))`, which under JAX's default
    settings is `jax.random.split(key, n)[i]`.

    Args:
        fun: `fun(key, *args)` for one device.
        axis_name: As in `jax.pmap`.
        in_axes: As in `jax.pmap`, for `*args` alone: the key is not counted.
        out_axes: As in `jax.pmap`.
        static_broadcasted_argnums: As in `jax.pmap`; numbers count without the key.
        devices: As in `jax.pmap`.
        backend: As in `jax.pmap`.
        axis_size: How many lanes; where no argument is mapped, one for each device.
        donate_argnums: As in `jax.pmap`; numbers count without the key.

    Returns:
        A function of one typed key and the arguments of `fun`.

    Key use:
        The call consumes the key that it is given.

    Guarantees:
        i is the global index, also over several processes. A lane's key depends on it
        alone; the number of lanes is part of the program.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or that JAX can't map over devices (philox4x32).
        ArgumentValueError: `in_axes` doesn't have one entry for each argument.

    Example:
        >>> import jax, keystream as ks
        >>> def draw(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.pmap(draw)(ks.key(42), jax.numpy.zeros(1, int)).shape
        (1,)
    """
    _check.function_of("pmap", "fun", fun, "fun(key, *args)")
    if not isinstance(axis_name, str):
        raise error(ArgumentTypeError, "pmap", "axis_name", "an axis name", axis_name)
    if axis_size is not None and _check.count("pmap", "axis_size", axis_size) == 0:
        raise error(ArgumentValueError, "pmap", "axis_size", "one or more", axis_size)

    def on_device(key: jax.Array, _: Any, *args: Any) -> Any:
        return fun(_children.axis_child(key, (axis_name,)), *args)

    @functools.cache
    def build(axes: tuple[Any, ...]) -> Callable[..., Any]:
        call: Callable[..., Any] = jax.pmap(
            on_device,
            axis_name,
            in_axes=(None, *axes),
            out_axes=out_axes,
            static_broadcasted_argnums=_shifted(static_broadcasted_argnums),
            devices=devices,
            backend=backend,
            axis_size=axis_size,
            donate_argnums=_shifted(donate_argnums),
        )
        return call

    static = _shifted(static_broadcasted_argnums, by=0)

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any) -> Any:
        impl = _check_key.one_key("pmap", key, each="[ks.pmap(fun)(key, xs) for key in keys]")
        _check_key.shards("pmap", impl, key)
        several = isinstance(in_axes, (tuple, list))
        if several and len(in_axes) != len(args):
            wanted = f"one entry for each argument after the key ({len(args)})"
            raise error(ArgumentValueError, "pmap", "in_axes", wanted, in_axes, must="hold")
        axes = tuple(in_axes) if several else (in_axes,) * len(args)
        _check_mapped(axes, args, static)
        placed = key if _check.is_traced(key) else _uncommitted(key)
        if _any_mapped(axes, args, static):
            return build((None, *axes))(placed, None, *args)
        # jax.pmap wants something to map over, even where it is told the size.
        lanes = jax.local_device_count(backend) if devices is None else len(devices)
        numbers = np.arange(lanes if axis_size is None else axis_size)
        return build((0, *axes))(placed, numbers, *args)

    return mapped


def _shifted(argnums: int | Iterable[int], by: int = 2) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    return tuple(n + by if n >= 0 else n for n in numbers)


def _check_mapped(axes: tuple[Any, ...], args: tuple[Any, ...], static: tuple[int, ...]) -> None:
    for number, (axis, arg) in enumerate(zip(axes, args, strict=True)):
        where = _check.static_int(axis)
        if number in static or number - len(args) in static or axis is None:
            continue
        if where is None and not isinstance(axis, (tuple, list, dict)):
            wanted = "an int, None, or a pytree of them"
            raise error(ArgumentTypeError, "pmap", "in_axes", wanted, axis)
        for leaf in jax.tree.leaves(arg):
            shape = getattr(leaf, "shape", ())
            if where is not None and not -len(shape) <= where < len(shape):
                wanted = f"of arrays with an axis {where} to map over"
                cure = "For one value on all devices: ks.pmap(fun, in_axes=None)."
                raise error(ArgumentValueError, "pmap", "args", wanted, leaf, cure)


def _any_mapped(axes: tuple[Any, ...], args: tuple[Any, ...], static: tuple[int, ...]) -> bool:
    return any(
        jax.tree.leaves(axis) and jax.tree.leaves(arg)
        for number, (axis, arg) in enumerate(zip(axes, args, strict=True))
        if number not in static and number - len(args) not in static
    )


def _uncommitted(key: jax.Array) -> jax.Array:
    # A key that is committed to one device can't go to others; its words can.
    if not key.committed:
        return key
    return _impl.wrap(_placement.host_words(key), key.dtype)
