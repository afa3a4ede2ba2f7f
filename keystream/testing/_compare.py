"""Compare two results that should be equal, and say where they differ first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream._errors import summary
from keystream.testing import _ulps


class Tolerance(NamedTuple):
    """How far floats may lie apart. Everything else is equal or differs."""

    ulps: float = 0
    atol: float = 0.0
    exact: bool = False
    """Bit for bit: the two zeros differ too."""


EXACT = Tolerance(exact=True)

Pair = tuple[str, str]
"""How the two results came about: ("eagerly", "under jit")."""


class Leaf(NamedTuple):
    """A leaf to compare: words of keys, an array, a Python number, or anything with `==`."""

    held: Any
    kind: str
    """What it is, apart from its values: dtype and shape; "" if any will do."""
    source: Any


def is_key(value: Any) -> TypeGuard[jax.Array]:
    """Is it a typed key or an array of them?"""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def first_difference(
    one: Any, other: Any, tolerance: Tolerance, names: Pair, root: str = "result"
) -> str | None:
    """Return the first place where two pytrees differ, both values and how far; or None."""
    return first_by_path(by_path(one), by_path(other), tolerance, names, root)


def first_by_path(
    one: dict[str, Any], other: dict[str, Any], tolerance: Tolerance, names: Pair, root: str
) -> str | None:
    """Return the first difference of two pytrees that are leaves by their paths."""
    for path in _merged(one, other):
        where = root + path
        for known, here, there in ((one, *names), (other, *names[::-1])):
            if path not in known:
                return f"{where} {there} and nothing there {here}"
        told = _leaves(one[path], other[path], tolerance, names, where)
        if told:
            return told
    return None


def by_path(tree: Any) -> dict[str, Any]:
    """Return the leaves of a pytree by their paths, as `['a'][0]`."""
    return {
        jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def snapshot(tree: Any) -> Any:
    """Return a copy of a pytree that no later call can change, nor delete by donation."""

    def copied(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return leaf.copy()
        if not isinstance(leaf, jax.Array):
            return leaf
        if is_key(leaf):
            words = jnp.array(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        return np.array(leaf)

    return jax.tree.map(copied, tree)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    yield from one
    yield from (path for path in other if path not in one)


def _leaves(one: Any, other: Any, tolerance: Tolerance, names: Pair, where: str) -> str | None:
    first, second = _leaf(one), _leaf(other)
    if first.kind and second.kind and first.kind != second.kind:
        return f"{first.kind} {names[0]} and {second.kind} {names[1]} at {where}"
    if not isinstance(first.held, np.ndarray) or not isinstance(second.held, np.ndarray):
        if bool(first.held == second.held):
            return None
        return f"{summary(one)} {names[0]} and {summary(other)} {names[1]} at {where}"
    return _arrays(first, second, tolerance, names, where)


def _leaf(value: Any) -> Leaf:
    if is_key(value):
        return Leaf(np.asarray(jax.random.key_data(value)), summary(value), value)
    if isinstance(value, (bool, int, float, complex)):
        wide = isinstance(value, int) and value.bit_length() > 63
        return Leaf(np.asarray(value, object if wide else None), "", value)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return Leaf(np.asarray(value), summary(np.asarray(value)), value)
    return Leaf(value, "", value)


def _arrays(one: Leaf, other: Leaf, tolerance: Tolerance, names: Pair, where: str) -> str | None:
    first, second = one.held, other.held
    if not one.kind and not other.kind and first.dtype != second.dtype:
        return f"{one.source!r} {names[0]} and {other.source!r} {names[1]} at {where}"
    if first.shape != second.shape:
        return f"{summary(first)} {names[0]} and {summary(second)} {names[1]} at {where}"
    if first.dtype != second.dtype:  # a Python number beside an array
        common = first.dtype if one.kind else second.dtype
        first, second = first.astype(common), second.astype(common)

    differs, steps = _compare_arrays(first, second, tolerance)
    if isinstance(one.source, jax.Array) and first.ndim > one.source.ndim:
        differs = np.asarray(differs.any(-1))  # the words of a key
    count = int(differs.sum())
    if not count:
        return None
    index = tuple(int(i) for i in np.argwhere(differs)[0])
    values = " and ".join(
        f"{_show(leaf, held, index)} {name}"
        for leaf, held, name in zip((one, other), (first, second), names, strict=True)
    )
    place = f"{where}[{', '.join(map(str, index))}]" if index else where
    apart = "" if steps is None else f", {_steps_apart(float(steps[index]))} apart"
    more = f"; {count:,} of {differs.size:,} differ" if differs.size > 1 else ""
    return f"{values} at {place}{apart}{more}"


def _compare_arrays(
    one: np.ndarray, other: np.ndarray, tolerance: Tolerance
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return where arrays of one type differ, and by how many ulps if they are floats."""
    if one.dtype.kind == "V" and one.dtype.names is None and not one.dtype.itemsize:
        return np.zeros(one.shape, bool), None
    if one.dtype == jax.dtypes.float0:
        return np.zeros(one.shape, bool), None
    if not _ulps.is_float(one.dtype):
        return np.asarray(one != other, bool), None
    steps = _ulps.distance(one, other)
    if tolerance.exact:
        return ~_ulps.same_bits(one, other), steps
    wide = np.complex128 if np.iscomplexobj(one) else np.float64
    with np.errstate(all="ignore"):
        near = np.abs(one.astype(wide) - other.astype(wide)) <= tolerance.atol
    return (steps > tolerance.ulps) & ~near, steps


def _show(leaf: Leaf, held: np.ndarray, index: tuple[int, ...]) -> str:
    source = leaf.source
    if is_key(source):
        return f"key {ks.fingerprint(source[index])}"
    return str(held[index])


def _steps_apart(steps: float) -> str:
    return (
        f"{steps:,.0f} ulp{'' if steps == 1 else 's'}" if np.isfinite(steps) else "infinitely far"
    )
