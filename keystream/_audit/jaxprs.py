"""Trace a call into a jaxpr, and look into jaxprs."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    MutableMapping,
)
from typing import Any, NamedTuple

import jax
import numpy as np

from keystream import _compat
from keystream._audit import leaks
from keystream._audit.places import is_jax, is_ours
from keystream._checks.calls import call_function
from keystream._checks.tree import check_arrays, check_leaves, flatten_with_path
from keystream._compat import bodies
from keystream._errors import ArgumentTypeError, Phrase, error, summary


class Traced(NamedTuple):
    """A call as a jaxpr."""

    closed: Any
    """The jaxpr with its constants."""
    names: tuple[str, ...]
    """Of its arguments, as the user would write them: `key`, `state['params']`."""


def trace(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Traced:
    """Trace a call: arrays become abstract, everything else stays what it is.

    Raises:
        ArgumentTypeError: The call looks at values that tracing doesn't have, or keeps what is
            traced, which is of no use to whoever comes next.
    """
    pairs, structure = flatten_with_path("args", (args, kwargs))
    leaves = [leaf for _, leaf in pairs]
    places = [place for place, leaf in enumerate(leaves) if is_array(leaf)]
    check_arrays("args", [leaves[place] for place in places])
    named = _parameter_names(fun, len(args))
    names = tuple(_argument_name(pairs[place][0], named) for place in places)

    watch = leaks.Watch([fun, *leaves])

    def call(arrays: list[Any]) -> Any:
        watch.begin()
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        args, kwargs = jax.tree.unflatten(structure, filled)
        return [_result_or_zero(leaf) for leaf in result_leaves(fun, args, kwargs)]

    try:
        with _compat.reading():
            closed = jax.make_jaxpr(call)([leaves[place] for place in places])
    except Exception as cause:
        # The errors of concrete values, of what was compiled ahead of time, and of flax where a
        # module outside of the function would change.
        tracing = isinstance(cause, jax.errors.JAXTypeError) or _compat.is_compiled_call(cause)
        if not (tracing or type(cause).__name__ == "TraceContextError"):
            raise
        wanted = "traceable, with arrays of which the values aren't known"
        got = Phrase(f"{type(cause).__name__} in {_users_line(cause)}")
        cure = "To audit a run of it instead: ks.audit(fun, *args, run=True)."
        raise error(ArgumentTypeError, "fun", wanted, got, cure) from cause
    kept = watch.find_holder()
    if kept:
        wanted = "a function that keeps nothing of what it is called with"
        got = Phrase(f"{summary(fun)}, which has kept a traced value in {kept}")
        cure = "To audit a run of it, made anew: ks.audit(fun, *args, run=True)."
        raise error(ArgumentTypeError, "fun", wanted, got, cure)
    return Traced(closed, names)


def drop_unneeded(traced: Traced) -> Traced | None:
    """Leave out what no result needs, as `jit` does; None where JAX offers no way to do that."""
    less = _compat.without_unneeded(traced.closed)
    return None if less is None else traced._replace(closed=less)


def is_array(leaf: Any) -> bool:
    """Does a leaf become abstract?"""
    return isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct, np.ndarray))


def _result_or_zero(leaf: Any) -> Any:
    # What isn't an array can't be handed back by a traced function, and no key is lost by it.
    try:
        jax.typeof(leaf)
    except (TypeError, ValueError, OverflowError):
        return 0
    return leaf


def _parameter_names(fun: Callable[..., Any], count: int) -> list[str]:
    try:
        found = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        found = ()  # type: ignore[assignment]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in found if each.kind in plain]
    return [*names, *(f"args[{place}]" for place in range(len(names), count))]


def _argument_name(path: Any, names: list[str]) -> str:
    kind, which, *rest = path
    first = names[which.idx] if kind.idx == 0 else str(which.key)
    return first + jax.tree_util.keystr(tuple(rest))


def _users_line(cause: BaseException) -> str:
    """Return the user's line that an error comes from."""
    found, traceback = "", cause.__traceback__
    while traceback is not None:
        file, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        if not is_ours(file) and not is_jax(file):
            found = f"{file.replace(chr(92), '/').rpartition('/')[2]}:{line}"
        traceback = traceback.tb_next
    return found or "it"


def result_leaves(fun: Callable[..., Any], args: Any, kwargs: Any) -> list[Any]:
    """Call what is audited, and return the leaves of its result.

    It is the result that is looked at: a wrapper, an object that can be called and a function
    that hands on another's generator don't look like what they return.

    Raises:
        ArgumentTypeError: The result is work still to be done, which nobody would look at.
    """
    out = call_function("fun(*args)", fun, *args, **kwargs)
    for kinds, cure in _LATER:
        if isinstance(out, kinds):
            if isinstance(out, Coroutine):
                out.close()  # Python would warn of one that nobody waited for.
            wanted = "a function that does its work when it is called"
            got = Phrase(f"{summary(fun)}, which returned {summary(out)}")
            raise error(ArgumentTypeError, "fun", wanted, got, cure)
    return check_leaves("fun", out, must="return")


_LATER: tuple[tuple[tuple[type, ...], str], ...] = (
    (
        (Generator, map, filter),
        "For all that it yields: ks.audit(lambda *args: list(fun(*args)), *args).",
    ),
    ((Coroutine,), "To wait for it: ks.audit(lambda *args: asyncio.run(fun(*args)), *args)."),
    ((AsyncGenerator,), ""),
)


def holds(jaxpr: Any, asked: Callable[[Any], bool], known: MutableMapping[Any, bool]) -> bool:
    """Is any equation what is asked for, in a body or in those inside it?

    `known` remembers the answers for one `asked`.
    """
    if jaxpr not in known:
        known[jaxpr] = any(
            asked(eqn) or any(holds(inner, asked, known) for inner in bodies(eqn.params.values()))
            for eqn in jaxpr.eqns
        )
    return known[jaxpr]
