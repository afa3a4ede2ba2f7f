"""Map a function over devices, each with its own key: `pmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from keystream._checks.calls import call_for_arrays
from keystream._checks.key import check_key, check_maps_over_devices
from keystream._errors import ArgumentValueError, error, public
from keystream._keys import children
from keystream._types import F


@public
def pmap(
    fun: F,
    axis_name: Hashable = "devices",
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Iterable[int] = (),
    devices: Sequence[Any] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Iterable[int] = (),
) -> F:
    """Return `fun(key, *args)` mapped over devices, lane i with child i of the key.

    For programs that still use `jax.pmap`; new ones use `shard_map`.

    Lane i gets `ks.derive(key, jax.lax.axis_index(axis_name))`, which under JAX's default
    settings is `jax.random.split(key, n)[i]`.

    Args:
        fun: `fun(key, *args)` for one device.
        axis_name: As in `jax.pmap`.
        in_axes: As in `jax.pmap`, for `*args` alone: the key is not counted. Counted from
            the front, as are `out_axes`: `jax.pmap` takes a wrong axis from the end.
        out_axes: As in `jax.pmap`.
        static_broadcasted_argnums: As in `jax.pmap`; numbers count without the key, from
            the end too.
        devices: As in `jax.pmap`.
        backend: As in `jax.pmap`.
        axis_size: How many lanes; where no argument is mapped, one for each device.
        donate_argnums: As in `jax.pmap`; numbers count as those of static arguments.

    Returns:
        A function of one typed key and the arguments of `fun`.

    Key use:
        The call consumes the key that it is given.

    Guarantees:
        i is the global index, also over several processes. A lane's key depends on it
        alone; the number of lanes is part of the program. Calling the returned function
        again compiles nothing; as with `jax.pmap`, what `fun` closed over when it was
        compiled stays what it was then.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or that JAX can't map over devices (philox4x32).
        ArgumentValueError: An axis that is counted from the end, or the number of an
            argument that isn't there. For all else `jax.pmap` has errors of its own.
        BodyError: `fun` returns no arrays.

    Example:
        >>> import jax, keystream as ks
        >>> def draw(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.pmap(draw)(ks.key(42), jax.numpy.zeros(1, int)).shape
        (1,)
    """
    static, donated = _argnums(static_broadcasted_argnums), _argnums(donate_argnums)
    for name, axes in (("in_axes", in_axes), ("out_axes", out_axes)):
        if any(isinstance(axis, int) and axis < 0 for axis in jax.tree.leaves(axes)):
            # jax.pmap takes a wrong axis there (jax 0.10.2 and 0.12.0).
            raise error(ArgumentValueError, name, "counted from the front", axes)

    def on_device(key: jax.Array, _: Any, *args: Any) -> Any:
        use = children.axis_child(key, (axis_name,))
        return call_for_arrays("fun(key, *args)", fun, use, *args)

    @functools.cache
    def build(marked: bool, count: int) -> Callable[..., Any]:
        call: Callable[..., Any] = jax.pmap(
            on_device,
            axis_name,
            in_axes=(None, 0 if marked else None, *_per_argument(in_axes, count)),
            out_axes=out_axes,
            static_broadcasted_argnums=_shift("static_broadcasted_argnums", static, count),
            devices=devices,
            backend=backend,
            axis_size=axis_size,
            donate_argnums=_shift("donate_argnums", donated, count),
        )
        return call

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any) -> Any:
        several = "For a key per device that is there already: jax.pmap(fun)(keys, xs)."
        right = "ks.pmap(fun)(key, xs)"
        impl = check_key(key, *args, call=right, several=several)
        check_maps_over_devices(impl, key)
        if _any_mapped(_per_argument(in_axes, len(args)), args, static):
            return build(False, len(args))(key, None, *args)
        # jax.pmap wants something to map over, even where it is told the size.
        lanes = jax.local_device_count(backend) if devices is None else len(devices)
        numbers = np.arange(lanes if axis_size is None else axis_size)
        return build(True, len(args))(key, numbers, *args)

    return public(mapped, "pmap")  # type: ignore[return-value] # F, mapped


def _per_argument(in_axes: Any, count: int) -> tuple[Any, ...]:
    return tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * count


def _argnums(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _shift(argument: str, numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Count the key and the marker too, and from the front."""
    for number in numbers:
        if not -count <= number < count:
            wanted = f"numbers of the arguments after the key ({count})"
            raise error(ArgumentValueError, argument, wanted, number)
    return tuple(number % count + 2 for number in numbers)


def _any_mapped(axes: tuple[Any, ...], args: tuple[Any, ...], static: tuple[int, ...]) -> bool:
    return any(
        jax.tree.leaves(axis) and jax.tree.leaves(arg)
        for number, (axis, arg) in enumerate(zip(axes, args, strict=False))
        if number not in static and number - len(args) not in static
    )
