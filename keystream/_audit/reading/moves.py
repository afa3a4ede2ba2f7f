"""Follow keys through operations that only move them about.

Typed keys and the words of legacy ones go through the same operations. NumPy does to their
handles what JAX does to the keys; where that depends on values, `equal_values` is asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from keystream._audit.reading.equal_values import STRUCTURE, same
from keystream._audit.reading.indexing import (
    COMPUTE,
    OUTSIDE,
    cut,
    order,
    places_to_gather,
    scatter,
)
from keystream._audit.reading.lineage import UNKNOWN, from_words
from keystream._audit.reading.reader import Body, Move, Reader, is_key, on_keys

Array = np.ndarray

_ON_HANDLES: dict[str, Callable[..., Array]] = {
    **STRUCTURE,
    "rev": lambda a, *, dimensions, **_: np.flip(a, tuple(dimensions)),
    "stack": lambda *all_, axis=0, **_: np.stack(all_, axis),
    "pcast": same,
    "sharding_constraint": same,
    "reshard": same,
    "mesh_cast": same,
    "layout_constraint": same,
    "reduce_precision": same,
    "tile": COMPUTE["tile"],
    "pad": COMPUTE["pad"],
}


def _split(a: Array, *, sizes: Any, axis: int, **_: Any) -> list[Array]:
    """Cut an array into pieces."""
    return np.split(a, np.cumsum(sizes)[:-1], axis)


def _unstack(a: Array, *, axis: int = 0, **_: Any) -> list[Array]:
    """Take an array apart along one dimension."""
    return list(np.moveaxis(a, axis, 0))


Found = list["np.ndarray | None"]


def _all_handles(body: Body, atoms: Any) -> list[np.ndarray] | None:
    """Return the handles of all operands; of words of no key, unknown ones."""
    found = []
    for atom in atoms:
        held, aval = body.handles(atom), atom.aval
        if held is None:
            if getattr(aval, "dtype", None) != np.uint32 and not (is_key(aval) and not aval.size):
                return None
            held = np.full(aval.shape, UNKNOWN, np.int64)
        found.append(held)
    return found


def _repeat_on_handles(move: Callable[..., Any]) -> Move:
    def follow(_: Reader, body: Body, eqn: Any) -> Found | None:
        inputs = _all_handles(body, eqn.invars)
        if inputs is None:
            return None
        made = move(*inputs, **eqn.params)
        return made if isinstance(made, list) else [made]

    return follow


def _hand_on(_: Reader, body: Body, eqn: Any) -> Found:
    return [body.handles(atom) for atom in eqn.invars]


def _select(reader: Reader, body: Body, eqn: Any) -> Found | None:
    which, *cases = eqn.invars
    handles = _all_handles(body, cases)
    if handles is None:
        return None
    typed = is_key(eqn.outvars[0].aval)
    if all(np.array_equal(each, handles[0]) for each in handles[1:]):
        return [_guard(reader, body, eqn, handles[0], typed)]
    known = body.binding.constant(which)
    if known is not None:
        chosen = np.broadcast_to(known.astype(int), handles[0].shape)
        return [np.choose(chosen, handles)]
    join = functools.partial(
        reader.join, body, eqn, body.mask(eqn.invars), body.binding.number(which)
    )
    return [on_keys(join, typed, *handles)]


def _guard(
    reader: Reader, body: Body, eqn: Any, handles: np.ndarray, typed: bool
) -> np.ndarray | None:
    # This is what `vmap` makes of an operand of `cond`: for each branch, the operand where
    # the branch is taken, and otherwise the same operand.
    branch = _branch_of(body, eqn.invars[0])
    if branch is None:
        return handles

    return on_keys(lambda keys: reader.guard(body, eqn, keys, branch), typed, handles)


def _branch_of(body: Body, which: Any) -> tuple[int, int] | None:
    binding = body.binding
    made = None if hasattr(which, "val") else binding.maker(which)
    while made is not None:
        eqn = made[0]
        if eqn.primitive.name == "eq":
            number = binding.constant(eqn.invars[1])
            if number is None or not number.size:
                return None
            return binding.number(eqn.invars[0]), int(number.flat[0])
        if eqn.primitive.name not in ("broadcast_in_dim", "reshape", "convert_element_type"):
            return None
        made = binding.maker(eqn.invars[0])
    return None


def _dynamic_slice(reader: Reader, body: Body, eqn: Any) -> Found | None:
    array, *starts = eqn.invars
    handles = body.handles(array)
    if handles is None:
        return None
    known = _integers(body, starts)
    sizes = eqn.params["slice_sizes"]
    if known is not None:
        return [cut(handles, known, sizes)]
    token = hash(tuple(body.binding.number(start) for start in starts))
    made = pick_elements(reader, body, eqn, handles, sizes, body.mask(starts), token)
    _tell_steps(reader, body, eqn, starts, made, lambda *at: cut(handles, [*map(int, at)], sizes))
    return [made]


def _gather(reader: Reader, body: Body, eqn: Any) -> Found | None:
    array, indices = eqn.invars
    handles = body.handles(array)
    if handles is None:
        return None

    def take(at: Array) -> Array | None:
        places = places_to_gather(handles.shape, at, **eqn.params)
        inside = not is_key(array.aval) or (places != OUTSIDE).all()
        kept = np.where(places == OUTSIDE, UNKNOWN, handles.reshape(-1)[places])
        return kept if inside else None

    known = body.binding.constant(indices)
    found = None if known is None else take(known)
    if found is not None:
        return [found]
    token, shape = body.binding.number(indices), eqn.outvars[0].aval.shape
    made = pick_elements(reader, body, eqn, handles, shape, body.mask([indices]), token)
    _tell_steps(reader, body, eqn, [indices], made, take)
    return [made]


def _tell_steps(
    reader: Reader,
    body: Body,
    eqn: Any,
    places: list[Any],
    made: np.ndarray | None,
    take: Callable[..., np.ndarray | None],
) -> None:
    """Tell which elements were picked in the steps of a loop, where its counter says so."""
    steps = None if made is None else body.binding.steps(places)
    if steps is None or made is None:
        return
    rows = [take(*at) for at in zip(*steps.values, strict=True)]
    known = [row for row in rows if row is not None and row.shape == made.shape]
    typed = is_key(eqn.outvars[0].aval)
    if len(known) < len(rows):
        return
    picked, keys = (each if typed else from_words(each) for each in (made, np.stack(known)))
    if picked is not None and keys is not None:
        reader.tell_steps(picked, steps.loop, keys)


def pick_elements(
    reader: Reader, body: Body, eqn: Any, handles: np.ndarray, shape: Any, mask: int, token: int
) -> np.ndarray | None:
    """Return elements of keys, or of words of keys, of which it isn't known which ones."""
    typed = is_key(eqn.outvars[0].aval)
    if not typed and (not shape or shape[-1] != handles.shape[-1]):
        return None
    sizes = tuple(shape) if typed else tuple(shape[:-1])
    return on_keys(lambda keys: reader.pick(body, eqn, keys, sizes, mask, token), typed, handles)


