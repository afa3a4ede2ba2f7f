"""Strategies whose values a failing example prints as code that can be pasted.

hypothesis prints what `builds` made as the call that made it, by the name of what was called:
so what is called here has the name under which people know it, `ks.key` and not `key`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis.strategies import SearchStrategy, builds


class Code:
    """A value that is printed as the code of it."""

    def __init__(self, value: Any, code: str) -> None:
        self.value, self.code = value, code

    def __repr__(self) -> str:
        return self.code


def built(
    name: str,
    fun: Callable[..., Any],
    /,
    *args: SearchStrategy[Any],
    **kwargs: SearchStrategy[Any],
) -> SearchStrategy[Any]:
    """Return a strategy for what a function makes, printed as a call of it by that name."""

    def call(*given: Any, **named: Any) -> Any:
        given = tuple(each.value if isinstance(each, Code) else each for each in given)
        return fun(*given, **named)

    call.__name__ = call.__qualname__ = name
    return builds(call, *args, **kwargs)
