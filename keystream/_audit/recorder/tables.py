"""Where JAX keeps what a primitive does: how the rules that record get there, and stay."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import primitives
from jax.interpreters import mlir

from keystream import _accelerate
from keystream._audit.recorder import anew
from keystream._audit.recorder.eager import recording_impl
from keystream._audit.recorder.jaxpr import USES
from keystream._audit.recorder.rules import Rule, around_rule, recording_rule

_MARK = "_keystream_records"


class _Entry(NamedTuple):
    """One row of JAX's tables of lowerings."""

    primitive: Any
    platform: str | None
    rule: Rule
    inline: bool


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
        (row, wrap) for primitive, wrap in _wrapped().items() for row in _rows(primitive)
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


def _wrapped() -> dict[Any, Callable[[Rule], Rule]]:
    uses: dict[Any, Callable[[Rule], Rule]] = {
        primitive: functools.partial(recording_rule, what) for primitive, what in USES.items()
    }
    around: dict[Any, Callable[[Rule], Rule]] = {
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
        "remat": primitives.remat_p,
        "custom_jvp": primitives.custom_jvp_call_p,
        "custom_vjp": primitives.custom_vjp_call_p,
        "closed_call": primitives.closed_call_p,
        "shard_map": _shard_map(),
    }


@functools.cache
def _shard_map() -> Any:
    mesh = jax.sharding.AbstractMesh((1,), ("one",))
    mapped = jax.shard_map(lambda x: x, mesh=mesh, in_specs=jax.P(), out_specs=jax.P())
    # Whatever mesh the recording begins in is put aside.
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
        [equation] = jax.make_jaxpr(mapped)(1.0).eqns
    return equation.primitive


def _rows(primitive: Any) -> list[_Entry]:
    # The one place that reads what JAX doesn't publish, as `accelerate` does: there is no
    # public way to ask for a lowering rule (jax 0.10.2 and 0.12.0).
    tables: dict[str | None, Any] = {None: mlir._lowerings}
    tables |= mlir._platform_specific_lowerings  # type: ignore[arg-type]
    rows = [
        _Entry(primitive, platform, table[primitive].rule, table[primitive].inline)
        for platform, table in tables.items()
        if primitive in table
    ]
    if not rows:
        raise LookupError(f"no lowering of {primitive}")
    return rows
