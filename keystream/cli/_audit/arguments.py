"""The arguments of a function that is to be audited, from the command line."""

from __future__ import annotations

import argparse
import difflib
import inspect
import keyword
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream._errors import Words, error
from keystream.cli._audit.target import COMMAND, TargetError

NAMES = {"jax": jax, "jnp": jnp, "np": np, "ks": ks}
"""At hand in the expressions of --arg."""


def argument(text: str) -> tuple[str, str]:
    """Read `name=expression`; it is evaluated later."""
    name, equals, expression = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier() or keyword.iskeyword(name) or not expression.strip():
        raise argparse.ArgumentTypeError(
            f"must be NAME=EXPR, got {text!r}. For example: --arg key=ks.key(0)"
        )
    return name, expression.strip()


def distinct(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the expression of each argument; a TargetError where one is given twice."""
    given: dict[str, str] = {}
    for name, expression in pairs:
        if name in given:
            got = Words(f"{name!r} twice")
            cure = f"For the last one: --arg {shlex.quote(f'{name}={expression}')}"
            raise error(TargetError, "audit", "--arg", "once for each name", got, cure, must="come")
        given[name] = expression
    return given


def call(
    fun: Callable[..., Any], target: str, given: Mapping[str, str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a function, from the expressions of its command line.

    Raises:
        TargetError: One is missing or unknown, or an expression doesn't evaluate.
    """
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):  # not written in Python
        signature = inspect.Signature([_parameter(name, _NAMED) for name in given])
    _complete(signature, target, given)
    values = {name: _evaluated(name, expression) for name, expression in given.items()}
    args: list[Any] = []
    for name, parameter in signature.parameters.items():
        if name in values and parameter.kind in (_PLACED, _EITHER):
            args.append(values.pop(name))
        elif parameter.kind in (_PLACED, _EITHER):
            break  # This one has a default: those behind it go by name.
    return tuple(args), values


_PLACED, _EITHER, _NAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)
_parameter = inspect.Parameter


def _complete(signature: inspect.Signature, target: str, given: Mapping[str, str]) -> None:
    """Refuse arguments that are missing, and those that there are none of."""
    rest = (_parameter.VAR_POSITIONAL, _parameter.VAR_KEYWORD)
    named = {name: each for name, each in signature.parameters.items() if each.kind not in rest}
    open_ended = any(each.kind == rest[1] for each in signature.parameters.values())
    called = Words(f"{target.rpartition(':')[2]}{signature}")
    for name in given:
        if name not in named and not open_ended:
            near = difflib.get_close_matches(name, named, 1)
            cure = f"Did you mean: --arg {near[0]}=..." if near else ""
            wanted = f"one of {', '.join(map(repr, named))}" if named else "left out"
            raise error(TargetError, "audit", "--arg", wanted, name, cure)
    missing = [name for name, each in named.items() if each.default is each.empty]
    missing = [name for name in missing if name not in given]
    if missing:
        gives = " ".join(f'--arg "{name}={_example(name)}"' for name in missing)
        wanted = f"with an --arg for {', '.join(map(repr, missing))}"
        cure = f"For example: {COMMAND} {shlex.quote(target)} {gives}"
        raise error(TargetError, "audit", "TARGET", wanted, called, cure, must="come")


def _example(name: str) -> str:
    return "ks.key(0)" if any(word in name for word in ("key", "rng")) else "jnp.zeros(3)"


def _evaluated(name: str, expression: str) -> Any:
    try:
        return eval(expression, dict(NAMES))
    except Exception as problem:
        told = str(problem).removesuffix(".")
        got = Words(f"{expression!r}, which raised {type(problem).__name__}: {told}")
        wanted = "a Python expression of jax, jnp, np and ks"
        cure = "For a key: --arg key=ks.key(0)"
        raise error(TargetError, "audit", f"--arg {name}", wanted, got, cure) from problem
