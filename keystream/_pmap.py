"""Items on devices, for programs that still use `jax.pmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from keystream import (
    _check,
    _check_key,
    _check_tree,
    _children,
    _impl,
    _key_first,
    _placement,
)
from keystream._called import drawn
from keystream._check_lanes import Mapped
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error


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
        ArgumentTypeError, ArgumentValueError: Bad axes, argument numbers, devices or
            backend, lanes of different numbers, or a mesh in context.
        BodyError: `fun` doesn't take what it is called with, or returns no arrays.

    Example:
        >>> import jax, keystream as ks
        >>> def draw(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.pmap(draw)(ks.key(42), jax.numpy.zeros(1, int)).shape
        (1,)
    """
    _check.function_of("pmap", "fun", fun, "fun(key, *args)")
    _check_axis(axis_name, axis_size)

    static, donated = (
        _argnums(name, value)
        for name, value in (
            ("static_broadcasted_argnums", static_broadcasted_argnums),
            ("donate_argnums", donate_argnums),
        )
    )
    _check_where(devices, backend)
    _check_axes("out_axes", out_axes)

    def on_device(key: jax.Array, _: Any, *args: Any) -> Any:
        use = _children.axis_child(key, (axis_name,))
        out = drawn("pmap", "fun", fun, "fun(key, *args)", use, *args)
        _check_tree.out_axes("pmap", out_axes, out)
        return out

    @functools.cache
    def build(axes: tuple[Any, ...]) -> Callable[..., Any]:
        call: Callable[..., Any] = jax.pmap(
            on_device,
            axis_name,
            in_axes=(None, *_check_tree.whole_axes(axes)),
            out_axes=_check_tree.whole_axes(out_axes),
            static_broadcasted_argnums=_shifted(static, len(axes)),
            devices=devices,
            backend=backend,
            axis_size=axis_size,
            donate_argnums=_shifted(donated, len(axes)),
        )
        return call

    def mapped(key: jax.Array, /, *args: Any) -> Any:
        several = "For a key per device that is there already: jax.pmap(fun)(keys, xs)."
        right = "ks.pmap(fun)(key, xs)"
        impl = _check_key.one_key("pmap", key, *args, call=right, several=several)
        _check_key.shards("pmap", impl, key)
        if not jax.sharding.get_abstract_mesh().empty:
            wanted, got = "where no mesh is in context", Words("a call under one")
            cure = (
                "Under one: ks.shard_map(fun, in_specs=in_specs, out_specs=out_specs, vary=vary)."
            )
            raise error(ArgumentValueError, "pmap", "fun", wanted, got, cure, must="be called")
        listed = isinstance(in_axes, (tuple, list))
        if listed and len(in_axes) != len(args):
            wanted = f"one entry for each argument after the key ({len(args)})"
            raise error(ArgumentValueError, "pmap", "in_axes", wanted, in_axes, must="hold")
        axes = tuple(in_axes) if listed else (in_axes,) * len(args)
        _check_static(args, "static_broadcasted_argnums", static)
        _check_static(args, "donate_argnums", donated)
        if {number % len(args) for number in static} & {number % len(args) for number in donated}:
            wanted = "of other arguments than static_broadcasted_argnums"
            raise error(ArgumentValueError, "pmap", "donate_argnums", wanted, donated)
        _check_mapped(axes, args, static, axis_size, devices, backend)
        placed = key if _check.is_traced(key) else _uncommitted(key)
        if _any_mapped(axes, args, static):
            return build((None, *axes))(placed, None, *args)
        # jax.pmap wants something to map over, even where it is told the size.
        lanes = jax.local_device_count(backend) if devices is None else len(devices)
        numbers = np.arange(lanes if axis_size is None else axis_size)
        return build((0, *axes))(placed, numbers, *args)

    return _key_first.by_position("pmap", fun, mapped, "ks.pmap(fun)(key, xs)")


def _argnums(argument: str, value: Any) -> tuple[int, ...]:
    """Return argument numbers as a tuple of ints."""
    several = isinstance(value, (tuple, list, set, frozenset, range))
    numbers = [_check.static_int(number) for number in (value if several else (value,))]
    if any(number is None for number in numbers):
        raise error(ArgumentTypeError, "pmap", argument, "an int or a tuple of ints", value)
    return tuple(number for number in numbers if number is not None)


