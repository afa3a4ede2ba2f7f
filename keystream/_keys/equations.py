"""Take a traced function apart, so that it can be compared with others and compiled once.

`open_up` returns the equations of a function without its constants: the arrays that it closes
over, and the numbers in its own equations, become operands. The description of what is left
is a nested tuple, equal for two functions only if they compute the same of equal operands.
What isn't known to be a plain value is never compared: a callback, an effect, an unknown
object, an array inside a nested function.

A rule of differentiation is a function, too. In a program that isn't differentiated it has no
part: there a call of custom_jvp or custom_vjp is replaced by the equations that it calls, and
the policy of a checkpoint is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from keystream import _compat


class IncomparableError(Exception):
    """Something of which nobody can tell whether it equals another."""


class Opened(NamedTuple):
    """A function without its constants, and the constants."""

    jaxpr: Any
    """To be evaluated with the operands for constants."""
    operands: list[Any]
    description: Hashable
    rules: bool
    """Were rules of differentiation left out?"""


def open_up(jaxpr: Any, consts: Sequence[Any]) -> Opened:
    """Return a traced function with its constants, and the numbers in it, as operands."""
    copy = _Copy(lifting=True)
    made = copy.finish(jaxpr, consts)
    return Opened(made, copy.operands, copy.description, copy.rules)


class _Copy:
    """The equations of a function, and of those inside that are replaced by their equations."""

    def __init__(self, *, lifting: bool) -> None:
        self.operands: list[Any] = []
        self.rules = False
        self.description: Hashable = None
        self._lifting = lifting
        self._lifted: list[Any] = []
        self._equations: list[Any] = []
        self._places: dict[Any, int] = {}
        self._lines: list[Hashable] = []

    def finish(self, jaxpr: Any, consts: Sequence[Any]) -> Any:
        """Copy a whole function, describe it, and return the copy."""
        inputs = [self._new_input(var.aval) for var in jaxpr.invars]
        outputs = self._append(jaxpr, consts, inputs)
        types = tuple(var.aval for var in (*inputs, *self._lifted))
        self.description = types, tuple(self._lines), tuple(map(self._describe_atom, outputs))
        return _compat.rebuild(jaxpr, self._lifted, inputs, outputs, self._equations)

    def _append(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Append the equations of a function that is called with inputs; return its outputs."""
        if jaxpr.effects:
            raise IncomparableError(jaxpr.effects)
        known = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            known[var] = self._lift(var.aval, const)

        def read(atom: Any) -> Any:
            return self._number(atom) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            made = self._append_one(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _append_one(self, equation: Any, inputs: list[Any]) -> list[Any]:
        if equation.primitive.name in ("custom_jvp_call", "custom_vjp_call"):
            self.rules = True
            return self._append(*_compat.open_jaxpr(equation.params["call_jaxpr"]), inputs)
        try:
            params, described = self._params(equation.params)
        except IncomparableError:
            # A function that was jitted keeps the arrays that it closes over to itself.
            if not (self._lifting and _compat.is_plain_jit(equation)):
                raise
            return self._append(*_compat.open_jaxpr(equation.params["jaxpr"]), inputs)
        outputs = [self._new_var(var.aval) for var in equation.outvars]
        types = tuple(var.aval for var in outputs)
        read = tuple(map(self._describe_atom, inputs))
        context = _compat.equation_context(equation)
        self._lines.append((equation.primitive, context, described, read, types))
        self._equations.append(equation.replace(invars=inputs, outvars=outputs, params=params))
        return outputs

    def _params(self, given: dict[str, Any]) -> tuple[dict[str, Any], Hashable]:
        params, lines = {}, []
        for name, value in given.items():
            if name == "policy" and callable(value):
                self.rules, value = True, None  # noqa: PLW2901 - left out
            params[name], described, rules = describe(value)
            self.rules |= rules
            lines.append((name, described))
        return params, tuple(lines)

    def _new_input(self, aval: Any) -> Any:
        if not isinstance(aval, jax.core.ShapedArray):
            raise IncomparableError(aval)  # a Ref
        return self._new_var(aval)

    def _new_var(self, aval: Any) -> Any:
        var = Var(aval)
        self._places[var] = len(self._places)
        return var

    def _lift(self, aval: Any, value: Any) -> Any:
        """Return an operand that stands for an array or a number."""
        if not self._lifting:
            raise IncomparableError(value)
        var = self._new_input(aval)
        self._lifted.append(var)
        self.operands.append(value)
        return var

    def _number(self, literal: Any) -> Any:
        """Return what stands for a number in an equation: an operand, if one can."""
        if not self._lifting or getattr(literal.aval, "dtype", np.bool_) == np.bool_:
            return literal
        value = literal.val if isinstance(literal.val, jax.Array) else np.asarray(literal.val)
        if literal.aval.weak_type:
            value = value.item()  # what is weakly typed is a Python number
        kind = jax.typeof(value)
        same = kind.dtype == literal.aval.dtype and kind.weak_type == literal.aval.weak_type
        return self._lift(literal.aval, value) if same else literal

    def _describe_atom(self, atom: Any) -> Hashable:
        if isinstance(atom, Literal):
            return atom.aval, describe(np.asarray(atom.val))[1]
        return self._places[atom]


def describe(value: Any) -> tuple[Any, Hashable, bool]:
    """Return a parameter without rules, what describes it, and whether it had any."""
    kind = type(value)
    if kind in _PLAIN:
        return value, (kind, value), False
    if kind in (float, complex):
        return value, (kind, repr(value)), False  # 0.0 equals -0.0, and nan not even itself
    if isinstance(value, (ClosedJaxpr, Jaxpr)):
        return _describe_nested(value)
    if _compat.is_key_implementation(value):
        return value, (kind, value), False  # its functions are its author's, and never change
    if kind in (tuple, list) or hasattr(kind, "_fields"):
        made = [describe(each) for each in value]
        items, described, rules = zip(*made, strict=True) if made else ((), (), ())
        if any(rules):
            value = kind(*items) if hasattr(kind, "_fields") else kind(items)
        return value, (kind, described), any(rules)
    if isinstance(value, (set, frozenset)):
        return value, (kind, frozenset(describe(each)[1] for each in value)), False
    if isinstance(value, np.ndarray) and value.dtype != object and value.nbytes <= _SMALL:
        return value, (kind, value.dtype, value.shape, value.tobytes()), False
    if _is_value(value):
        return value, (kind, value), False
    raise IncomparableError(value)


_PLAIN = frozenset((type(None), bool, int, str, bytes))

_SMALL = 1024
"""Bytes of an array that is compared by its content."""


def _is_value(value: Any) -> bool:
    """Is this a value of JAX's or NumPy's, compared by what it says: a dtype, a sharding?"""
    if isinstance(value, (jax.sharding.Mesh, jax.sharding.AbstractMesh)):
        return True  # which are callable, as decorators
    if isinstance(value, type):
        return _of_jax(value) or value.__module__ == "builtins"
    if callable(value) or not _of_jax(type(value)) or _compat.holds_functions(value):
        return False
    if dataclasses.is_dataclass(value):
        return all(_is_simple(getattr(value, each.name)) for each in dataclasses.fields(value))
    return True


def _of_jax(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("jax", "jaxlib", "numpy", "ml_dtypes")


def _is_simple(value: Any) -> bool:
    try:
        describe(value)
    except IncomparableError:
        return False
    return True


_Nested = tuple[Any, Hashable, bool]
_known: WeakKeyDictionary[Any, _Nested | None] = WeakKeyDictionary()
"""What is known of the functions inside of programs. JAX keeps those that it has traced, such
as `jax.random.normal`, and hands out the same ones again. None for one without a description;
one without rules isn't held by what is known of it."""


def _describe_nested(jaxpr: Any) -> _Nested:
    if jaxpr not in _known:
        _known[jaxpr] = _described_nested(jaxpr)
    known = _known[jaxpr]
    if known is None:
        raise IncomparableError(jaxpr)
    made, described, rules = known
    return (jaxpr if made is None else made), described, rules


def _described_nested(jaxpr: Any) -> _Nested | None:
    equations, consts = _compat.open_jaxpr(jaxpr)
    copy = _Copy(lifting=False)
    try:
        made = copy.finish(equations, consts)
    except IncomparableError:
        return None
    if not copy.rules:
        return None, copy.description, False
    return made if equations is jaxpr else ClosedJaxpr(made, []), copy.description, True
