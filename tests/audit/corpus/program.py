"""What a program of the corpus is, and how a function becomes one.

A file says its style once, `wrong, right = styled("plain")`, and each function below becomes a
`Program` by one of the two. Its docstring says what is wrong with it, or why it is right.
Programs return their draws: in a wrong one some number comes twice, in a right one none does,
unless `shows` says what to look at instead.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Mode = Literal["static", "run"]
Shows = Callable[[Any], bool]


class Program(NamedTuple):
    """A small program that is wrong in one known way, or right."""

    name: str
    style: str
    """In which people write it: `plain`, `flax linen`, `mcmc`."""
    rule: str | None
    """The id of the rule that must be found; None where the program is right."""
    fun: Callable[..., Any]
    args: Callable[[], tuple[Any, ...]]
    """Makes the arguments, when asked: importing the corpus is cheap."""
    mode: Mode = "static"
    """`static`: a jaxpr shows it. `run`: only a run does."""
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    what: str = ""
    """What is wrong, or why it is right."""
    shows: Shows | None = None
    """What the result shows of that; None where it shows nothing."""

    @property
    def missing(self) -> str:
        """The first module that can't be imported here, or nothing."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), "")


Args = Callable[[], tuple[Any, ...]]
Decorator = Callable[[Callable[..., Any]], Program]


def numbers(result: Any) -> np.ndarray:
    """Return all floats of a result in one vector, without those that are masked to zero."""
    leaves = [leaf for leaf in jax.tree.leaves(result) if not is_key(leaf)]
    floats = [
        np.ravel(leaf) for leaf in leaves if jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating)
    ]
    found = np.concatenate([np.zeros(0), *floats])
    return found[found != 0]


def is_key(leaf: Any) -> bool:
    """Is this a typed key, or an array of them?"""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def repeats(result: Any) -> bool:
    """Does a number come twice among the draws?"""
    found = numbers(result)
    return len(set(found.tolist())) < len(found)


def differs(result: Any) -> bool:
    """Are there draws, all of them different?"""
    return len(numbers(result)) > 1 and not repeats(result)


def one_key() -> tuple[Any, ...]:
    """Return one typed key."""
    return (jax.random.key(0),)


def one_legacy() -> tuple[Any, ...]:
    """Return one key of two words, as most code still has them."""
    return (jax.random.PRNGKey(0),)


def key_and_batch() -> tuple[Any, ...]:
    """Return one typed key and a small batch."""
    return jax.random.key(0), jnp.linspace(1.0, 2.0, 8).reshape(4, 2)


def legacy_and_batch() -> tuple[Any, ...]:
    """Return one key of two words and a small batch."""
    return jax.random.PRNGKey(0), jnp.linspace(1.0, 2.0, 8).reshape(4, 2)


def mesh(*axes: str) -> jax.sharding.Mesh:
    """Return a mesh over all eight devices, or two by four."""
    shape = (8,) if len(axes) == 1 else (2, 4)
    return jax.make_mesh(shape, axes, (jax.sharding.AxisType.Auto,) * len(axes))


def styled(style: str, *needs: str) -> tuple[Callable[..., Decorator], Callable[..., Decorator]]:
    """Return `wrong` and `right` for the programs of one style."""

    def program(
        rule: str | None, args: Args, shows: Shows | None, mode: Mode, fun: Callable[..., Any]
    ) -> Program:
        what = " ".join((fun.__doc__ or "").split())
        return Program(fun.__name__, style, rule, fun, args, mode, needs, what, shows)

    def wrong(
        rule: str, args: Args = one_key, shows: Shows | None = repeats, mode: Mode = "static"
    ) -> Decorator:
        return lambda fun: program(rule, args, shows, mode, fun)

    def right(
        args: Args = one_key, shows: Shows | None = differs, mode: Mode = "static"
    ) -> Decorator:
        return lambda fun: program(None, args, shows, mode, fun)

    return wrong, right
