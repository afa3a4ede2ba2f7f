"""What a row of the table is, and what rows have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.fuzz import contexts, values
from tests.fuzz.judge import Law
from tests.fuzz.values import Code, of

ALL = (*["eager"] * 8, *["in_jit"] * 3, *contexts.BY_NAME)
TRACED = ("in_jit", "in_jit", *(context.__name__ for context in contexts.TRACED))
MOSTLY_TRACED = (*TRACED * 8, *contexts.BY_NAME)


class Row(NamedTuple):
    """How one callable is called."""

    name: str
    template: str
    law: Law
    slots: Mapping[str, Code]
    options: Mapping[str, Code] = {}
    speaks: tuple[str, ...] = ()
    """Under which names its errors speak, where these aren't its own."""
    contexts: tuple[str, ...] = ALL
    share: float = 1.0
    """How many inputs it gets: less where one is slow, or little can be told apart."""


KEY = {"key": values.a_key}
START = {"start": values.start}
SHARDING = of(
    "NamedSharding(mesh, jax.P('data'))",
    "NamedSharding(explicit, jax.P('model'))",
    "jax.P('data')",
    "NamedSharding(mesh, jax.P())",
    "NamedSharding(lonely, jax.P('data'))",
    "jax.P()",
    "NamedSharding(mesh, jax.P(None, 'data'))",
    "NamedSharding(foreign, jax.P('x'))",
    "NamedSharding(abstract, jax.P('data'))",
)
