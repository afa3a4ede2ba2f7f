"""Follow drawn numbers to what they meet: which values they belong to, and where they are returned.

The idea: a draw belongs to what it meets number for number. Noise in the shape of a shard's rows
belongs to these rows, and should differ from shard to shard. Noise in the shape of weights that
all shards share belongs to the weights, and has to be equal on all shards; so has one number that
scales all rows, or decides about them. Where equal numbers are returned over the axis, one beside
the other, they are equal by mistake again.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from keystream import _compat
from keystream._audit.jaxprs import bodies
from keystream._audit.places import Path, name_stack_of, written_path
from keystream._audit.reading.meshes import axes_of
from keystream._audit.reading.reader import Reader, is_key


class Kind(enum.IntEnum):
    """What became of drawn numbers; of several, the highest holds."""

    DRAWN = 0
    """They are as they were drawn, or computed from constants alone."""
    SCALED = 1
    """They met something smaller, such as a scale or a mean."""
    OWNED = 2
    """They met, number for number, what doesn't differ."""


class State(NamedTuple):
    """What is known of a value that is made of drawn numbers, and doesn't differ."""

    kind: Kind = Kind.DRAWN
    shared: bool = False
    """Does one number stand for several rows?"""


class Meetings:
    """Follows one draw through the equations after it."""

    def __init__(self, reader: Reader, bit: int = 0, rows: frozenset[int] | None = None) -> None:
        """Begin.

        Args:
            reader: What was read.
            bit: What marks values that differ; nothing does by itself.
            rows: The dimensions over which rows are told apart; None for all.
        """
        self.masks, self.bit, self.rows = reader.masks, bit, rows
        self.differs = False
        """Do the numbers meet, one for one, what differs?"""
        self.owned = False
        """Do they meet, one for one, what doesn't?"""
        self._differs_backward = False

    def follow(self, draw: Path, until: Path | None = None) -> list[State | None]:
        """Return what is known of the results of the body of `until`, or of the whole program."""
        path = written_path(draw)
        begin = path.eqn
        begun = dict.fromkeys(path.eqn.outvars, State())
        while True:
            at, constants = (path.outer, path.jaxpr), set(path.jaxpr.constvars)
            found = self._spread(at, begun, constants, begin)
            if path.outer is None or path.outer == until:
                # A backward pass meets again what the forward pass met, unless that is left out.
                self.differs |= self._differs_backward and not self.owned
                return found
            path, begin = path.outer, None
            if path.eqn.primitive.name in ("scan", "while", "cond"):
                found = [each and each._replace(kind=max(each.kind, Kind.SCALED)) for each in found]
            pairs = zip(path.eqn.outvars, found, strict=True)
            begun = {var: state for var, state in pairs if state is not None}

    def _spread(
        self, at: tuple[Any, Any], states: dict[Any, State], constants: set[Any], begin: Any = None
    ) -> list[State | None]:
        """Go through a body; `begin` is its equation that the numbers come out of."""
        where, jaxpr = at
        masks = self.masks.get(at, {})
        for eqn in jaxpr.eqns:
            variables = [atom for atom in eqn.invars if not hasattr(atom, "val")]
            drawn = [var for var in variables if var in states]
            others = [var for var in variables if var not in states and var not in constants]
            differing = [var for var in others if masks.get(var, 0) & self.bit]
            if eqn is begin:
                # What a sampler is given beside its key, as probabilities.
                others = [var for var in others if not is_key(var.aval)]
                differing = [var for var in differing if var in others]
                outs = [(var, states.pop(var)) for var in eqn.outvars if var in states]
                for out, state in outs:
                    met = self._meet(Path(where, eqn, jaxpr), out, {out: state}, others, differing)
                    states |= {} if met is None else {out: met}
            elif drawn:
                known = {var: states[var] for var in drawn}
                path = Path(where, eqn, jaxpr)
                inside = [*bodies(v for name, v in eqn.params.items() if name != "cond_jaxpr")]
                if inside:
                    found = self._enter(path, inside, known, constants)
                else:
                    found = [self._through(path, known, others, differing)] * len(eqn.outvars)
                pairs = zip(eqn.outvars, found, strict=True)
                states |= {var: state for var, state in pairs if state is not None}
            elif not others:
                constants.update(v for v in eqn.outvars if not masks.get(v, 0) & self.bit)
        return [None if hasattr(var, "val") else states.get(var) for var in jaxpr.outvars]

    def _enter(
        self, path: Path, inside: Sequence[Any], known: dict[Any, State], constants: set[Any]
    ) -> list[State | None]:
        """Go through the bodies of an equation, which take the last of its operands."""
        results: list[State | None] = [None] * len(path.eqn.outvars)
        for jaxpr in inside:
            given = path.eqn.invars[len(path.eqn.invars) - len(jaxpr.invars) :]
            if len(given) != len(jaxpr.invars) or len(jaxpr.outvars) != len(results):
                continue
            states, fixed = {}, set(jaxpr.constvars)
            for var, atom in zip(jaxpr.invars, given, strict=True):
                if hasattr(atom, "val") or atom in constants:
                    fixed.add(var)
                elif atom in known:
                    states[var] = known[atom]
            found = self._spread((path, jaxpr), states, fixed)
            results = [one or other for one, other in zip(results, found, strict=True)]
        return results

    def _through(
        self, path: Path, known: dict[Any, State], others: list[Any], differing: list[Any]
    ) -> State | None:
        """Return what comes of drawn numbers in an equation; None where they are lost in others."""
        eqn = path.eqn
        name, out = eqn.primitive.name, eqn.outvars[0]
        if name == "broadcast_in_dim":
            [state] = known.values()
            dims, sizes = eqn.params["broadcast_dimensions"], eqn.invars[0].aval.shape
            kept = {d for d, size in zip(dims, sizes, strict=True) if size == out.aval.shape[d]}
            grown = self._rows_of(out) - kept
            # One row for each shard is no sharing yet.
            owned = state.kind is Kind.OWNED and bool(grown)
            several = any(out.aval.shape[row] > 1 for row in grown)
            return state._replace(shared=state.shared or owned or several)
        if name in _GATHERING:
            # Each shard calls them together: equal numbers stand beside each other.
            self.differs = True
        if name in ("dynamic_slice", "gather"):
            if eqn.invars[0] in known:
                # By a place that differs, each takes a part of its own.
                return None if differing else _most(known)
            ends = -1 if name == "gather" else None
            if all(math.prod(var.aval.shape[:ends]) == 1 for var in known):
                return None  # One place for all rows.
        if name == "dot_general" and len(known) == 1 and others:
            [(var, state)] = known.items()
            return self._multiply(path, var, state, others[0], others[0] in differing)
        return self._meet(path, out, known, others, differing)

    def _multiply(
        self, path: Path, var: Any, state: State, other: Any, differs: bool
    ) -> State | None:
        contracted, batch = path.eqn.params["dimension_numbers"]
        side = 0 if path.eqn.invars[1] is var else 1
        bound = {*contracted[side], *batch[side]}
        # Each number meets one of the other's where none of its dimensions is left.
        own = len(bound) == other.aval.ndim or (
            self.rows is not None and bool(bound & self._rows_of(other))
        )
        if differs:
            if own and not state.shared and state.kind is not Kind.OWNED:
                self._note(path, differs=True)
            return None
        if own:
            self._note(path, differs=False)
        return state._replace(kind=max(state.kind, Kind.SCALED))

    def _meet(
        self,
        path: Path,
        out: Any,
        known: dict[Any, State],
        others: list[Any],
        differing: list[Any],
    ) -> State | None:
        state = _most(known)
        if len(known) == 1 and not others:
            grown = math.prod(out.aval.shape) > max(math.prod(var.aval.shape) for var in known)
            return state._replace(shared=state.shared or grown)
        beside = path.eqn.primitive.name in _BESIDE
        own = any(not known[var].shared and (beside or self._covers(var, out)) for var in known)
        if differing:
            if own:
                self._note(path, differs=True)
            return None
        kind = state.kind
        for other in others:
            whole = other.aval.shape == out.aval.shape
            if own and whole:
                self._note(path, differs=False)
            kind = max(kind, Kind.OWNED if whole and out.aval.ndim else Kind.SCALED)
        return State(kind, state.shared or not own)

    def _note(self, path: Path, *, differs: bool) -> None:
        stack = name_stack_of(path)
        if _compat.BACKWARD in stack and _compat.RECOMPUTED not in stack:
            self._differs_backward |= differs
        elif differs:
            self.differs = True
        else:
            self.owned = True

    def _rows_of(self, var: Any) -> set[int]:
        dims = range(var.aval.ndim)
        return {dim for dim in dims if self.rows is None or dim in self.rows}

    def _covers(self, var: Any, out: Any) -> bool:
        """Does a value have a number of its own for each row of a result?"""
        one, whole = var.aval.shape, out.aval.shape
        rows = [row for row in self._rows_of(out) if whole[row] > 1]
        return not rows or (len(one) == len(whole) and all(one[row] == whole[row] for row in rows))


