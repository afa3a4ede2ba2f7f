"""Put rules that record among those by which JAX lowers programs and calls primitives."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.extend.core import primitives
from jax.interpreters import mlir

from keystream import _compat
from keystream._audit.recording import lowering_rules, recordings, sites
from keystream._audit.recording.lowering_rules import around_rule, recording_rule, uses
from keystream._speed import accelerate

_MARK = "_keystream_records"


@contextlib.contextmanager
def install_rules() -> Iterator[None]:
    """Have programs be lowered by rules that record, also when `accelerate` is switched."""
    put_on_top()
    lowering_rules.lower_anew(_wrappers())
    accelerate.above.append(put_on_top)
    try:
        yield
    finally:
        accelerate.above.remove(put_on_top)
        if not accelerate.above:
            lowering_rules.lower_once(_wrappers())


def put_on_top() -> None:
    """Have every rule that uses keys, or has programs inside, record; those that do, stay.

    They are never taken back: a place in JAX's tables can't be given back without losing who
    came later. What stays is that they ask whether anything is recorded; programs that aren't
    recorded are what they were.
    """
    lowering_rules.lowered_anew_by_jax()
    rows = [
        (row, wrap)
        for primitive, wrap in _wrappers().items()
        for row in _compat.lowerings(primitive)
    ]  # All are read before the first is replaced.
    impls = {primitive: primitive.impl for primitive, what in uses().items() if what != "block"}
    for row, wrap in rows:
        if not getattr(row.rule, _MARK, False):
            mlir.register_lowering(
                row.primitive, _mark_rule(wrap(row.rule)), platform=row.platform,
                inline=row.inline, cacheable=False,
            )  # fmt: skip
    table = _compat.batching_rules()
    mapping = table.get(primitives.cond_p)
    if mapping is not None and not getattr(mapping, _MARK, False):
        table[primitives.cond_p] = _mark_rule(lowering_rules.marking_rule(mapping))
    for primitive, impl in impls.items():
        if not getattr(impl, _MARK, False):
            primitive.def_impl(_mark_rule(recording_impl(uses()[primitive], impl)))


def _mark_rule(function: Any) -> Any:
    setattr(function, _MARK, True)
    return function


def _wrappers() -> dict[Any, Callable[[_compat.Rule], _compat.Rule]]:
    used: dict[Any, Callable[[_compat.Rule], _compat.Rule]] = {
        primitive: functools.partial(recording_rule, what) for primitive, what in uses().items()
    }
    around: dict[Any, Callable[[_compat.Rule], _compat.Rule]] = {
        primitive: functools.partial(around_rule, name)
        for name, primitive in _programs_inside().items()
    }
    return used | around


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


Impl = Callable[..., Any]


def recording_impl(what: str, stock: Impl) -> Impl:
    """Return what a primitive does when it is called with values."""

    def impl(*operands: Any, **params: Any) -> Any:
        if not recordings.is_on():
            return stock(*operands, **params)
        # JAX computes it by compiled functions of its own, which are no further uses.
        with _compat.recording_set_aside():
            result = stock(*operands, **params)
            try:
                _record(what, operands, result, params)
            except Exception as problem:  # such as keys of another process
                recordings.add_unseen(f"{what}: not recorded where it ran at once ({problem!r})")
        return result

    return impl


def _record(what: str, operands: Any, result: Any, params: dict[str, Any]) -> None:
    keys = result if what == "seed" else operands[0]
    site = sites.site_of(what, operands, [result], params, path=())
    data = {"seed": operands[0], "fold_in": operands[-1]}.get(what)
    values = (_compat.key_words(keys), *(() if data is None else (data,)))
    recordings.receive(site, None, tuple(np.asarray(value) for value in values))
