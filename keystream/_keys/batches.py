"""Fill one buffer batch by batch: bounded memory for draws and maps of any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Draw = Callable[[Any, int], list[jax.Array]]
"""`draw(first, size)`: the leaves of `size` items from one on, each with them in front."""


def fill(draw: Draw, total: int, batch: int) -> list[jax.Array]:
    """Return the leaves of all items, made `batch` at a time; there are more than one batch.

    The last batch is moved back to end with the items, so that all are of one size and
    nothing is joined afterwards: the few items made twice are the same ones.
    """
    last = total - batch

    def one(i: Any, buffers: list[jax.Array]) -> list[jax.Array]:
        chunk = lax.convert_element_type(i, np.uint32)
        first = jnp.minimum(chunk * np.uint32(batch), np.uint32(last))
        parts = draw(first, batch)
        return [
            lax.dynamic_update_slice_in_dim(buffer, part, first, 0)
            for buffer, part in zip(buffers, parts, strict=True)
        ]

    made: list[jax.Array] = lax.fori_loop(0, -(-total // batch), one, _buffers(draw, total))
    return made


def _buffers(draw: Draw, total: int) -> list[jax.Array]:
    kinds: list[Any] = []

    def look() -> list[jax.Array]:
        out = draw(np.uint32(0), 1)
        kinds.extend(map(jax.typeof, out))
        return out

    jax.eval_shape(look)
    if jax.sharding.get_abstract_mesh().empty and all(kind.sharding.mesh.empty for kind in kinds):
        return [lax.full((total, *kind.shape[1:]), 0, kind.dtype) for kind in kinds]
    # A buffer has to lie where the items lie, and to vary over the mesh axes over which they
    # vary: as one of them does.
    first = draw(np.uint32(0), 1)
    return [jnp.broadcast_to(leaf, (total, *leaf.shape[1:])) for leaf in first]