_BESIDE = ("concatenate", "pad", "dynamic_update_slice", "scatter")
_GATHERING = ("all_gather", "all_gather_invariant", "all_to_all")


def _most(known: dict[Any, State]) -> State:
    states = known.values()
    return State(max(each.kind for each in states), all(each.shared for each in states))


def split_rows(eqn: Any, axis: Any) -> frozenset[int]:
    """Return the dimensions over which a mapped body's operands are split; else the first.

    A `pmap` has taken them away: each shard has one row.
    """
    if _compat.is_pmap(eqn):
        return frozenset()
    specs = zip(eqn.invars, eqn.params["in_specs"], strict=True)
    found = (_split_dims(spec, atom, axis) for atom, spec in specs)
    return frozenset(dim for dims in found for dim in dims) or frozenset((0,))


def split_results(eqn: Any, axis: Any) -> list[bool]:
    """Say of each result of a mapped body whether it is put together over an axis."""
    specs = zip(eqn.outvars, eqn.params["out_specs"], strict=True)
    return [any(True for _ in _split_dims(spec, var, axis)) for var, spec in specs]


def _split_dims(spec: Any, atom: Any, axis: Any) -> Iterator[int]:
    names = axes_of(spec, atom)
    return (dim for dim, over in enumerate(names) if axis in over)
