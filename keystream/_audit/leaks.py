"""Find out whether a function kept a traced value after it was traced.

Every traced value holds the trace that it belongs to, so that a trace which is gone has left
none behind: that is one weak reference to ask. Where it isn't gone, its values are looked for,
and who holds them, upwards as far as what the next call can reach: the function, what it was
given, and the modules. What JAX alone holds, as rules of derivatives that the jaxpr has for
later, does no harm, nor does a function of the call that somebody has as the key of a cache.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

import jax

from keystream import _compat

MOST = 500
"""Holders up to which one looks on; each is looked for among all objects of the process."""


class Watch:
    """Watches one trace, from inside of it."""

    def __init__(self, given: Iterable[Any]) -> None:
        self._roots = {id(each) for each in given}
        """What a call has before it begins."""
        self._watched: weakref.ref[Any] | None = None

    def begin(self) -> None:
        """Watch the trace that is under way."""
        self._watched = _compat.trace_of(jax.lax.full((), 0.0))

    def find_holder(self) -> str:
        """Return who has kept a value of the trace, in words; nothing if nobody has."""
        if self._values():
            gc.collect()  # what only awaits this looks as if it were held
        return _describe(self._way_to_root(self._values()))

    def _values(self) -> list[Any]:
        """Return the values of the trace that are left."""
        trace = None if self._watched is None else self._watched()
        found = () if trace is None else gc.get_referrers(trace)
        return [each for each in found if isinstance(each, jax.core.Tracer)]

    def _way_to_root(self, values: list[Any]) -> list[Any]:
        """Return what holds what, from a root down to one of these values."""
        seen = {id(value): value for value in values}
        below: dict[int, int] = {}
        deferred: set[int] = set()
        """Held by a function, which may never be called again."""
        level = tuple(values)
        while level and len(seen) < MOST:
            above = []
            for holder in gc.get_referrers(*level):
                ours = holder is level or holder is values or holder is seen
                if ours or id(holder) in seen or _is_jaxs(holder):
                    continue
                inner = _held_by(holder, level)
                waits = id(inner) in deferred or isinstance(inner, types.FunctionType)
                if inner is None or (waits and isinstance(holder, _CACHE)):
                    continue
                seen[id(holder)], below[id(holder)] = holder, id(inner)
                if waits:
                    deferred.add(id(holder))
                if id(holder) in self._roots or _is_of_a_module(holder):
                    way = [id(holder)]
                    while way[-1] in below:
                        way.append(below[way[-1]])
                    return [seen[each] for each in way]
                above.append(holder)
            level = tuple(above)
        return []


_CACHE = type(functools.cache(_compat.trace_of))


def _is_jaxs(holder: Any) -> bool:
    """Does JAX hold a value for itself, or the stack?"""
    if isinstance(holder, jax.core.Tracer):
        return False
    whose = holder if isinstance(holder, types.FunctionType) else type(holder)
    stack = isinstance(holder, (types.FrameType, types.ModuleType))
    return stack or _is_of_jax(whose.__module__)


def _is_of_jax(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in ("jax", "jaxlib")


def _held_by(holder: Any, level: tuple[Any, ...]) -> Any:
    """Return which of these a holder holds; of a dict only what it has as a value."""
    held = holder.values() if isinstance(holder, dict) else gc.get_referents(holder)
    ids = {id(each) for each in held}
    return next((each for each in level if id(each) in ids), None)


def _is_of_a_module(holder: Any) -> bool:
    return isinstance(holder, dict) and any(
        holder is getattr(module, "__dict__", None)
        for name, module in [*sys.modules.items()]
        if not _is_of_jax(name)
    )


def _describe(way: list[Any]) -> str:
    """Name the innermost thing on a way that has a name for what it holds."""
    found, ids = "a variable" if way else "", {id(each) for each in way}
    for holder in way:
        names = getattr(holder, "__dict__", {})
        if holder is way[0] and isinstance(holder, dict):
            names = holder
        if isinstance(holder, types.FunctionType):
            with contextlib.suppress(ValueError):  # a variable that has no value yet
                names = inspect.getclosurevars(holder).nonlocals
        for name, value in [*names.items()]:
            if id(value) in ids and isinstance(name, str):
                own = names is holder or isinstance(holder, types.FunctionType)
                owner = holder if isinstance(holder, type) else type(holder)
                found = name if own else f"{owner.__name__}.{name}"
    return found
