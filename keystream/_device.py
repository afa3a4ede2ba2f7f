"""Items on the shards of a mesh, and on processes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from keystream import _check, _check_key, _children, _placement
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    MeshAxisError,
    VaryingError,
    Words,
    error,
)
from keystream._scheme import Counter


def shard_map(
    fun: Callable[..., Any],
    *,
    out_specs: Any,
    in_specs: Any,
    vary: Any,
    mesh: Any = None,
    axis_names: Any = frozenset(),
    check_vma: bool = True,
) -> Callable[..., Any]:
    """Return `fun(key, *args)` mapped over shards, shard i with child i of the key.

    Reach for it as for `jax.shard_map` where shards draw. `vary` says out loud over which
    axes the draws differ and over which they are shared. Numbers that must survive another
    mesh are keyed by example or position instead: `derive(key, ids)` inside, with
    `vary=()`, or `sample(..., out_sharding=)` outside.

    Shard i gets `ks.derive(key, jax.lax.axis_index(vary))`.

    Args:
        fun: `fun(key, *args)` for one shard.
        out_specs: As in `jax.shard_map`.
        in_specs: As in `jax.shard_map`, for `*args` alone: the key is not counted. A tuple
            with one entry for each argument, or one spec for all of them.
        vary: An axis name or a tuple of them, manual axes all: shards that differ along
            these get different keys, shards that differ only along others share one. The
            order of a tuple counts, as in `lax.axis_index`. `()` hands every shard the key
            itself.
        mesh: As in `jax.shard_map`; None for the mesh in context, so that it nests.
        axis_names: As in `jax.shard_map`: the manual axes, all of the mesh if empty.
        check_vma: As in `jax.shard_map`.

    Returns:
        A function of one typed key and the arguments of `fun`.

    Key use:
        The call consumes the key that it is given.

    Guarantees:
        A shard's key depends on its index alone; the number of shards is part of the
        program. Auto and Explicit meshes, nested or not. A concrete key is placed on the
        mesh from wherever it lies.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or that JAX can't map over devices (philox4x32).
        MeshAxisError: `vary` names something that is no manual axis, or names one twice.
        ArgumentTypeError: No mesh, neither given nor in context.
        ArgumentValueError: `in_specs` doesn't have one entry for each argument.
        VaryingError: A sampler that loops (poisson, binomial, ...) under `check_vma=True`,
            which JAX can't check.

    Example:
        >>> import jax, keystream as ks
        >>> mesh = jax.make_mesh((1,), ("data",))
        >>> def draw(key):
        ...     return jax.random.bits(key, (3,))
        >>> P = jax.P
        >>> f = ks.shard_map(draw, mesh=mesh, in_specs=(), out_specs=P("data"), vary="data")
        >>> f(ks.key(42)).shape
        (3,)
    """
    _check.function_of("shard_map", "fun", fun, "fun(key, *args)")
    _check_specs("in_specs", in_specs)
    _check_specs("out_specs", out_specs)

    def shard(key: jax.Array, args: tuple[Any, ...]) -> Any:
        return fun(_for_axes(key, names) if names else key, *args)

    names = _check.axis_names(vary)

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any) -> Any:
        impl = _check_key.one_key("shard_map", key, each="[mapped(key, x) for key in keys]")
        _check_key.shards("shard_map", impl, key)
        known = _mesh(mesh)
        chosen = _check.axes("shard_map", "axis_names", axis_names, known.axis_names)
        manual = [n for n in known.axis_names if n in chosen or not chosen]
        _check.axes("shard_map", "vary", names, manual)
        if isinstance(in_specs, tuple) and len(in_specs) != len(args):
            wanted = f"one entry for each argument after the key ({len(args)})"
            got = Words(f"a tuple of {len(in_specs)}")
            raise error(ArgumentValueError, "shard_map", "in_specs", wanted, got, must="hold")
        call = jax.shard_map(
            shard,
            mesh=mesh,
            in_specs=(PartitionSpec(), in_specs),
            out_specs=out_specs,
            axis_names=axis_names,
            check_vma=check_vma,
        )
        placed = key if _check.is_traced(key) else _placement.replicated(key, mesh)
        try:
            return call(placed, args)
        except TypeError as cause:
            if check_vma and not isinstance(cause, VaryingError) and "varying" in str(cause):
                raise _unchecked(cause) from cause
            raise

    return mapped


def _check_specs(argument: str, specs: Any) -> None:
    for spec in jax.tree.leaves(specs, is_leaf=lambda leaf: leaf is None):
        if not isinstance(spec, PartitionSpec):
            cure = 'For a whole array on every shard: jax.P(). For a part: jax.P("data").'
            wanted = "a PartitionSpec or a pytree of them"
            raise error(ArgumentTypeError, "shard_map", argument, wanted, spec, cure)


def _unchecked(cause: TypeError) -> VaryingError:
    cure = (
        "For a sampler that loops (poisson, binomial, ...): ks.shard_map(fun, mesh=mesh, "
        "in_specs=in_specs, out_specs=out_specs, vary=vary, check_vma=False). "
        "For a carry of your own: jax.lax.pcast(carry, axes, to='varying')."
    )
    first = str(cause).strip().splitlines()[0]
    wanted = "one that JAX can check for varying mesh axes"
    return error(VaryingError, "shard_map", "fun", wanted, Words(f"JAX's {first!r}"), cure)


def _mesh(mesh: Any) -> Any:
    known = jax.sharding.get_abstract_mesh() if mesh is None else mesh
    if mesh is None and known.empty:
        cure = "To put one in context: with jax.set_mesh(mesh): ..."
        raise error(ArgumentTypeError, "shard_map", "mesh", "given or in context", mesh, cure)
    if not isinstance(known, (Mesh, jax.sharding.AbstractMesh)):
        cure = 'To make one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentTypeError, "shard_map", "mesh", "a mesh", mesh, cure)
    return known


def _for_axes(key: jax.Array, names: tuple[Any, ...]) -> jax.Array:
    index = lax.axis_index(names if len(names) > 1 else names[0])
    return _children.child(key, Counter(None, index.astype(np.uint32)))


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
    _check_key.one_key("for_axis", key, each="jax.vmap(lambda key: ks.for_axis(key, name))(keys)")
    names = _check.axis_names(axis_name)
    if not names:
        cure = "For the key itself: key."
        raise error(MeshAxisError, "for_axis", "axis_name", "at least one axis", axis_name, cure)
    bound = _bound_axes([name for name in names if isinstance(name, str)])
    _check.axes("for_axis", "axis_name", names, bound, what="the mapped body")
    return _for_axes(key, names)


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
    _check_key.one_key("for_process", key)
    return _children.eager_walk(key, (Counter(None, np.uint32(jax.process_index())),))


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
    each = "jax.vmap(lambda key: ks.keys(key, n))(keys)"
    _check_key.shards("shard_keys", _check_key.one_key("shard_keys", key, each=each), key)
    if not isinstance(mesh, (Mesh, jax.sharding.AbstractMesh)):
        cure = 'To make one: jax.make_mesh((8,), ("data",)).'
        raise error(ArgumentTypeError, "shard_keys", "mesh", "a mesh", mesh, cure)
    if not isinstance(spec, PartitionSpec):
        cure = 'To make one: jax.P("data").'
        raise error(ArgumentTypeError, "shard_keys", "spec", "a PartitionSpec", spec, cure)
    flat = tuple(name for entry in spec if entry for name in _check.axis_names(entry))
    _check.axes("shard_keys", "spec", flat, mesh.axis_names)
    sizes = []
    for entry in spec:
        names = () if entry is None else _check.axis_names(entry)
        sizes.append(_check.size_of([mesh.shape[name] for name in names]))
    sharding = NamedSharding(mesh, spec)
    return _placement.placed_keys("shard_keys", key, tuple(sizes), None, sharding)
