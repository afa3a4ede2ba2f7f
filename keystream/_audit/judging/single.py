"""Judge each use by itself: KS07 to KS09, KS11, KS12, KS14 and KS16."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from keystream import _compat
from keystream._audit.judging.findings import Findings
from keystream._audit.judging.meetings import Kind, Meetings, State, split_results, split_rows
from keystream._audit.judging.view import KeyUse, View, WrittenUse
from keystream._audit.places import Path, first_mode, frames_of, user_frames
from keystream._audit.reading.lineage import Handles, Lineage, Origin, Step, by_step
from keystream._audit.reading.reader import Reader
from keystream._audit.reading.uses import DRAWN, REBUILT, WORDS_DRAWN, Act, Scope, Use
from keystream._audit.values import Severity
from keystream._devices.shard_map import VARY

MANY_KEYS = 1000
"""Of philox2x32: so many of its 32-bit keys are two alike with probability 1e-4."""


_MAPPED = (Origin.ARGUMENT, Origin.WORDS_ARGUMENT, Origin.SPLIT)
"""What makes the keys that a `vmap` maps over."""


class SingleUses:
    """Looks at uses one by one."""

    def __init__(
        self, reader: Reader, view: View, findings: Findings, used: list[np.ndarray]
    ) -> None:
        self.reader, self.lineage = reader, reader.lineage
        self.view, self.findings = view, findings
        self.read: dict[Any, Any] = {}
        """What was looked up of bodies, see `meetings`."""
        self.idle = any(
            len(step.nodes) > 1 and not marks.any()
            for step, marks in zip(self.lineage.steps, used, strict=False)
            if step.origin in _MAPPED
        )
        """Is there an array of keys of which none is used?"""

    def judge_all(self) -> None:
        """Look at every use."""
        for use in self.reader.uses:
            with self.findings.looking_at(use):
                self._judge(use)

    def _judge(self, use: Use) -> None:
        if use.act is Act.DRAW:
            self._judge_steps(use)
            self._judge_shards(use)
            self._judge_lanes(use)
            self._judge_rows(use)
        if use.act is Act.BUILD:
            self._judge_built(use)
        judge_implementation(self.lineage, self.view, self.findings, use)

    def _as_written(self, use: Use, handle: int | None = None) -> WrittenUse:
        return self.view.as_written(KeyUse(use, int(use.handles[0] if handle is None else handle)))

    def _scopes_without_difference(self, use: Use, handles: Handles) -> list[Scope]:
        """Return the scopes over which keys don't differ, as far as the user's code goes."""
        if not use.scopes:
            return []
        varies = self.lineage.varies(handles)
        alike = [scope for scope in use.scopes if not varies & scope.bit]
        return [scope for scope in alike if _is_users(use, scope)]

    def _judge_steps(self, use: Use) -> None:
        if _is_moved_out(use.where):
            judge_moved_out(self.view, self.findings, use, _is_moved_out)
            return
        # Of lanes some may have a key from outside of the loop, and others one of its steps.
        for _, place in by_step(use.handles) if use.scopes else ():
            keys = use.handles[place]
            alike = self._scopes_without_difference(use, keys)
            loops = [scope for scope in alike if scope.kind != "axis"]
            if loops:
                self._add_steps(self._as_written(use, keys[0]), loops[-1])
                return

    def _add_steps(self, written: WrittenUse, loop: Scope) -> None:
        where = loop.where.eqns
        if first_mode(frames_of(written.use.where, loop.where)) == "jvp":
            # As a product with a matrix of derivatives, which each step takes of one function.
            written = written._replace(maybe=True)
        inside = [s for s in written.steps if s.where and s.where.eqns[: len(where)] == where]
        if self.reader.unadvanced[loop.where].intersection(self.lineage.way(written.handle)):
            message = "a loop carries a key that it never advances"
            self.findings.add("KS09", [written], message=message)
        elif any(map(_is_fold, inside)):
            self.findings.add("KS08", [written], steps=tuple(inside[-1:]))
        else:
            self.findings.add("KS07", [written])

    def _judge_shards(self, use: Use) -> None:
        alike = self._scopes_without_difference(use, use.handles)
        axes = [scope for scope in alike if scope.kind == "axis"]
        doubts = {axis: self._doubt(use, axis) for axis in axes if not _is_meant(use, axis)}
        found = [axis for axis, doubt in doubts.items() if doubt]
        if found:
            written = self._as_written(use)
            listed = ", ".join(repr(str(scope.name)) for scope in found)
            over = f"axes {listed}" if len(found) > 1 else f"axis {listed}"
            message = f"all shards over the mesh {over} draw the same numbers"
            severity: Severity = "error" if "error" in doubts.values() else "warning"
            self.findings.add("KS12", [written], message=message, severity=severity)

    def _doubt(self, use: Use, axis: Scope) -> Severity | None:
        """Say how bad it is that all shards over an axis draw the same numbers, if it is."""
        mapped = axis.where.eqn
        meetings = Meetings(self.reader.masks, self.read, axis.bit, split_rows(mapped, axis.name))
        results = zip(
            meetings.follow(use.where, axis.where), split_results(mapped, axis.name), strict=True
        )
        if meetings.differs:
            return "error"
        states = [state for state, split in results if state and split]
        if _compat.is_pmap(mapped):
            # It returns all that it is to return for each shard, weights that are alike as well.
            if all(state.kind is Kind.DRAWN for state in states):
                return None
            return "error" if any(state.kind is Kind.SCALED for state in states) else "warning"
        return "error" if states else None

    def _judge_lanes(self, use: Use) -> None:
        lanes = len(use.handles)
        judge_repeated_lanes(
            self.lineage,
            self.view,
            self.findings,
            use,
            lambda count: _keeps_rows(use.where, lanes, count),
        )
        nodes = self.lineage.nodes(use.handles)
        copies = len(nodes) > 1 and bool((nodes == nodes[0]).all())
        if copies or self._is_alike_in_lanes(use):
            written = self._as_written(use)
            self.findings.add("KS11", [written], message=self._made_inside(written))

    def _made_inside(self, written: WrittenUse) -> str:
        """Say that a `vmap` is given keys, and its function makes one key for all lanes."""
        root = written.steps[0]
        made = root.where is not None and _compat.LANES in root.where.name_stack
        if not (made and root.origin is Origin.SEED and self.idle):
            return ""
        return f"no lane of a vmap depends on the key it is given: all draw from {root.phrase}"

    def _is_alike_in_lanes(self, use: Use) -> bool:
        stack, keys = use.where.name_stack, use.where.eqn.invars[0].aval.ndim
        lanes = stack.count(_compat.LANES)
        if lanes <= keys:
            return False
        meetings = Meetings(self.reader.masks, self.read)
        if State() in meetings.follow(use.where):
            # Weights are initialized that all lanes are to share; they may meet data as well.
            return False
        if meetings.owned:
            # They meet what has no lanes: where a jvp is mapped, the lanes are its tangents.
            lanes -= list(itertools.pairwise(stack)).count((_compat.LANES, _compat.TANGENTS))
        return bool(lanes > keys)

    def _judge_rows(self, use: Use) -> None:
        """Find steps of a loop, or shards, that are given the same key of an array."""
        if use.where.is_in_batches:
            return
        for keys in use.also:
            different = _count_different(self.lineage.nodes(keys))
            if different < len(keys):
                written = self._as_written(use)
                message = f"{len(keys)} steps draw from {different} keys"
                self.findings.add("KS01", [written], message=message)
                return

    def _judge_built(self, use: Use) -> None:
        severity: Severity = "error" if use.sources & (DRAWN | REBUILT) else "warning"
        why = ""
        if use.sources & WORDS_DRAWN:
            message, severity = "the words of a key are drawn with another key", "note"
            why = "That makes a key of another implementation, where nothing else is drawn so."
        elif use.sources & DRAWN:
            message = "a key is built from numbers that were drawn"
        elif use.sources & REBUILT:
            message = "a key is rebuilt from words that were computed from another key's"
        elif use.sources:
            message = "a key is built from data"
        else:
            message = "a key is rebuilt from another key's words"
        written = self._as_written(use)
        self.findings.add("KS14", [written], message=message, severity=severity, why=why)


def judge_moved_out(
    view: View, findings: Findings, use: Use, is_moved: Callable[[Any], bool]
) -> None:
    """Tell of a draw that was moved out of a loop, since it is the same in every step."""
    written = view.as_written(KeyUse(use, int(use.handles[0])))
    folds = [step for step in written.steps if _is_fold(step) and is_moved(step.where)]
    findings.add("KS08" if folds else "KS07", [written], steps=tuple(folds[-1:]))


def _is_moved_out(where: Path) -> bool:
    """Does the user's own code stand in a loop, and no longer in the program?"""
    return bool(where.moved_out_of) and any(
        user_frames(eqn.source_info) for eqn in where.eqns if _compat.written_in(eqn.source_info)
    )


