"""What an audited call returns: it must have done its work by then."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any

from keystream import _check_tree
from keystream._called import called
from keystream._errors import ArgumentTypeError, Words, error, summary


def leaves(fun: Callable[..., Any], args: Any, kwargs: Any) -> list[Any]:
    """Call what is audited, and return the leaves of its result.

    It is the result that is looked at: a wrapper, an object that can be called and a function
    that hands on another's generator don't look like what they return.

    Raises:
        ArgumentTypeError: The result is work still to be done, which nobody would look at.
    """
    out = called("audit", "fun(*args)", fun, *args, **kwargs)
    for kinds, cure in _LATER:
        if isinstance(out, kinds):
            if isinstance(out, Coroutine):
                out.close()  # Python would warn of one that nobody waited for.
            wanted = "a function that does its work when it is called"
            got = Words(f"{summary(fun)}, which returned {summary(out)}")
            raise error(ArgumentTypeError, "audit", "fun", wanted, got, cure)
    return _check_tree.leaves("audit", "fun", out, must="return")


_LATER: tuple[tuple[tuple[type, ...], str], ...] = (
    (
        (Generator, map, filter),
        "For all that it yields: ks.audit(lambda *args: list(fun(*args)), *args).",
    ),
    ((Coroutine,), "To wait for it: ks.audit(lambda *args: asyncio.run(fun(*args)), *args)."),
    ((AsyncGenerator,), ""),
)
