"""What stands inside of equations: their bodies, and whether anything in those is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple


class Opened(NamedTuple):
    """A body of equations, opened."""

    jaxpr: Any
    consts: Sequence[Any]


def opened(closed: Any) -> Opened:
    """Take a closed jaxpr apart; an open one has no constants."""
    # On jax 0.12 a closed jaxpr is a jaxpr with constants.
    return Opened(getattr(closed, "jaxpr", closed), getattr(closed, "consts", ()))


def bodies(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the jaxprs among the parameters of an equation, opened."""
    for value in values:
        inner = opened(value).jaxpr
        if hasattr(inner, "eqns"):
            yield inner
        elif isinstance(value, (tuple, list)):
            yield from bodies(value)


def holds(jaxpr: Any, asked: Callable[[Any], bool], known: MutableMapping[Any, bool]) -> bool:
    """Is any equation what is asked for, in a body or in those inside it?

    `known` remembers the answers for one `asked`.
    """
    if jaxpr not in known:
        known[jaxpr] = any(
            asked(eqn) or any(holds(inner, asked, known) for inner in bodies(eqn.params.values()))
            for eqn in jaxpr.eqns
        )
    return known[jaxpr]
