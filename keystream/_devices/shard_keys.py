"""Make keys for the shards of a mesh and for processes: `shard_keys`, `for_axis`, `for_process`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from keystream._checks.key import check_key, check_key_in_context, check_maps_over_devices
from keystream._checks.mesh import axis_names, check_axes, check_mesh, check_mesh_in_context
from keystream._checks.static import size_of
from keystream._errors import ArgumentTypeError, MeshAxisError, error, public
from keystream._keys import children, placement
from keystream._keys.scheme import Counter


@public
def for_axis(key: jax.Array, /, axis_name: Any) -> jax.Array:
    """Return this shard's or lane's child of a key, inside a mapped body.

    Reach for it inside a `jax.shard_map`, `jax.pmap` or `jax.vmap` of your own; `shard_map`
    and `pmap` do it at the door.

    `ks.for_axis(key, name) == ks.derive(key, jax.lax.axis_index(name))`.

    Args:
        key: One typed key, the same on every shard.
        axis_name: The name of a mapped axis, or a tuple of names, whose order counts.

    Returns:
        A key, another one for each index along the axes.

    Key use:
        Uses up the children that the axis takes, not the key: never also draw from it,
        split it or hand it on.

    Guarantees:
        Depends on the index alone; the number of shards is part of the program. Under
        `check_vma=True` the result counts as varying over the axes.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or refused.
        MeshAxisError: A name that isn't mapped here.

    Example:
        >>> import jax, keystream as ks
        >>> key = ks.key(42)
        >>> per_lane = jax.vmap(lambda x: ks.for_axis(key, "i"), axis_name="i", axis_size=3)
        >>> bool((jax.vmap(lambda _: ks.for_axis(key, "i"), axis_name="i")(jax.numpy.arange(3))
        ...       == ks.keys(key, 3)).all())
        True
    """
    impl = check_key(key, axis_name, call="ks.for_axis(key, name)")
    check_key_in_context(impl, key)
    names = axis_names(axis_name)
    if not names:
        cure = "For the key itself: key."
        raise error(MeshAxisError, "axis_name", "at least one axis", axis_name, cure)
    bound = _bound_axes([name for name in names if isinstance(name, str)])
    cure = "" if bound else 'Outside of one: ks.shard_keys(key, mesh, jax.P("data")).'
    check_axes("axis_name", axis_name, bound, what="the mapped body", cure=cure)
    return children.axis_child(key, names)


def _bound_axes(wanted: Sequence[Hashable]) -> list[Hashable]:
    found = []
    for name in wanted:
        try:
            lax.axis_size(name)
        except NameError:
            continue
        found.append(name)
    # The names of vmap and pmap have no public list; the mesh's have.
    mesh = jax.sharding.get_abstract_mesh()
    return found + [name for name in mesh.manual_axes if name not in found]


@public
def for_process(key: jax.Array, /) -> jax.Array:
    """Return this process's child of a key that all processes share.

    Reach for it where each process does work of its own, such as reading other files. For
    numbers that don't depend on the number of processes key by example or position.

    `ks.for_process(key) == ks.derive(key, jax.process_index())`.

    Args:
        key: One typed key, the same on every process.

    Returns:
        A key, another one on each process.

    Key use:
        Uses up the children that the processes take, not the key: never also draw from it,
        split it or hand it on.

    Guarantees:
        Depends on the process's index alone; nothing is sent. With a single process it is
        child 0.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or refused.

    Example:
        >>> import keystream as ks
        >>> bool(ks.for_process(ks.key(42)) == ks.derive(ks.key(42), 0))
        True
    """
    check_key_in_context(check_key(key), key)
    return children.eager_walk(key, (Counter(None, np.uint32(jax.process_index())),))


@public
def shard_keys(key: jax.Array, /, mesh: Any, spec: Any) -> jax.Array:
    """Return one key per shard, as a global key array laid out over a mesh.

    Reach for it to hand keys to a `jax.shard_map` or `jit` of your own, as a sharded
    argument. To have the shards derive their own use `shard_map` or `for_axis`.

    `ks.shard_keys(key, mesh, P("data")) == ks.keys(key, mesh.shape["data"])`.

    Args:
        key: One typed key.
        mesh: A `jax.sharding.Mesh`.
        spec: A PartitionSpec over axes of the mesh.

    Returns:
        A typed key array whose shape is the number of shards along each dimension of
        `spec`: on a 4x2 mesh `P("data")` gives (4,), `P("data", "model")` (4, 2) and
        `P(("data", "model"))` (8,).

    Key use:
        Consumes `key`.

    Guarantees:
        Key i, in C order, is child i. Each process makes only its own part, and nothing is
        sent.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or that JAX can't map over devices (philox4x32).
        ArgumentTypeError: `mesh` or `spec` is something else.
        MeshAxisError: The spec names an axis that the mesh doesn't have.

    Example:
        >>> import jax, keystream as ks
        >>> mesh = jax.make_mesh((1,), ("data",))
        >>> ks.shard_keys(ks.key(42), mesh, jax.P("data")).shape
        (1,)
    """
    call, each = "ks.shard_keys(key, mesh, spec)", "jax.vmap(lambda key: ks.keys(key, n))(keys)"
    impl = check_key(key, mesh, spec, call=call, each=each)
    check_maps_over_devices(impl, key)
    check_mesh(mesh)
    if not isinstance(spec, PartitionSpec):
        cure = 'To make one: jax.P("data").'
        raise error(ArgumentTypeError, "spec", "a PartitionSpec", spec, cure)
    axes = placement.spec_axes("spec", spec, mesh.axis_names)
    check_mesh_in_context("mesh", mesh)
    sizes = [size_of([mesh.shape[name] for name in names]) for names in axes]
    sharding = NamedSharding(mesh, spec)
    return placement.make_placed_keys(key, tuple(sizes), None, sharding, "spec")
