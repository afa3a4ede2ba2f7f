"""Case j: time each helper in an eager loop beside what one writes by hand in its place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

import keystream as ks
from keystream.cli._bench.contest import Contender, Effort, blocking, compete
from keystream.cli._bench.helpers import BY_HAND, HELPER
from keystream.cli._bench.pairs import N, Pair, eager_pairs
from keystream.cli._bench.result import Result, Task, result

CASE = "j"
COMPILED = "compilations after the first call"
TRACED = frozenset((
    *("scan", "scan_carried", "fori_loop", "while_loop", "map", "map(batch_size=)"),
    *("sample(batch_size=)", "shard_map"),
))  # fmt: skip
"""The helpers that trace the caller's function in each call, so that they see what changed."""
MOST, LATER = 1.2, 1.5e-3
"""How many times longer the others may take, and how many seconds longer these."""


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    chosen = eager_pairs()[:3] if effort.quick else eager_pairs()
    return [Task(pair.name, functools.partial(measure, pair, effort)) for pair in chosen]


def measure(pair: Pair, effort: Effort) -> Result:
    """Call a helper and the form by hand in turns, as they are."""
    args = ks.key(42), *pair.more
    ways = [
        Contender(HELPER, blocking(pair.helper, *args)),
        Contender(BY_HAND, blocking(pair.by_hand, *args)),
    ]
    facts = {COMPILED: count_compiled(ways[0].call)}
    return result(CASE, pair.name, N, compete(ways, effort), [(HELPER, BY_HAND)], facts)


def count_compiled(call: Callable[[], Any]) -> int:
    """Call twice, and return how many programs the second call compiled."""
    call()
    before = len(_compiled())
    call()
    return len(_compiled()) - before


@functools.cache
def _compiled() -> list[str]:
    """Return a list to which JAX adds an entry for each program that it compiles from now on."""
    found: list[str] = []

    def hear(event: str, *_: Any, **__: Any) -> None:
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return found
