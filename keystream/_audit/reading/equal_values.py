"""Find constants, and which values are surely equal, looking back from where that is asked.

It is asked where a key is folded or indexed, which is seldom. Nothing is computed for the many
equations that no key depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

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


class Binding:
    """What one body of equations is called with: where its variables come from."""

    def __init__(self, jaxpr: Any, outer: Binding | None = None, consts: Any = ()) -> None:
        self.jaxpr = jaxpr
        self.outer = outer
        self.links: dict[Any, tuple[Binding, Any] | int | Callable[[], int]] = {}
        """Where its arguments come from: another body's variables, or a number, or how to get
        one that stands for the value in every step of a loop."""
        self.consts = dict(zip(jaxpr.constvars, consts, strict=False))
        self._made: dict[Any, tuple[Any, int]] | None = None
        self._values: dict[Any, int] = {}

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
        if callable(link):
            return link()
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
        inputs = tuple(self.number(atom, depth + 1) for atom in eqn.invars)
        return hash((eqn.primitive.name, place, _params(eqn.params), inputs))

    def element(self, rows: Any) -> int:
        """Return the number of a row in each step of a loop: loops over equal rows share it."""
        return hash(("element", self.number(rows)))

    def carried(self, first: Any, var: Any, after: Any, body: Any) -> int:
        """Return the number of a carry in each step; counters from one number on share it."""
        for eqn in body.eqns:
            if after in eqn.outvars and eqn.primitive.name == "add" and var in eqn.invars[:1]:
                step = eqn.invars[1]
                if is_literal(step):
                    return hash(("counter", self.number(first), self.number(step)))
        return new_token()

    def constant(self, atom: Any, depth: int = 0) -> np.ndarray | None:
        """Return a value as an array if the program alone says what it is."""
        if is_literal(atom):
            return np.asarray(atom.val)
        link = self.links.get(atom)
        if isinstance(link, int) or callable(link):
            return None
        if link is not None:
            return link[0].constant(link[1], depth)
        if atom in self.consts:
            return small_constant(self.consts[atom])
        made = self.maker(atom)
        if made is None or depth > DEEPEST:
            return None
        eqn, place = made
        compute, aval = _COMPUTE.get(eqn.primitive.name), atom.aval
        if compute is None or np.prod(aval.shape) > LARGEST:
            return None
        inputs = [self.constant(each, depth + 1) for each in eqn.invars]
        if eqn.primitive.name in ("mul", "and") and _any_zero(inputs, aval):
            return np.zeros(aval.shape, aval.dtype)
        if any(each is None for each in inputs):
            return None
        try:
            with np.errstate(all="ignore"):
                found = compute(*inputs, **eqn.params)
            found = found[place] if isinstance(found, list) else found
            return np.asarray(found).astype(aval.dtype)
        except Exception:  # a form that isn't known here: nothing is known of the value
            return None


def _any_zero(inputs: list[np.ndarray | None], aval: Any) -> bool:
    return np.issubdtype(aval.dtype, np.integer) and any(
        each is not None and not each.any() for each in inputs
    )


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


def _params(params: dict[str, Any]) -> Any:
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


def _jit(*inputs: np.ndarray, jaxpr: Any, **_: Any) -> list[np.ndarray | None]:
    body = Binding(jaxpr.jaxpr, consts=jaxpr.consts)
    body.consts |= dict(zip(jaxpr.jaxpr.invars, inputs, strict=True))
    return [body.constant(atom) for atom in jaxpr.jaxpr.outvars]


def _expanded(*inputs: np.ndarray, _prim: Any, **_: Any) -> list[np.ndarray | None]:
    return _jit(*inputs, jaxpr=_compat.expand_call(_prim))


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

_COMPUTE: dict[str, Callable[..., Any]] = {
    **STRUCTURE,
    **indexing.COMPUTE,
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
    "iota": _iota,
    "clamp": lambda low, a, high, **_: np.clip(a, low, high),
    "jit": _jit,
    "pjit": _jit,
    "call_hi_primitive": _expanded,
}
"""What counters, seeds and indices are made of."""
