"""How the words of keys leave a compiled program while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.interpreters import mlir

from keystream import _compat

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
    place = _compat.program_devices(ctx)
    if place == "one device":
        _call_back(ctx, lambda *values: receive(None, values), values)
    elif place == "each shard":
        values = [Value(_compat.partition_id(), ()), *values]
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

    operands, avals = [value.operand for value in values], [value.aval for value in values]
    _compat.call_back(ctx, called, operands, avals, partitioned=partitioned)


def first(ctx: Any, reached: Callable[[], None], value: Value) -> Any:
    """Have a program call back before it goes on with a value of words, which stays as it is.

    What calls back without a result is done in any order.
    """

    def called() -> tuple[np.ndarray]:
        reached()
        return (np.zeros((), UINT32),)

    zero = Value(None, ())
    [made] = _compat.call_back(ctx, called, [], [], [zero.aval])
    [same] = mlir.lower_fun(lambda words, zero: words ^ zero, multiple_results=False)(
        ctx.replace(avals_in=[value.aval, zero.aval], tokens_out=None), value.operand, made
    )
    return same
