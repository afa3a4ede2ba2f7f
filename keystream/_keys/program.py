"""Run a loop over a user's function eagerly, and compile equal programs once.

JAX compiles a loop anew for each new body that it is called with, and for a body that it has
seen it shows what that body closed over when it was traced first. Here a body is traced in
every call, so that what has changed since is seen, and only the compilation is reused: where
the traced programs are equal, equation by equation. What a body closes over, and the numbers
in its own equations, are operands of the compiled call. The loop around it depends on types
alone: where the body has those of an earlier call, it isn't traced again.

The caches hold types, equations and their descriptions, and nothing that a user made: no
function, no array, no tracer. A program that can't be compared is compiled for one call and
not kept.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from keystream import _compat
from keystream._checks.values import is_traced, read_setting
from keystream._keys import equations

REMEMBERED = 256
"""Programs of which the compilation is kept."""


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """What a loop calls: a function, and what it closes over where that is known."""

    fun: Callable[..., Any]
    operands: Sequence[Any] = ()

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self.fun(self.operands, *args)

    def over(self, operands: Sequence[Any]) -> Function:
        """Return the same function with other arrays for what it closes over."""
        return Function(self.fun, operands)


class Leaves:
    """A function that returns the leaves of a pytree, and keeps the last one's structure."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self._fun = fun
        self.structure: Any = None

    def __call__(self, *args: Any) -> list[Any]:
        """Call the function, and return the leaves of what it returns."""
        leaves, self.structure = jax.tree.flatten(self._fun(*args))
        return leaves


Build = Callable[..., Any]
"""`build(functions, *arrays, **static)`: a loop, in terms of JAX, over some `Function`s."""


def run(build: Build, functions: Sequence[Callable[..., Any]], *arrays: Any, **static: Any) -> Any:
    """Return `build(functions, *arrays, **static)`, compiled once for equal programs.

    Where something is being traced, or recorded, and without `jit`, it is called as it is.

    Args:
        build: A function of this package that calls each of `functions` in a loop of JAX,
            always with arguments of the same types.
        functions: Functions of lists of arrays that return lists of arrays, made for this call
            around those of a user.
        *arrays: Arrays, in lists and tuples.
        **static: Other arguments of `build`, compared by type and value.
    """
    if _runs_at_once() and not _compat.is_recording():
        traced = _trace(build, functions, arrays, static)
        if not any(each.jaxpr.effects for each in traced):
            return _call(build, traced, arrays, static)
    direct = [Function(functools.partial(_without_operands, fun)) for fun in functions]
    return build(direct, *arrays, **static)


def _runs_at_once() -> bool:
    """Is an operation on concrete arrays run at once, or is something traced around us?"""
    if read_setting("jax_disable_jit"):
        return False
    return not isinstance(lax.iota(np.uint32, 1), jax.core.Tracer)


def _without_operands(fun: Callable[..., Any], _: Any, *args: Any) -> Any:
    return fun(*args)


class _Traced(NamedTuple):
    jaxpr: Any
    structure: Any
    """Of what it returns: lists."""

    @property
    def returned(self) -> Any:
        """The types of what it returns."""
        return self.jaxpr.out_avals


class _Looked(NamedTuple):
    """That a function was called while a loop was traced."""

    place: int
    """Which function."""
    given: Any
    """The types of its arguments; None on a mesh, where they depend on more."""
    returned: Any
    """And of what it returned."""


_seen: collections.OrderedDict[Hashable, list[_Looked]] = collections.OrderedDict()
"""By loop and types of its arrays: the calls of its functions. As long as they return the same
types they are called with the same ones, and nothing of the loop but they is traced again."""


def _trace(
    build: Build, functions: Sequence[Callable[..., Any]], arrays: Any, static: dict[str, Any]
) -> list[_Traced]:
    """Trace each function with the arguments of the last call that `build` makes of it."""
    kind = _kind(build, arrays, static)
    again = _trace_again(functions, _seen.get(kind, []))
    if again:
        return again
    found: dict[int, _Traced] = {}
    looked: list[_Looked] = []

    def look(fun: Callable[..., Any], place: int, _: Any, *args: Any) -> Any:
        found[place] = _look(fun, args)
        given = None if _on_mesh(args) else jax.tree.map(_type, args)
        looked.append(_Looked(place, given, found[place].returned))
        return jax.jit(fun)(*args)  # It is traced by now.

    looks = [Function(functools.partial(look, fun, i)) for i, fun in enumerate(functions)]
    jax.eval_shape(lambda *arrays: build(looks, *arrays, **static), *arrays)
    if kind and all(each.given is not None for each in looked):
        _seen[kind] = looked
        if len(_seen) > REMEMBERED:
            _seen.popitem(last=False)
    return [found[place] for place in range(len(functions))]


