"""What is to be audited: a function, named on the command line."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from keystream._errors import KeystreamError, Words, error, summary

COMMAND = "python -m keystream audit"


class TargetError(KeystreamError, ValueError):
    """A target that doesn't lead to a function, or not to one that can be called."""


def function(target: str) -> Callable[..., Any]:
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
        raise _refused("module:function or file.py:function", target, cure)
    found: Any = _module(where)
    for at, name in enumerate(names):
        inside = found
        if not hasattr(inside, name):
            cure = _nearest(inside, where, names[:at], name)
            raise _refused(f"a function of {where}", path, cure)
        found = getattr(inside, name)
    if not callable(found):
        got = Words(f"{path!r}, which is {summary(found)}")
        raise _refused(f"a function of {where}", got, _nearest(inside, where, names[:-1], ""))
    return found  # type: ignore[no-any-return]


def _module(where: str) -> ModuleType:
    if not sys.flags.safe_path:
        _put_first(Path.cwd())
    try:
        return _of_file(where) if where.endswith(".py") else importlib.import_module(where)
    except ModuleNotFoundError as missing:
        if missing.name and f"{where}.".startswith(f"{missing.name}."):
            cure = f"For a file: {COMMAND} {where.replace('.', '/')}.py:function"
            raise _refused("a module that can be imported", where, cure) from missing
        raise _broken(where, missing) from missing
    except TargetError:
        raise
    except (Exception, SystemExit) as problem:
        raise _broken(where, problem) from problem


def _of_file(where: str) -> ModuleType:
    file = Path(where).resolve()
    if not file.is_file():
        cure = f"For a module: {COMMAND} package.module:function"
        raise _refused("a Python file", where, cure)
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


def _broken(where: str, problem: BaseException) -> TargetError:
    """Tell an error of the module's own, with the line where it happened."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    raised = f"{type(problem).__name__}: {problem}".rstrip(": ")
    got = Words(f"{where!r}, which raised {raised}, at {last.filename}:{last.lineno}")
    alone = where if where.endswith(".py") else f"-c 'import {where}'"
    return _refused("a module that can be imported", got, f"To see all of it: python {alone}")


def _refused(wanted: str, got: object, cure: str) -> TargetError:
    return error(TargetError, "audit", "TARGET", wanted, got, cure)


def _nearest(inside: Any, where: str, before: list[str], name: str) -> str:
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