def _update(_: Reader, body: Body, eqn: Any) -> Found | None:
    array, piece, *starts = eqn.invars
    both, known = _all_handles(body, (array, piece)), _integers(body, starts)
    if both is None or known is None:
        return None
    made = both[0].copy()
    cut(made, known, both[1].shape)[...] = both[1]
    return [made]


def _scatter(_: Reader, body: Body, eqn: Any) -> Found | None:
    array, indices, pieces = eqn.invars
    both, known = _all_handles(body, (array, pieces)), body.binding.constant(indices)
    if both is None or known is None:
        return None
    return [scatter(both[0], known, both[1], **eqn.params)]


def _sort(_: Reader, body: Body, eqn: Any) -> Found | None:
    count, dimension = eqn.params["num_keys"], eqn.params["dimension"]
    known = [body.binding.constant(atom) for atom in eqn.invars[:count]]
    told = [each for each in known if each is not None]
    if len(told) < count:
        return None
    sorting = order(told, dimension=dimension)
    held = [body.handles(atom) for atom in eqn.invars]
    return [h if h is None else np.take_along_axis(h, sorting, dimension) for h in held]


def _integers(body: Body, starts: Any) -> list[int] | None:
    known = [body.binding.constant(start) for start in starts]
    found = [int(each) for each in known if each is not None]
    return found if len(found) == len(known) else None


def _add(_: Reader, body: Body, eqn: Any) -> Found | None:
    # keystream adds a zero to words where JAX forgets over which mesh axes they vary.
    for atom, other in (eqn.invars, eqn.invars[::-1]):
        zero, held = body.binding.constant(other), body.handles(atom)
        if zero is not None and not zero.any() and held is not None:
            return [np.broadcast_to(held, eqn.outvars[0].aval.shape)]
    return None


def _convert(_: Reader, body: Body, eqn: Any) -> Found | None:
    # Words keep their 32 bits in any integer that holds as many, and come back as they were.
    before, after = eqn.invars[0].aval, eqn.outvars[0].aval
    same = before.dtype == after.dtype
    whole = same or all(
        jnp.issubdtype(each.dtype, np.integer) and each.dtype.itemsize >= 4
        for each in (before, after)
    )
    return [body.handles(eqn.invars[0])] if whole and before.shape == after.shape else None


MOVES: dict[str, Move] = {
    **{name: _repeat_on_handles(move) for name, move in _ON_HANDLES.items()},
    "split": _repeat_on_handles(_split),
    "unstack": _repeat_on_handles(_unstack),
    "optimization_barrier": _hand_on,
    "device_put": _hand_on,
    "select_n": _select,
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "dynamic_update_slice": _update,
    "scatter": _scatter,
    "sort": _sort,
    "add": _add,
    "bitcast_convert_type": _convert,
    "convert_element_type": _convert,
}
