"""Run a program in a fresh process, accelerated or audited from the moment it imports jax.

It is run as a script of its own, by a Python that has imported neither jax nor keystream,
and imports only the standard library: jax reads its settings from the environment when it
is imported, and the program must be the one who decides when.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = str(Path(__file__).resolve().parents[3])
"""Where keystream lies."""


class _After(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Calls functions once a module has been imported."""

    def __init__(self, name: str, then: Sequence[Callable[[], None]]) -> None:
        self._name, self._then = name, then
        self._asking = self.halfway = False
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as others would, and step in between."""
        del path, target
        if fullname != self._name or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Make what the real loader makes."""
        assert self._loader is not None
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, give it its real loader back, and go on."""
        assert self._loader is not None
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self.halfway = True
        try:
            self._loader.exec_module(module)
        finally:
            self.halfway = False
        sys.meta_path.remove(self)
        for then in self._then:
            then()


def _after_jax(begin: Sequence[Callable[[], None]]) -> None:
    """Call functions once jax has been imported, and keystream, if it was that which did so."""
    left = list(begin)

    def go() -> None:
        if "jax" in sys.modules and not any(each.halfway for each in ours):
            while left:
                left.pop(0)()

    ours = [_After(name, [go]) for name in ("keystream", "keystream._public")]
    sys.meta_path[:0] = [_After("jax", [go]), *ours]


def _keystream() -> ModuleType:
    before = list(sys.path)
    sys.path.insert(0, PACKAGES)  # A checkout may be not installed.
    try:
        return importlib.import_module("keystream")
    finally:
        sys.path[:] = before


def _accelerate() -> None:
    keystream = _keystream()
    if hasattr(keystream, "accelerate"):
        keystream.accelerate()
    else:
        warnings.warn(f"not accelerated: keystream is {keystream.__file__}", stacklevel=2)


class _Audit:
    """A recording of what the program does with keys, from its import of jax to its end."""

    def __init__(self, program: str, form: str, output: str, level: str, strict: bool) -> None:
        self._program, self._form, self._level, self._strict = program, form, level, strict
        self._output = Path(output) if output else None
        self._shadow: str | None = None
        """What is called keystream here, and isn't."""
        self._span: Any = None
        self._show: Any = None

    def begin(self) -> None:
        """Record from here on; import now what is needed then, when much may be otherwise."""
        keystream = _keystream()
        if not hasattr(keystream, "recording"):
            self._shadow = str(keystream.__file__)
            return
        self._show = importlib.import_module("keystream.cli._report").show
        self._span = importlib.import_module("keystream._audit.conclude").Span(self._program)

    def end(self) -> bool:
        """Tell what was found; return whether there is any of that level, or may be."""
        sys.stdout.flush()
        if self._shadow:
            print(f"audit: not audited, keystream is {self._shadow}", file=sys.stderr)
            return True
        if self._span is None:
            print(f"audit: nothing to look at, {self._program} imported no jax", file=sys.stderr)
            return False
        report = self._span.end()
        self._show(report, self._form, self._output, sys.stderr)
        found = bool(report.at_least(self._level))
        return found or (self._strict and not report.complete)

    def around(self, program: Callable[[], None]) -> None:
        """Run the program, and end as it ends, unless that is well and something was found."""
        well = False
        try:
            program()
            well = True
        except SystemExit as ended:
            well = not ended.code
            raise
        finally:
            if self.end() and well:
                raise SystemExit(1)


def main(argv: list[str]) -> None:
    """Run `[--accelerate] [--audit FORMAT OUTPUT LEVEL STRICT] -- program`, or `-m module`."""
    begin: list[Callable[[], None]] = []
    if argv[0] == "--accelerate":
        argv = argv[1:]
        begin.append(_accelerate)
    around: Callable[[Callable[[], None]], None] = _plainly
    if argv[0] == "--audit":
        form, output, level, strict, *argv = argv[1:]
        audit = _Audit(argv[1], form, output, level, bool(strict))
        begin.append(audit.begin)
        around = audit.around
    if begin:
        _after_jax(begin)
    kind, program, *args = argv
    sys.argv = [program, *args]
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd()) if kind == "-m" else _folder(program)
    around(lambda: _run(kind, program))


def _plainly(program: Callable[[], None]) -> None:
    program()


def _run(kind: str, program: str) -> None:
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif Path(program).is_file() and not zipfile.is_zipfile(program):
        _become(program)
    else:
        runpy.run_path(program, run_name="__main__")


def _folder(program: str) -> str:
    path = Path(program).resolve()
    return str(path if path.is_dir() or zipfile.is_zipfile(path) else path.parent)


def _become(program: str) -> None:
    """Run a file in the module that is `__main__` until the process ends.

    `runpy.run_path` would put this module back when the program's last line is done, under
    threads and handlers that go on.
    """
    path = str(Path(program).absolute())
    code = compile(Path(path).read_bytes(), path, "exec")
    space = vars(sys.modules["__main__"])
    for name in set(space) - {"__name__", "__builtins__"}:
        del space[name]
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    space.update(__file__=path, __loader__=loader, __cached__=None)
    space.update(__doc__=None, __package__=None, __spec__=None)
    exec(code, space)


def _as_a_module() -> ModuleType:
    """Return this file as a module of its own: `__main__` will be the program's."""
    spec = importlib.util.spec_from_file_location("_keystream_launcher", __file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _as_a_module().main(sys.argv[1:])
