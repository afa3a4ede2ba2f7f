"""What `python -m keystream run` becomes: a program, and what is switched on for it.

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

PACKAGES = str(Path(__file__).resolve().parents[2])
"""Where keystream lies."""


class _After(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Calls a function once a module has been imported."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then
        self._asking = False
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
        self._loader.exec_module(module)
        sys.meta_path.remove(self)
        self._then()


def _accelerate() -> None:
    before = list(sys.path)
    sys.path.insert(0, PACKAGES)  # A checkout may be not installed.
    try:
        keystream = importlib.import_module("keystream")
    finally:
        sys.path[:] = before
    if hasattr(keystream, "accelerate"):
        keystream.accelerate()
    else:
        warnings.warn(f"not accelerated: keystream is {keystream.__file__}", stacklevel=2)


def main(argv: list[str]) -> None:
    """Run `[--accelerate] -- program.py args` or `[--accelerate] -m module args`."""
    if argv[0] == "--accelerate":
        argv = argv[1:]
        sys.meta_path.insert(0, _After("jax", _accelerate))
    kind, program, *args = argv
    sys.argv = [program, *args]
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd()) if kind == "-m" else _folder(program)
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
