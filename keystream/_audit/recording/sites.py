"""The places in programs that use keys, and how the words of keys leave a program."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.interpreters import mlir

from keystream import _compat
from keystream._audit.recording.call_paths import Frame
from keystream._checks.values import read_setting
from keystream._impl import is_key_dtype, kind_of


class Site(NamedTuple):
    """One place in one compiled program that uses keys."""

    kind: str
    impl: str
    width: int
    key_shape: tuple[int, ...]
    shape: tuple[int, ...]
    bit_width: int
    path: tuple[Frame, ...]
    template: Hashable = None
    """What all sites of one compiled program have in common."""
    most: float = 1
    """How often it can be reached in one execution."""
    sure: bool = True
    """Is it reached that often in every execution, whatever is decided on the way?"""
    waits: bool = True
    """Does the caller wait while the program runs, as it does on a single CPU device?"""


def site_of(what: str, avals_in: Any, avals_out: Any, params: dict[str, Any], **way: Any) -> Site:
    """Return the site of one equation."""
    if what == "block":
        return _block_site(avals_in, way)
    keys = avals_in[0] if what in ("bits", "split", "gamma") else avals_out[0]
    shape = params.get("shape", ())
    if what == "gamma":
        shape = avals_out[0].shape[len(keys.shape) :]
    if is_key_dtype(keys.dtype):
        (impl, width), key_shape = kind_of(keys.dtype), keys.shape
    else:  # a clone of words, which JAX takes for a key of the default implementation
        impl, (*key_shape, width) = read_setting("jax_default_prng_impl"), keys.shape
    return Site(
        what, str(impl), width, tuple(key_shape), tuple(shape), params.get("bit_width", 0), **way
    )


def _block_site(avals: Any, way: dict[str, Any]) -> Site:
    shape = np.broadcast_shapes(*[aval.shape for aval in avals])
    one_key = avals[0].shape == avals[1].shape == ()
    keys, counters = ((), shape) if one_key else (shape, ())
    return Site("block", "threefry2x32", 2, keys, counters, 0, **way)


def loop_site(path: Any, template: Any, most: float) -> Site:
    """Return the site at which a loop begins: no use of keys, but a place to be reached."""
    return Site("loop", "", 0, (), (), 0, path, template, most)


def are_words(aval: Any) -> bool:
    """Are these keys, or words as keys are made of?"""
    return bool(aval.dtype == UINT32 or is_key_dtype(aval.dtype))


def words_of(aval: Any, operand: Any) -> Value:
    """Return a value of the program as words."""
    if aval.dtype == UINT32:
        return Value(operand, aval.shape)
    return Value(operand, (*aval.shape, kind_of(aval.dtype).words))


def values_of(site: Site, avals_in: Any, operands: Any, results: Any) -> list[Value]:
    """Return the values of a program that make a record: words first."""
    if site.kind == "block":
        return [Value(each, aval.shape) for each, aval in zip(operands, avals_in, strict=True)]
    keys = results[0] if site.kind == "seed" else operands[0]
    shape = avals_in[0].shape if site.kind == "fold_in" else site.key_shape
    words = Value(keys, (*shape, site.width), UINT32)
    if site.kind not in ("seed", "fold_in"):
        return [words]
    at = 0 if site.kind == "seed" else 1
    return [words, Value(operands[at], avals_in[at].shape, avals_in[at].dtype)]


def words_and_data(
    site: Site, values: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the words of the keys and what goes with them, of what a program called back with."""
    if site.kind == "block":
        first, second, hi, lo = values
        words = np.stack(_broadcast_all(site.key_shape, first, second), axis=-1)
        return words, np.stack(_broadcast_all((*site.key_shape, *site.shape), hi, lo), axis=-1)
    if site.kind == "fold_in":
        words = np.broadcast_to(values[0], (*site.key_shape, site.width))
        return _copy(words), _copy(np.broadcast_to(values[1], site.key_shape))
    return _copy(values[0]), _copy(values[1]) if site.kind == "seed" else None


def _broadcast_all(shape: tuple[int, ...], *arrays: np.ndarray) -> list[np.ndarray]:
    return [np.broadcast_to(each, shape) for each in arrays]


def _copy(value: Any) -> np.ndarray:
    """Return an array of its own: what XLA hands to a callback is gone after it."""
    return np.array(value)


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


def call_back_first(ctx: Any, reached: Callable[[], None], value: Value) -> Any:
    """Have a program call back before it goes on with a value of words, which stays as it is.

    XLA may run a callback that returns nothing at any time. So this one returns a zero, which
    is combined with the words.
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
