"""Items in time: everything that lax.scan takes, and loops whose ends are traced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import keystream as ks
from tests import oracle
from tests.oracle import bits

SEEDS = st.integers(0, 2**64 - 1)
XS = {"a": np.arange(5, dtype=np.int32), "b": (np.arange(10, dtype=np.uint32).reshape(5, 2),)}


def body(key: jax.Array, carry: Any, x: Any) -> Any:
    """Mix key, carry and item so that any two swapped steps would show."""
    mixed = carry["hash"] * np.uint32(31) + bits(key)[0] + (0 if x is None else x["b"][0].sum())
    return {"hash": mixed.astype(np.uint32)}, {"bits": bits(key), "hash": mixed}


INIT = {"hash": np.uint32(1)}


def item(i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], XS)


def want_scan(key: jax.Array, order: list[int], *, xs: bool = True, start: int = 0) -> Any:
    """Return what a Python loop over the items in this order gives, ys in the items' order."""
    carry, ys = INIT, {}
    for i in order:
        carry, ys[i] = body(oracle.child(key, start + i), carry, item(i) if xs else None)
    return carry, stack([ys[i] for i in sorted(order)])


def want_carried(key: jax.Array, order: list[int]) -> Any:
    """Return what the loop that people write by hand gives."""
    carry, ys = INIT, {}
    for i in order:
        key, use = jax.random.split(key)
        carry, ys[i] = body(use, carry, item(i))
    return key, carry, stack([ys[i] for i in sorted(order)])


def stack(ys: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *ys)


@pytest.mark.fast
@pytest.mark.parametrize(
    "options",
    [{}, {"reverse": True}, {"unroll": 2}, {"unroll": True, "reverse": True}, {"length": 5}],
    ids=str,
)
def test_scan_options(options: dict[str, Any]) -> None:
    """Reverse, unroll and length mean what they mean in lax.scan: item i keeps child i."""
    order = list(range(5))[:: -1 if options.get("reverse") else 1]
    jitted = jax.jit(lambda key: ks.scan(body, INIT, XS, key=key, **options))
    carried = jax.jit(lambda key: ks.scan_carried(body, INIT, XS, key=key, **options))

    @settings(max_examples=5)
    @given(seed=SEEDS)
    def holds(seed: int) -> None:
        key = ks.key(seed)
        oracle.assert_same(jitted(key), want_scan(key, order))
        oracle.assert_same(carried(key), want_carried(key, order))

    holds()


def test_scan_options_find_faults() -> None:
    """The checks of scans fail on a reversed one that numbers its turns, and on a late split."""
    key = ks.key(4)
    turns = jax.tree.map(lambda leaf: leaf[::-1], XS)
    carry, ys = ks.scan(body, INIT, turns, key=key)
    faulty = carry, jax.tree.map(lambda leaf: leaf[::-1], ys)
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_same(faulty, want_scan(key, [4, 3, 2, 1, 0]))

    def step(carried: Any, x: Any) -> Any:
        carry, y = body(carried[0], carried[1], x)  # drawn from the key that goes on
        return (jax.random.split(carried[0])[0], carry), y

    (last, carry), ys = lax.scan(step, (key, INIT), XS)
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_same((last, carry, ys), want_carried(key, [0, 1, 2, 3, 4]))


def test_scan_without_xs() -> None:
    """Without xs the length says how many steps there are, and x is None."""
    key = ks.key(4)
    got = ks.scan(body, INIT, None, key=key, length=3)
    oracle.assert_same(got, want_scan(key, [0, 1, 2], xs=False))
    oracle.assert_same(ks.scan(body, INIT, key=key, length=3), got)
    empty = lambda key, carry, x: body(key, carry, x["none"])
    oracle.assert_same(ks.scan(empty, INIT, {"none": None}, key=key, length=3), got)
    late = ks.scan(body, INIT, key=key, length=3, start=2**33)
    oracle.assert_same(late, want_scan(key, [0, 1, 2], xs=False, start=2**33))


