"""Find constants, and which values are surely equal, looking back from where that is asked.

It is asked where a key is folded or indexed, which is seldom. Nothing is computed for the many
equations that no key depends on.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from keystream import _compat
from keystream._audit.reading import indexing

LARGEST = 1 << 16
"""Elements up to which a constant is looked at."""
DEEPEST = 60
"""Equations up to which one looks back."""

_tokens = itertools.count(1)


def new_token() -> int:
    """Return a number that no other value has."""
    return next(_tokens)


def hash_number(value: Any) -> np.uint64:
    """Hash a value into a number that nodes can be made with."""
    return np.uint64(hash(value) & (2**64 - 1))


def fresh_numbers(shape: Sequence[int]) -> np.ndarray:
    """Return numbers that no other values have, to make nodes with."""
    index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64).reshape(shape)
    fresh: np.ndarray = index + np.uint64(new_token() << 32)
    return fresh


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a value that no equation tells."""

    number: int | Callable[[], int]
    """One that it shares with none but equal ones, or how to get it."""
    constant: np.ndarray | None = None
    """The value, if the program alone says what it is."""
    steps: Steps | None = None
    """The values in all steps of a loop, if the program alone says what they are."""


class Steps(NamedTuple):
    """Values that a counter of a loop tells."""

    loop: Any
    values: list[np.ndarray]
    """Each with a leading dimension for the steps."""


