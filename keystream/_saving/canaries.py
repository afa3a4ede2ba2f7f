"""A few keys and draws from a fixed key: they show a change of numbers, whatever its cause."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import random

from keystream._impl import wrap

Changes = Literal["keys", "draws", "last digits", "nothing"]

TOLERANCE = 1e-3
"""How far two floats of a canary may lie apart, relative to themselves and to one, and be
the same draw in other last digits: the yardstick of `docs/samplers.md`. Forms, processors,
versions and settings move the canaries by 2e-6 at most as measured on CPU, accelerators
with cheaper logarithms by more; but all four floats of another draw come so near by chance
in one of 10**11 cases only. A change of less than that in a sampler's formula isn't seen."""


class Canary(NamedTuple):
    """Something made of the fixed key, and what it means that it changed."""

    make: Callable[[jax.Array], Any]
    changes: Changes
    exact: bool = True
    """Is it made of bits alone, so that every digit counts?"""


# Functions of jax.random are looked up when they are called: what a program put in their
# place is what draws its numbers. Named as a call, with the fixed key as `key`. A manifest
# of format 1 holds every one of these; one that is added later needs another format.
KEYS = {
    "jax.random.key(42)": Canary(lambda _: random.key_data(random.key(42)), "keys"),
    # 64-bit types off, JAX cuts the seed.
    "jax.random.key(2**32 + 42)": Canary(lambda _: random.key_data(random.key(2**32 + 42)), "keys"),
    "jax.random.split(key)": Canary(lambda key: random.key_data(random.split(key)), "keys"),
    "jax.random.fold_in(key, 7)": Canary(
        lambda key: random.key_data(random.fold_in(key, 7)), "keys"
    ),
}
DRAWS = {
    "jax.random.bits(key, (4,))": Canary(lambda key: random.bits(key, (4,)), "draws"),
    "jax.random.uniform(key, (4,))": Canary(lambda key: random.uniform(key, (4,)), "draws"),
    "jax.random.randint(key, (4,), 0, 1000)": Canary(
        lambda key: random.randint(key, (4,), 0, 1000), "draws"
    ),
    "jax.random.bernoulli(key, 0.5, (16,))": Canary(
        lambda key: random.bernoulli(key, 0.5, (16,)).astype(np.int8), "draws"
    ),
    "jax.random.permutation(key, 8)": Canary(lambda key: random.permutation(key, 8), "draws"),
    "jax.random.choice(key, 1000, (4,))": Canary(
        lambda key: random.choice(key, 1000, (4,)), "draws"
    ),
    "jax.random.normal(key, (4,))": Canary(
        lambda key: random.normal(key, (4,)), "draws", exact=False
    ),
    "jax.random.exponential(key, (4,))": Canary(
        lambda key: random.exponential(key, (4,)), "draws", exact=False
    ),
    "jax.random.gumbel(key, (4,))": Canary(
        lambda key: random.gumbel(key, (4,)), "draws", exact=False
    ),
    "jax.random.categorical(key, jnp.zeros(1000), shape=(4,))": Canary(
        lambda key: random.categorical(key, np.zeros(1000, np.float32), shape=(4,)), "draws"
    ),
    "jax.random.gamma(key, 2.5, (4,))": Canary(
        lambda key: random.gamma(key, 2.5, (4,)), "draws", exact=False
    ),
}


def made(canaries: Mapping[str, Canary]) -> dict[str, list[Any] | None]:
    """Return what each canary makes of the fixed key here, flat; None if it can't be made."""
    with _undisturbed():
        key = wrap(np.array([0, 42], np.uint32), "threefry2x32")
        return {name: _made(canary, key) for name, canary in canaries.items()}


def _made(canary: Canary, key: jax.Array) -> list[Any] | None:
    try:
        values: list[Any] = np.ravel(np.asarray(canary.make(key))).tolist()
    except Exception:  # whatever it is, the rest of the record is still worth having
        return None
    return values


def change(canary: Canary, saved: list[Any] | None, now: list[Any] | None) -> Changes:
    """Tell what it means that a canary was one thing and is another."""
    if saved is None:
        # No program drew what couldn't be drawn.
        return "nothing"
    if canary.exact or now is None or len(saved) != len(now):
        return canary.changes
    near = all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(saved, now, strict=True)
    )
    return "last digits" if near else canary.changes


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    # Settings that make JAX raise or warn and change no number are lifted, so that under
    # them, too, there is something to compare; and it is drawn now, not traced.
    with (
        jax.ensure_compile_time_eval(),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.legacy_prng_key("allow"),
        jax.debug_key_reuse(False),
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.transfer_guard("allow"),
    ):
        yield