@pytest.mark.fast
def test_zero_steps() -> None:
    """Zero steps hand back the initial carry, the key as it came, and empty results."""
    key = ks.key(4)
    none = jax.tree.map(lambda leaf: leaf[:0], XS)
    carry, ys = ks.scan(body, INIT, none, key=key)
    assert ys["bits"].shape == (0, 3)
    last, carried, zs = ks.scan_carried(body, INIT, none, key=key)
    oracle.assert_same([carry, carried], [INIT, INIT])
    oracle.assert_same_keys(last, [key])
    assert zs["hash"].shape == (0,)
    assert ks.map(lambda key, _: bits(key), none["a"], key=key).shape == (0, 3)
    turn = lambda key, i, val: val + i + bits(key)[0]
    oracle.assert_same(ks.fori_loop(3, 3, turn, jnp.uint32(9), key=key), jnp.uint32(9))
    oracle.assert_same(ks.fori_loop(3, 1, turn, jnp.uint32(9), key=key), jnp.uint32(9))
    val = ks.while_loop(
        lambda _: False, lambda key, val: val + bits(key)[0], jnp.uint32(9), key=key
    )
    oracle.assert_same(val, jnp.uint32(9))


@pytest.mark.fast
@pytest.mark.parametrize("first", [0, 2, 3])
def test_scan_carried_goes_on(first: int) -> None:
    """Running n steps and then m with the key that came back equals running n + m."""
    key = ks.key(first)
    cut = lambda part: jax.tree.map(lambda leaf: leaf[part], XS)
    whole = CARRIED(key, INIT, XS)
    middle, carry, ys = CARRIED(key, INIT, cut(slice(None, first)))
    last, carry, zs = CARRIED(middle, carry, cut(slice(first, None)))
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, zs)
    oracle.assert_same((last, carry, joined), whole)


CARRIED = jax.jit(lambda key, init, xs: ks.scan_carried(body, init, xs, key=key))


@pytest.mark.parametrize("impl", oracle.IMPLS)
def test_surviving_key_is_unused(impl: str) -> None:
    """The key that comes back is none of those that were drawn from."""
    key = ks.key(4, impl=impl)
    show = lambda key, carry, _: (carry, jax.random.key_data(key))
    last, _, used = ks.scan_carried(show, 0, key=key, length=4)
    oracle.assert_distinct(np.concatenate([oracle.words(last)[None], used]))
    with pytest.raises(AssertionError, match="equal rows"):
        oracle.assert_distinct(np.concatenate([used[-1:], used]))


@pytest.mark.fast
def test_fori_loop_traced_bounds() -> None:
    """With traced bounds, turn i still draws from child i."""

    def collect(key: jax.Array, i: Any, rows: Any) -> Any:
        return rows.at[i].set(bits(key))

    loop = jax.jit(
        lambda lower, upper, key: ks.fori_loop(
            lower, upper, collect, jnp.zeros((7, 3), np.uint32), key=key
        )
    )

    @settings(max_examples=20)
    @given(seed=SEEDS, lower=st.integers(0, 7), upper=st.integers(0, 7))
    def holds(seed: int, lower: int, upper: int) -> None:
        key, want = ks.key(seed), np.zeros((7, 3), np.uint32)
        for i in range(lower, upper):
            want[i] = np.asarray(bits(oracle.child(key, i)))
        oracle.assert_same(np.asarray(loop(lower, upper, key)), want)

    holds()


def roll(key: jax.Array, val: Any) -> Any:
    """Throw a die: how many turns a lane takes depends on its key."""
    turns, _ = val
    return turns + 1, jax.random.randint(key, (), 1, 7)


def unlucky(val: Any) -> Any:
    return (val[1] != 6) & (val[0] < 60)


def want_while(key: jax.Array, start: int) -> tuple[int, int]:
    turns, thrown = 0, 0
    while thrown != 6 and turns < 60:
        thrown = int(jax.random.randint(oracle.child(key, start + turns), (), 1, 7))
        turns += 1
    return turns, thrown


def throws(key: jax.Array, start: Any) -> Any:
    return ks.while_loop(unlucky, roll, (np.int32(0), np.int32(0)), key=key, start=start)


