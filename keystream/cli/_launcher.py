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
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

PACKAGES = str(Path(__file__).resolve().parents[2])
"""Where keystream lies."""


class _After(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Calls a function once a module has been imported."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as others would, and step in between."""
        del path, target
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
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
        self._then()


def _accelerate() -> None:
    before = list(sys.path)
    sys.path.append(PACKAGES)  # For a checkout that is not installed.
    try:
        keystream = importlib.import_module("keystream")
    finally:
        sys.path[:] = before
    keystream.accelerate()


def main(argv: list[str]) -> None:
    """Run `[--accelerate] -- program.py args` or `[--accelerate] -m module args`."""
    if argv[0] == "--accelerate":
        argv = argv[1:]
        sys.meta_path.insert(0, _After("jax", _accelerate))
    kind, program, *args = argv
    sys.argv = [program, *args]
    if kind == "-m":
        sys.path[0] = ""
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(program).resolve().parent)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
