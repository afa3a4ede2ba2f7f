"""How the words of keys leave a compiled program while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.interpreters import mlir

UINT32 = np.dtype(np.uint32)

Receive = Callable[[int | None, tuple[np.ndarray, ...]], None]
"""What is called with the shard, if it can be told, and the values."""


class Value(NamedTuple):
    """A value of the program, as XLA sees it."""

    operand: Any
    shape: tuple[int, ...]
    dtype: Any = UINT32

    @property
    def aval(self) -> Any:
        """Return what JAX knows of it."""
        return jax.core.ShapedArray(self.shape, self.dtype)


def emit(ctx: Any, receive: Receive, values: Sequence[Value]) -> None:
    """Have a program call back with some of its values each time it comes by."""
    place = place_of(ctx.module_context)
    if place == "one device":
        _call_back(ctx, lambda *values: receive(None, values), values)
    elif place == "each shard":
        uint32 = mlir.ir.RankedTensorType.get((), mlir.ir.IntegerType.get_unsigned(32))
        which = mlir.ir.Operation.create("stablehlo.partition_id", results=[uint32]).result
        values = [Value(which, ()), *values]
        _call_back(
            ctx, lambda shard, *values: receive(int(shard), values), values, partitioned=True
        )
    else:
        # Here XLA divides the values among the devices; only this way gathers them again.
        def tell(*values: Any) -> tuple[()]:
            jax.debug.callback(lambda *values: receive(None, _arrays(values)), *values)
            return ()

        avals = [value.aval for value in values]
        whole = ctx.replace(avals_in=avals, avals_out=[], tokens_out=None)
        mlir.lower_fun(tell)(whole, *[value.operand for value in values])


def _arrays(values: Sequence[Any]) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(value) for value in values)


def _call_back(
    ctx: Any, function: Callable[..., None], values: Sequence[Value], *, partitioned: bool = False
) -> None:
    def called(*values: np.ndarray) -> tuple[()]:
        function(*values)
        return ()

    avals = [value.aval for value in values]
    mlir.emit_python_callback(
        ctx.replace(avals_in=avals, avals_out=[]), called, None,
        [value.operand for value in values], avals, [],
        has_side_effect=True, returns_token=False, partitioned=partitioned,
    )  # fmt: skip


def first(ctx: Any, reached: Callable[[], None], value: Value) -> Any:
    """Have a program call back before it goes on with a value of words, which stays as it is.

    What calls back without a result is done in any order.
    """

    def called() -> tuple[np.ndarray]:
        reached()
        return (np.zeros((), UINT32),)

    zero = Value(None, ())
    results, _, _ = mlir.emit_python_callback(
        ctx.replace(avals_in=[], avals_out=[zero.aval]), called, None, [], [], [zero.aval],
        has_side_effect=True, returns_token=False,
    )  # fmt: skip
    [same] = mlir.lower_fun(lambda words, zero: words ^ zero, multiple_results=False)(
        ctx.replace(avals_in=[value.aval, zero.aval], tokens_out=None), value.operand, results[0]
    )
    return same


def place_of(module: Any) -> str:
    """Return what a program is for: one device, each shard of a mesh, or all devices."""
    # What JAX doesn't publish, read in this one place: which devices a program is for, and
    # whether it is the program of one shard (jax 0.10.2 and 0.12.0).
    axes = module.axis_context
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return "one device" if (getattr(axes, "num_devices", 1) or 1) == 1 else "all devices"
    if mesh.size == 1:
        return "one device"
    return "each shard" if set(mesh.axis_names) == set(axes.manual_axes) else "all devices"


def is_waited_for(module: Any) -> bool:
    """Does the caller of a program that calls back wait until it has run?

    On one CPU device XLA runs it in the thread of its caller (jax 0.10.2 and 0.12.0).
    """
    return place_of(module) == "one device" and tuple(module.platforms) == ("cpu",)


def is_for_export(module: Any) -> bool:
    """Is this program lowered to be saved or for several platforms, where nothing calls back?"""
    return len(module.platforms) != 1 or bool(
        getattr(module.lowering_parameters, "for_export", False)
    )
