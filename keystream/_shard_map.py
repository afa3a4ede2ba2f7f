"""Items on the shards of a mesh: a body mapped over them, each with its own key."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from keystream import (
    _check,
    _check_key,
    _check_mesh,
    _check_tree,
    _children,
    _compat,
    _placement,
    _program,
    _specs,
)
from keystream._called import drawn
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    KeystreamError,
    VaryingError,
    Words,
    error,
)
from keystream._program import Function
from keystream._types import F

VARY = "keystream.vary:"
"""Begins the name of the scope that a mapped body runs in, before the axes of `vary`."""

_VARY = 'For one key on all shards: vary=(). For another on each: vary="data".'


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
        ArgumentValueError: Specs that don't fit the arguments, what `fun` returns or the
            mesh, or another mesh than the one in context.
        BodyError: `fun` returns no arrays.
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
    _specs.check("in_specs", in_specs)
    _specs.check("out_specs", out_specs)
    if not isinstance(check_vma, (bool, np.bool_)):
        raise error(ArgumentTypeError, "shard_map", "check_vma", "True or False", check_vma)

    names = _check.axis_names(vary)
    if not all(isinstance(name, str) for name in names):
        raise error(ArgumentTypeError, "shard_map", "vary", "axis names", vary, _VARY)

    @functools.wraps(fun)
    def mapped(key: jax.Array, /, *args: Any) -> Any:
        each = "[mapped(key, x) for key in keys]"
        impl = _check_key.one_key("shard_map", key, *args, call="mapped(key, x)", each=each)
        _check_key.shards("shard_map", impl, key)
        known = _in_context(mesh)
        chosen = _check.axes("shard_map", "axis_names", axis_names, known.axis_names)
        manual = [n for n in known.axis_names if n in chosen or not chosen]
        _check.axes("shard_map", "vary", names, manual)
        # What a body around this one is mapped over is in pieces already.
        around = jax.sharding.get_abstract_mesh().manual_axes
        if around and not _compat.NESTED_INDEX:
            wanted, got = "0.10.1 or newer inside of another mapped body", Words(jax.__version__)
            cure = "For one body over all axes: axis_names=frozenset()."
            raise error(ArgumentValueError, "shard_map", "jax", wanted, got, cure)
        ours = [name for name in manual if name not in around]
        _specs.axes("in_specs", in_specs, ours)
        _specs.axes("out_specs", out_specs, ours)
        if mesh is not None:
            _check_mesh.in_context("shard_map", "mesh", known)
        if isinstance(in_specs, tuple) and len(in_specs) != len(args):
            wanted = f"one entry for each argument after the key ({len(args)})"
            got = Words(f"a tuple of {len(in_specs)}")
            raise error(ArgumentValueError, "shard_map", "in_specs", wanted, got, must="hold")
        _check_tree.arrays("shard_map", "args", args)
        _specs.fit("in_specs", in_specs, args, known)

        body = _Body(fun, args, in_specs, out_specs, known)
        placed = (
            key if _check.is_traced(key) else _placement.replicated("shard_map", "mesh", key, mesh)
        )
        try:
            made = _program.run(
                _make_shards,
                [body],
                placed,
                body.args,
                in_specs=body.in_specs,
                out_specs=body.out_specs,
                vary=names,
                mesh=mesh,
                axis_names=frozenset(chosen),
                check_vma=bool(check_vma),
            )
            return body.result(made)
        except Exception as cause:
            worded = _worded(cause, out_specs, check_vma)
            if worded is None:
                raise
            raise worded from cause

    return mapped  # type: ignore[return-value] # F, mapped


class _Body:
    """The mapped function as one of lists of arrays: a list for each spec, of what is below it."""

    def __init__(
        self, fun: Callable[..., Any], args: Any, in_specs: Any, out_specs: Any, mesh: Any
    ) -> None:
        self._fun = fun
        self._mesh = mesh
        self._given_out_specs = out_specs
        self.in_specs, self._in = _flat_specs(in_specs)
        self.out_specs, self._out = _flat_specs(out_specs)
        below = [jax.tree.flatten(part) for part in self._in.flatten_up_to(args)]
        self.args = [leaves for leaves, _ in below]
        self._arg_structures = [structure for _, structure in below]
        self._result_structures: list[Any] = []

    def __call__(self, key: jax.Array, args: list[list[Any]]) -> list[list[Any]]:
        """Call the function on one shard."""
        parts = map(jax.tree.unflatten, self._arg_structures, args)
        given = jax.tree.unflatten(self._in, parts)
        out = drawn("shard_map", "fun(key, *args)", self._fun, key, *given)
        _specs.fit("out_specs", self._given_out_specs, out, self._mesh)
        below = [jax.tree.flatten(part) for part in self._out.flatten_up_to(out)]
        self._result_structures = [structure for _, structure in below]
        return [leaves for leaves, _ in below]

    def result(self, made: list[list[Any]]) -> Any:
        """Return what the mapped function returned as the pytree that it was."""
        return jax.tree.unflatten(self._out, map(jax.tree.unflatten, self._result_structures, made))


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
    # Over the other axes draws are shared on purpose, and the audit is told so.
    scope = VARY + ",".join(vary)

    def shard(key: jax.Array, args: list[list[Any]], operands: Any) -> Any:
        with jax.named_scope(scope):
            use = _children.axis_child(key, vary) if vary else key
            return functions[0].over(operands)(use, args)

    whole = PartitionSpec()
    over_shards = jax.shard_map(
        shard, in_specs=(whole, list(in_specs), whole), out_specs=list(out_specs), **options
    )
    return over_shards(key, args, _placement.whole(functions[0].operands))


def _worded(cause: Exception, out_specs: Any, check_vma: Any) -> KeystreamError | None:
    # What varies only JAX knows, and it has no class for saying so.
    if type(cause) is Exception and not cause.args and jax.sharding.get_abstract_mesh().manual_axes:
        wanted, got = "compiled inside another mapped body", Words("a call that is run at once")
        return error(ArgumentValueError, "shard_map", "fun", wanted, got, _COMPILED)
    if isinstance(cause, KeystreamError):
        return None
    if "does not match the specs of the input" in str(cause):
        wanted, got = "laid out as in_specs says, on explicit axes", Words("another layout")
        cure = "To lay one out: jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))."
        return error(ArgumentValueError, "shard_map", "args", wanted, got, cure)
    if "incompatible devices" in str(cause):
        wanted, got = "on the devices of the mesh, or committed to none", Words("one on others")
        cure = "To place one: jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))."
        return error(ArgumentValueError, "shard_map", "args", wanted, got, cure)
    if not check_vma:
        return None
    if isinstance(cause, TypeError) and "varying" in str(cause):
        return _unchecked(cause)
    replicated = "out_specs which require replication" in str(cause)
    return _replicated(out_specs) if replicated else None


_COMPILED = "To compile the outer one: jax.jit(mapped)."


def _replicated(out_specs: Any) -> ArgumentValueError:
    wanted = "specs that name every axis along which a result differs"
    cure = (
        "For all of them side by side: jax.P(vary). For results that are equal by other means "
        "than JAX can see: ks.shard_map(fun, mesh=mesh, in_specs=in_specs, out_specs=out_specs, "
        "vary=vary, check_vma=False)."
    )
    got = Words(str(out_specs)) if isinstance(out_specs, PartitionSpec) else out_specs
    return error(ArgumentValueError, "shard_map", "out_specs", wanted, got, cure)


def _unchecked(cause: TypeError) -> VaryingError:
    cure = (
        "For a sampler that loops (poisson, binomial, ...): ks.shard_map(fun, mesh=mesh, "
        "in_specs=in_specs, out_specs=out_specs, vary=vary, check_vma=False). "
        "For a carry of your own: jax.lax.pcast(carry, axes, to='varying')."
    )
    first = str(cause).strip().splitlines()[0]
    wanted = "one that JAX can check for varying mesh axes"
    return error(VaryingError, "shard_map", "fun", wanted, Words(f"JAX's {first!r}"), cure)


def _in_context(mesh: Any) -> Any:
    known = jax.sharding.get_abstract_mesh() if mesh is None else mesh
    if mesh is None and known.empty:
        cure = "To put one in context: with jax.set_mesh(mesh): ..."
        raise error(ArgumentTypeError, "shard_map", "mesh", "given or in context", mesh, cure)
    return _check_mesh.a_mesh("shard_map", known)