def _is_fold(step: Step) -> bool:
    return step.where is not None and step.origin in (Origin.FOLD_IN, Origin.NAME)


def _count_different(nodes: np.ndarray) -> int:
    # NumPy sorts numbers much faster than it finds which ones are unique.
    return 1 + int(np.count_nonzero(np.diff(np.sort(nodes))))


def judge_repeated_lanes(
    lineage: Lineage, view: View, findings: Findings, use: Use, is_dropped: Callable[[int], bool]
) -> None:
    """Find key arrays that hold some key more than once.

    `is_dropped` tells of a number of lanes whether what the others draw is thrown away.
    """
    nodes = lineage.nodes(use.handles)
    lanes, different = len(nodes), _count_different(nodes)
    # One key for all of them is a broadcast, which `vmap` makes of a key that lanes share.
    if use.act is not Act.DRAW or not 1 < different < lanes:
        return
    written = view.as_written(KeyUse(use, int(use.handles[0])))
    message, cure = f"{lanes} lanes draw from {different} keys", ""
    severity: Severity | None = None
    if len(np.unique(nodes[:different])) == different and is_dropped(different):
        message += ": padded, and right as long as the rest is dropped"
        severity = "warning"
        cure = f"keys = ks.keys(key, {lanes})  # one for each lane"
    findings.add("KS01", [written], message=message, severity=severity, cure=cure)


