"""A call as a jaxpr: arrays become abstract, everything else stays what it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from keystream import _check_tree, _compat
from keystream._audit import outcome
from keystream._audit.files import is_jax, is_ours
from keystream._errors import ArgumentTypeError, Words, error


class Traced(NamedTuple):
    """What was traced."""

    closed: Any
    """The jaxpr with its constants."""
    names: tuple[str, ...]
    """Of its arguments, as the user would write them: `key`, `state['params']`."""


def trace(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Traced:
    """Trace a call.

    Raises:
        ArgumentTypeError: The call looks at values that tracing doesn't have.
    """
    pairs, structure = _check_tree.flatten_with_path("audit", "args", (args, kwargs))
    leaves = [leaf for _, leaf in pairs]
    places = [place for place, leaf in enumerate(leaves) if is_array(leaf)]
    _check_tree.arrays("audit", "args", [leaves[place] for place in places])
    named = _parameters(fun, len(args))
    names = tuple(_name(pairs[place][0], named) for place in places)

    def call(arrays: list[Any]) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        args, kwargs = jax.tree.unflatten(structure, filled)
        return [_returned(leaf) for leaf in outcome.leaves(fun, args, kwargs)]

    try:
        closed = jax.make_jaxpr(call)([leaves[place] for place in places])
    except TypeError as cause:
        # The errors of concrete values, and of what was compiled ahead of time.
        ahead = "a function lowered and compiled" in str(cause)
        if not (ahead or isinstance(cause, jax.errors.JAXTypeError)):
            raise
        wanted = "traceable, with arrays of which the values aren't known"
        got = Words(f"{type(cause).__name__} in {_where(cause)}")
        cure = "To audit a run of it instead: ks.audit(fun, *args, run=True)."
        raise error(ArgumentTypeError, "audit", "fun", wanted, got, cure) from cause
    return Traced(closed, names)


def needed(traced: Traced) -> Traced | None:
    """Leave out what no result needs, as `jit` does; None where JAX offers no way to do that."""
    less = _compat.without_unneeded(traced.closed)
    return None if less is None else traced._replace(closed=less)


def is_array(leaf: Any) -> bool:
    """Does a leaf become abstract?"""
    return isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct, np.ndarray))


def _returned(leaf: Any) -> Any:
    # What isn't an array can't be handed back by a traced function, and no key is lost by it.
    try:
        jax.typeof(leaf)
    except (TypeError, ValueError, OverflowError):
        return 0
    return leaf


def _parameters(fun: Callable[..., Any], count: int) -> list[str]:
    try:
        found = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        found = ()  # type: ignore[assignment]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in found if each.kind in plain]
    return [*names, *(f"args[{place}]" for place in range(len(names), count))]


def _name(path: Any, names: list[str]) -> str:
    kind, which, *rest = path
    first = names[which.idx] if kind.idx == 0 else str(which.key)
    return first + jax.tree_util.keystr(tuple(rest))


def _where(cause: BaseException) -> str:
    """Return the user's line that an error comes from."""
    found, traceback = "", cause.__traceback__
    while traceback is not None:
        file, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        if not is_ours(file) and not is_jax(file):
            found = f"{file.replace(chr(92), '/').rpartition('/')[2]}:{line}"
        traceback = traceback.tb_next
    return found or "it"