class Binding:
    """What one body of equations is called with: where its variables come from."""

    def __init__(self, jaxpr: Any, consts: Any = ()) -> None:
        self.jaxpr = jaxpr
        self.links: dict[Any, tuple[Binding, Any] | Known | int] = {}
        self.consts = dict(zip(jaxpr.constvars, consts, strict=False))
        self._made: dict[Any, tuple[Any, int]] | None = None
        self._values: dict[Any, int] = {}
        self._constants: dict[Any, np.ndarray | None] = {}
        self._steps: dict[Any, Steps | None] = {}

    def maker(self, var: Any) -> tuple[Any, int] | None:
        """Return the equation that makes a variable, and as which of its results."""
        if self._made is None:
            self._made = {
                out: (eqn, place)
                for eqn in self.jaxpr.eqns
                for place, out in enumerate(eqn.outvars)
            }
        return self._made.get(var)

    def origin(self, atom: Any) -> Any:
        """Return the equation that computed a value, of which parts were taken since; or None."""
        link = None if is_literal(atom) else self.links.get(atom)
        if isinstance(link, tuple):
            return link[0].origin(link[1])
        made = None if is_literal(atom) else self.maker(atom)
        if made is not None and made[0].primitive.name in _PARTS:
            return self.origin(made[0].invars[0])
        return None if made is None else made[0]

    def ref(self, ref: Any) -> Any:
        """Return what tells a ref from all others, whatever it is called where."""
        link = self.links.get(ref)
        if isinstance(link, tuple):
            return link[0].ref(link[1])
        return id(self.consts[ref]) if ref in self.consts else (self, ref)

    def number(self, atom: Any, depth: int = 0) -> int:
        """Return a number that this value shares with none but equal ones."""
        if is_literal(atom):
            return hash(("constant", str(atom.aval), np.asarray(atom.val).tobytes()))
        if atom not in self._values:
            self._values[atom] = self._look(atom, depth)
        return self._values[atom]

    def _look(self, var: Any, depth: int) -> int:
        link = self.links.get(var)
        if isinstance(link, int):
            return link
        if isinstance(link, Known):
            return link.number() if callable(link.number) else link.number
        if link is not None:
            return link[0].number(link[1], depth)
        known = self.consts.get(var)
        if known is not None:
            known = small_constant(known)
            return (
                new_token() if known is None else hash(("constant", str(var.aval), known.tobytes()))
            )
        made = self.maker(var)
        if made is None or depth > DEEPEST:
            return new_token()
        eqn, place = made
        if reads_refs(eqn):
            return new_token()  # There may be another value by now.
        inputs = tuple(self.number(atom, depth + 1) for atom in eqn.invars)
        return hash((eqn.primitive.name, place, hashable_params(eqn.params), inputs))

    def element(self, rows: Any) -> int:
        """Return the number of a row in each step of a loop: loops over equal rows share it."""
        return hash(("element", self.number(rows)))

    def carried(self, first: Any, step: int | None) -> int:
        """Return the number of a carry in each step; counters from one number on share it."""
        return new_token() if step is None else hash(("counter", self.number(first), step))

    def constant(self, atom: Any, depth: int = 0) -> np.ndarray | None:
        """Return a value as an array if the program alone says what it is."""
        if is_literal(atom):
            return np.asarray(atom.val)
        link = self.links.get(atom)
        if isinstance(link, Known):
            return link.constant
        if link is not None:
            return None if isinstance(link, int) else link[0].constant(link[1], depth)
        if atom in self.consts:
            return small_constant(self.consts[atom])
        if atom not in self._constants:
            self._constants[atom] = self._compute_constant(atom, depth)
        return self._constants[atom]

    def _compute_constant(self, var: Any, depth: int) -> np.ndarray | None:
        made = self.maker(var)
        if made is None or depth > DEEPEST:
            return None
        eqn, place = made
        called = self._called(eqn)
        if called is not None:
            return called.constant(called.jaxpr.outvars[place], depth + 1)
        if eqn.primitive.name not in _COMPUTE:
            return None
        return _compute(eqn, place, [self.constant(each, depth + 1) for each in eqn.invars])

    def steps(self, atoms: Sequence[Any], depth: int = 0) -> Steps | None:
        """Return values in all steps of the one loop whose counter tells them, together."""
        known = [self.constant(atom, depth) for atom in atoms]
        told: dict[int, Steps] = {}
        for place, atom in enumerate(atoms):
            if known[place] is None:
                if atom not in self._steps:
                    self._steps[atom] = self._steps_of(atom, depth)
                found = self._steps[atom]
                if found is None:
                    return None
                told[place] = found
        if len({id(each.loop) for each in told.values()}) != 1:
            return None
        first = next(iter(told.values()))
        length = len(first.values[0])
        values = [
            told[place].values[0]
            if value is None
            else np.broadcast_to(value, (length, *value.shape))
            for place, value in enumerate(known)
        ]
        return Steps(first.loop, values)

    def _steps_of(self, var: Any, depth: int) -> Steps | None:
        link = self.links.get(var)
        if isinstance(link, Known):
            return link.steps
        if link is not None:
            return None if isinstance(link, int) else link[0].steps([link[1]], depth)
        made = self.maker(var)
        if made is None or depth > DEEPEST:
            return None
        eqn, place = made
        called = self._called(eqn)
        if called is not None:
            return called.steps([called.jaxpr.outvars[place]], depth + 1)
        if eqn.primitive.name not in _COMPUTE:
            return None
        inputs = self.steps(eqn.invars, depth + 1)
        if inputs is None or len(inputs.values[0]) * var.aval.size > LARGEST:
            return None
        alike = len({each.shape for each in inputs.values}) == 1
        if alike and eqn.primitive.name in _ELEMENTWISE:
            whole = _compute(eqn, place, inputs.values, inputs.values[0].shape[:1])
            return None if whole is None else Steps(inputs.loop, [whole])
        rows = [_compute(eqn, place, row) for row in zip(*inputs.values, strict=True)]
        known = [row for row in rows if row is not None]
        return Steps(inputs.loop, [np.stack(known)]) if len(known) == len(rows) else None

    def _called(self, eqn: Any) -> Binding | None:
        """Return the body of a jitted function, as it is called."""
        if eqn.primitive.name in ("jit", "pjit"):
            closed = eqn.params["jaxpr"]
        elif eqn.primitive.name == "call_hi_primitive":
            closed = _compat.expand_call(eqn.params["_prim"])
        else:
            return None
        if closed is None:
            return None
        called = Binding(closed.jaxpr, consts=closed.consts)
        called.links |= {
            var: (self, atom) for var, atom in zip(closed.jaxpr.invars, eqn.invars, strict=True)
        }
        return called


def _compute(
    eqn: Any, place: int, inputs: Sequence[np.ndarray | None], extra: tuple[int, ...] = ()
) -> np.ndarray | None:
    """Return a result of an equation of known operands."""
    name, aval = eqn.primitive.name, eqn.outvars[place].aval
    if np.prod(aval.shape) > LARGEST:
        return None
    if name in ("mul", "and") and _any_zero(inputs, aval):
        return np.zeros((*extra, *aval.shape), aval.dtype)
    if any(each is None for each in inputs):
        return None
    try:
        with np.errstate(all="ignore"):
            found: Any = _COMPUTE[name](*inputs, **eqn.params)
        found = found[place] if isinstance(found, list) else found
        return np.asarray(found).astype(aval.dtype)
    except Exception:  # a form that isn't known here: nothing is known of the value
        return None


def _any_zero(inputs: Sequence[np.ndarray | None], aval: Any) -> bool:
    return np.issubdtype(aval.dtype, np.integer) and any(
        each is not None and not each.any() for each in inputs
    )


