"""Lower programs while they are recorded: each use of keys calls back.

All rules do what the rules they stand on do as long as nothing is recorded, and whatever is
recorded: they add a call and change no value.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from jax.extend.core import primitives
from jax.extend.random import threefry2x32_p

from keystream import _compat
from keystream._audit.jaxprs import holds
from keystream._audit.recording import call_paths, recordings, sites
from keystream._audit.recording.call_paths import (
    BACKWARD,
    CHECKPOINT,
    LANES_WAIT,
    MOVED_OUT,
    REPLAY,
    Frame,
)
from keystream._compat import bodies


def recording_rule(what: str, stock: _compat.Rule) -> _compat.Rule:
    """Return the rule of a primitive that uses keys."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        if not recordings.is_on() or _local.inside:
            return stock(ctx, *operands, **params)
        with _lower_inside(), lower_once_if(_compat.is_for_several_platforms(ctx)):
            results = stock(ctx, *operands, **params)
            try:
                _record(what, ctx, operands, tuple(results), params)
            except Exception as problem:  # whatever another version of JAX may raise here
                recordings.add_unseen(f"{what}: not recorded in one place ({problem!r})")
        return results

    return rule


def _record(what: str, ctx: Any, operands: Any, results: Any, params: dict[str, Any]) -> None:
    if _compat.is_for_export(ctx):
        recordings.add_unseen("a function that was exported: what it draws when it is called")
        return
    recordings.lowered.set()
    around = _local.ways[-1]
    moved = around.written.union(_compat.written_in(ctx)) - around.loops
    there = _way_to_equation(ctx, mark=MOVED_OUT if moved else None)
    site = sites.site_of(
        what, ctx.avals_in, ctx.avals_out, params,
        path=there.path, template=_compat.program_identity(ctx), most=there.most,
        sure=there.sure, waits=_compat.is_waited_for(ctx),
    )  # fmt: skip
    values = sites.values_of(site, ctx.avals_in, operands, results)
    sites.emit(ctx, functools.partial(recordings.receive, site), values)


def around_rule(name: str, stock: _compat.Rule) -> _compat.Rule:
    """Return the rule of a primitive that has programs inside."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        off = not recordings.is_on() or _local.inside
        if off or not _uses_keys(params, _local.known):
            return stock(ctx, *operands, **params)
        if name == "jit":
            # A function that is called twice is lowered once, by its name; but its draws
            # are other draws in each call.
            params["name"] = f"{params['name']}_{next(_calls)}"
        if name == "while":
            operands = _announce_loop(ctx, operands)
        with _lower_through(_with_names(_way_of(name, ctx, params), ctx, params)):
            return stock(ctx, *operands, **params)

    return rule


_calls = itertools.count(1)


def marking_rule(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule by which `vmap` maps a `cond`, whose branches it may have run all."""

    def rule(*args: Any, branches: Sequence[Any], **params: Any) -> Any:
        if recordings.is_on():
            with contextlib.suppress(Exception):  # another version: branches remain unmarked
                branches = _mark_branches(branches)
        return stock(*args, branches=branches, **params)

    return rule


def _mark_branches(branches: Sequence[Any]) -> tuple[Any, ...]:
    """Have the equations of each branch say which one they stand in, of which choice."""
    lines = [
        [_compat.user_frames(eqn.source_info) for eqn in _compat.open_jaxpr(each).jaxpr.eqns]
        for each in branches
    ]
    # Traced again, a choice is the same one.
    choice = zlib.crc32(repr(lines).encode())
    return tuple(
        _compat.in_scope(each, call_paths.branch_name(choice, place))
        for place, each in enumerate(branches)
    )


