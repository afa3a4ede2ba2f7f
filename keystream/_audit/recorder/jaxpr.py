"""Does a part of a program use keys? Only what does is lowered again for each call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from jax.extend.core import primitives
from jax.extend.random import threefry2x32_p

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
    return any(_does(jaxpr, known) for jaxpr in _jaxprs(params.values()))


def _does(jaxpr: Any, known: Known) -> bool:
    if jaxpr not in known:
        known[jaxpr] = any(
            eqn.primitive in USES or uses_keys(eqn.params, known) for eqn in jaxpr.eqns
        )
    return known[jaxpr]


def _jaxprs(values: Any) -> Iterator[Any]:
    for value in values:
        inner = getattr(value, "jaxpr", value)  # a closed one holds an open one, or is it
        if hasattr(inner, "eqns"):
            yield inner
        elif isinstance(value, (tuple, list)):
            yield from _jaxprs(value)
