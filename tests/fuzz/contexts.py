"""Where a call is made. Each runs it once, with names that are traced where it traces.

While tracing nothing is compiled: `jax.eval_shape` does what `jit` does, up to there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from keystream import _compat
from tests.fuzz import scope

Call = Callable[[dict[str, Any]], Any]


def _names(key: Any, number: Any, real: Any, ids: Any, keys: Any) -> dict[str, Any]:
    return {"tkey": key, "tint": number, "tfloat": real, "tids": ids, "tkeys": keys}


_GIVEN = (scope.key, jnp.int32(3), jnp.float32(1.5), jnp.arange(3), scope.keys)


def eager(call: Call) -> None:
    """Nothing is traced."""
    call(_names(*_GIVEN))


def _once(call: Call) -> Callable[..., Any]:
    def traced(*given: Any) -> Any:
        call(_names(*given))
        return given[2] * 0

    return traced


def in_jit(call: Call) -> None:
    """All names are traced."""
    jax.eval_shape(_once(call), *_GIVEN)


def in_vmap(call: Call) -> None:
    """All names have a lane each."""
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), _GIVEN)
    jax.eval_shape(jax.vmap(_once(call), axis_name="lane"), *several)


def in_grad(call: Call) -> None:
    """The float is differentiated."""
    jax.eval_shape(jax.grad(_once(call), argnums=2), *_GIVEN)


def in_scan(call: Call) -> None:
    """The names are a carry."""

    def step(given: Any, _: Any) -> Any:
        return given, _once(call)(*given)

    jax.eval_shape(lambda *given: jax.lax.scan(step, given, length=2), *_GIVEN)


def in_shard_map(call: Call) -> None:
    """The names are shared by the shards of a mesh."""
    mapped = jax.shard_map(_once(call), mesh=scope.mesh, in_specs=P(), out_specs=P())
    jax.eval_shape(mapped, *_GIVEN)


def in_shard_map_unchecked(call: Call) -> None:
    """As before, where JAX doesn't check what varies."""
    body = _once(call)
    jax.eval_shape(
        jax.shard_map(body, mesh=scope.mesh, in_specs=P(), out_specs=P(), check_vma=False), *_GIVEN
    )


def in_eager_shard_map(call: Call) -> None:
    """The names are closed over in a mapped body that is run as it is traced."""

    def body() -> Any:
        call(_names(*_GIVEN))
        return jnp.zeros(())

    jax.shard_map(body, mesh=scope.mesh, in_specs=(), out_specs=P(), check_vma=False)()


def in_part_of_mesh(call: Call) -> None:
    """One of the axes of an explicit mesh is mapped over."""
    with jax.set_mesh(scope.explicit):
        body = jax.shard_map(
            _once(call), in_specs=P(), out_specs=P(), axis_names={"data"}, check_vma=False
        )
        jax.eval_shape(body, *_GIVEN)


def under_mesh(call: Call) -> None:
    """A mesh with automatic axes is in context."""
    with jax.set_mesh(scope.mesh):
        call(_names(*_GIVEN))


def under_explicit_mesh(call: Call) -> None:
    """A mesh with explicit axes is in context."""
    with jax.set_mesh(scope.explicit):
        call(_names(*_GIVEN))


def in_jit_under_mesh(call: Call) -> None:
    """All names are traced, with explicit axes in context."""
    with jax.set_mesh(scope.explicit):
        jax.eval_shape(_once(call), *_GIVEN)


def with_x64(call: Call) -> None:
    """JAX has types of 64 bits."""
    with _compat.enable_x64(True):
        call(_names(*_GIVEN))


def in_jit_with_x64(call: Call) -> None:
    """All names are traced, and JAX has types of 64 bits."""
    with _compat.enable_x64(True):
        jax.eval_shape(_once(call), *_GIVEN)


def strictly(call: Call) -> None:
    """JAX promotes neither types nor ranks."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        call(_names(*_GIVEN))


EAGER = (eager, under_mesh, under_explicit_mesh, with_x64, strictly)
TRACED = (
    in_jit, in_vmap, in_grad, in_scan, in_shard_map, in_shard_map_unchecked,
    in_eager_shard_map, in_part_of_mesh,
    in_jit_under_mesh, in_jit_with_x64,
)  # fmt: skip
BY_NAME = {context.__name__: context for context in (*EAGER, *TRACED)}
