"""Laws 2 and 4, where keys are lost silently: integers wide, negative, traced, from NumPy.

`fold_in` and `jit` cut 64-bit integers to 32 bits and say nothing. No helper may.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keystream as ks
from keystream import _compat
from tests import catalogue, oracle
from tests.catalogue import BY_NAME, Row
from tests.oracle import bits

SEEDS = st.integers(0, 2**64 - 1)
NUMPY = tuple(np.dtype(f"{sign}int{width}") for sign in ("", "u") for width in (8, 16, 32, 64))
NARROW = tuple(dtype for dtype in NUMPY if dtype.itemsize < 8)
EDGES = (0, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**33 + 5, 2**62 - 1, 2**63 - 2)
"""Starts just below and above where a word, its sign and the positions end."""

COUNTED = tuple(
    BY_NAME[name]
    for name in (
        "keys",
        "keys table",
        "keys placed",
        "scan",
        "scan reverse",
        "while_loop",
        "map",
        "map batches",
        "vmap",
        "vmap axes",
        "batched",
        "sample",
        "sample batches",
        "sample placed",
        "window",
    )
)
"""The helpers that count from a start themselves. A fori_loop's index is JAX's own, and a
stream's end is another one: streams/test_streams.py."""

assert {row.name for row in catalogue.ROWS if row.start} == {
    *(row.name for row in COUNTED),
    *("fori_loop", "derive each", "derive array"),
    *("stream next", "stream take", "stream at"),
}, "a new helper with a start"


def size(row: Row) -> int:
    """Return a number of items that reaches across an edge: two, or a table of two by one."""
    return 1 if row.want is not catalogue.items and row.name in TABLES else 2


TABLES = ("keys table", "sample batches")


def check(row: Row, got: Any, key: jax.Array, start: int) -> None:
    """Hold a result against the Python loop from a start."""
    oracle.assert_same(np.asarray(got), row.want(key, size(row), start, bits))


@pytest.mark.slow
@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("row", COUNTED, ids=catalogue.label)
def test_static_start(row: Row, x64: bool) -> None:
    """A static start counts across 2**31, 2**32 and up to 2**63, with 64-bit types on or off."""
    key = ks.key(5)
    for start in EDGES:
        with _compat.enable_x64(x64):
            got = row.run(key, size(row), start, bits)
        check(row, got, key, start)


@pytest.mark.parametrize("row", COUNTED, ids=catalogue.label)
def test_static_start_under_jit(row: Row) -> None:
    """Under jit a static start above 2**32 is not cut."""
    key, start = ks.key(5), 2**32 - 1
    got = jax.jit(lambda key: row.run(key, size(row), start, bits))(key)
    check(row, got, key, start)


def values(dtype: np.dtype, *, below: int = 0) -> list[int]:
    """Return the starts that a dtype holds, its last ones among them."""
    info = np.iinfo(dtype)
    last = min(int(info.max), 2**63 - 2)
    return sorted({v for v in (3, last - 1, last, *EDGES) if below <= v <= last})


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
@pytest.mark.parametrize("row", [BY_NAME[n] for n in ("keys", "scan", "vmap")], ids=catalogue.label)
def test_numpy_scalar_start(row: Row, dtype: np.dtype) -> None:
    """A NumPy scalar of every integer type counts as the Python int."""
    key = ks.key(5)
    for start in values(dtype)[-3:]:
        check(row, row.run(key, size(row), dtype.type(start), bits), key, start)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[pytest.mark.slow] * (row.name not in ("keys", "scan", "vmap")))
        for row in COUNTED
    ],
    ids=catalogue.label,
)
def test_concrete_array_start(row: Row) -> None:
    """A scalar array counts as the Python int: JAX's with 32 and 64 bits, NumPy's with 64."""
    key = ks.key(5)
    check(row, row.run(key, size(row), jnp.int32(2**31 - 1), bits), key, 2**31 - 1)
    check(row, row.run(key, size(row), jnp.uint32(2**32 - 1), bits), key, 2**32 - 1)
    check(row, row.run(key, size(row), np.array(2**33 + 5), bits), key, 2**33 + 5)
    with _compat.enable_x64(True):
        start = jnp.int64(2**33 + 5)
        got = row.run(key, size(row), start, bits)
    check(row, got, key, 2**33 + 5)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.dtype("int32"), np.dtype("uint32")], ids=str)