def _trace_again(
    functions: Sequence[Callable[..., Any]], looked: list[_Looked]
) -> list[_Traced] | None:
    """Trace functions with the types of another time, if they return those of that time."""
    found: dict[int, tuple[Any, _Traced]] = {}
    for place, given, returned in looked:
        if place not in found or found[place][0] != given:
            found[place] = given, _look(functions[place], given)
        if found[place][1].returned != returned:
            return None
    return [found[place][1] for place in range(len(functions))] if looked else None


def _kind(build: Build, arrays: Any, static: dict[str, Any]) -> Hashable:
    """Return what the types within a loop depend on, beside what its functions return."""
    leaves, structure = jax.tree.flatten(arrays)
    if not jax.sharding.get_abstract_mesh().empty or _on_mesh(leaves):
        return None
    types = tuple(map(jax.typeof, leaves))
    settings = tuple(map(read_setting, ("jax_enable_x64", "jax_numpy_dtype_promotion")))
    try:
        return build, equations.describe(tuple(static.items()))[1], structure, types, settings
    except equations.IncomparableError:
        return None


def _on_mesh(tree: Any) -> bool:
    return not all(jax.typeof(leaf).sharding.mesh.empty for leaf in jax.tree.leaves(tree))


def _type(leaf: Any) -> Any:
    aval = jax.typeof(leaf)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _look(fun: Callable[..., Any], args: Any) -> _Traced:
    jaxpr, out = jax.make_jaxpr(fun, return_shape=True)(*args)
    return _Traced(jaxpr, jax.tree.structure(out))


def _call(build: Build, traced: list[_Traced], arrays: Any, static: dict[str, Any]) -> Any:
    structures = [each.structure for each in traced]
    try:
        opened = [equations.open_up(*_compat.open_jaxpr(each.jaxpr)) for each in traced]
        _, options, _ = equations.describe(tuple(static.items()))
        key = build, options, tuple(each.description for each in opened), tuple(structures)
        plan = _Plan(build, static, [each.jaxpr for each in opened], structures, key)
    except Exception:  # IncomparableError, and whatever another version of JAX may raise here
        opened = []
    operands = [_placed(each.operands) for each in opened]
    differs = any(each.rules for each in opened) and is_traced(operands, arrays)
    if opened and not differs:
        return _compiled(plan)(operands, arrays)
    parts = [_compat.open_jaxpr(each.jaxpr) for each in traced]
    plan = _Plan(build, static, [jaxpr for jaxpr, _ in parts], structures, None)
    return plan.compile()([consts for _, consts in parts], arrays)


def _placed(operands: list[Any]) -> list[Any]:
    # Numbers of a program are no transfers of the user's, which a guard would stop.
    if read_setting("jax_transfer_guard_host_to_device") in (None, "allow"):
        return operands
    placed: list[Any] = jax.device_put(operands)
    return placed


class _Plan:
    """A loop and its traced functions, to be compiled; equal to another one with equal keys."""

    def __init__(
        self, build: Build, static: dict[str, Any], jaxprs: Any, structures: Any, key: Hashable
    ) -> None:
        self._build = build
        self._static = static
        self._functions = list(zip(jaxprs, structures, strict=True))
        self._key = key
        self._hash = hash(key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Plan) and self._key == other._key

    def compile(self) -> Callable[..., Any]:
        """Return a compiled function of the operands of each function, and the arrays."""

        def call(operands: Any, arrays: Any) -> Any:
            pairs = zip(self._functions, operands, strict=True)
            functions = [Function(functools.partial(_evaluate, *fun), own) for fun, own in pairs]
            return self._build(functions, *arrays, **self._static)

        return jax.jit(call)


@functools.lru_cache(maxsize=REMEMBERED)
def _compiled(plan: _Plan) -> Callable[..., Any]:
    return plan.compile()


def _evaluate(jaxpr: Any, structure: Any, operands: Sequence[Any], *args: Any) -> Any:
    # A loop tries a weakly typed first value before it gives it the type that comes back, which
    # is the one that the function was traced with.
    leaves = jax.tree.leaves(args)
    inputs = jaxpr.invars[len(jaxpr.invars) - len(leaves) :]
    given = [_of_type(leaf, var.aval.dtype) for leaf, var in zip(leaves, inputs, strict=True)]
    out = jax.core.eval_jaxpr(jaxpr, operands, *given)
    return jax.tree.unflatten(structure, out)


def _of_type(value: Any, dtype: Any) -> Any:
    same = jax.typeof(value).dtype == dtype
    return value if same else lax.convert_element_type(value, dtype)
