"""Follow drawn numbers to what they meet: which values they belong to, and where they are returned.

The idea: a draw belongs to what it meets number for number. Noise in the shape of a shard's rows
belongs to these rows, and should differ from shard to shard. Noise in the shape of weights that
all shards share belongs to the weights, and has to be equal on all shards; so has one number that
scales all rows, or decides about them. Where equal numbers are returned over the axis, one beside
the other, they are equal by mistake again.
"""

from __future__ import annotations

import collections
import enum
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from keystream import _compat
from keystream._audit.places import Path, written_path
from keystream._audit.reading.equal_values import is_literal
from keystream._audit.reading.meshes import axes_of
from keystream._audit.reading.reader import is_key, scopes_of
from keystream._compat import bodies


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


At = tuple["Path | None", Any]
"""A body: where it is called, and its jaxpr."""


class _Body(NamedTuple):
    """What is looked up of a body once."""

    constants: set[Any]
    """What depends on nothing that is given."""
    users: dict[Any, list[int]]
    """By variable: the equations that use it."""

    def others(self, eqn: Any, states: Mapping[Any, State]) -> list[Any]:
        """Return what an equation uses beside drawn numbers and constants."""
        variables = [atom for atom in eqn.invars if not is_literal(atom)]
        return [var for var in variables if var not in states and var not in self.constants]


def _read_body(jaxpr: Any, fixed: frozenset[Any], masks: Mapping[Any, int]) -> _Body:
    constants, users = {*fixed, *jaxpr.constvars}, collections.defaultdict[Any, list[int]](list)
    for place, eqn in enumerate(jaxpr.eqns):
        variables = [atom for atom in eqn.invars if not is_literal(atom)]
        for var in variables:
            users[var].append(place)
        if constants.issuperset(variables):
            # The place on an axis is given by nothing, and differs.
            constants.update(var for var in eqn.outvars if not scopes_of(masks.get(var, 0)))
    return _Body(constants, users)


class Meetings:
    """Follows one draw through the equations after it."""

    def __init__(
        self,
        masks: Mapping[At, Mapping[Any, int]],
        read: dict[tuple[At, frozenset[Any]], _Body],
        bit: int = 0,
        rows: frozenset[int] | None = None,
    ) -> None:
        """Begin.

        Args:
            masks: By body: what values were made from.
            read: By body, and what is constant in it: what was looked up before.
            bit: What marks values that differ; nothing does by itself.
            rows: The dimensions over which rows are told apart; None for all.
        """
        self.masks, self.read, self.bit, self.rows = masks, read, bit, rows
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
            found = self._spread((path.outer, path.jaxpr), begun, frozenset(), begin)
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
        self, at: At, states: dict[Any, State], fixed: frozenset[Any], begin: Any = None
    ) -> list[State | None]:
        """Go through a body; `begin` is its equation that the numbers come out of."""
        where, jaxpr = at
        body = self._body(at, fixed)
        waiting: list[int] = []

        def put(var: Any, state: State | None) -> None:
            if state is not None and self._matters(state):
                states[var] = state
                for place in body.users.get(var, ()):
                    heapq.heappush(waiting, place)

        for var, state in list(states.items()):
            del states[var]
            if begin is not None:
                # What a sampler is given beside its key, as probabilities.
                others = [o for o in body.others(begin, states) if not is_key(o.aval)]
                path = Path(where, begin, jaxpr)
                put(var, self._meet(path, var, {var: state}, others, self._differing(at, others)))
            else:
                put(var, state)
        done = -1
        while waiting:
            place = heapq.heappop(waiting)
            eqn = jaxpr.eqns[place]
            if place == done or not eqn.outvars:
                continue
            done, path = place, Path(where, eqn, jaxpr)
            known = {v: states[v] for v in eqn.invars if not is_literal(v) and v in states}
            inside = [*bodies(v for name, v in eqn.params.items() if name != "cond_jaxpr")]
            if inside:
                found = self._enter(path, inside, known, body.constants)
            else:
                others = body.others(eqn, states)
                met = self._through(path, known, others, self._differing(at, others))
                found = [met] * len(eqn.outvars)
            for var, each in zip(eqn.outvars, found, strict=True):
                put(var, each)
        return [None if is_literal(var) else states.get(var) for var in jaxpr.outvars]

    def _matters(self, state: State) -> bool:
        # Of lanes it is asked whether all share what was drawn as it is, and what it met first.
        if self.rows is not None:
            return True
        return not state.shared and (state.kind is Kind.DRAWN or not self.owned)

    def _differing(self, at: At, others: list[Any]) -> list[Any]:
        masks = self.masks.get(at, {})
        return [var for var in others if masks.get(var, 0) & self.bit]

    def _body(self, at: At, fixed: frozenset[Any]) -> _Body:
        if (at, fixed) not in self.read:
            self.read[at, fixed] = _read_body(at[1], fixed, self.masks.get(at, {}))
        return self.read[at, fixed]

    def _enter(
        self, path: Path, inside: Sequence[Any], known: dict[Any, State], constants: set[Any]
    ) -> list[State | None]:
        """Go through the bodies of an equation, which take the last of its operands."""
        results: list[State | None] = [None] * len(path.eqn.outvars)
        for jaxpr in inside:
            given = path.eqn.invars[len(path.eqn.invars) - len(jaxpr.invars) :]
            if len(given) != len(jaxpr.invars) or len(jaxpr.outvars) != len(results):
                continue
            pairs = [*zip(jaxpr.invars, given, strict=True)]
            fixed = {var for var, atom in pairs if is_literal(atom) or atom in constants}
            states = {v: known[a] for v, a in pairs if v not in fixed and a in known}
            found = self._spread((path, jaxpr), states, frozenset(fixed))
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
        stack = path.name_stack
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