@pytest.mark.parametrize("row", COUNTED, ids=catalogue.label)
def test_traced_start(row: Row, dtype: np.dtype) -> None:
    """A traced 32-bit start counts on across the end of its own type."""
    run = jax.jit(lambda key, start: row.run(key, size(row), start, bits))
    for start in values(dtype):
        key = ks.key(start)
        check(row, run(key, dtype.type(start)), key, start)


@pytest.mark.parametrize("row", COUNTED, ids=catalogue.label)
def test_traced_start_of_64_bits(row: Row) -> None:
    """A traced int64 start keeps its 64 bits."""
    with _compat.enable_x64(True):
        run = jax.jit(lambda key, start: row.run(key, size(row), start, bits))
        for start in values(np.dtype("int64")):
            key = ks.key(start)
            check(row, run(key, np.int64(start)), key, start)


@pytest.mark.parametrize("dtype", [d for d in NARROW if d.itemsize < 4], ids=str)
@pytest.mark.parametrize(
    "row", [BY_NAME[n] for n in ("keys", "scan", "sample")], ids=catalogue.label
)
def test_traced_start_of_few_bits(row: Row, dtype: np.dtype) -> None:
    """A traced start of 8 or 16 bits counts on across the end of its own type."""
    key = ks.key(5)
    run = jax.jit(lambda key, start: row.run(key, size(row), start, bits))
    for start in values(dtype):
        check(row, run(key, dtype.type(start)), key, start)


@pytest.mark.parametrize("impl", ["threefry4x32", "rbg"])
def test_start_without_public_cipher(impl: str) -> None:
    """Without a public cipher positions end at 2**32, and a static start beyond is an error."""
    key = ks.key(5, impl=impl)
    for start in (2**31 - 1, 2**32 - 2):
        oracle.assert_same_keys(
            ks.keys(key, 2, start=start), oracle.children(key, (start, start + 1))
        )
        traced = jax.jit(lambda key, start: ks.keys(key, 2, start=start))(key, np.uint32(start))
        oracle.assert_same_keys(traced, oracle.children(key, (start, start + 1)))
    for start in (2**32 - 1, 2**32, 2**40):
        with pytest.raises(ks.ArgumentValueError, match=r"end below 2\*\*32"):
            ks.keys(key, 2, start=start)
    for part in (2**32, -1, np.int64(2**40)):
        with pytest.raises(ks.ArgumentValueError, match="without a public cipher"):
            ks.derive(key, part)
    for ids in (np.array([0, 2**32]), np.array([-1]), jnp.array([-1])):
        with pytest.raises(ks.ArgumentValueError, match=r"from 0 to 2\*\*32 - 1"):
            ks.derive(key, ids)


@pytest.mark.parametrize("row", COUNTED, ids=catalogue.label)
def test_start_out_of_range(row: Row) -> None:
    """A static start that is negative, or from which the items leave the positions, is refused."""
    key = ks.key(5)
    beyond = [-1, np.int8(-1), jnp.int32(-3), 2**63, np.uint64(2**64 - 1), 2**300]
    # How many turns a while_loop takes isn't known when it starts, nor how large a piece is.
    for start in beyond if row.name in ("while_loop", "window") else [*beyond, 2**63 - 1]:
        with pytest.raises(ks.ArgumentValueError, match="start must be"):
            row.run(key, 2, start, bits)
    for start in (1.0, True, "1", None, np.float32(1), np.bool_(True), jnp.float32(1)):
        with pytest.raises(ks.ArgumentTypeError, match="start must be"):
            row.run(key, 2, start, bits)


# A fori_loop counts by JAX's own index.


def fori(lower: Any, upper: Any, key: jax.Array) -> Any:
    """Xor the bits of every turn, so that the order doesn't matter and each turn counts."""
    return ks.fori_loop(
        lower, upper, lambda key, _, val: val ^ bits(key), jnp.zeros(3, "uint32"), key=key
    )