def judge_implementation(lineage: Lineage, view: View, findings: Findings, use: Use) -> None:
    """Find uses that break what an implementation guarantees."""
    impl, act = lineage.impl(use.handles), use.act
    if "rbg" in impl and act is Act.DRAW and len(use.handles) > 1:
        message = f"under vmap only the first of several {impl} keys draws"
    elif impl == "unsafe_rbg" and act is Act.FOLD:
        message = "folds of unsafe_rbg keys commute and cancel"
    elif impl == "philox2x32" and act is Act.SPLIT and np.prod(use.shape) >= MANY_KEYS:
        message = f"{np.prod(use.shape):,} keys of 32 bits are likely to hold equal ones"
    else:
        return
    written = view.as_written(KeyUse(use, int(use.handles[0])))
    findings.add("KS16", [written], message=message)


def _is_meant(use: Use, axis: Scope) -> bool:
    """Does `ks.shard_map` say that its draws are shared over this axis?"""
    inside = use.where.eqns[len(axis.where.eqns)]
    stack = [name for _, name in _compat.name_stack(inside.source_info)]
    said = [name.removeprefix(VARY) for name in stack if name.startswith(VARY)]
    return any(str(axis.name) not in names.split(",") for names in said)


def _is_users(use: Use, scope: Scope) -> bool:
    """Does the user's own code stand between a scope and the use inside it?"""
    inside = use.where.eqns[len(scope.where.eqns) :]
    return any(user_frames(eqn.source_info) for eqn in inside)


def _keeps_rows(draw: Path, rows: int, count: int) -> bool:
    """Are only the first of so many rows of drawn numbers left in the results of a program?"""
    path: Path | None = draw
    places = list(range(len(draw.eqn.outvars)))
    while path is not None and places:
        found = _results_by_row(path.jaxpr, [path.eqn.outvars[p] for p in places], rows, count)
        if found is None:
            return False
        places, path = found, path.outer
        if path is not None and path.eqn.primitive.name not in _CALLS:
            return False
    return not places


def _results_by_row(jaxpr: Any, drawn: list[Any], rows: int, count: int) -> list[int] | None:
    """Return which results of a body are made row by row of drawn ones, and not cut.

    None where rows are mixed, as far as shapes tell.
    """
    ours = set(drawn)
    for eqn in jaxpr.eqns:
        if all(hasattr(atom, "val") or atom not in ours for atom in eqn.invars):
            continue
        name, params = eqn.primitive.name, eqn.params
        if name == "slice" and params["start_indices"][0] == 0:
            cut = params["limit_indices"][0] <= count and not params["strides"]
        else:
            cut = False
        if not cut:
            if name in _MIXING or any(var.aval.shape[:1] != (rows,) for var in eqn.outvars):
                return None
            ours.update(eqn.outvars)
    return [place for place, var in enumerate(jaxpr.outvars) if var in ours]


_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2")
_MIXING = ("sort", "rev", "cumsum", "cumprod", "cummax", "cummin", "gather", "concatenate")
