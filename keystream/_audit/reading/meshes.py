"""Read bodies that are mapped over the axes of a mesh.

Inside, a symbol stands for the key of each shard, as one does in a loop for the key of each
step. Which keys those are is known: what comes out of the body, or goes from shard to shard,
is what was made of the symbol, made again of each of them.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from keystream._audit.reading import equal_values
from keystream._audit.reading.calls import enter, finish
from keystream._audit.reading.lineage import (
    EACH,
    Handles,
    Meaning,
    Origin,
    by_step,
    make_handle,
    stand_for,
)
from keystream._audit.reading.loops import leave
from keystream._audit.reading.reader import Body, EquationRule, Reader, Value, is_key, on_keys
from keystream._audit.reading.uses import Scope

Axes = list[tuple[Any, ...]]
"""For each dimension, the names of the mesh axes that it is split over."""


class Shards:
    """One mapped body, while it is read.

    The keys on all shards are an array with the mesh axes as its last dimensions.
    """

    def __init__(self, reader: Reader, body: Body, eqn: Any) -> None:
        self.reader, self.body, self.eqn = reader, body, eqn
        mesh = eqn.params["mesh"]
        manual = _manual_axes(eqn.params) or frozenset(mesh.axis_names)
        self.names = [name for name in mesh.axis_names if name in manual]
        self.size: dict[Any, int] = {name: mesh.shape[name] for name in self.names}
        self.sizes = tuple(self.size.values())
        where = body.path(eqn)
        self.scopes = tuple(
            Scope("axis", name, body.bit(depth), where) for depth, name in enumerate(self.names)
        )
        self.bits = {scope.name: scope.bit for scope in self.scopes}
        self.all_bits = _union(self.bits.values())
        self.since = reader.mark()
        self.meant: Meaning = {}
        """What the symbols of this body stand for."""

    def operand(self, value: Value, typed: bool, axes: Axes) -> Value:
        """Return what stands for the part of an operand on each shard."""
        mask, whole = value
        over = _union(self.bits.get(name, 0) for dim in axes for name in dim)
        if not over or whole is None:
            return mask | over, whole
        return mask | over, on_keys(lambda keys: self._stand(self._cut(keys, axes)), typed, whole)

    def result(self, value: Value, typed: bool, axes: Axes) -> Value:
        """Return what a result is outside: the parts of all shards, side by side."""
        mask, handles = value
        if handles is not None:
            handles = on_keys(lambda keys: self._paste(self._rows(keys), axes), typed, handles)
        return mask & ~self.all_bits, handles

    def _stand(self, rows: Handles) -> Handles:
        """Return symbols for the keys on all shards, or the keys where they are alike."""
        local = rows.shape[: rows.ndim - len(self.sizes)]
        first = rows.reshape(*local, -1)[..., 0]
        nodes, over = self.reader.lineage.nodes(rows), 0
        for place, name in enumerate(self.names):
            axis = len(local) + place
            if (nodes != nodes.take([0], axis)).any():
                over |= self.bits[name]
        if not over:
            return first
        symbols = self._grow(first, equal_values.fresh_numbers(local), over)
        self.meant |= stand_for(symbols.ravel(), rows.reshape(first.size, -1))
        return symbols

    def take(self, keys: Handles, takes: np.ndarray) -> Handles:
        """Return what shards find on others: for each row of `takes` all keys of one array.

        A row has for each shard the number of the one whose keys it takes.
        """
        varies, over = self.reader.lineage.varies(keys), 0
        names = [place for place, name in enumerate(self.names) if varies & self.bits[name]]
        shape = (len(takes), *keys.shape)
        if not names:
            return np.broadcast_to(keys, shape)
        found = np.stack(np.unravel_index(takes, self.sizes))[names]
        found = found.reshape(len(names), len(takes), *self.sizes)
        for place, name in enumerate(self.names):
            axis = place + 2
            if (found != found.take([0], axis)).any():
                over |= self.bits[name]
        numbers = np.asarray([equal_values.hash_number(row.tobytes()) for row in takes])
        numbers = numbers.reshape(-1, *[1] * keys.ndim)
        every = np.repeat(takes, keys.size, axis=0)
        return self._grow(np.broadcast_to(keys, shape), numbers, over, takes=every)

    def group(self, names: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return for each shard those that differ from it along some axes, and which it is.

        The first has a row for each place in such a group.
        """
        grid = np.indices(self.sizes).reshape(len(self.sizes), -1)
        places, sizes = [self.names.index(n) for n in names], [self.size[n] for n in names]
        every = np.repeat(grid[:, None], math.prod(sizes), axis=1)
        every[places] = np.indices(sizes).reshape(len(sizes), -1, 1)
        members = np.ravel_multi_index(tuple(every), self.sizes)
        return members, np.ravel_multi_index(tuple(grid[places]), sizes)

    def finish(self) -> None:
        """Add to each use inside the body the keys that it is of, seen from outside."""
        self.reader.catch_up()
        steps = self.reader.lineage.steps[self.since.steps :]
        ends = [step.parents for step in steps if step.takes is not None]
        inside = slice(self.since.uses, len(self.reader.uses))
        for use in self.reader.uses[inside]:
            ends += use.handles_everywhere()
        self._explain(*(keys for keys in ends if keys is not None))
        leave(self.reader, inside, self.meant, without=self.all_bits, choose=self._choose_apart)

    def _choose_apart(self, inside: Handles, keys: Handles) -> Handles:
        """Leave out of the keys on all shards those that only an axis repeats that is alike."""
        grid = np.indices(self.sizes).reshape(len(self.sizes), -1)
        shard, chosen = np.arange(len(keys)) % grid.shape[1], np.zeros(len(keys), bool)
        for index, where in by_step(inside):
            varies = self.reader.lineage.steps[index].varies
            alike = [place for place, bit in enumerate(self.bits.values()) if not varies & bit]
            chosen[where] = (grid[alike] == 0).all(0)[shard[where]]
        return keys[chosen]

    def _rows(self, keys: Handles) -> Handles:
        """Return what keys of the body are on each shard."""
        self._explain(keys)
        return self._repeat(keys.ravel()).reshape(*keys.shape, *self.sizes)

    def _repeat(self, keys: Handles) -> Handles:
        count = math.prod(self.sizes)
        made = np.repeat(keys[:, None], count, axis=1)
        ((which, found),) = self.reader.lineage.follow([keys], self.meant, self.all_bits)
        made[which[::count]] = found.reshape(-1, count)
        return made

    def _explain(self, *keys: Handles) -> None:
        """Say what keys stand for that differ between shards by more than the operands do.

        A key into which the number of the shard is folded is another one on each.
        """
        lineage, grid = self.reader.lineage, np.indices(self.sizes).reshape(len(self.sizes), -1)
        marks = lineage.mark(keys, self.meant, self.since.steps)
        for index in sorted(set(marks) - set(self.meant)):
            step = lineage.steps[index]
            above = 0 if step.parents is None else lineage.varies(step.parents)
            new = step.varies & self.all_bits & ~above
            if new and index >= self.since.steps:
                axes = [place for place, name in enumerate(self.names) if self.bits[name] & new]
                number = np.ravel_multi_index(
                    tuple(grid[axes]), [self.sizes[place] for place in axes]
                )
                every = make_handle(index, np.arange(len(step.nodes)))
                made = self._grow(self._repeat(every), np.asarray(number, np.uint64), 0)
                self.meant |= stand_for(every, made)

    def _grow(self, keys: Handles, numbers: np.ndarray, over: int, **more: Any) -> Handles:
        details = self.reader.details(self.body, self.eqn, keys) | more
        details["varies"] = details["varies"] & ~self.all_bits | over
        return self.reader.lineage.grow(Origin.EACH_SHARD, keys, EACH, numbers, **details)

    def _cut(self, keys: Handles, axes: Axes) -> Handles:
        """Return the part of a key array on each shard."""
        shape, order = self._order(keys.shape, axes)
        parts = keys.reshape(shape).transpose(order)
        # Along an axis over which it isn't split all shards have the same part.
        named = {name for dim in axes for name in dim}
        missing = [p - len(self.names) for p, name in enumerate(self.names) if name not in named]
        local = parts.shape[: keys.ndim]
        return np.broadcast_to(np.expand_dims(parts, tuple(missing)), (*local, *self.sizes))

    def _paste(self, rows: Handles, axes: Axes) -> Handles:
        """Return the key array of which these are the parts on each shard."""
        named = {name for dim in axes for name in dim}
        # Where a result isn't said to differ over an axis, any shard's will do.
        rows = rows[(..., *[slice(None) if name in named else 0 for name in self.names])]
        local = rows.shape[: rows.ndim - len(named)]
        counts = [math.prod(self.size[name] for name in dim) for dim in axes]
        whole = [size * count for size, count in zip(local, counts, strict=False)]
        _, order = self._order(whole, axes)
        return rows.transpose(np.argsort(order)).reshape(whole)

    def _order(self, whole: Sequence[int], axes: Axes) -> tuple[list[int], list[int]]:
        """Return the shape of a key array taken apart, and the order that puts axes last."""
        shape, parts, found = list[int](), list[int](), dict[Any, int]()
        for size, names in zip(whole, axes, strict=False):
            for name in names:
                found[name] = len(shape)
                shape.append(self.size[name])
            parts.append(len(shape))
            shape.append(size // math.prod(self.size[name] for name in names))
        return shape, [*parts, *(found[name] for name in self.names if name in found)]


def _shard_map(reader: Reader, body: Body, eqn: Any) -> None:
    shards, params = Shards(reader, body, eqn), eqn.params
    reader.mapped[body.path(eqn)] = shards
    specs = [axes_of(spec, var) for spec, var in zip(params["in_specs"], eqn.invars, strict=True)]
    values = [
        shards.operand(value, is_key(atom.aval), axes)
        for value, atom, axes in zip(
            reader.values(body, eqn.invars), eqn.invars, specs, strict=True
        )
    ]
    links = [
        equal_values.new_token() if any(axes) else (body.binding, atom)
        for atom, axes in zip(eqn.invars, specs, strict=True)
    ]
    _, outs = enter(reader, body, eqn, params["jaxpr"], values, links, scopes=shards.scopes)
    results = [
        shards.result(value, is_key(var.aval), axes_of(spec, var))
        for value, var, spec in zip(outs, eqn.outvars, params["out_specs"], strict=True)
    ]
    shards.finish()
    finish(reader, body, eqn, results)


def _manual_axes(params: dict[str, Any]) -> Any:
    # Those of this body alone; one around it has its own.
    return params.get("newly_manual_axes") or params.get("manual_axes")


def axes_of(spec: Any, var: Any) -> Axes:
    """Return the mesh axes that each dimension of a value is split over."""
    parts = [part if isinstance(part, (tuple, list)) else (part,) for part in tuple(spec)]
    named = [tuple(name for name in part if name is not None) for part in parts]
    return [*named, *[()] * (len(var.aval.shape) - len(named))]


def _union(bits: Iterable[int]) -> int:
    return functools.reduce(operator.or_, bits, 0)


def _named(names: Any) -> tuple[Any, ...]:
    return tuple(names) if isinstance(names, (tuple, list, frozenset, set)) else (names,)


def _axis_bits(body: Body, names: Any) -> int:
    wanted = _named(names)
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


def _shards_of(reader: Reader, body: Body, eqn: Any) -> Shards | None:
    """Return the mapped body whose shards a collective is about; None if they form groups."""
    names = _named(eqn.params["axis_name"])
    around = [s.where for s in body.scopes if s.kind == "axis" and s.name in names]
    if not around or eqn.params.get("axis_index_groups") is not None:
        return None
    shards: Shards = reader.mapped[around[-1]]
    return shards if set(names) <= set(shards.names) else None


def _exchange(takes_from: Callable[[Shards, dict[str, Any]], np.ndarray | None]) -> EquationRule:
    """Return the rule of a collective after which shards have what others had.

    `takes_from` says on which ones, see `Shards.take`.
    """

    def rule(reader: Reader, body: Body, eqn: Any) -> None:
        shards, params = _shards_of(reader, body, eqn), eqn.params
        takes = None if shards is None else takes_from(shards, params)
        gathers = "all_gather_dimension" in params
        alike = _axis_bits(body, params["axis_name"]) if gathers and takes is not None else 0

        def exchange(keys: Handles) -> Handles:
            assert shards is not None
            assert takes is not None
            made = shards.take(keys, takes)
            return _gathered(made, **params) if gathers else made[0]

        results = []
        for atom, out in zip(eqn.invars, eqn.outvars, strict=True):
            held = None if takes is None else body.handles(atom)
            keys = None if held is None else on_keys(exchange, is_key(out.aval), held)
            results.append((body.mask([atom]) & ~alike, keys))
        finish(reader, body, eqn, results)

    return rule


def _take_from_source(shards: Shards, params: dict[str, Any]) -> np.ndarray | None:
    # JAX numbers shards in the order of the mesh here, or refuses another order of the axes.
    members, mine = shards.group(sorted(_named(params["axis_name"]), key=shards.names.index))
    source = {to: origin for origin, to in params["perm"]}
    if len(source) < len(members):
        return None  # Who gets nothing has zeros.
    order = np.asarray([source[place] for place in range(len(members))])
    return np.take_along_axis(members, order[mine][None], 0)


def _take_from_all(shards: Shards, params: dict[str, Any]) -> np.ndarray:
    return shards.group(_named(params["axis_name"]))[0]


def _gathered(keys: Handles, *, all_gather_dimension: int, tiled: bool, **_: Any) -> Handles:
    at = all_gather_dimension
    made = np.moveaxis(keys, 0, at)
    return made.reshape(*made.shape[:at], -1, *made.shape[at + 2 :]) if tiled else made


_REDUCTIONS = ("psum", "psum_invariant", "pmax", "pmin")
_GATHERS = ("all_gather", "all_gather_invariant")

RULES: dict[str, EquationRule] = {
    "shard_map": _shard_map,
    "axis_index": _axis_index,
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_GATHERS, _exchange(_take_from_all)),
    "ppermute": _exchange(_take_from_source),
}