def _shifted(argnums: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Count the key and the marker too; JAX doesn't count from the end."""
    return tuple(n + 2 if n >= 0 else n + count + 1 for n in argnums)


def _check_axis(name: Any, size: Any) -> None:
    if not isinstance(name, str) or not name:
        raise error(ArgumentTypeError, "pmap", "axis_name", "an axis name", name)
    if size is not None and _check.count("pmap", "axis_size", size) == 0:
        raise error(ArgumentValueError, "pmap", "axis_size", "one or more", size)


_MOST_AXES = 2**10
"""More than an array of anybody's has; jax.pmap makes a tuple as long as an axis says."""


def _check_axes(argument: str, axes: Any) -> None:
    for each in _check_tree.leaves("pmap", argument, axes):
        axis = _check.static_int(each)
        if axis is None:
            wanted = "an int, None, or a pytree of them"
            raise error(ArgumentTypeError, "pmap", argument, wanted, axes)
        if abs(axis) > _MOST_AXES:
            wanted = "an axis that an array can have"
            raise error(ArgumentValueError, "pmap", argument, wanted, each)


def _check_where(devices: Any, backend: Any) -> None:
    if devices is not None:
        listed = isinstance(devices, (tuple, list, np.ndarray))
        if not listed or not all(isinstance(each, jax.Device) for each in devices):
            raise error(ArgumentTypeError, "pmap", "devices", "a list of devices", devices)
        if not len(devices):
            raise error(ArgumentValueError, "pmap", "devices", "at least one of them", devices)
    if backend is None:
        return
    if not isinstance(backend, str):
        raise error(ArgumentTypeError, "pmap", "backend", "a name or None", backend)
    try:
        jax.local_device_count(backend)
    except RuntimeError:
        wanted, cure = "one that JAX has here", "For the one in use: jax.default_backend()."
        raise error(ArgumentValueError, "pmap", "backend", wanted, backend, cure) from None


def _check_static(args: tuple[Any, ...], argument: str, numbers: tuple[int, ...]) -> None:
    """Refuse numbers of arguments that aren't there, and static ones that can't be looked up."""
    for number in numbers:
        if not -len(args) <= number < len(args):
            wanted = f"numbers of the arguments after the key ({len(args)})"
            raise error(ArgumentValueError, "pmap", argument, wanted, number)
        if argument == "static_broadcasted_argnums":
            _check.hashable("pmap", "static args", args[number])


def _check_mapped(
    axes: tuple[Any, ...],
    args: tuple[Any, ...],
    static: tuple[int, ...],
    axis_size: Any,
    devices: Any,
    backend: str | None,
) -> None:
    sizes = set() if axis_size is None else {int(axis_size)}
    # A static argument is mapped over nothing.
    still = {number % len(args) for number in static}
    args = tuple(None if number in still else arg for number, arg in enumerate(args))
    for axis in axes:
        _check_axes("in_axes", axis)
    _check_tree.arrays("pmap", "args", args)
    given = Mapped("pmap", axes, args, {}, axis_size, static)
    for axis, arg in zip(axes, args, strict=True):
        for where, leaf in _axis_pairs(axis, arg):
            if isinstance(leaf, jax.Ref):
                wanted, cure = "arrays where they are mapped", "For its value: ref[...]."
                raise error(ArgumentTypeError, "pmap", "args", wanted, Words("a Ref"), cure)
            shape = jax.typeof(leaf).shape
            if not -len(shape) <= where < len(shape):
                raise given.no_axis(where, leaf)
            if where < 0 and where + len(shape):
                # jax.pmap takes a wrong axis there (jax 0.10.2 and 0.12.0).
                wanted, cure = "counted from the front", f"For it: in_axes={where + len(shape)}."
                raise error(ArgumentValueError, "pmap", "in_axes", wanted, where, cure)
            sizes.add(shape[where])
    if len(sizes) > 1:
        raise given.unlike(sizes)
    _check_lanes(sizes, "args" if axis_size is None else "axis_size", devices, backend)


def _check_lanes(sizes: set[int], given: str, devices: Any, backend: str | None) -> None:
    """Refuse a number of lanes for which there are no devices."""
    if sizes == {0}:
        raise error(ArgumentValueError, "pmap", "args", "of at least one lane", 0)
    # Of several processes each hands in its own lanes, and axis_size counts those of all.
    most = (jax.device_count if jax.process_count() > 1 else jax.local_device_count)(backend)
    if devices is None and sizes and max(sizes) > most:
        cure = "For more of them: ks.vmap(fun)(key, *args)."
        raise error(ArgumentValueError, "pmap", given, f"of at most {most} lanes", max(sizes), cure)
    if devices is not None and sizes:
        here = sum(device.process_index == jax.process_index() for device in devices)
        if sizes != {here}:
            wanted, got = f"of {here} lanes, one for each of devices", Words(str(sizes.pop()))
            raise error(ArgumentValueError, "pmap", "args", wanted, got)


def _axis_pairs(axis: Any, arg: Any) -> list[tuple[int, Any]]:
    """Return each array of an argument that is mapped, with its axis."""
    try:
        pairs = _check_tree.axis_pairs(axis, arg)
    except ValueError:
        wanted = "a prefix of the arguments after the key"
        raise error(ArgumentValueError, "pmap", "in_axes", wanted, axis) from None
    return [(int(where), leaf) for where, leaf in pairs if where is not None]


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
