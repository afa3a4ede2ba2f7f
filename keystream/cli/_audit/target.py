"""Find the function to audit, and evaluate its arguments, from the command line."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import keyword
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream._errors import KeystreamError, Phrase, error, summary
from keystream.cli._inputs import bad_value

COMMAND = "python -m keystream audit"
NAMES = {"jax": jax, "jnp": jnp, "np": np, "ks": ks}
"""At hand in the expressions of --arg."""


class TargetError(KeystreamError, ValueError):
    """A target that doesn't lead to a function, or not to one that can be called."""


def find_function(target: str) -> Callable[..., Any]:
    """Import the module of a target, and return its function.

    Raises:
        TargetError: There is no such module, file or function, or it isn't one.
    """
    where, colon, path = target.rpartition(":")
    names = path.split(".")
    if not colon or not where or not all(map(str.isidentifier, names)):
        named = where if colon else target
        fits = named.endswith(".py") or all(map(str.isidentifier, named.split(".")))
        cure = f"For example: {COMMAND} {shlex.quote(named if fits else 'train')}:main"
        raise _target_error("module:function or file.py:function", target, cure)
    found: Any = _import(where)
    try:
        for name in names:
            found = getattr(found, name)
    except AttributeError as problem:
        raise _target_error(
            f"a function of {where}", Phrase(f"{path!r}: {problem}"), ""
        ) from problem
    if not callable(found):
        got = Phrase(f"{path!r}, which is {summary(found)}")
        raise _target_error(f"a function of {where}", got, "")
    return found  # type: ignore[no-any-return]


def _import(where: str) -> ModuleType:
    if not sys.flags.safe_path:
        _put_first(Path.cwd())
    try:
        return _import_file(where) if where.endswith(".py") else importlib.import_module(where)
    except ModuleNotFoundError as missing:
        if missing.name and f"{where}.".startswith(f"{missing.name}."):
            cure = f"For a file: {COMMAND} {where.replace('.', '/')}.py:function"
            raise _target_error("a module that can be imported", where, cure) from missing
        raise _import_error(where, missing) from missing
    except TargetError:
        raise
    except (Exception, SystemExit) as problem:
        raise _import_error(where, problem) from problem


def _import_file(where: str) -> ModuleType:
    file = Path(where).resolve()
    if not file.is_file():
        cure = f"For a module: {COMMAND} package.module:function"
        raise _target_error("a Python file", where, cure)
    folder, names = file.parent, [file.stem]
    while (folder / "__init__.py").exists():
        folder, names = folder.parent, [folder.name, *names]
    _put_first(folder)
    if len(names) > 1:  # part of a package, which may import from beside itself
        return importlib.import_module(".".join(names))
    name = file.stem if file.stem not in sys.modules else "__audited__"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _put_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _import_error(where: str, problem: BaseException) -> TargetError:
    """Tell an error of the module's own, with the line where it happened."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    raised = f"{type(problem).__name__}: {problem}".rstrip(": ")
    got = Phrase(f"{where!r}, which raised {raised}, at {last.filename}:{last.lineno}")
    alone = where if where.endswith(".py") else f"-c 'import {where}'"
    return _target_error("a module that can be imported", got, f"To see all of it: python {alone}")


def _target_error(wanted: str, got: object, cure: str) -> TargetError:
    return error(TargetError, "TARGET", wanted, got, cure)


def read_argument(text: str) -> tuple[str, str]:
    """Read `name=expression`; it is evaluated later."""
    name, equals, expression = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier() or keyword.iskeyword(name) or not expression.strip():
        raise bad_value(text, "be NAME=EXPR", "For example: --arg key=ks.key(0)")
    return name, expression.strip()


def collect_arguments(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the expression of each argument; a TargetError where one is given twice."""
    given: dict[str, str] = {}
    for name, expression in pairs:
        if name in given:
            got = Phrase(f"{name!r} twice")
            cure = f"For the last one: --arg {shlex.quote(f'{name}={expression}')}"
            raise error(TargetError, "--arg", "once for each name", got, cure, must="come")
        given[name] = expression
    return given


def evaluate_arguments(
    fun: Callable[..., Any], target: str, given: Mapping[str, str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a function, from the expressions of its command line.

    Raises:
        TargetError: One is missing or unknown, or an expression doesn't evaluate.
    """
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):  # not written in Python
        named = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.Signature([inspect.Parameter(name, named) for name in given])
    values = {name: _evaluate(name, expression) for name, expression in given.items()}
    args: list[Any] = []
    for name, parameter in signature.parameters.items():
        if name not in values or parameter.kind > inspect.Parameter.POSITIONAL_OR_KEYWORD:
            break  # This one has a default: those behind it go by name.
        args.append(values.pop(name))
    try:
        signature.bind(*args, **values)
    except TypeError as problem:
        got = Phrase(f"{target.rpartition(':')[2]}{signature}: {problem}")
        cure = f'For example: {COMMAND} {shlex.quote(target)} --arg "key=ks.key(0)"'
        wanted = "with an --arg for each argument that it needs"
        raise error(TargetError, "TARGET", wanted, got, cure, must="come") from problem
    return tuple(args), values


def _evaluate(name: str, expression: str) -> Any:
    try:
        return eval(expression, dict(NAMES))
    except Exception as problem:
        told = str(problem).removesuffix(".")
        got = Phrase(f"{expression!r}, which raised {type(problem).__name__}: {told}")
        wanted = "a Python expression of jax, jnp, np and ks"
        cure = f"For a key: --arg {name}=ks.key(0)"
        raise error(TargetError, f"--arg {name}", wanted, got, cure) from problem
