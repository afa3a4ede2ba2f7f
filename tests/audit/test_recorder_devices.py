"""Recordings of programs that run on eight devices."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from keystream._audit.recording.record import record_uses
from tests.audit.recorder_cases import KEY, Oracle, uses_of
from tests.audit.test_recorder import equal

P = jax.P
AUTO = jax.sharding.AxisType.Auto


def mesh(*shape: int) -> Any:
    return jax.make_mesh(shape, ("a", "b")[: len(shape)], (AUTO,) * len(shape))


def draw(key: Any) -> Any:
    use = jax.random.fold_in(key[0], lax.axis_index("a"))
    return jax.random.normal(use, (1, 2))


def both(names: Any, in_spec: Any, *, check: bool = True) -> Any:
    return jax.shard_map(
        draw, mesh=mesh(4, 2), in_specs=in_spec, out_specs=P(names), check_vma=check
    )


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("jit", [True, False])
def test_shard_map(check: bool, jit: bool) -> None:
    """Each shard is recorded with its own words and its number."""
    keys, oracle = jax.random.split(KEY, 8), Oracle()
    for i, key in enumerate(keys):
        oracle.bits(oracle.fold_in(key, i // 2), (1, 2))
    run = both(("a", "b"), P(("a", "b")), check=check)
    run = jax.jit(run) if jit else run
    before = run(keys)
    with record_uses() as recording:
        during = run(keys)
    assert uses_of(recording.records) == oracle.uses
    assert equal(before, during)
    assert uses_of(recording.records[::2]) != oracle.uses
    for record in recording.records:
        if record.kind == "fold_in":
            assert record.shard is not None
            assert (record.words[0] == np.asarray(jax.random.key_data(keys[record.shard]))).all()


def test_replicated() -> None:
    """A key that all shards share is recorded once for each of them."""
    oracle = Oracle()
    for i in range(8):
        oracle.bits(oracle.fold_in(KEY, i // 2), (1, 2))
    run = jax.jit(both(("a", "b"), P(), check=False))
    with record_uses() as recording:
        run(KEY[None])
    assert uses_of(recording.records) == oracle.uses
    assert {each.shard for each in recording.records} == set(range(8))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pmap() -> None:
    """What pmap does is recorded device by device."""
    keys, oracle = jax.random.split(KEY, 8), Oracle()
    for key in keys:
        oracle.bits(key)
    with record_uses() as recording:
        jax.pmap(jax.random.bits)(keys)
    assert uses_of(recording.records) == oracle.uses
    assert sorted(each.shard or 0 for each in recording.records) == list(range(8))


def test_executions() -> None:
    """All that is launched is waited for, and told apart by its execution."""

    def slow(key: Any) -> Any:
        noise = jax.random.normal(key[0], (200, 200))
        scanned = lax.scan(lambda c, i: (c, jax.random.bits(key[0], i.shape)), 0, jnp.arange(3))
        chosen = lax.cond(scanned[1][0] > 7, jax.random.normal, lambda _: 0.0, key[0])
        return jnp.linalg.matrix_power(noise, 20).sum()[None] + chosen

    spec = P("a")
    run = jax.jit(jax.shard_map(slow, mesh=mesh(8), in_specs=spec, out_specs=spec, check_vma=False))
    keys = jax.random.split(KEY, 8)
    for _ in range(2):
        with record_uses() as recording:
            for _ in range(10):
                run(keys)
        programs = Counter(each.program for each in recording.records)
        assert len(programs) == 10
        assert set(programs.values()) == {8 * 5}


@pytest.mark.parametrize("jit", [True, False])
def test_sharded_automatically(jit: bool) -> None:
    """Where XLA shards, there is one record, with all keys."""
    keys = jax.device_put(jax.random.split(KEY, 8), jax.NamedSharding(mesh(8), P("a")))
    oracle = Oracle()
    for key in jax.random.split(KEY, 8):
        oracle.bits(key, (3,))
    run = jax.vmap(lambda key: jax.random.bits(key, (3,)))
    run = jax.jit(run) if jit else run
    before = run(keys)
    with record_uses() as recording:
        during = run(keys)
    assert uses_of(recording.records) == oracle.uses
    assert len(recording.records) == 1
    assert recording.unseen == ()
    assert equal(before, during)


def test_partly_manual() -> None:
    """In a body that is mapped over some of the axes, each shard's keys are recorded."""
    keys, oracle = jax.random.split(KEY, 4), Oracle()
    for i, key in enumerate(keys):
        oracle.bits(oracle.fold_in(key, i), (1, 2))
    run = jax.jit(
        jax.shard_map(draw, mesh=mesh(4, 2), in_specs=P("a"), out_specs=P("a"), axis_names={"a"})
    )
    before = run(keys)
    with record_uses() as recording:
        during = run(keys)
    assert set(uses_of(recording.records)) == set(oracle.uses)
    assert equal(before, during)


@pytest.mark.parametrize("kind", [AUTO, jax.sharding.AxisType.Explicit])
def test_under_a_mesh(kind: Any) -> None:
    """A recording begins and ends under a mesh, and inside a mapped body while it is traced."""
    shards = jax.make_mesh((8,), ("a",), (kind,))

    def body(key: Any) -> Any:
        with record_uses():
            pass
        return jax.random.bits(key, (1,))

    with jax.set_mesh(shards):
        with record_uses() as recording:
            jax.random.bits(KEY)
        assert len(recording.records) == 1
        jax.jit(jax.shard_map(body, in_specs=P(), out_specs=P("a"), check_vma=False))(KEY)
