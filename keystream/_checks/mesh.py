"""Validate meshes and the names of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    MeshAxisError,
    Phrase,
    error,
)


def check_mesh(value: object) -> Any:
    """Return a mesh, a concrete or an abstract one."""
    if not isinstance(value, (jax.sharding.Mesh, jax.sharding.AbstractMesh)):
        cure = 'To make one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentTypeError, "mesh", "a mesh", value, cure)
    if value.empty:
        cure = 'For one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentValueError, "mesh", "a mesh with an axis", value, cure)
    return value


def check_mesh_in_context(argument: str, mesh: Any) -> None:
    """Refuse a mesh other than the one in context, where there is one."""
    context = jax.sharding.get_abstract_mesh()
    if context.empty or mesh.abstract_mesh == context:
        return
    wanted, got = "the mesh in context", Phrase("another mesh")
    cure = "For another: with jax.set_mesh(mesh): ..."
    if context.manual_axes:
        wanted, cure = "that of the mapped body around it", ""
    if argument != "mesh":
        wanted = f"on {wanted}"
    raise error(ArgumentValueError, argument, wanted, got, cure)


def check_axes_in_context(argument: str, names: object) -> None:
    """Refuse names that are no axes of the mesh in context, where there is one."""
    mesh = jax.sharding.get_abstract_mesh()
    if names is not None and not mesh.empty:
        check_axes(argument, names, mesh.axis_names)


def axis_names(value: object) -> tuple[Any, ...]:
    """Return one axis name or a tuple of them as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list, set, frozenset)) else (value,)


def check_axes(
    argument: str,
    value: object,
    known: Sequence[Any],
    *,
    what: str = "the mesh",
    cure: str = "",
) -> tuple[Any, ...]:
    """Return axis names, each one of `known` and none given twice."""
    names = axis_names(value)
    for each in names:
        if not isinstance(each, str):
            raise error(ArgumentTypeError, argument, "axis names", value)
    # The axes of vmap have no public list: that none is known doesn't say that there is none.
    listed = ", ".join(map(repr, known)) or ("none" if what == "the mesh" else "")
    for each in names:
        if each not in known:
            wanted = f"among the axes of {what}{f' ({listed})' if listed else ''}"
            raise error(MeshAxisError, argument, wanted, each, cure)
    if len(set(names)) < len(names):
        raise error(MeshAxisError, argument, "distinct axes", names)
    return names
