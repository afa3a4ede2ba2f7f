"""Draw a few numbers from a fixed key, by which a manifest notices that draws have changed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import random

from keystream._impl import is_typed_key, wrap

Changes = Literal["keys", "draws", "last digits", "nothing"]

TOLERANCE = 1e-3
"""How far two floats of a canary may lie apart, relative to themselves and to one, and be
the same draw in other last digits: the yardstick of `docs/samplers.md`. Forms, processors,
versions and settings move the canaries by 2e-6 at most as measured on CPU, accelerators
with cheaper logarithms by more; but all four floats of another draw come so near by chance
in one of 10**11 cases only. A change of less than that in a sampler's formula isn't seen."""


class Canary(NamedTuple):
    """An entry of a manifest made of the fixed key."""

    make: Callable[[jax.Array], Any]
    changes: Changes
    exact: bool = True
    """Is it made of bits alone, so that every digit counts?"""

    def fits(self, value: Any) -> bool:
        """Could this have been drawn?"""
        numbers = type(value) is list and all(type(each) in (int, float) for each in value)
        # Larger ones can't be compared with floats, nor be drawn.
        return value is None or (numbers and all(type(n) is float or abs(n) < 2**64 for n in value))

    def change(self, saved: list[Any] | None, now: list[Any] | None) -> Changes:
        """Tell the most that it can change that this was one thing and is another."""
        if saved is None:
            # No program drew what couldn't be drawn.
            return "nothing"
        if self.exact or now is None or len(saved) != len(now):
            return self.changes
        near = all(
            math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            for a, b in zip(saved, now, strict=True)
        )
        return "last digits" if near else self.changes


# Functions of jax.random are looked up when they are called: what a program put in their
# place is what draws its numbers. Named as a call, with the fixed key as `key`. A manifest
# of format 1 holds every one of these; one that is added later needs another format.
_KEYS: dict[str, Callable[[jax.Array], Any]] = {
    "jax.random.key(42)": lambda _: random.key(42),
    "jax.random.key(2**32 + 42)": lambda _: random.key(2**32 + 42),  # 64-bit types off, it is cut
    "jax.random.split(key)": lambda key: random.split(key, 2),
    "jax.random.fold_in(key, 7)": lambda key: random.fold_in(key, 7),
}
_DRAWS: dict[str, Callable[[jax.Array], Any]] = {
    "jax.random.bits(key, (4,))": lambda key: random.bits(key, (4,)),
    "jax.random.uniform(key, (4,))": lambda key: random.uniform(key, (4,)),
    "jax.random.randint(key, (4,), 0, 1000)": lambda key: random.randint(key, (4,), 0, 1000),
    "jax.random.bernoulli(key, 0.5, (16,))": lambda key: random.bernoulli(key, 0.5, (16,)),
    "jax.random.permutation(key, 8)": lambda key: random.permutation(key, 8),
    "jax.random.choice(key, 1000, (4,))": lambda key: random.choice(key, 1000, (4,)),
    "jax.random.categorical(key, jnp.zeros(1000), shape=(4,))": (
        lambda key: random.categorical(key, np.zeros(1000, np.float32), shape=(4,))
    ),
}
_FLOATS: dict[str, Callable[[jax.Array], Any]] = {
    "jax.random.normal(key, (4,))": lambda key: random.normal(key, (4,)),
    "jax.random.exponential(key, (4,))": lambda key: random.exponential(key, (4,)),
    "jax.random.gumbel(key, (4,))": lambda key: random.gumbel(key, (4,)),
    "jax.random.gamma(key, 2.5, (4,))": lambda key: random.gamma(key, 2.5, (4,)),
}
CANARIES = {
    **{name: Canary(make, "keys") for name, make in _KEYS.items()},
    **{name: Canary(make, "draws") for name, make in _DRAWS.items()},
    **{name: Canary(make, "draws", exact=False) for name, make in _FLOATS.items()},
}


def draw(canaries: Mapping[str, Canary]) -> dict[str, list[Any] | None]:
    """Return what each canary makes of the fixed key here, flat; None if it can't be made."""
    with _undisturbed():
        key = wrap(np.array([0, 42], np.uint32), "threefry2x32")
        return {name: _draw(canary, key) for name, canary in canaries.items()}


def _draw(canary: Canary, key: jax.Array) -> list[Any] | None:
    try:
        found = canary.make(key)
        found = np.ravel(np.asarray(random.key_data(found) if is_typed_key(found) else found))
    except Exception:  # whatever it is, the rest of the record is still worth having
        return None
    values: list[Any] = (found.astype(np.int8) if found.dtype == bool else found).tolist()
    return values


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
