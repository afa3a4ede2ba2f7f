"""Case i: time places in a random order, for every size of n, and all of them at once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream import _compat
from keystream.cli._bench.build import STOCK, contender
from keystream.cli._bench.contest import Contender, Effort, blocking, compete
from keystream.cli._bench.result import Result, Task, result

CASE = "i"
FEW, MANY, ALL = 256, 2**14, 2**20
SIZES = (1000, 4096, 4097, 10**6, 2**31, 10**12, 2**50, 2**62 - 1)
WHOLE = "a whole order"
PLACES, BACK = "ks.index_shuffle", "ks.index_unshuffle"
PERMUTATION = "jax.random.permutation"


def tasks(effort: Effort) -> list[Task]:
    """List what is measured."""
    sizes = (1000, 10**12) if effort.quick else SIZES
    some = [Task(f"places of {n:,}", functools.partial(places, n, effort)) for n in sizes]
    return [*some, Task(WHOLE, functools.partial(whole, 10_000 if effort.quick else ALL, effort))]


def places(n: int, effort: Effort) -> Result:
    """Time eager calls for some places, with 64-bit types on, and say what one costs of many."""
    key, few = ks.key(42), np.random.default_rng(42).integers(0, n, FEW)
    calls = {PLACES: ks.index_shuffle, BACK: ks.index_unshuffle}
    with _compat.enable_x64(True):
        eager = [Contender(name, blocking(call, key, n, few)) for name, call in calls.items()]
        for each in eager:
            each.call()  # compiled before the clock runs
        times = compete(eager, effort)
        index = jnp.asarray(np.random.default_rng(42).integers(0, n, MANY))
        many = compete([contender(PLACES, _finder(n), (key, index), STOCK)], effort)
    facts = {f"each of {MANY:,}, jitted": min(many[PLACES]) / MANY}
    return result(CASE, f"{FEW} places of n, eager", n, times, (), facts)


def whole(size: int, effort: Effort) -> Result:
    """Let all places compete with JAX's own shuffle, both jitted."""
    key, every = ks.key(42), jnp.arange(size)
    both = [
        contender(PERMUTATION, lambda key: jax.random.permutation(key, size), (key,), STOCK),
        contender(PLACES, _finder(size), (key, every), STOCK),
    ]
    return result(CASE, WHOLE, size, compete(both, effort), [(PERMUTATION, PLACES)])


def _finder(n: int) -> Callable[..., jax.Array]:
    return lambda key, index: ks.index_shuffle(key, n, index)
