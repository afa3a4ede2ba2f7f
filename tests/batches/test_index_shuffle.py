"""Places in a random order: one to one, alike in every form, and like a random order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding

import keystream as ks
from keystream import _compat
from keystream._batches import index_shuffle as public
from keystream._keys import scheme, shuffle
from tests import reference
from tests.speed.test_reach import programs

P = jax.P
KEY = ks.key(42)
SIZES = st.one_of(
    st.integers(1, 9),
    st.integers(4090, 4200),
    st.integers(4097, 2**17),
    st.integers(2**31 - 3, 2**31 + 3),
    st.integers(4097, 2**40),
    st.integers(2**40, 2**62),
)
WORDS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
SMALL, LARGE = 4096, 4097
"""The largest n that is sorted, and the smallest that goes through the network."""


def words_of(key: Any, n: int) -> shuffle.Words:
    """Return the words of the child that the order of n numbers is made of, for NumPy."""
    parent = tuple(np.asarray(jax.random.key_data(key)).tolist()) if _is_key(key) else key
    hi, lo = scheme.shuffle_counter(n)
    child = reference.threefry2x32(parent, (int(hi), int(lo)))
    return tuple(np.array([word], np.uint32) for word in child)


def _is_key(key: Any) -> bool:
    return isinstance(key, jax.Array)


def find(key: Any, n: int, index: Any, **options: Any) -> np.ndarray:
    """Return places by NumPy alone."""
    index = np.asarray(index)
    flat = shuffle.find(words_of(key, n), n, index.ravel(), **options)
    return flat.reshape(index.shape)


def check_one_to_one(key: Any, n: int, **options: Any) -> None:
    """Every number has a place of its own, and is found again there."""
    every = np.arange(n)
    places = find(key, n, every, **options)
    assert places.dtype == shuffle.result_dtype(n)
    assert (np.sort(places) == every).all()
    assert (find(key, n, places, inverse=True, **options) == every).all()


# --- one to one, and as the scheme says ------------------------------------------------------


@pytest.mark.fast
@settings(max_examples=60)
@given(words=WORDS, n=SIZES, data=st.data())
def test_reference(words: Any, n: int, data: Any) -> None:
    """A place is what a second implementation in plain Python makes it."""
    index = data.draw(st.integers(0, n - 1))
    [place] = find(words, n, [index])
    assert int(place) == reference.shuffled(words, n, index)


@pytest.mark.fast
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, SMALL - 1, SMALL, LARGE, 4162, 5003, 2**14])
def test_one_to_one(n: int) -> None:
    """An order holds each number once, and its inverse undoes it, for n on both sides of 4,096."""
    for seed in range(3):
        check_one_to_one((seed, 43), n)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, SMALL + 1, 512))
def test_one_to_one_for_every_small_n(first: int) -> None:
    """An order holds each number once for every n up to 4,096."""
    for n in range(first, first + 512):
        check_one_to_one((n, 1), n)


@pytest.mark.slow
@given(words=WORDS, n=st.integers(LARGE, 2**16))
@settings(max_examples=50)
def test_one_to_one_through_the_network(words: Any, n: int) -> None:
    """An order through the network holds each number once."""
    check_one_to_one(words, n)


@pytest.mark.fast
@settings(max_examples=40)
@given(words=WORDS, n=st.one_of(st.integers(LARGE, 2**40), SIZES), seed=st.integers(0, 2**32))
def test_pairs_in_long_orders(words: Any, n: int, seed: int) -> None:
    """In long orders sampled numbers have places below n, all different, and come back."""
    index = np.unique(np.random.default_rng(seed).integers(0, n, 64))
    places = find(words, n, index)
    assert places.min() >= 0
    assert places.max() < n
    assert len(np.unique(places)) == len(index)
    assert (find(words, n, places, inverse=True) == index).all()


@pytest.mark.fast
def test_what_is_beyond_n_is_led_back() -> None:
    """Numbers that the network takes beyond n, once or twice, get what is left free below it.

    With key (0, 43) and n = 4162 those are 13 numbers, and the number 1033 goes beyond twice.
    """
    n, key = 4162, (0, 43)
    rows, columns = shuffle.choose_grid(n)
    word = np.dtype(np.uint32)
    args = words_of(key, n), shuffle.Grid(rows, columns), word, False, 8, shuffle.NUMPY
    direct = shuffle._network(*args, np.arange(rows * columns, dtype=word))
    beyond = np.flatnonzero(direct[:n] >= n)
    assert len(beyond) == 13
    assert direct[direct[1033]] >= n
    places = find(key, n, np.arange(n))
    assert (places[direct[:n] < n] == direct[:n][direct[:n] < n]).all()
    assert set(places[beyond]) == set(range(n)) - set(direct[:n].tolist())


@pytest.mark.fast
@pytest.mark.parametrize("fault", ["no table", "a column lost", "one round undone"])
def test_faults_are_not_one_to_one(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """An order without the table, with too small a grid, or a wrong inverse is noticed."""
    if fault == "no table":
        monkeypatch.setattr(shuffle, "_lead", lambda found, *_: found)
    elif fault == "a column lost":
        monkeypatch.setattr(shuffle, "choose_grid", lambda _: shuffle.Grid(72, 57))
    else:
        network = shuffle._network
        short = lambda w, g, t, inverse, rounds, *rest: network(
            w, g, t, inverse, rounds - 2 * inverse, *rest
        )
        monkeypatch.setattr(shuffle, "_network", short)
    with pytest.raises((AssertionError, IndexError)):
        check_one_to_one((0, 43), 4162)


@pytest.mark.fast
@pytest.mark.parametrize("rounds", [2, 6, 10])
def test_rounds_left_out_are_noticed(rounds: int) -> None:
    """With another number of rounds the places are others than the scheme says."""
    want = [reference.shuffled((1, 2), 10**6, index) for index in range(20)]
    assert find((1, 2), 10**6, np.arange(20)).tolist() == want
    assert find((1, 2), 10**6, np.arange(20), rounds=rounds).tolist() != want


@pytest.mark.fast
@settings(max_examples=60)
@given(n=SIZES.filter(lambda n: n > SMALL))
def test_grid(n: int) -> None:
    """The grid has n cells and few more, nearly as many rows as columns, sides of 32 bits.

    Up to n = 2**31 the sides are below 2**16, so that 32-bit arithmetic is enough.
    """
    rows, columns = shuffle.choose_grid(n)
    assert (rows, columns) == reference.grid(n)
    assert 0 <= rows * columns - n <= 4096
    assert columns <= rows <= 1.66 * columns
    assert rows < (2**16 if n <= 2**31 else 2**32)


@pytest.mark.slow
def test_every_grid_below_a_hundred_thousand() -> None:
    """Up to n = 100,000 the table has at most 29 rows."""
    grids = [shuffle.choose_grid(n) for n in range(LARGE, 100_000)]
    spare = [rows * columns - n for n, (rows, columns) in enumerate(grids, LARGE)]
    assert min(spare) == 0
    assert max(spare) == 29


# --- every form ------------------------------------------------------------------------------


@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("n", [5, 10**6 + 3, 2**31, 10**12, 2**62 - 12345])
def test_numpy_and_jax(n: int, x64: bool) -> None:
    """JAX gives the places that NumPy does, of one dtype, and both ways undo each other."""
    index = np.random.default_rng(0).integers(0, n, (3, 4))
    with _compat.enable_x64(x64):
        if n > 2**31 and not x64:
            with pytest.raises(ks.ArgumentValueError):
                ks.index_shuffle(KEY, n, 0)
            return
        places = ks.index_shuffle(KEY, n, index)
        assert places.dtype == shuffle.result_dtype(n)
        assert np.array_equal(places, find(KEY, n, index))
        assert np.array_equal(ks.index_unshuffle(KEY, n, places), index)
        one = ks.index_shuffle(KEY, n, int(index[1, 2]))
        assert one.shape == ()
        assert one == places[1, 2]


@pytest.mark.fast
@pytest.mark.parametrize("n", [100, 5000])
def test_kinds_of_index(n: int) -> None:
    """An index of every integer dtype and kind has its place; arrays may be empty, or scalars."""
    want, call = find(KEY, n, np.arange(9)), lambda i: ks.index_shuffle(KEY, n, i)
    for dtype in (np.int8, np.uint32, np.int64, np.uint64):
        assert np.array_equal(call(np.arange(9, dtype=dtype)), want)
    with _compat.enable_x64(True):
        for dtype in (np.int8, np.uint64):
            assert np.array_equal(call(jnp.arange(9, dtype=dtype)), want)
            assert np.array_equal(jax.jit(call)(jnp.arange(9, dtype=dtype)), want)
    for one in (7, np.int64(7), np.array(7), jnp.array(7, "int4")):
        assert int(call(one)) == want[7]
    for shape in ((0,), (2, 0)):
        made = call(np.zeros(shape, int))
        assert (made.shape, made.dtype) == (shape, np.int32)


@pytest.mark.fast
def test_none_at_all() -> None:
    """Of no numbers an empty array has places, and no index is in range."""
    assert ks.index_shuffle(KEY, 0, np.zeros((3, 0), int)).shape == (3, 0)
    assert ks.index_unshuffle(KEY, 0, jnp.zeros(0, int)).shape == (0,)
    with pytest.raises(ks.ArgumentValueError):
        ks.index_shuffle(KEY, 0, 0)


@pytest.mark.fast
@pytest.mark.parametrize("n", [100, 5000])
def test_transformed(n: int) -> None:
    """Under jit, vmap over keys and indices, scan, remat and grad the places are the same."""
    index = jnp.arange(8)
    want, call = find(KEY, n, index), lambda key, i: ks.index_shuffle(key, n, i)
    keys = ks.keys(KEY, 3)
    assert np.array_equal(jax.jit(call)(KEY, index), want)
    assert np.array_equal(jax.jit(lambda key: call(key, 5))(KEY), want[5])
    assert np.array_equal(jax.vmap(call, (None, 0))(KEY, index), want)
    every = np.stack([find(key, n, index) for key in keys])
    assert np.array_equal(jax.vmap(call, (0, None))(keys, index), every)
    assert np.array_equal(jax.vmap(call)(keys, index[:3]), every[[0, 1, 2], [0, 1, 2]])
    assert np.array_equal(jax.lax.map(lambda i: call(KEY, i), index), want)
    weights = jnp.arange(float(n))
    loss = jax.checkpoint(lambda w: (w[call(KEY, index)] ** 2).sum())
    assert np.array_equal(np.flatnonzero(jax.grad(loss)(weights + 1)), np.sort(want))


@pytest.mark.parametrize("n", [100, 5000])
@pytest.mark.parametrize("check_vma", [True, False])
def test_shard_map(n: int, check_vma: bool) -> None:
    """In a mapped body each shard finds its own places, by a shared key or its own."""
    mesh = jax.make_mesh((4, 2), ("a", "b"), (AxisType.Auto,) * 2)
    index = jnp.arange(8)
    mapped = functools.partial(jax.shard_map, mesh=mesh, check_vma=check_vma)
    call = lambda key, i: ks.index_shuffle(key, n, i)
    shared = mapped(call, in_specs=(P(), P("a")), out_specs=P("a"))(KEY, index)
    assert np.array_equal(shared, find(KEY, n, index))
    own = mapped(
        lambda key, i: call(ks.for_axis(key, "a"), i)[None],
        in_specs=(P(), P("b")),
        out_specs=P("a", "b"),
    )(KEY, index)
    want = [find(ks.derive(KEY, shard), n, index) for shard in range(4)]
    assert np.array_equal(own, np.stack(want))


@pytest.mark.parametrize("n", [100, 5000])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_sharded(n: int, kind: Any) -> None:
    """Places lie where their indices lie, eager and jitted, and nothing is sent for them."""
    mesh = jax.make_mesh((4, 2), ("a", "b"), (kind,) * 2)
    call = lambda key, i: ks.index_shuffle(key, n, i)
    for spec in (P("a", "b"), P(None, ("a", "b"))):
        index = jax.device_put(np.arange(64).reshape(8, 8), NamedSharding(mesh, spec))
        with jax.set_mesh(mesh):
            made = [ks.index_shuffle(KEY, n, index), jax.jit(call)(KEY, index)]
            text = jax.jit(call).lower(KEY, index).compile().as_text()
        for places in made:
            assert np.array_equal(places, find(KEY, n, index))
            assert places.sharding.is_equivalent_to(index.sharding, 2)
        for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
            assert word not in text


@pytest.mark.fast
def test_nothing_is_compiled_again() -> None:
    """Other keys, indices and places of one shape compile nothing."""
    call = lambda seed, i: ks.index_unshuffle(
        ks.key(seed), 7000, int(ks.index_shuffle(KEY, 7000, i))
    )
    call(0, 0)
    assert programs(lambda: [call(seed, 50 * seed) for seed in range(20)]) == 0
    rows = lambda seed: ks.index_shuffle(ks.key(seed), 7000, np.arange(5) + seed)
    rows(0)
    assert programs(lambda: [rows(seed) for seed in range(20)]) == 0


@pytest.mark.fast
def test_out_of_range() -> None:
    """A concrete index out of range is refused, within a trace too."""
    for bad in (100, -1, np.array([3, 100]), jnp.array([-1, 3])):
        for call in (ks.index_shuffle, ks.index_unshuffle):
            with pytest.raises(ks.ArgumentValueError, match="in range"):
                call(KEY, 100, bad)
            with pytest.raises(ks.ArgumentValueError, match="in range"):
                jax.jit(lambda key, call=call, bad=bad: call(key, 100, bad))(KEY)


@pytest.mark.fast
def test_audit() -> None:
    """Places use up a child: asking twice, for two n, and deriving beside it is no fault."""

    def program(key: jax.Array, data: jax.Array) -> Any:
        order = ks.derive(key, "order", 0)
        batches = [data[ks.index_shuffle(order, 5000, jnp.arange(4) + 4 * t)] for t in range(2)]
        again = data[ks.index_shuffle(order, 5000, jnp.arange(4))]
        few = data[ks.index_shuffle(order, 100, jnp.arange(4))]
        noise = jax.random.normal(ks.derive(order, "noise"), (4,))
        return batches, again, few + noise

    report = ks.audit(program, KEY, jnp.arange(5000.0))
    report.raise_if_found()
    ran = ks.audit(program, KEY, jnp.arange(5000.0), run=True)
    ran.raise_if_found()
    reused = lambda key, data: (program(key, data), [jax.random.bits(key) for _ in range(2)])
    assert not ks.audit(reused, KEY, jnp.arange(5000.0)).ok


# --- like a random order ---------------------------------------------------------------------
#
# Each statistic is a chi2 or a count, written as standard deviations from what it is for a
# random order. Of about 40 of them in this file one is beyond 6 by chance in some 10**6 runs:
# a chi2 of 50 degrees or more is beyond 6 with probability below 2e-8, here with fixed keys.

LIMIT = 6.0


def z_of(counts: np.ndarray, expected: Any) -> float:
    """Return how many standard deviations a chi2 is from its mean."""
    free = counts.size - 1
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return (chi2 - free) / (2 * free) ** 0.5


@functools.partial(jax.jit, static_argnums=(1, 2))
def orders(words: jax.Array, n: int, rounds: int) -> jax.Array:
    """Return the whole order of each pair of words, with any number of rounds."""

    def order(pair: jax.Array) -> jax.Array:
        index = jnp.arange(n, dtype=np.int32)
        return shuffle.find((pair[0], pair[1]), n, index, rounds=rounds, arrays=public._IN_JAX)

    return jax.vmap(order)(words)


def statistics(places: np.ndarray, n: int) -> dict[str, float]:
    """Compare orders, a row each, with random ones: fixed points, and differences of pairs.

    Pairs are neighbors and such as stand in one column of the grid, or in one row: what a
    network of few rounds moves alike.
    """
    rows, columns = shuffle.choose_grid(n)
    found = {"fixed": float((places == np.arange(n)).sum() - len(places)) / len(places) ** 0.5}
    row, column = np.divmod(places, columns)
    of_rows, of_columns = (_differences(x, s) for x, s in ((row, rows), (column, columns)))
    for step in (1, columns, 2 * columns, rows):
        pairs = places[:, step:], places[:, :-step]
        bins = (pairs[0] - pairs[1]) % n * 64 // n
        share = np.bincount(np.arange(1, n) * 64 // n, minlength=64) / (n - 1)
        found[f"place, {step}"] = z_of(np.bincount(bins.ravel(), minlength=64), share * bins.size)
        for what, cells, size, share in (
            ("row", row, rows, of_rows),
            ("column", column, columns, of_columns),
        ):
            apart = (cells[:, step:] - cells[:, :-step]) % size
            counts = np.bincount(apart.ravel(), minlength=size)
            found[f"{what}, {step}"] = z_of(counts, share * apart.size)
    return found


def _differences(of_each: np.ndarray, size: int) -> np.ndarray:
    """Return how often two numbers in a random order differ by each amount modulo `size`."""
    n = of_each.shape[1]
    held = np.bincount(of_each[0], minlength=size)
    pairs = np.array([(held * np.roll(held, -by)).sum() for by in range(size)])
    pairs[0] -= n
    return pairs / (n * (n - 1))


def some_words(count: int) -> np.ndarray:
    return np.random.default_rng(1988).integers(0, 2**32, (count, 2), dtype=np.uint32)


@pytest.mark.parametrize("n", [LARGE, 10007])
def test_pairs_and_fixed_points(n: int) -> None:
    """Pairs of places and fixed points of long orders are as those of random ones.

    From two million places on each n; a network of two rounds is beyond 100, one of four
    beyond 20.
    """
    words = some_words(2_000_000 // n)
    found = statistics(np.asarray(orders(words, n, shuffle.ROUNDS)), n)
    assert max(map(abs, found.values())) < LIMIT, found


def test_few_rounds_are_noticed() -> None:
    """The statistics tell networks of two and of four rounds from random orders."""
    words = some_words(100)
    for rounds, least in ((2, 1000), (4, 20)):
        found = statistics(np.asarray(orders(words, LARGE, rounds)), LARGE)
        assert max(found.values()) > least


@pytest.mark.slow
def test_six_rounds_are_noticed() -> None:
    """From 16 million places the statistics tell six rounds from random orders, and not eight."""
    words = some_words(4000)
    six, eight = (statistics(np.asarray(orders(words, LARGE, r)), LARGE) for r in (6, 8))
    assert max(six.values()) > 10
    assert max(map(abs, eight.values())) < LIMIT, eight


@pytest.mark.fast
def test_statistics_of_random_orders() -> None:
    """NumPy's random orders pass the statistics, so that what fails them isn't random."""
    generator = np.random.default_rng(7)
    places = generator.permuted(np.tile(np.arange(LARGE), (200, 1)), axis=1)
    found = statistics(places, LARGE)
    assert max(map(abs, found.values())) < LIMIT, found


def check_all_orders(call: Callable[[jax.Array], jax.Array], n: int) -> float:
    """Return by how much the orders of n numbers differ from equally frequent ones."""
    keys = ks.keys(ks.key(5), 40_000)
    places = np.asarray(jax.jit(jax.vmap(call))(keys))
    codes = places @ n ** np.arange(n)
    _, counts = np.unique(codes, return_counts=True)
    every = np.prod(np.arange(1, n + 1))
    missing = np.zeros(every - len(counts), int)
    return z_of(np.concatenate([counts, missing]), len(keys) / every)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders(n: int) -> None:
    """Each of the n! orders of few numbers comes equally often, from 40,000 keys.

    z is beyond 8 by chance with probability below 1e-9 (n = 2: 1e-3 of the orders more
    often would be z = 0.03, 2 % z = 11).
    """
    assert check_all_orders(lambda key: ks.index_shuffle(key, n, jnp.arange(n)), n) < 8


def test_a_biased_order_is_noticed() -> None:
    """Numbers sorted by two bits, ties by number, are not in random order."""

    def biased(key: jax.Array) -> jax.Array:
        return jnp.argsort(jnp.argsort(jax.random.bits(key, (4,)) >> 30, stable=True))

    assert check_all_orders(biased, 4) > 100


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Return how often two orders agree, per number that two random ones would."""
    return float((one == other).sum())


@pytest.mark.fast
def test_two_n_are_unrelated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders of n and n + 1 numbers under one key agree in about one place, and are as random.

    More than 20 is by chance with probability below 1e-18. With the counter of one n for
    both, which the test must notice, they agree in thousands.
    """
    n = 10_000
    pairs = lambda: agreement(*(find((3, 4), size, np.arange(n)) for size in (n, n + 1)))
    assert pairs() < 20
    monkeypatch.setattr(scheme, "shuffle_counter", lambda _: scheme.Counter(2**31 + 5, 0))
    monkeypatch.setattr(shuffle, "choose_grid", lambda _: shuffle.Grid(125, 81))
    assert pairs() > 5_000


@pytest.mark.fast
def test_keys_are_unrelated() -> None:
    """Orders of neighboring keys, and of an epoch and the next one, agree in about one place."""
    keys = [ks.derive(KEY, "order", epoch) for epoch in range(3)]
    made = [find(key, 9000, np.arange(9000)) for key in keys]
    made += [find((0, low), 9000, np.arange(9000)) for low in range(2)]
    assert all(agreement(a, b) < 20 for a, b in _pairs(made))


def _pairs(several: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((a, b) for i, a in enumerate(several) for b in several[:i])
