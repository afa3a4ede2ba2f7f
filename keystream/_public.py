"""The names of a package: which it shows, and what to write for one that it doesn't have.

`keystream`, `keystream.testing` and `keystream.interop` end with the functions that `doors`
returns. A type checker doesn't see them: to it, a module with a `__getattr__` has every name.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

PARTS = ("interop", "testing")
"""What is public of keystream and imported by its own name."""

EXTENSION = ("load_ipython_extension", "unload_ipython_extension")
"""What IPython asks keystream for, and nobody else."""


def doors(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package."""

    def at_a_loss(name: str) -> Any:
        if name == "__all__":
            return names(package)
        if package == "keystream" and name == "__version__":
            return version()
        if package == "keystream" and name in EXTENSION:
            from keystream import _ipython  # noqa: PLC0415 - nobody else needs it

            return getattr(_ipython, name)
        if name.startswith("_"):  # Python's own tools ask for many, and expect no story.
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from keystream import _strangers  # noqa: PLC0415 - of use to the mistaken alone

        raise _strangers.stranger(package, name, names(package))

    return at_a_loss, lambda: names(package)


def names(package: str) -> list[str]:
    """Return the public names of a package that is imported."""
    return sorted(
        name
        for name, value in list(vars(sys.modules[package]).items())  # others may import
        if not name.startswith("_") and (name in PARTS or not isinstance(value, ModuleType))
    )


def version() -> str:
    """Return the version of keystream that is installed, or what there is to say instead."""
    try:
        return importlib.metadata.version("keystream")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"
