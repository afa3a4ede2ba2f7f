"""How programs are lowered while they are recorded: each use of keys calls back.

All rules do what the rules they stand on do as long as nothing is recorded, and whatever is
recorded: they add a call and change no value.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

from keystream import _compat
from keystream._audit.recorder import anew, emit, state, uses, way
from keystream._audit.recorder.jaxpr import uses_keys
from keystream._audit.recorder.records import LANES_WAIT, REPLAY


def recording_rule(what: str, stock: _compat.Rule) -> _compat.Rule:
    """Return the rule of a primitive that uses keys."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        if not state.is_on() or way.is_inside():
            return stock(ctx, *operands, **params)
        with way.inside(), anew.unless(_compat.is_for_several_platforms(ctx)):
            results = stock(ctx, *operands, **params)
            try:
                _record(what, ctx, operands, tuple(results), params)
            except Exception as problem:  # whatever another version of JAX may raise here
                state.unseen(f"{what}: not recorded in one place ({problem!r})")
        return results

    return rule


def _record(what: str, ctx: Any, operands: Any, results: Any, params: dict[str, Any]) -> None:
    if _compat.is_for_export(ctx):
        state.unseen("a function that was exported: what it draws when it is called")
        return
    state.lowered.set()
    there = way.here(ctx)
    site = uses.site_of(
        what, ctx.avals_in, ctx.avals_out, params,
        path=there.path, template=_compat.program_identity(ctx), most=there.most,
        sure=there.sure, waits=_compat.is_waited_for(ctx),
    )  # fmt: skip
    values = uses.values_of(site, ctx.avals_in, operands, results)
    emit.emit(ctx, functools.partial(uses.take, site), values)


def around_rule(name: str, stock: _compat.Rule) -> _compat.Rule:
    """Return the rule of a primitive that has programs inside."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        off = not state.is_on() or way.is_inside()
        if off or not uses_keys(params, way.known()):
            return stock(ctx, *operands, **params)
        if name == "jit":
            # A function that is called twice is lowered once, by its name; but its draws
            # are other draws in each call.
            params["name"] = f"{params['name']}_{next(_calls)}"
        if name == "while":
            operands = _announced(ctx, operands)
        with way.through(_way(name, ctx, params)):
            return stock(ctx, *operands, **params)

    return rule


_calls = itertools.count(1)


def _announced(ctx: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have a program tell that it comes to a loop, before it does.

    How often the loop turns can't be told beforehand; that it begins again can: so programs
    that use keys only in loops are told apart from their next execution.
    """
    words = [at for at, aval in enumerate(ctx.avals_in) if uses.are_words(aval)]
    waits = _compat.is_waited_for(ctx)
    there = way.here(ctx)
    if not (words and waits and there.most < math.inf) or way.is_in_scan():
        return operands
    mark = uses.loop_site(there.path, _compat.program_identity(ctx), there.most)
    at = words[0]
    value = uses.words_of(ctx.avals_in[at], operands[at])
    same = emit.first(ctx, functools.partial(state.reach, mark), value)
    return (*operands[:at], same, *operands[at + 1 :])


def _way(name: str, ctx: Any, params: dict[str, Any]) -> way.Way:
    if name == "scan":
        return way.here(ctx, params["length"], scans=True)
    if name == "while":
        lanes = params["cond_jaxpr"].out_avals[0].shape
        return way.loop(ctx, LANES_WAIT if lanes else None)
    if name == "cond":
        return way.here(ctx)._replace(sure=False)
    if name == "closed_call":
        return way.body(ctx)
    replayed = name == "remat" and params["differentiated"]
    return way.here(ctx, mark=REPLAY if replayed else None)
