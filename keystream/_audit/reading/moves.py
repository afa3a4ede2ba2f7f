"""Keys that are moved about: what NumPy can repeat on their handles, and what needs a look."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from keystream._audit.reading import structure
from keystream._audit.reading.body import Body
from keystream._audit.reading.lineage import UNKNOWN
from keystream._audit.reading.reader import Move, Reader, is_key, on_keys

Found = list["np.ndarray | None"]


def _all(body: Body, atoms: Any) -> list[np.ndarray] | None:
    """Return the handles of all operands; of words of no key, unknown ones."""
    found = []
    for atom in atoms:
        held = body.handles(atom)
        if held is None:
            if getattr(atom.aval, "dtype", None) != np.uint32:
                return None
            held = np.full(atom.aval.shape, UNKNOWN, np.int64)
        found.append(held)
    return found


def _repeated(move: Callable[..., Any]) -> Move:
    def follow(_: Reader, body: Body, eqn: Any) -> Found | None:
        inputs = _all(body, eqn.invars)
        if inputs is None:
            return None
        made = move(*inputs, **eqn.params)
        return made if isinstance(made, list) else [made]

    return follow


def _handed_on(_: Reader, body: Body, eqn: Any) -> Found:
    return [body.handles(atom) for atom in eqn.invars]


def _select(reader: Reader, body: Body, eqn: Any) -> Found | None:
    which, *cases = eqn.invars
    handles = _all(body, cases)
    if handles is None:
        return None
    typed = is_key(eqn.outvars[0].aval)
    if all(np.array_equal(each, handles[0]) for each in handles[1:]):
        return [_guarded(reader, body, eqn, handles[0], typed)]
    known = body.binding.constant(which)
    if known is not None:
        chosen = np.broadcast_to(known.astype(int), handles[0].shape)
        return [np.choose(chosen, handles)]
    join = functools.partial(
        reader.joined, body, eqn, body.mask(eqn.invars), body.binding.number(which)
    )
    return [on_keys(join, typed, *handles)]


def _guarded(
    reader: Reader, body: Body, eqn: Any, handles: np.ndarray, typed: bool
) -> np.ndarray | None:
    # This is what `vmap` makes of an operand of `cond`: for each branch, the operand where
    # the branch is taken, and otherwise the same operand.
    branch = _branch(body, eqn.invars[0])
    if branch is None:
        return handles

    return on_keys(lambda keys: reader.guarded(body, eqn, keys, branch), typed, handles)


def _branch(body: Body, which: Any) -> tuple[int, int] | None:
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
        return [structure.dynamic_slice(handles, known, sizes)]
    token = hash(tuple(body.binding.number(start) for start in starts))
    return [_picked(reader, body, eqn, handles, sizes, body.mask(starts), token)]


def _gather(reader: Reader, body: Body, eqn: Any) -> Found | None:
    array, indices = eqn.invars
    handles = body.handles(array)
    if handles is None:
        return None
    known, params = body.binding.constant(indices), eqn.params
    if known is not None:
        found = structure.rows(
            handles,
            known,
            dimension_numbers=params["dimension_numbers"],
            slice_sizes=params["slice_sizes"],
        )
        if found is not None:
            return [found]
    token, shape = body.binding.number(indices), eqn.outvars[0].aval.shape
    return [_picked(reader, body, eqn, handles, shape, body.mask([indices]), token)]


def _picked(
    reader: Reader, body: Body, eqn: Any, handles: np.ndarray, shape: Any, mask: int, token: int
) -> np.ndarray | None:
    typed = is_key(eqn.outvars[0].aval)
    if not typed and (not shape or shape[-1] != handles.shape[-1]):
        return None
    sizes = tuple(shape) if typed else tuple(shape[:-1])
    return on_keys(lambda keys: reader.picked(body, eqn, keys, sizes, mask, token), typed, handles)


def _update(_: Reader, body: Body, eqn: Any) -> Found | None:
    array, piece, *starts = eqn.invars
    both, known = _all(body, (array, piece)), _integers(body, starts)
    if both is None or known is None:
        return None
    made = both[0].copy()
    structure.dynamic_slice(made, known, both[1].shape)[...] = both[1]
    return [made]


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


def _converted(_: Reader, body: Body, eqn: Any) -> Found | None:
    # Words keep their 32 bits in any integer that holds as many, and come back as they were.
    before, after = eqn.invars[0].aval, eqn.outvars[0].aval
    same = before.dtype == after.dtype
    whole = same or all(
        jnp.issubdtype(each.dtype, np.integer) and each.dtype.itemsize >= 4
        for each in (before, after)
    )
    return [body.handles(eqn.invars[0])] if whole and before.shape == after.shape else None


MOVES: dict[str, Move] = {
    **{name: _repeated(move) for name, move in structure.MOVES.items()},
    "split": _repeated(structure.split),
    "unstack": _repeated(structure.unstack),
    "optimization_barrier": _handed_on,
    "device_put": _handed_on,
    "select_n": _select,
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "dynamic_update_slice": _update,
    "add": _add,
    "bitcast_convert_type": _converted,
    "convert_element_type": _converted,
}
