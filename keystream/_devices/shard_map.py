"""Map a function over the shards of a mesh, each with its own key: `shard_map`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from keystream import _compat
from keystream._checks.calls import call_for_arrays
from keystream._checks.key import check_key, check_maps_over_devices
from keystream._checks.mesh import axis_names as mesh_axis_names
from keystream._checks.mesh import check_axes, check_mesh
from keystream._checks.tree import check_bounded
from keystream._checks.values import is_traced
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    Phrase,
    error,
    public,
)
from keystream._keys import children, placement, program
from keystream._keys.program import Function
from keystream._types import F

VARY = "keystream.vary:"
"""Begins the name of the scope that a mapped body runs in, before the axes of `vary`."""

_VARY = 'For one key on all shards: vary=(). For another on each: vary="data".'


@public
def shard_map(
    fun: F,
    *,
    out_specs: Any,
    in_specs: Any,
    vary: Any,
    mesh: Any = None,
    axis_names: Any = frozenset(),
    check_vma: bool = True,
) -> F:
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
        ArgumentValueError: Called at once, inside another body that is.
        BodyError: `fun` returns no arrays.

        For all else `jax.shard_map` has errors of its own, as for a sampler that loops
        (poisson, binomial, ...), which JAX can't check under `check_vma=True`.

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
    names = mesh_axis_names(vary)
    if not all(isinstance(name, str) for name in names):
        raise error(ArgumentTypeError, "vary", "axis names", vary, _VARY)
    check_bounded("in_specs", in_specs)
    check_bounded("out_specs", out_specs)

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any) -> Any:
        each = "[mapped(key, x) for key in keys]"
        impl = check_key(key, *args, call="mapped(key, x)", each=each)
        check_maps_over_devices(impl, key)
        known = _mesh_of(mesh)
        chosen = frozenset(check_axes("axis_names", axis_names, known.axis_names))
        manual = [n for n in known.axis_names if n in chosen or not chosen]
        check_axes("vary", names, manual)
        # What a body around this one is mapped over is in pieces already.
        around = jax.sharding.get_abstract_mesh().manual_axes
        if around and not _compat.NESTED_INDEX:
            wanted, got = "0.10.1 or newer inside of another mapped body", Phrase(jax.__version__)
            cure = "For one body over all axes: axis_names=frozenset()."
            raise error(ArgumentValueError, "jax", wanted, got, cure)

        if not is_traced(key):
            key = placement.replicate_key("mesh", key, mesh)
        check_bounded("args", args)
        body = _Body(fun)
        options = {"mesh": mesh, "axis_names": chosen, "check_vma": check_vma}
        try:
            return body.run(key, args, in_specs, out_specs, vary=names, **options)
        except Exception as cause:
            if around and type(cause) is Exception and not cause.args:  # JAX has no words here
                wanted, run = "compiled inside another mapped body", "a call that is run at once"
                told = error(ArgumentValueError, "fun", wanted, Phrase(run), _COMPILED)
                raise told from cause
            if body.failed or not isinstance(cause, (TypeError, ValueError)):
                raise
        # JAX refused specs or arrays that it saw as lists: here it sees what the user wrote.
        specs = in_specs if isinstance(in_specs, tuple) else (in_specs,) * len(args)
        options |= {"in_specs": (PartitionSpec(), *specs), "out_specs": out_specs}
        return jax.shard_map(functools.wraps(fun)(_keyed(fun, names)), **options)(key, *args)

    return public(mapped, "shard_map")  # type: ignore[return-value] # F, mapped


_COMPILED = "To compile the outer one: jax.jit(mapped)."


def _mesh_of(mesh: Any) -> Any:
    known = jax.sharding.get_abstract_mesh() if mesh is None else mesh
    if mesh is None and known.empty:
        cure = "To put one in context: with jax.set_mesh(mesh): ..."
        raise error(ArgumentTypeError, "mesh", "given or in context", mesh, cure)
    return check_mesh(known)


def _keyed(fun: Callable[..., Any], vary: tuple[str, ...]) -> Callable[..., Any]:
    """Return a mapped body that hands `fun` the key of its shard."""
    # Over the other axes draws are shared on purpose, and the audit is told so.
    scope = VARY + ",".join(vary)

    def shard(key: jax.Array, *args: Any) -> Any:
        with jax.named_scope(scope):
            return fun(children.axis_child(key, vary) if vary else key, *args)

    return shard


class _Body:
    """The mapped function as one of lists of arrays: a list for each spec, of what is below it."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self._fun = fun
        self._results: list[Any] = []
        self.failed = False
        """Whether the error is the function's own."""

    def run(
        self, key: jax.Array, args: tuple[Any, ...], in_specs: Any, out_specs: Any, **options: Any
    ) -> Any:
        """Map the function over shards, compiled once for equal programs."""
        flat_in, self._in = _flat_specs(in_specs)
        flat_out, self._out = _flat_specs(out_specs)
        below = [jax.tree.flatten(part) for part in self._in.flatten_up_to(args)]
        self._args = [structure for _, structure in below]
        options |= {"in_specs": flat_in, "out_specs": flat_out}
        leaves = [leaves for leaves, _ in below]
        made = program.run(_make_shards, [self], key, leaves, **options)
        return jax.tree.unflatten(self._out, map(jax.tree.unflatten, self._results, made))

    def __call__(self, key: jax.Array, args: list[list[Any]]) -> list[list[Any]]:
        """Call the function on one shard."""
        given = jax.tree.unflatten(self._in, map(jax.tree.unflatten, self._args, args))
        self.failed = True
        out = call_for_arrays("fun(key, *args)", self._fun, key, *given)
        self.failed = False
        below = [jax.tree.flatten(part) for part in self._out.flatten_up_to(out)]
        self._results = [structure for _, structure in below]
        return [leaves for leaves, _ in below]


def _flat_specs(specs: Any) -> tuple[tuple[PartitionSpec, ...], Any]:
    leaves, structure = jax.tree.flatten(specs, is_leaf=lambda x: isinstance(x, PartitionSpec))
    return tuple(leaves), structure


def _make_shards(
    functions: list[Function],
    key: jax.Array,
    args: list[list[Any]],
    *,
    in_specs: tuple[PartitionSpec, ...],
    out_specs: tuple[PartitionSpec, ...],
    vary: tuple[str, ...],
    **options: Any,
) -> Any:
    def shard(key: jax.Array, args: list[list[Any]], operands: Any) -> Any:
        return _keyed(functions[0].over(operands), vary)(key, args)

    whole = PartitionSpec()
    over_shards = jax.shard_map(
        shard, in_specs=(whole, list(in_specs), whole), out_specs=list(out_specs), **options
    )
    return over_shards(key, args, placement.gather_whole(functions[0].operands))
