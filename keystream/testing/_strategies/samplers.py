"""List the samplers of `jax.random`, each with arguments that it is defined for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from hypothesis import strategies as st

from keystream import ArgumentTypeError
from keystream._errors import error


class Sampler(functools.partial[Any]):
    """A sampler of `jax.random` with its arguments: call it with a key and a shape.

    It is a `functools.partial`, and prints as the code that makes one.
    """

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self.keywords.items()]
        return f"functools.partial({', '.join([f'jax.random.{self.name}', *given])})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002
        printer.text(repr(self))

    @property
    def name(self) -> str:
        """The sampler's name in `jax.random`."""
        return str(self.func.__name__)


_POSITIVE = st.sampled_from([1.0, 0.5, 2.5, 30.0])
_CHANCE = st.sampled_from([0.5, 0.1, 0.9])
_RATE = st.sampled_from([1.0, 0.1, 20.0])
_FREE = st.sampled_from([3.0, 1.5, 30.0])

EXACT: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "bits": {},
    "uniform": {},
    "randint": {"minval": st.sampled_from([0, -5]), "maxval": st.sampled_from([10, 1, 2**31 - 1])},
    "bernoulli": {"p": _CHANCE},
}
"""Samplers whose values are made of bits alone: the same in every form."""

FLOATS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "normal": {},
    "exponential": {},
    "gumbel": {},
    "laplace": {},
    "logistic": {},
    "cauchy": {},
    "maxwell": {},
    "rademacher": {},
    "truncated_normal": {
        "lower": st.sampled_from([-1.0, -3.0, 0.0]),
        "upper": st.sampled_from([1.0, 3.0]),
    },
    "rayleigh": {"scale": _POSITIVE},
    "pareto": {"b": _POSITIVE},
    "weibull_min": {"scale": _POSITIVE, "concentration": _POSITIVE},
    "triangular": {
        "left": st.just(0.0),
        "mode": st.sampled_from([1.0, 0.25]),
        "right": st.sampled_from([2.0, 5.0]),
    },
    "lognormal": {"sigma": _POSITIVE},
    "geometric": {"p": _CHANCE},
}
"""Samplers that pass through float functions: the same to last digits."""

REJECT: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "gamma": {"a": _POSITIVE},
    "loggamma": {"a": _POSITIVE},
    "beta": {"a": _POSITIVE, "b": _POSITIVE},
    "chisquare": {"df": _FREE},
    "t": {"df": _FREE},
    "wald": {"mean": _POSITIVE},
    "poisson": {"lam": _RATE},
    "binomial": {"n": st.sampled_from([10.0, 1.0, 100.0]), "p": _CHANCE},
}
"""Samplers that reject: rarely another value altogether in another form."""

KINDS = {"exact": EXACT, "floats": FLOATS, "reject": REJECT}


def samplers(*kinds: str) -> st.SearchStrategy[Callable[..., jax.Array]]:
    """Return a strategy for samplers of `jax.random` together with their arguments.

    Reach for it where code takes any sampler: `ks.sample`, a data pipeline, a wrapper.

    Args:
        *kinds: Of which kinds: `"exact"`, made of bits alone (bits, uniform, randint,
            bernoulli); `"floats"`, which agree to last digits between forms; `"reject"`,
            which may rarely give another value in another form. All if none is given.

    Returns:
        A strategy of `functools.partial`s with a `name`, to be called as
        `sampler(key, shape=(3,))`. They shrink to `jax.random.bits`, then along the kinds
        and samplers in their order, and print as
        `functools.partial(jax.random.bernoulli, p=0.5)`.

    Key use:
        Uses no key.

    Guarantees:
        Arguments are scalars in the sampler's domain, a few of each, so that a compiled
        function is found again.

    Raises:
        ArgumentTypeError: An unknown kind.

    Example:
        >>> import hypothesis, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.samplers("exact"))
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_shape(sampler):
        ...     assert sampler(ks.key(0), shape=(3,)).shape == (3,)
        >>> test_shape()
    """
    for kind in kinds:
        if kind not in KINDS:
            wanted = f"some of {', '.join(map(repr, KINDS))}"
            raise error(ArgumentTypeError, "samplers", "kinds", wanted, kind)
    rows = {name: row for kind in kinds or KINDS for name, row in KINDS[kind].items()}
    there = {name: row for name, row in rows.items() if hasattr(jax.random, name)}
    return st.sampled_from(sorted(there, key=list(rows).index)).flatmap(
        lambda name: st.fixed_dictionaries(there[name]).map(
            lambda given: Sampler(getattr(jax.random, name), **given)
        )
    )
