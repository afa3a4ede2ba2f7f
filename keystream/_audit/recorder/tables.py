"""Where JAX keeps what a primitive does: how the rules that record get there, and stay."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from jax.extend.core import primitives
from jax.interpreters import mlir

from keystream import _accelerate, _compat
from keystream._audit.recorder import anew
from keystream._audit.recorder.eager import recording_impl
from keystream._audit.recorder.jaxpr import USES
from keystream._audit.recorder.rules import around_rule, recording_rule

_MARK = "_keystream_records"


@contextlib.contextmanager
def on_top() -> Iterator[None]:
    """Have programs be lowered by rules that record, also when `accelerate` is switched."""
    put_on_top()
    anew.mark(_wrapped())
    _accelerate.above.append(put_on_top)
    try:
        yield
    finally:
        _accelerate.above.remove(put_on_top)
        if not _accelerate.above:
            anew.unmark(_wrapped())


def put_on_top() -> None:
    """Have every rule that uses keys, or has programs inside, record; those that do, stay.

    They are never taken back: a place in JAX's tables can't be given back without losing who
    came later. What stays is that they ask whether anything is recorded; programs that aren't
    recorded are what they were.
    """
    anew.always()
    rows = [
        (row, wrap)
        for primitive, wrap in _wrapped().items()
        for row in _compat.lowerings(primitive)
    ]  # All are read before the first is replaced.
    impls = {primitive: primitive.impl for primitive in USES if USES[primitive] != "block"}
    for row, wrap in rows:
        if not getattr(row.rule, _MARK, False):
            mlir.register_lowering(
                row.primitive, _marked(wrap(row.rule)), platform=row.platform,
                inline=row.inline, cacheable=False,
            )  # fmt: skip
    for primitive, impl in impls.items():
        if not getattr(impl, _MARK, False):
            primitive.def_impl(_marked(recording_impl(USES[primitive], impl)))


def _marked(function: Any) -> Any:
    setattr(function, _MARK, True)
    return function


def _wrapped() -> dict[Any, Callable[[_compat.Rule], _compat.Rule]]:
    uses: dict[Any, Callable[[_compat.Rule], _compat.Rule]] = {
        primitive: functools.partial(recording_rule, what) for primitive, what in USES.items()
    }
    around: dict[Any, Callable[[_compat.Rule], _compat.Rule]] = {
        primitive: functools.partial(around_rule, name)
        for name, primitive in _programs_inside().items()
    }
    return uses | around


def _programs_inside() -> dict[str, Any]:
    return {
        "jit": primitives.jit_p,
        "scan": primitives.scan_p,
        "while": primitives.while_p,
        "cond": primitives.cond_p,
        "remat": _compat.remat_primitive(),
        "custom_jvp": primitives.custom_jvp_call_p,
        "custom_vjp": primitives.custom_vjp_call_p,
        "closed_call": primitives.closed_call_p,
        "shard_map": _compat.shard_map_primitive(),
    }
