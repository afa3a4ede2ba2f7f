"""Does a part of a program use keys? Only what does is lowered again for each call."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from jax.extend.core import primitives
from jax.extend.random import threefry2x32_p

from keystream._audit.jaxprs import bodies, holds

USES = {
    primitives.random_bits_p: "bits",
    primitives.random_split_p: "split",
    primitives.random_fold_in_p: "fold_in",
    primitives.random_seed_p: "seed",
    primitives.random_gamma_p: "gamma",
    threefry2x32_p: "block",
}
"""The primitives that use keys, and what a record calls them."""

Known = WeakKeyDictionary[Any, bool]


def uses_keys(params: dict[str, Any], known: Known) -> bool:
    """Does any jaxpr in the parameters of an equation use keys?"""
    return any(holds(jaxpr, _uses, known) for jaxpr in bodies(params.values()))


def _uses(eqn: Any) -> bool:
    return eqn.primitive in USES
