"""Give immutable values one base: assignment refused, public attributes listed."""

from __future__ import annotations

import functools
from typing import Any

from keystream._errors import ImmutableError, Phrase, complete, error, summary


class Value:
    """The base of Stream, Streams and Report: attributes are set by `set_attributes`, once."""

    __slots__ = ()
    _another = ""
    """The cure where an attribute is assigned to: code that makes another value."""

    def __setattr__(self, name: str, value: object) -> None:
        raise self._immutable(name)

    def __delattr__(self, name: str) -> None:
        raise self._immutable(name)

    def __dir__(self) -> list[str]:
        return members(self)

    def _repr_html_(self) -> str | None:
        return to_html(self)

    def _immutable(self, name: str) -> ImmutableError:
        name = name if name.isidentifier() and len(name) < 40 else summary(name)
        cure = f"For another one: {self._another}."
        got = Phrase("an assignment")
        return complete(
            error(ImmutableError, name, "left as it is", got, cure), type(self).__name__
        )


def set_attributes(value: Value, **attributes: Any) -> None:
    """Set attributes of a value that is being made."""
    for name, attribute in attributes.items():
        object.__setattr__(value, name, attribute)


def members(value: object) -> list[str]:
    """Return the public attributes of a value, without what JAX asks a pytree for."""
    names = object.__dir__(value)
    return sorted(name for name in names if not name.startswith(("_", "tree_")))


@functools.singledispatch
def to_html(value: Any) -> str | None:  # noqa: ARG001 - what the forms are chosen by
    """Return a value as HTML for a notebook: `_display` registers a form for each class."""
    return None
