"""Do with NumPy what JAX does to move elements by numbers that are known.

Handles of keys are moved with these, and the constants that keys are indexed and folded with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

Array = np.ndarray
OUTSIDE = -1
"""The place of what is taken from outside of an array."""

_Mode = jax.lax.GatherScatterMode


def places_to_gather(
    shape: Sequence[int],
    indices: Array,
    *,
    dimension_numbers: Any,
    slice_sizes: Any,
    mode: Any = None,
    **_: Any,
) -> Array:
    """Return from which places of a flat array a gather takes its elements."""
    numbers, batch = dimension_numbers, indices.ndim - 1
    batching = tuple(numbers.operand_batching_dims)
    pairs = batching, tuple(numbers.start_indices_batching_dims)
    places = _places(shape, indices, numbers.start_index_map, pairs, slice_sizes, mode)
    gone = (*numbers.collapsed_slice_dims, *batching)
    places = places.squeeze(tuple(batch + dim for dim in gone))
    return np.moveaxis(places, range(batch, places.ndim), tuple(numbers.offset_dims))


def scatter(
    a: Array,
    indices: Array,
    updates: Array,
    *,
    dimension_numbers: Any,
    mode: Any = None,
    add: bool = False,
    **_: Any,
) -> Array:
    """Put elements into a copy of an array, or add them to what is there."""
    numbers, batch = dimension_numbers, indices.ndim - 1
    batching = tuple(numbers.operand_batching_dims)
    windows = np.moveaxis(updates, tuple(numbers.update_window_dims), range(batch, updates.ndim))
    sizes = list(windows.shape[batch:])
    for dim in sorted((*numbers.inserted_window_dims, *batching)):
        sizes.insert(dim, 1)
    pairs = batching, tuple(numbers.scatter_indices_batching_dims)
    to = numbers.scatter_dims_to_operand_dims
    places = _places(a.shape, indices, to, pairs, sizes, mode).reshape(windows.shape)
    made, inside = a.flatten(), places != OUTSIDE
    if add:
        np.add.at(made, places[inside], windows[inside])
    else:
        made[places[inside]] = windows[inside]
    return made.reshape(a.shape)


def _places(
    shape: Sequence[int],
    indices: Array,
    index_map: Sequence[int],
    batching: tuple[Sequence[int], Sequence[int]],
    sizes: Sequence[int],
    mode: Any,
) -> Array:
    """Return the places of windows in a flat array, of shape `(*batch, *sizes)`."""
    batch = indices.shape[:-1]
    first = np.zeros((*batch, len(shape)), np.int64)
    first[..., list(index_map)] = indices
    for dim, of in zip(*batching, strict=True):
        first[..., dim] = np.expand_dims(np.arange(batch[of]), tuple(range(1, len(batch) - of)))
    last = np.subtract(shape, sizes)
    outside = ((first < 0) | (first > last)).any(-1)
    first = np.clip(first, 0, last)
    places = np.zeros((*batch, *sizes), np.int64)
    for dim, size in enumerate(sizes):
        line = (first[..., dim, None] + np.arange(size)) * math.prod(shape[dim + 1 :])
        places += line.reshape(*batch, *(size if at == dim else 1 for at in range(len(sizes))))
    if mode not in (_Mode.CLIP, _Mode.PROMISE_IN_BOUNDS):
        places[outside] = OUTSIDE
    return places


def cut(a: Array, starts: Sequence[int], sizes: Sequence[int]) -> Array:
    """Cut a piece out, moved back to where it fits, as JAX does."""
    ends = zip(starts, a.shape, sizes, strict=True)
    first = [min(max(start, 0), size - length) for start, size, length in ends]
    return a[tuple(slice(f, f + length) for f, length in zip(first, sizes, strict=True))]


def pad(a: Array, value: Array, *, padding_config: Any, **_: Any) -> Array:
    """Put a value around and between the elements of an array, or cut them off."""
    for axis, (low, high, between) in enumerate(padding_config):
        size = a.shape[axis]
        wide = [*a.shape]
        wide[axis] = max(low, 0) + size + max(size - 1, 0) * between + max(high, 0)
        made = np.full(wide, value, a.dtype)
        lines = np.moveaxis(made, axis, 0)
        lines[max(low, 0) :][: size + max(size - 1, 0) * between : between + 1] = np.moveaxis(
            a, axis, 0
        )
        a = np.moveaxis(lines[max(-low, 0) : wide[axis] - max(-high, 0)], 0, axis)
    return a


def order(keys: Sequence[Array], *, dimension: int) -> Array:
    """Return the order that sorts by keys, the first one first."""
    sorting: Array = np.lexsort(tuple(keys[::-1]), axis=dimension)
    return sorting


def _gather(a: Array, indices: Array, **params: Any) -> Array:
    places = places_to_gather(a.shape, indices, **params)
    # Of what lies outside nothing is known: that is an IndexError.
    made: Array = a.reshape(-1)[np.where(places == OUTSIDE, a.size, places)]
    return made


def _sort(*operands: Array, dimension: int, num_keys: int, **_: Any) -> list[Array]:
    sorting = order(operands[:num_keys], dimension=dimension)
    return [np.take_along_axis(each, sorting, dimension) for each in operands]


def _cumsum(a: Array, *, axis: int, reverse: bool = False, **_: Any) -> Array:
    total: Array = np.cumsum(np.flip(a, axis) if reverse else a, axis)
    made: Array = np.flip(total, axis) if reverse else total
    return made


def _div(a: Array, b: Array, **_: Any) -> Array:
    made: Array = (a - np.fmod(a, b)) // b if np.issubdtype(a.dtype, np.integer) else a / b
    return made


COMPUTE: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "scatter": scatter,
    "scatter-add": lambda *all_, **params: scatter(*all_, **params, add=True),
    "dynamic_slice": lambda a, *starts, slice_sizes, **_: cut(a, starts, slice_sizes),
    "pad": pad,
    "tile": lambda a, *, reps, **_: np.tile(a, reps),
    "sort": _sort,
    "cumsum": _cumsum,
    "reduce_sum": lambda a, *, axes, **_: a.sum(tuple(axes)),
    "div": _div,
    "rem": lambda a, b, **_: np.fmod(a, b),
    "sign": lambda a, **_: np.sign(a),
}
"""What constant indices are made of."""
