"""Read bodies that are mapped over the axes of a mesh."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from keystream._audit.reading import equal_values
from keystream._audit.reading.calls import enter, finish
from keystream._audit.reading.lineage import EACH, Handles, Origin, Scope
from keystream._audit.reading.loops import leave
from keystream._audit.reading.reader import Body, EquationRule, Reader, Value, is_key, on_keys

Axes = list[tuple[Any, ...]]
"""For each dimension, the names of the mesh axes that it is split over."""


def _shard_map(reader: Reader, body: Body, eqn: Any) -> None:
    params = eqn.params
    mesh, closed = params["mesh"], params["jaxpr"]
    manual = _manual_axes(params) or frozenset(mesh.axis_names)
    names = [name for name in mesh.axis_names if name in manual]
    where = body.path(eqn)
    scopes = tuple(Scope("axis", n, body.bit(depth), where) for depth, n in enumerate(names))
    bits, since = {scope.name: scope.bit for scope in scopes}, reader.mark()
    meant: dict[int, Handles] = {}
    values: list[Value] = []
    links: list[Any] = []
    outer = zip(eqn.invars, reader.values(body, eqn.invars), params["in_specs"], strict=True)
    for atom, (mask, whole), spec in outer:
        axes = axes_of(spec, len(atom.aval.shape))
        over = _union(bits.get(name, 0) for dim in axes for name in dim)
        links.append(equal_values.new_token() if over else (body.binding, atom))
        handles = whole
        if over and whole is not None:
            counts = [int(np.prod([mesh.shape[n] for n in dim], dtype=int)) for dim in axes]
            typed = is_key(atom.aval)
            part = functools.partial(_shard_part, reader, body, eqn, over, counts, meant)
            handles = on_keys(part, typed, whole)
        values.append((mask | over, handles))
    _, outs = enter(reader, body, eqn, closed, values, links, scopes=scopes)
    leave(reader, since, meant)
    handles_everywhere = _union(bits.values())
    results = [
        _result_outside(reader, var, value, handles_everywhere)
        for var, value in zip(eqn.outvars, outs, strict=True)
    ]
    finish(reader, body, eqn, results)


def _manual_axes(params: dict[str, Any]) -> Any:
    # Those of this body alone; one around it has its own.
    return params.get("newly_manual_axes") or params.get("manual_axes")


def _result_outside(reader: Reader, var: Any, value: Value, bits: int) -> Value:
    """Return what a result is outside: keys that differ between shards are new ones there."""
    mask, handles = value

    def alike(keys: Handles) -> Handles | None:
        return None if reader.lineage.varies(keys) & bits else keys

    left = None if handles is None else on_keys(alike, is_key(var.aval), handles)
    return mask & ~bits, left


def axes_of(spec: Any, ndim: int) -> Axes:
    """Return the mesh axes that each dimension of a value is split over."""
    parts = [part if isinstance(part, (tuple, list)) else (part,) for part in tuple(spec)]
    named = [tuple(name for name in part if name is not None) for part in parts]
    return [*named, *[()] * (ndim - len(named))]


def _union(bits: Iterable[int]) -> int:
    return functools.reduce(operator.or_, bits, 0)


def _shard_part(
    reader: Reader,
    body: Body,
    eqn: Any,
    over: int,
    counts: list[int],
    meant: dict[int, Handles],
    keys: Handles,
) -> Handles:
    """Return what stands for the part of a key array on every shard."""
    pairs = [(count, size // count) for size, count in zip(keys.shape, counts, strict=False)]
    order = [*range(1, 2 * keys.ndim, 2), *range(0, 2 * keys.ndim, 2)]
    shards = keys.reshape([n for pair in pairs for n in pair]).transpose(order)
    local = shards.shape[: keys.ndim]
    columns = shards.reshape(*local, -1)
    details = reader.details(body, eqn, keys, over)
    number = equal_values.fresh_numbers(local)
    symbol = reader.lineage.grow(Origin.EACH_SHARD, columns[..., 0], EACH, number, **details)
    rows = columns.reshape(-1, columns.shape[-1])
    meant |= dict(zip(symbol.ravel().tolist(), rows, strict=True))
    return symbol


def _axis_bits(body: Body, names: Any) -> int:
    wanted = names if isinstance(names, (tuple, list, frozenset, set)) else (names,)
    return _union(s.bit for s in body.scopes if s.kind == "axis" and s.name in wanted)


def _axis_index(reader: Reader, body: Body, eqn: Any) -> None:
    reader.put(body, eqn.outvars[0], _axis_bits(body, eqn.params["axis_name"]), None)


def _reduce(reader: Reader, body: Body, eqn: Any) -> None:
    names = eqn.params.get("axes", eqn.params.get("axis_name", ()))
    grouped = eqn.params.get("axis_index_groups") is not None
    alike = 0 if grouped else _axis_bits(body, names)
    for atom, out in zip(eqn.invars, eqn.outvars, strict=True):
        reader.put(body, out, body.mask([atom]) & ~alike, None)
        if is_key(out.aval):
            reader.add_unknown(body, eqn, out)


_REDUCTIONS = ("psum", "psum_invariant", "pmax", "pmin", "all_gather", "all_gather_invariant")

RULES: dict[str, EquationRule] = {
    "shard_map": _shard_map,
    "axis_index": _axis_index,
    **dict.fromkeys(_REDUCTIONS, _reduce),
}
