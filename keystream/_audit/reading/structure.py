"""What happens to the handles of keys where an operation only moves keys about.

Typed keys and the words of legacy ones go through the same operations. NumPy does to the
handles what JAX does to the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Move = Callable[..., Array]
"""From the handles of the operands and the parameters to the handles of the result."""


def _slice(a: Array, *, start_indices: Any, limit_indices: Any, strides: Any, **_: Any) -> Array:
    steps = strides or (1,) * a.ndim
    return a[tuple(map(slice, start_indices, limit_indices, steps))]


def _broadcast(a: Array, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> Array:
    sizes = [1] * len(shape)
    for size, place in zip(a.shape, broadcast_dimensions, strict=True):
        sizes[place] = size
    return np.broadcast_to(a.reshape(sizes), shape)


def _reshape(a: Array, *, new_sizes: Any, dimensions: Any = None, **_: Any) -> Array:
    return (a if dimensions is None else a.transpose(dimensions)).reshape(new_sizes)


def _same(a: Array, **_: Any) -> Array:
    return a


MOVES: dict[str, Move] = {
    "slice": _slice,
    "squeeze": lambda a, *, dimensions, **_: a.squeeze(tuple(dimensions)),
    "expand_dims": lambda a, *, dimensions, **_: np.expand_dims(a, tuple(dimensions)),
    "reshape": _reshape,
    "transpose": lambda a, *, permutation, **_: a.transpose(permutation),
    "rev": lambda a, *, dimensions, **_: np.flip(a, tuple(dimensions)),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *all_, dimension, **_: np.concatenate(all_, dimension),
    "stack": lambda *all_, axis=0, **_: np.stack(all_, axis),
    "copy": _same,
    "stop_gradient": _same,
    "copy_p": _same,
    "pvary": _same,
    "pcast": _same,
    "sharding_constraint": _same,
    "reshard": _same,
    "mesh_cast": _same,
    "layout_constraint": _same,
    "reduce_precision": _same,
}
"""Operations with one result."""


def split(a: Array, *, sizes: Any, axis: int, **_: Any) -> list[Array]:
    """Cut an array into pieces."""
    return np.split(a, np.cumsum(sizes)[:-1], axis)


def unstack(a: Array, *, axis: int = 0, **_: Any) -> list[Array]:
    """Take an array apart along one dimension."""
    return list(np.moveaxis(a, axis, 0))


def dynamic_slice(a: Array, starts: list[int], sizes: Any) -> Array:
    """Cut a piece out, moved back to where it fits, as JAX does."""
    ends = zip(starts, a.shape, sizes, strict=True)
    first = [min(max(start, 0), size - length) for start, size, length in ends]
    return a[tuple(slice(f, f + length) for f, length in zip(first, sizes, strict=True))]


def rows(a: Array, indices: Array, *, dimension_numbers: Any, slice_sizes: Any) -> Array | None:
    """Gather whole rows, which is what indexing with one array lowers to; else None."""
    numbers = dimension_numbers
    plain = (
        tuple(numbers.start_index_map) == (0,)
        and tuple(numbers.collapsed_slice_dims) == (0,)
        and not tuple(getattr(numbers, "operand_batching_dims", ()))
        and indices.shape[-1:] == (1,)
        and tuple(slice_sizes) == (1, *a.shape[1:])
        and tuple(numbers.offset_dims)
        == tuple(range(indices.ndim - 1, indices.ndim - 1 + a.ndim - 1))
    )
    if not plain:
        return None
    taken: Array = a[np.clip(indices[..., 0], 0, len(a) - 1)]
    return taken