def want_fori(lower: int, upper: int, key: jax.Array) -> np.ndarray:
    drawn = oracle.draws(bits, oracle.children(key, range(lower, upper)))
    return functools.reduce(np.bitwise_xor, drawn)


@pytest.mark.parametrize(
    ("lower", "upper"), [(-3, 2), (2**31 - 4, 2**31 - 1), (-(2**31), -(2**31) + 2)]
)
def test_fori_loop_bounds(lower: int, upper: int) -> None:
    """A fori_loop's turn i draws from child i: negative too, static and traced alike."""
    key = ks.key(5)
    want = want_fori(lower, upper, key)
    oracle.assert_same(np.asarray(fori(lower, upper, key)), want)
    oracle.assert_same(np.asarray(fori(np.int64(lower), np.int32(upper), key)), want)
    oracle.assert_same(np.asarray(fori(jnp.int32(lower), upper, key)), want)
    oracle.assert_same(np.asarray(jax.jit(fori)(np.int32(lower), np.int32(upper), key)), want)


@pytest.mark.parametrize("lower", [2**31 - 1, 2**32 - 1, 2**40, -(2**32) - 1, 2**63 - 4])
def test_fori_loop_wide_bounds(lower: int) -> None:
    """With 64-bit types on, a fori_loop counts across 2**31 and 2**32."""
    with _compat.enable_x64(True):
        key = ks.key(5)
        want = want_fori(lower, lower + 3, key)
        oracle.assert_same(np.asarray(fori(lower, lower + 3, key)), want)
        traced = jax.jit(fori)(np.int64(lower), np.int64(lower + 3), key)
        oracle.assert_same(np.asarray(traced), want)


def test_fori_loop_refuses_to_cut_bounds() -> None:
    """With 64-bit types off, bounds beyond JAX's index are refused rather than cut."""
    for lower, upper in ((2**32, 2**32 + 2), (np.int64(2**32), np.int64(2**32 + 2))):
        with pytest.raises((OverflowError, ks.KeystreamError)):
            fori(lower, upper, ks.key(5))


# The parts of a path.

WIDE = (
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40 + 1, 2**63 - 1),
    *(-1, -(2**31) - 1, -(2**62), 10**700 + 7, -(10**700) - 7),
)


@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True])
@settings(max_examples=15)
@oracle.examples([{"seed": 5, "number": number} for number in WIDE])
@given(seed=SEEDS, number=st.integers(-(2**300), 2**300))
def test_static_part(seed: int, number: int, x64: bool) -> None:
    """A Python int of any size is a part of its own, with 64-bit types on or off."""
    key = ks.key(seed)
    with _compat.enable_x64(x64):
        got = ks.derive(key, number)
    oracle.assert_same_keys(got, [oracle.child(key, number)])


@pytest.mark.fast
@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_numpy_scalar_part(dtype: np.dtype) -> None:
    """A NumPy scalar of every integer type is the Python int as a part."""
    key, info = ks.key(5), np.iinfo(dtype)
    for number in (0, 1, int(info.max), int(info.min), int(info.max) - 1):
        oracle.assert_same_keys(ks.derive(key, dtype.type(number)), [oracle.child(key, number)])
        under = jax.jit(lambda key, number=number: ks.derive(key, dtype.type(number)))(key)
        oracle.assert_same_keys(under, [oracle.child(key, number)])


def of(dtype: np.dtype) -> list[int]:
    """Return the positions that a dtype holds, its edges among them."""
    least, most = max(int(np.iinfo(dtype).min), -(2**62)), min(int(np.iinfo(dtype).max), 2**63 - 1)
    return [v for v in (least, least + 1, -1, 0, 1, 77, most - 1, most) if least <= v <= most]


