"""Import other libraries when they are asked for, and not before."""

from __future__ import annotations

import importlib
from typing import Any

from keystream._errors import ArgumentTypeError, KeystreamError, Phrase, error


class NeighborMissingError(KeystreamError, ImportError):
    """A library that a conversion needs isn't installed, or can't be imported."""

    # ImportError shows what it was first told.
    __str__ = Exception.__str__


def neighbor(module: str, package: str) -> Any:
    """Import a module of another library; where that fails, say how to install it."""
    try:
        return importlib.import_module(module)
    except Exception as reason:  # one of another version may fail in any way
        kind = "ImportError" if isinstance(reason, ImportError) else type(reason).__name__
        got = Phrase(f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind} ({reason})")
        cure = f"In a shell: pip install '{package}'."
        raise error(NeighborMissingError, module, "installed", got, cure) from reason


def instance(argument: str, value: object, cls: type, wanted: str, cure: str) -> None:
    """Refuse what is no value of a class."""
    if not isinstance(value, cls):
        raise error(ArgumentTypeError, argument, wanted, value, cure)
