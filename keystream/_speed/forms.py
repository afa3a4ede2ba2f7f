"""Choose how each primitive of threefry2x32 is lowered on an accelerated CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import primitives
from jax.extend.random import threefry2x32_p
from jax.interpreters import mlir

from keystream import _compat
from keystream._checks.static import size_of
from keystream._checks.values import read_setting
from keystream._keys.one_pass import FLOATS_FROM
from keystream._keys.one_pass import pays as _pays
from keystream._known import NARROW_END
from keystream._speed import lowering


class Form(NamedTuple):
    """How one primitive is lowered: as a JAX function of the words of its keys."""

    fun: Callable[..., Any]
    fits: Callable[..., bool]
    several: bool = False
    floats: Callable[..., Any] | None = None
    """The same for `jax.random.uniform`, which all float samplers stand on."""


def accelerated_rule(form: Form, stock: _compat.Rule) -> _compat.Rule:
    """Return the rule that lowers a primitive by a form, where that one fits."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        made = _lowered(form, ctx, operands, params)
        return stock(ctx, *operands, **params) if made is None else made

    return rule


def _lowered(
    form: Form, ctx: Any, operands: tuple[Any, ...], params: dict[str, Any]
) -> Sequence[Any] | None:
    try:
        if not form.fits(*ctx.avals_in, **params):
            return None
        fun = form.fun
        if form.floats and _for_floats(ctx, *ctx.avals_in, **params):
            fun = form.floats
        # Without shardings and varying axes: the form is the same computation in every
        # place, and XLA has each device make its own part. With the mesh in context an
        # Explicit axis that isn't named would mean a replicated result.
        words = [_plain(aval) for aval in ctx.avals_in]
        lower = mlir.lower_fun(fun, multiple_results=form.several)
        with _compat.no_mesh():
            made: Sequence[Any] = lower(ctx.replace(avals_in=words), *operands, **params)
    except Exception as problem:  # whatever another version of JAX may raise here
        warn(f"left a draw as it was with jax {jax.__version__} ({problem!r})")
        return None
    return made


def _for_floats(ctx: Any, keys: Any, *, bit_width: int, shape: tuple[int, ...]) -> bool:
    large = bit_width >= 32 and size_of((*keys.shape, *shape)) >= FLOATS_FROM
    return large and _compat.function_lowered(ctx).startswith("_uniform")


def warn(what: str) -> None:
    """Say what isn't done, and that everything goes on without it."""
    cure = "The numbers are the same, at JAX's own speed. To stop trying: ks.accelerate(False)."
    warnings.warn(f"accelerate: {what}. {cure}", RuntimeWarning, stacklevel=4)


def _plain(aval: Any) -> Any:
    if _is_threefry(aval):
        return jax.core.ShapedArray((*aval.shape, 2), np.dtype(np.uint32))
    return jax.core.ShapedArray(aval.shape, aval.dtype)


def _is_threefry(aval: Any) -> bool:
    return bool(aval.dtype == _compat.key_dtype("threefry2x32"))


def _fits_block(*operands: Any) -> bool:
    if not all(_is_static(aval.shape) for aval in operands):
        return False
    shape = np.broadcast_shapes(*[aval.shape for aval in operands])
    return _pays(size_of(shape), lanes=bool(operands[0].shape))


def _fits_fold(keys: Any, data: Any) -> bool:
    if not (_is_threefry(keys) and _is_static(keys.shape) and _is_static(data.shape)):
        return False
    shape = np.broadcast_shapes(keys.shape, data.shape)
    return _pays(size_of(shape), lanes=True)


def _fits_count(keys: Any, *, shape: tuple[int, ...], bit_width: int = 32) -> bool:
    del bit_width
    # The other setting has other counters, and no prefixes.
    plain = bool(read_setting("jax_threefry_partitionable")) and _is_threefry(keys)
    if not (plain and _is_static(keys.shape) and _is_static(shape)):
        return False
    blocks = size_of((*keys.shape, *shape))
    # From there on a counter has a high word too, which JAX's own rule gives it.
    return size_of(shape) < NARROW_END and _pays(blocks, lanes=bool(keys.shape))


def _is_static(shape: Sequence[Any]) -> bool:
    return all(isinstance(size, int) for size in shape)


FORMS = {
    threefry2x32_p: Form(lowering.both_words, _fits_block, several=True),
    primitives.random_bits_p: Form(lowering.bits, _fits_count, floats=lowering.float_bits),
    primitives.random_split_p: Form(lowering.split, _fits_count),
    primitives.random_fold_in_p: Form(lowering.fold_in, _fits_fold),
}
"""The cipher itself, and the three operations on typed keys that stand on it: knowing what
is asked for, they need no counters from memory."""