@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("dtype", [d for d in NUMPY if d != np.uint64], ids=str)
def test_numpy_ids(dtype: np.dtype, x64: bool) -> None:
    """A NumPy array of ids keeps all its bits, with 64-bit types on or off."""
    key, ids = ks.key(5), of(dtype)
    with _compat.enable_x64(x64):
        got = ks.derive(key, np.array(ids, dtype))
    oracle.assert_same_keys(got, oracle.children(key, ids))


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_ids_of_32_bits(dtype: np.dtype) -> None:
    """A JAX array of ids gives the same keys concrete, traced, and mapped one by one."""
    key, ids = ks.key(5), of(dtype)
    array, want = jnp.array(ids, dtype), oracle.children(key, ids)
    oracle.assert_same_keys(ks.derive(key, array), want)
    oracle.assert_same_keys(jax.jit(ks.derive)(key, array), want)
    oracle.assert_same_keys(jax.jit(jax.vmap(ks.derive, (None, 0)))(key, array), want)
    scalar = jax.jit(ks.derive)
    oracle.assert_same_keys(jnp.stack([scalar(key, dtype.type(i)) for i in ids]), want)


def test_ids_of_64_bits() -> None:
    """With 64-bit types on, a JAX array of int64 keeps its bits, concrete and traced."""
    with _compat.enable_x64(True):
        key, ids = ks.key(5), of(np.dtype("int64"))
        array, want = jnp.array(ids), oracle.children(key, ids)
        assert array.dtype == np.int64
        oracle.assert_same_keys(ks.derive(key, array), want)
        oracle.assert_same_keys(jax.jit(ks.derive)(key, array), want)
        oracle.assert_same_keys(jax.jit(jax.vmap(ks.derive, (None, 0)))(key, array), want)


@pytest.mark.fast
@pytest.mark.parametrize("traced", [False, True])
def test_arrays_of_different_shapes(traced: bool) -> None:
    """Array parts broadcast against each other, and names between them stay where they are."""
    key = ks.key(5)
    a = np.array([[2**33], [-5], [7]])
    b = np.array([1, 2**31 - 1], np.int32)
    c = np.array(3, np.uint8)

    def call(key: jax.Array, b: Any, c: Any) -> Any:
        return ks.derive(key, a, "name", b, 2**70, c)

    got = (jax.jit(call) if traced else call)(key, b, c)
    assert got.shape == (3, 2)
    want = [
        oracle.derive(key, int(a[i, 0]), "name", int(b[j]), 2**70, 3) for i, j in np.ndindex(3, 2)
    ]
    oracle.assert_same_keys(got, want)


@settings(max_examples=15)
@given(seed=SEEDS, ids=st.lists(st.integers(-(2**62), 2**63 - 1), min_size=3, max_size=3))
def test_any_int64_ids(seed: int, ids: list[int]) -> None:
    """Whatever int64 ids an array holds, each gives the child at it."""
    key = ks.key(seed)
    oracle.assert_same_keys(ks.derive(key, np.array(ids)), oracle.children(key, ids))


def test_empty_and_scalar_ids() -> None:
    """An empty array of ids gives no keys, and one of shape () a single key."""
    key = ks.key(5)
    assert ks.derive(key, np.zeros((0, 3), np.int64)).shape == (0, 3)
    got = ks.derive(key, np.array(2**40))
    assert got.shape == ()
    oracle.assert_same_keys(got, [oracle.child(key, 2**40)])


def test_uint64_ids() -> None:
    """uint64 ids are refused with a cure that runs and keeps every bit."""
    key, ids = ks.key(5), np.array([1, 2**63 + 5, 2**64 - 1], np.uint64)
    with pytest.raises(ks.ArgumentTypeError) as caught:
        ks.derive(key, ids)
    cure = str(caught.value).split("For two parts: ")[1].removesuffix(".")
    got = eval(cure, {"ks": ks, "key": key, "ids": ids})
    want = [oracle.derive(key, int(i) >> 32, int(i) & 0xFFFFFFFF) for i in ids]
    oracle.assert_same_keys(got, want)
    with _compat.enable_x64(True):
        for part in (jnp.array(ids), jnp.uint64(3)):
            with pytest.raises(ks.ArgumentTypeError, match="uint64"):
                ks.derive(key, part)
            with pytest.raises(ks.ArgumentTypeError, match="uint64"):
                jax.jit(ks.derive)(key, part)
        with pytest.raises(ks.ArgumentTypeError, match="uint64"):
            jax.jit(lambda start: ks.keys(key, 2, start=start))(jnp.uint64(3))