def check_while(loop: Any, keys: list[jax.Array], start: int) -> None:
    """Hold the number of turns and the last value of every lane against a loop of its own."""
    turns, thrown = loop(jnp.stack(keys), np.uint32(start))
    want = np.array([want_while(key, start) for key in keys], np.int32).T
    oracle.assert_same([np.asarray(turns), np.asarray(thrown)], list(want))


@pytest.mark.slow
@pytest.mark.fast
def test_vmapped_while_loop() -> None:
    """Under vmap each lane of a while_loop stops on its own, with its own keys."""
    lanes = jax.jit(jax.vmap(throws, (0, None)))

    for seed, start in ((1, 0), (2, 5), (3, 2**32 - 3)):
        check_while(lanes, list(jax.random.split(ks.key(seed), 5)), start)


def test_vmapped_while_loop_finds_a_fault() -> None:
    """The check of lanes fails where all lanes share one key, and where turns count from 1."""
    keys = list(jax.random.split(ks.key(4), 5))
    shared = jax.vmap(lambda _, start: throws(keys[0], start), (0, None))
    late = jax.vmap(lambda key, start: throws(key, start + 1), (0, None))
    for faulty in (shared, late):
        with pytest.raises(AssertionError, match="differ"):
            check_while(faulty, keys, 0)


@pytest.mark.fast
@pytest.mark.parametrize("batch_size", [None, 1, 2, 5, 8])
def test_map_batch_size(batch_size: int | None) -> None:
    """The batch size of map changes neither keys nor the order of items."""
    noisy = lambda key, x: {"bits": bits(key), "x": x["a"] * np.int32(2)}
    call = jax.jit(lambda key: ks.map(noisy, XS, key=key, batch_size=batch_size))

    @settings(max_examples=5)
    @given(seed=SEEDS)
    def holds(seed: int) -> None:
        key = ks.key(seed)
        want = stack([noisy(oracle.child(key, i), item(i)) for i in range(5)])
        oracle.assert_same(jax.tree.map(np.asarray, call(key)), want)

    holds()


@pytest.mark.parametrize("helper", ["scan", "scan_carried"])
def test_keys_and_trees_as_carry(helper: str) -> None:
    """A carry may be any pytree, keys among its leaves, and a key may be a result."""
    key, other = ks.key(4), ks.key(5)

    def step(use: jax.Array, carry: Any, _: Any) -> Any:
        return {"key": ks.derive(carry["key"], "next"), "n": carry["n"] + 1}, use

    run = ks.scan if helper == "scan" else ks.scan_carried
    *_, carry, ys = run(step, {"key": other, "n": 0}, key=key, length=3)
    oracle.assert_same_keys(carry["key"], [oracle.derive(other, *["next"] * 3)])
    want = oracle.children(key, range(3)) if helper == "scan" else oracle.chain(key, 3)[1]
    oracle.assert_same_keys(ys, want)


def test_gradient_through_time() -> None:
    """The gradient of a scan passes through its carry, with the draws of the Python loop."""
    key = ks.key(4)

    def step(key: jax.Array, carry: Any, x: Any) -> Any:
        return carry * jax.random.uniform(key) + x, carry

    def loss(init: Any) -> Any:
        return ks.scan(step, init, jnp.ones(4), key=key)[0]

    want = np.prod([float(jax.random.uniform(oracle.child(key, i))) for i in range(4)])
    oracle.assert_close(jax.grad(loss)(2.0), want)
    oracle.assert_close(jax.grad(jax.checkpoint(loss))(2.0), want)


@pytest.mark.parametrize("lower", [-2, -1, 2**31 - 4])
@pytest.mark.parametrize("jitted", [False, True])
def test_extreme_bounds(lower: int, jitted: bool) -> None:
    """A counted loop begins and ends at the ends of its type as Python's range does."""

    def loop(key: jax.Array) -> Any:
        turn = lambda key, i, val: (val[0] + jax.random.bits(key), i)
        return ks.fori_loop(lower, lower + 3, turn, (jnp.uint32(0), 0), key=key)

    key = ks.key(12)
    total, last = (jax.jit(loop) if jitted else loop)(key)
    want = sum(int(jax.random.bits(ks.derive(key, i))) for i in range(lower, lower + 3))
    assert (int(total), int(last)) == (want % 2**32, lower + 2)
