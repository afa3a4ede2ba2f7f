"""The questions asked of meshes: is this one? is it the one in context? are these its axes?"""

from __future__ import annotations

from typing import Any

import jax

from keystream import _check
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error


def a_mesh(function: str, value: object) -> Any:
    """Return a mesh, a concrete or an abstract one."""
    if not isinstance(value, (jax.sharding.Mesh, jax.sharding.AbstractMesh)):
        cure = 'To make one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentTypeError, function, "mesh", "a mesh", value, cure)
    if value.empty:
        cure = 'For one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentValueError, function, "mesh", "a mesh with an axis", value, cure)
    return value


def in_context(function: str, argument: str, mesh: Any) -> None:
    """Refuse a mesh other than the one in context, where there is one."""
    context = jax.sharding.get_abstract_mesh()
    if context.empty or mesh.abstract_mesh == context:
        return
    wanted, got = "the mesh in context", Words("another mesh")
    cure = "For another: with jax.set_mesh(mesh): ..."
    if context.manual_axes:
        wanted, cure = "that of the mapped body around it", ""
    if argument != "mesh":
        wanted = f"on {wanted}"
    raise error(ArgumentValueError, function, argument, wanted, got, cure)


def axes_in_context(function: str, argument: str, names: object) -> None:
    """Refuse names that are no axes of the mesh in context, where there is one."""
    mesh = jax.sharding.get_abstract_mesh()
    if names is not None and not mesh.empty:
        _check.axes(function, argument, names, mesh.axis_names)