def _announce_loop(ctx: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have a program tell that it comes to a loop, before it does.

    How often the loop turns can't be told beforehand; that it begins again can: so programs
    that use keys only in loops are told apart from their next execution.
    """
    words = [at for at, aval in enumerate(ctx.avals_in) if sites.are_words(aval)]
    waits = _compat.is_waited_for(ctx)
    there = _way_to_equation(ctx)
    if not (words and waits and there.most < math.inf) or _local.ways[-1].scans:
        return operands
    mark = sites.loop_site(there.path, _compat.program_identity(ctx), there.most)
    at = words[0]
    value = sites.words_of(ctx.avals_in[at], operands[at])
    same = sites.call_back_first(ctx, functools.partial(recordings.reach, mark), value)
    return (*operands[:at], same, *operands[at + 1 :])


def _way_of(name: str, ctx: Any, params: dict[str, Any]) -> Way:
    if name == "scan":
        return _way_to_equation(ctx, params["length"], scans=True)
    if name == "while":
        lanes = params["cond_jaxpr"].out_avals[0].shape
        return _way_to_loop(ctx, LANES_WAIT if lanes else None)
    if name == "cond":
        return _way_to_equation(ctx)._replace(sure=False)
    if name == "closed_call":
        return _way_to_loop_function(ctx)
    differentiated = name == "remat" and params["differentiated"]
    return _way_to_equation(ctx, mark=CHECKPOINT if differentiated else None)


def _with_names(way: Way, ctx: Any, params: dict[str, Any]) -> Way:
    around = _local.ways[-1]
    written = around.written.union(_compat.written_in(ctx))
    loops = around.loops | _compat.loop_numbers(ctx, params)
    names = tuple(_compat.name_stack(ctx))
    return way._replace(written=written, loops=loops, names=names, replays=_count_replays(ctx))


def _count_replays(ctx: Any) -> int:
    """Return in how many replays of checkpoints an equation stands."""
    around, names = _local.ways[-1], tuple(_compat.name_stack(ctx))
    found = names.count(_compat.RECOMPUTED)
    if names[: len(around.names)] == around.names:
        return around.replays + found - around.names.count(_compat.RECOMPUTED)
    return around.replays + found  # a function of its own begins without names


class Way(NamedTuple):
    """What lies around an equation."""

    raw: call_paths.Traced = ()
    path: tuple[Frame, ...] = ()
    most: float = 1
    sure: bool = True
    """Is it on the way of every execution?"""
    scans: bool = False
    """Is it a scan, which JAX lowers as a while loop that it writes itself?"""
    written: frozenset[str] = frozenset()
    """The loops in which it is written, see `_compat.written_in`."""
    loops: frozenset[str] = frozenset()
    """Those around it, see `_compat.loop_numbers`."""
    names: tuple[tuple[str, str], ...] = ()
    """The name stack of the equation."""
    replays: int = 0
    """In how many replays of checkpoints it stands."""


class _Local(threading.local):
    """What a thread is lowering; threads lower apart from each other."""

    def __init__(self) -> None:
        self.ways: list[Way] = [Way()]
        self.inside = False
        self.known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


_local = _Local()


@contextlib.contextmanager
def _lower_inside() -> Iterator[None]:
    """Lower what one use of keys consists of, which isn't recorded again."""
    before, _local.inside = _local.inside, True
    try:
        yield
    finally:
        _local.inside = before


def _way_to_equation(
    ctx: Any, times: float = 1, mark: Frame | None = None, *, scans: bool = False
) -> Way:
    """Return the way to the equation that a context of JAX's lowering belongs to."""
    around = _local.ways[-1]
    raw = call_paths.pieces_of(_compat.traceback(ctx))
    known_part = raw[: len(around.raw)] == around.raw
    path = (*around.path, *call_paths.join_pieces(raw[len(around.raw) :] if known_part else raw))
    marks = [mark] if mark else []
    marks += [REPLAY] * (_count_replays(ctx) - path.count(REPLAY))
    marks += [frame for frame in call_paths.branches_of(ctx) if frame not in path]
    if BACKWARD not in path and _compat.is_transposed(ctx):
        marks.append(BACKWARD)
    return around._replace(raw=raw, path=(*path, *marks), most=around.most * times, scans=scans)


@contextlib.contextmanager
def _lower_through(way: Way) -> Iterator[None]:
    """Lower what lies inside an equation."""
    _local.ways.append(way)
    try:
        yield
    finally:
        _local.ways.pop()


def _way_to_loop(ctx: Any, mark: Frame | None) -> Way:
    """Return the way to a while loop; that of a scan is written by JAX, in the scan's place."""
    around = _local.ways[-1]
    return around._replace(scans=False) if around.scans else _way_to_equation(ctx, math.inf, mark)


def _way_to_loop_function(ctx: Any) -> Way:
    """Return the way to a function that JAX makes of the body of a loop, in the loop's place."""
    return _local.ways[-1]._replace(raw=call_paths.pieces_of(_compat.traceback(ctx)), scans=False)


@functools.cache
def uses() -> dict[Any, str]:
    """Return the primitives that use keys, and what a record calls them."""
    return {
        primitives.random_bits_p: "bits",
        primitives.random_split_p: "split",
        primitives.random_fold_in_p: "fold_in",
        primitives.random_seed_p: "seed",
        primitives.random_gamma_p: "gamma",
        _compat.clone_primitive(): "clone",
        threefry2x32_p: "block",
    }


def _uses_keys(params: dict[str, Any], known: WeakKeyDictionary[Any, bool]) -> bool:
    """Does any jaxpr in the parameters of an equation use keys?"""
    return any(holds(jaxpr, _is_use, known) for jaxpr in bodies(params.values()))


def _is_use(eqn: Any) -> bool:
    return eqn.primitive in uses()


@functools.cache
def lowered_anew_by_jax() -> frozenset[Any]:
    """Return what JAX itself lowers at each place anew; asked before anything is marked."""
    return frozenset(_compat.lowered_each_time())


def lower_anew(uses: Iterable[Any]) -> None:
    """Have primitives be lowered at each place anew."""
    _compat.lowered_each_time().update(uses)


def lower_once(uses: Iterable[Any]) -> None:
    """Have them be lowered as JAX does it by itself."""
    _compat.lowered_each_time().difference_update({*uses} - lowered_anew_by_jax())


@contextlib.contextmanager
def lower_once_if(several: bool) -> Iterator[None]:
    """Lower the cipher as JAX does it by itself where a program is for several platforms."""
    anew = several and threefry2x32_p in _compat.lowered_each_time()
    if anew:
        lower_once((threefry2x32_p,))
    try:
        yield
    finally:
        if anew:
            lower_anew((threefry2x32_p,))
