"""Find the function to audit, and evaluate its arguments, from the command line."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import keyword
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream._errors import KeystreamError, Words, error, summary
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
    for at, name in enumerate(names):
        inside = found
        if not hasattr(inside, name):
            cure = _propose(inside, where, names[:at], name)
            raise _target_error(f"a function of {where}", path, cure)
        found = getattr(inside, name)
    if not callable(found):
        got = Words(f"{path!r}, which is {summary(found)}")
        raise _target_error(f"a function of {where}", got, _propose(inside, where, names[:-1], ""))
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
    got = Words(f"{where!r}, which raised {raised}, at {last.filename}:{last.lineno}")
    alone = where if where.endswith(".py") else f"-c 'import {where}'"
    return _target_error("a module that can be imported", got, f"To see all of it: python {alone}")


def _target_error(wanted: str, got: object, cure: str) -> TargetError:
    return error(TargetError, "audit", "TARGET", wanted, got, cure)


def _propose(inside: Any, where: str, before: list[str], name: str) -> str:
    """Propose the command with the nearest name, or tell a few that there are."""
    there = [each for each in _callables(inside) if not each.startswith("_")]
    near = difflib.get_close_matches(name, there, 1, 0.7)  # by 0.6, nope is near to slope
    if near:
        return f"Did you mean: {COMMAND} {shlex.quote(where)}:{'.'.join([*before, near[0]])}"
    shown = ", ".join(map(repr, there[:8])) + (f", {len(there)} in all" if len(there) > 8 else "")
    return f"There are {shown}." if there else "There are none."


def _callables(inside: Any) -> Iterator[str]:
    """Yield the names of what is defined there and can be called."""
    home = getattr(inside, "__name__", None) if isinstance(inside, ModuleType) else None
    for name, value in getattr(inside, "__dict__", {}).items():
        if callable(value) and home in (None, getattr(value, "__module__", home)):
            yield name


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
            got = Words(f"{name!r} twice")
            cure = f"For the last one: --arg {shlex.quote(f'{name}={expression}')}"
            raise error(TargetError, "audit", "--arg", "once for each name", got, cure, must="come")
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
        signature = inspect.Signature([_parameter(name, _NAMED) for name in given])
    _complete(signature, target, given)
    values = {name: _evaluate(name, expression) for name, expression in given.items()}
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


def _evaluate(name: str, expression: str) -> Any:
    try:
        return eval(expression, dict(NAMES))
    except Exception as problem:
        told = str(problem).removesuffix(".")
        got = Words(f"{expression!r}, which raised {type(problem).__name__}: {told}")
        wanted = "a Python expression of jax, jnp, np and ks"
        cure = f"For a key: --arg {name}=ks.key(0)"
        raise error(TargetError, "audit", f"--arg {name}", wanted, got, cure) from problem
