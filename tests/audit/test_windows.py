"""Windows in the audit: pieces of one shape that don't overlap are together one use of a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import keystream as ks

random = jax.random
KEY = ks.key("audited")
SHAPE = (8, 4)


def rows(key: jax.Array, first: Any, shape: tuple[int, int] = SHAPE) -> jax.Array:
    return ks.window(key, shape, (first, 0))


def pieces(key: jax.Array) -> Any:
    return [random.normal(rows(key, i), (2, 4)) for i in range(0, 8, 2)]


def traced_pieces(key: jax.Array) -> Any:
    return jax.lax.map(lambda i: random.bits(rows(key, i), (2, 4)), 2 * jnp.arange(4))


def lanes(key: jax.Array) -> Any:
    return jax.vmap(lambda i: random.randint(rows(key, i), (2, 4), 0, 9))(2 * jnp.arange(4))


def split_inside(key: jax.Array) -> Any:
    return [random.randint(rows(key, i), (4, 4), 0, 9) for i in (0, 4)]


def shards(key: jax.Array) -> Any:
    mesh = jax.make_mesh((4,), ("rows",), devices=jax.devices()[:4])

    def shard(key: jax.Array) -> Any:
        return random.bits(rows(key, 2 * jax.lax.axis_index("rows")), (2, 4))

    return jax.shard_map(shard, mesh=mesh, in_specs=jax.P(), out_specs=jax.P("rows"))(key)


def overlapping(key: jax.Array) -> Any:
    return random.normal(rows(key, 0), (5, 4)), random.bits(rows(key, 4), (4, 4))


def overlapping_inside(key: jax.Array) -> Any:
    return [random.randint(rows(key, i), (5, 4), 0, 9) for i in (0, 3)]


def beside(key: jax.Array) -> Any:
    return random.normal(rows(key, 0), (4, 4)), random.normal(key, SHAPE)


def beside_inside(key: jax.Array) -> Any:
    return random.randint(rows(key, 0), (4, 4), 0, 9), random.randint(key, SHAPE, 0, 9)


def other_shape(key: jax.Array) -> Any:
    return random.normal(rows(key, 0), (4, 4)), random.normal(rows(key, 4, (8, 5)), (4, 4))


def twice(key: jax.Array) -> Any:
    return random.normal(rows(key, 2), (4, 4)), random.uniform(rows(key, 2), (4, 4))


def in_every_step(key: jax.Array) -> Any:
    return jax.lax.map(lambda i: i + random.uniform(rows(key, 2), (4, 4)), jnp.arange(3.0))


def beyond(key: jax.Array) -> Any:
    return random.normal(rows(key, 6), (3, 4))


RIGHT = (pieces, traced_pieces, lanes, split_inside, shards)
WRONG = {
    overlapping: "KS01",
    overlapping_inside: "KS01",
    beside: "KS01",
    beside_inside: "KS01",
    other_shape: "KS01",
    twice: "KS01",
    in_every_step: "KS07",
    beyond: "KS16",
}


@pytest.mark.parametrize("run", [False, True], ids=["read", "recorded"])
@pytest.mark.parametrize("fun", RIGHT, ids=lambda fun: fun.__name__)
def test_one_consumption(fun: Callable[..., Any], run: bool) -> None:
    """Pieces that don't overlap, or of which the program doesn't tell, have no finding."""
    report = ks.audit(fun, KEY, run=run)
    assert report.ok, str(report)
    assert not report.findings, str(report)


@pytest.mark.parametrize("run", [False, True], ids=["read", "recorded"])
@pytest.mark.parametrize("fun", WRONG, ids=lambda fun: fun.__name__)
def test_found(fun: Callable[..., Any], run: bool) -> None:
    """Overlapping pieces, draws beside a piece, and pieces beyond the shape are found."""
    report = ks.audit(fun, KEY, run=run)
    assert {found.rule for found in report.findings} == {WRONG[fun]}, str(report)