def reads_refs(eqn: Any) -> bool:
    """May an equation give another value of the same operands, since some of them are refs?"""
    return bool(eqn.effects) and any(_compat.is_ref(atom.aval) for atom in eqn.invars)


def is_literal(atom: Any) -> bool:
    """Is this a number that is written into an equation?"""
    return hasattr(atom, "val")


def small_constant(value: Any) -> np.ndarray | None:
    """Return a constant that isn't large as a NumPy array; None for keys and tracers."""
    if isinstance(value, jax.core.Tracer) or getattr(value, "size", LARGEST + 1) > LARGEST:
        return None
    if jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return None
    try:
        return np.asarray(value)
    except RuntimeError:  # spread over processes, or deleted
        return None


def hashable_params(params: dict[str, Any]) -> Any:
    """Return the parameters of an equation in a form that can be hashed."""
    return tuple((name, _hashable(value)) for name, value in sorted(params.items()))


def _hashable(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_hashable, value))
    try:
        return hash(value)
    except TypeError:
        return id(value)


def _broadcast(a: np.ndarray, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> np.ndarray:
    sizes = [1] * len(shape)
    for size, place in zip(a.shape, broadcast_dimensions, strict=True):
        sizes[place] = size
    return np.broadcast_to(a.reshape(sizes), shape)


def _iota(*, dtype: Any, shape: Any, dimension: int, **_: Any) -> np.ndarray:
    line = np.arange(shape[dimension], dtype=dtype)
    return _broadcast(line, shape=shape, broadcast_dimensions=(dimension,))


def _slice(
    a: np.ndarray, *, start_indices: Any, limit_indices: Any, strides: Any, **_: Any
) -> np.ndarray:
    steps = strides or (1,) * a.ndim
    return a[tuple(map(slice, start_indices, limit_indices, steps))]


def _reshape(a: np.ndarray, *, new_sizes: Any, dimensions: Any = None, **_: Any) -> np.ndarray:
    return (a if dimensions is None else a.transpose(dimensions)).reshape(new_sizes)


def same(a: np.ndarray, **_: Any) -> np.ndarray:
    """Return an array as it is."""
    return a


STRUCTURE: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "reshape": _reshape,
    "squeeze": lambda a, *, dimensions, **_: a.squeeze(tuple(dimensions)),
    "expand_dims": lambda a, *, dimensions, **_: np.expand_dims(a, tuple(dimensions)),
    "transpose": lambda a, *, permutation, **_: a.transpose(permutation),
    "concatenate": lambda *all_, dimension, **_: np.concatenate(all_, dimension),
    "stop_gradient": same,
    "copy": same,
    "copy_p": same,
    "name": same,
    "pvary": same,
}
"""Operations that only move elements about, with one result: NumPy's ones do the same."""

_PARTS = ("slice", "reshape", "squeeze", "expand_dims", "transpose", "copy", "pvary")

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, **_: a + b,
    "sub": lambda a, b, **_: a - b,
    "mul": lambda a, b, **_: a * b,
    "max": lambda a, b, **_: np.maximum(a, b),
    "min": lambda a, b, **_: np.minimum(a, b),
    "neg": lambda a, **_: -a,
    "and": lambda a, b, **_: a & b,
    "or": lambda a, b, **_: a | b,
    "xor": lambda a, b, **_: a ^ b,
    "not": lambda a, **_: ~a,
    "lt": lambda a, b, **_: a < b,
    "le": lambda a, b, **_: a <= b,
    "gt": lambda a, b, **_: a > b,
    "ge": lambda a, b, **_: a >= b,
    "eq": lambda a, b, **_: a == b,
    "ne": lambda a, b, **_: a != b,
    "shift_left": lambda a, b, **_: a << b,
    "shift_right_logical": lambda a, b, **_: a.view(f"u{a.itemsize}") >> b.view(f"u{b.itemsize}"),
    "shift_right_arithmetic": lambda a, b, **_: a >> b,
    "select_n": lambda which, *cases, **_: np.choose(which.astype(int), cases),
    "convert_element_type": lambda a, *, new_dtype, **_: a.astype(new_dtype),
    "bitcast_convert_type": lambda a, *, new_dtype, **_: a.view(new_dtype),
    "clamp": lambda low, a, high, **_: np.clip(a, low, high),
}
_COMPUTE = {**STRUCTURE, **indexing.COMPUTE, **_ELEMENTWISE, "iota": _iota}
"""What counters, seeds and indices are made of."""
