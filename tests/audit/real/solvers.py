"""Stochastic differential equations: diffrax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import random

from tests.audit.corpus.program import one_key, styled

_, program = styled("diffrax", "diffrax")


def solve(key: jax.Array, solver: Any = None, area: Any = None) -> jax.Array:
    """Solve an equation with a virtual Brownian tree, whose nodes are keys."""
    import diffrax

    area = diffrax.BrownianIncrement if area is None else area
    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-2, (), key, levy_area=area)
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda _t, y, _: -y), diffrax.ControlTerm(lambda *_: 0.1, path)
    )
    solver = diffrax.Euler() if solver is None else solver
    return diffrax.diffeqsolve(terms, solver, 0.0, 1.0, 0.1, jnp.asarray(1.0)).ys


@program(one_key, shows=None)
def diffrax_brownian_tree(key):
    """One path by Euler's method."""
    return solve(key)


@program(one_key, shows=None)
def diffrax_levy_area(key):
    """One path by a Runge-Kutta method that wants areas too."""
    import diffrax

    return solve(key, diffrax.ShARK(), diffrax.SpaceTimeLevyArea)


@program(one_key, shows=None)
def diffrax_paths_in_lanes(key):
    """Four paths in lanes, with a key each."""
    return jax.vmap(solve)(random.split(key, 4))


@program(one_key, shows=None)
def diffrax_gradient(key):
    """The gradient of a path by its start, through the solver's own adjoint."""
    import diffrax

    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-2, (), key)
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda _t, y, a: -a * y), diffrax.ControlTerm(lambda *_: 0.1, path)
    )

    def end(a: jax.Array) -> jax.Array:
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, 1.0, 0.1, jnp.asarray(1.0), args=a
        ).ys[-1]

    return jax.grad(end)(1.0)


@program(one_key, shows=None)
def diffrax_unsafe_path(key):
    """The cheaper path, which folds each interval's ends into its key."""
    import diffrax

    path = diffrax.UnsafeBrownianPath((), key)
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda _t, y, _: -y), diffrax.ControlTerm(lambda *_: 0.1, path)
    )
    forward = diffrax.ForwardMode()
    start = jnp.asarray(1.0)
    return diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, 0.1, start, adjoint=forward).ys