def test_ids_below_the_positions() -> None:
    """A concrete array with a value below -2**62 is refused, as it would fall among names."""
    key = ks.key(5)
    ids = np.array([0, -(2**62) - 1])
    with pytest.raises(ks.ArgumentValueError, match=r"-2\*\*62"):
        ks.derive(key, ids)
    with _compat.enable_x64(True), pytest.raises(ks.ArgumentValueError, match=r"-2\*\*62"):
        ks.derive(key, jnp.array(ids))


@pytest.mark.parametrize("part", [1.5, True, None, np.float32(1), np.bool_(True), np.ones(2), [1]])
def test_parts_that_are_no_integers(part: Any) -> None:
    """A float, a bool or a list is never taken for a position."""
    with pytest.raises(ks.ArgumentTypeError, match="path must be made of"):
        ks.derive(ks.key(5), part)


# Seeds.


@pytest.mark.fast
@settings(max_examples=15)
@oracle.examples([{"seed": seed} for seed in (*WIDE, 2**64 - 1, 2**64)])
@given(seed=st.integers(-(2**300), 2**300))
def test_wide_seeds(seed: int) -> None:
    """A seed of any size gives one key with 64-bit types on and off, and its neighbors others."""
    off = ks.key(seed)
    with _compat.enable_x64(True):
        on = ks.key(seed)
    oracle.assert_same_keys(on, off)
    others = {seed + 1, seed - 1, seed + 2**32, seed + 2**64, -seed, ~seed} - {seed}
    oracle.assert_distinct(jnp.stack([off, *map(ks.key, others)]))


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
@pytest.mark.parametrize("impl", ["threefry2x32", "threefry4x32", "rbg"])
def test_numpy_seeds(dtype: np.dtype, impl: str) -> None:
    """A NumPy scalar as a seed is the Python int, of whatever type and width."""
    info = np.iinfo(dtype)
    for seed in (0, 3, int(info.max), int(info.min)):
        want = ks.key(seed, impl=impl)
        oracle.assert_same_keys(ks.key(dtype.type(seed), impl=impl), want)
        oracle.assert_same_keys(ks.key(np.array(seed, dtype), impl=impl), want)
        with _compat.enable_x64(True):
            oracle.assert_same_keys(ks.key(jnp.array(seed, dtype), impl=impl), want)


# The checks above find what they are there to find.


def cuts(key: jax.Array, part: Any) -> jax.Array:
    """Lie: cut to 32 bits, as jax.random.fold_in does."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, np.asarray(part).astype(np.uint32))


def forgets_the_sign(key: jax.Array, part: Any) -> jax.Array:
    """Lie: drop the sign."""
    return ks.derive(key, np.abs(part))


@pytest.mark.parametrize("faulty", [cuts, forgets_the_sign])
def test_checks_find_faults(faulty: Any) -> None:
    """The check of ids fails on a derive that cuts them or forgets their sign."""
    key, ids = ks.key(5), of(np.dtype("int64"))
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_same_keys(faulty(key, np.array(ids)), oracle.children(key, ids))


def test_check_of_starts_finds_faults() -> None:
    """The check of starts fails where 32 bits overflow, and where the count is one off."""
    key, row = ks.key(5), BY_NAME["keys"]

    def cut(start: int) -> Any:
        return jax.random.key_data(
            jax.vmap(lambda i: jax.random.fold_in(key, i))(
                np.uint32(start % 2**32) + np.arange(2, dtype=np.uint32)
            )
        )

    check(row, cut(3), key, 3)
    for start in (2**32 - 1, 2**33):
        with pytest.raises(AssertionError, match="differ"):
            check(row, cut(start), key, start)
    with pytest.raises(AssertionError, match="differ"):
        check(row, row.run(key, 2, 4, bits), key, 3)
