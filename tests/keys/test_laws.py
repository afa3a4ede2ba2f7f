"""Laws 1, 2, 4 and 8: every helper of the catalogue against its Python loop.

Compiling is what costs time here: shapes are few and small, seeds and starts are many.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keystream as ks
from tests import catalogue, oracle
from tests.catalogue import BY_NAME, ROWS, Row
from tests.oracle import CIPHER, IMPLS, MAPPED, bits
from tests.versions import PMAP_IN_JIT

SEEDS = st.one_of(st.integers(0, 2**64 - 1), st.text(min_size=1), st.integers(-(2**300), 2**300))
STARTS = st.one_of(st.just(0), st.integers(0, 2**31 - 10))
"""Starts that a traced int32 holds; test_integers.py has the others."""

TRACED = ("threefry2x32", "threefry4x32")
"""One implementation with a public cipher and one without."""

Transform = Callable[[Callable[[jax.Array], Any]], Callable[[jax.Array], Any]]


def check_position(row: Row, run: Any, key: jax.Array, n: int, start: Any) -> None:
    """Hold one call of a helper, or of a faulty one, against the oracle of its row."""
    oracle.assert_same(on_host(run(key, n, start, bits)), row.want(key, n, int(start), bits))


def on_host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


# Law 1: item i gets child i.


def default_first(cases: list[Any], slow: tuple[Any, ...] = ()) -> list[Any]:
    """Mark slow what tries another implementation than the default, the last of each case.

    So are cases that begin with one of `slow`.
    """
    first = lambda case: case[-1] == "threefry2x32" and case[0] not in slow
    return [case if first(case) else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.fast
@pytest.mark.parametrize(("row", "impl"), default_first(catalogue.pairs()), ids=catalogue.label)
def test_position(row: Row, impl: str) -> None:
    """Eagerly, item i of every helper is made from child start + i of the key."""
    n = row.sizes[-1]

    @settings(max_examples=2)
    @given(seed=SEEDS, start=STARTS)
    def holds(seed: Any, start: int) -> None:
        check_position(row, row.run, ks.key(seed, impl=impl), n, start if row.start else 0)

    holds()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("row", "impl"),
    default_first([pair for pair in catalogue.pairs() if pair[0].start and pair[1] in TRACED]),
    ids=catalogue.label,
)
def test_position_traced(row: Row, impl: str) -> None:
    """Under jit with a traced start, item i is made from child start + i of the key."""
    n = row.sizes[-1]
    jitted = jax.jit(lambda key, start: row.run(key, n, start, bits))

    @settings(max_examples=15)
    @given(seed=SEEDS, start=STARTS)
    def holds(seed: Any, start: int) -> None:
        key = ks.key(seed, impl=impl)
        check_position(row, lambda *_: jitted(key, np.int32(start)), key, n, start)

    holds()


def reused(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: every lane draws from one key."""
    one = ks.derive(key, start)
    return jax.vmap(lambda _: draw(one))(jnp.arange(n))


def child_zero_twice(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: the first two items share the first child."""
    keys = ks.keys(key, n, start=start)
    return jax.vmap(draw)(keys[np.maximum(np.arange(n) - 1, 0)])


def off_by_one(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: the count begins at 1."""
    return jax.vmap(draw)(ks.keys(key, n, start=start + 1))


def last_lane_reused(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: the last item gets the key itself."""
    made = jax.vmap(draw)(ks.keys(key, n, start=start))
    return made.at[-1].set(draw(key))


def drawn_carry(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: each step draws from the key that it carries on."""
    del start

    def step(key: jax.Array, _: Any) -> Any:
        return jax.random.split(key)[0], draw(key)

    survivor, ys = jax.lax.scan(step, key, length=n)
    return {"key": jax.random.key_data(survivor), "ys": ys}


def swapped_carry(key: jax.Array, n: int, start: Any, draw: oracle.Draw) -> Any:
    """Lie: the key that is used is the one that should go on."""
    del start

    def step(key: jax.Array, _: Any) -> Any:
        use, key = jax.random.split(key)
        return key, draw(use)

    survivor, ys = jax.lax.scan(step, key, length=n)
    return {"key": jax.random.key_data(survivor), "ys": ys}


FAULTY = [
    ("sample", reused),
    ("sample", child_zero_twice),
    ("map", off_by_one),
    ("vmap", last_lane_reused),
    ("scan_carried", drawn_carry),
    ("scan_carried", swapped_carry),
]


@pytest.mark.fast
@pytest.mark.parametrize(("name", "faulty"), FAULTY)
def test_position_finds_faults(name: str, faulty: Any) -> None:
    """The check of law 1 fails on reused keys, a count from 1, and a carry drawn from."""
    row = BY_NAME[name]
    check_position(row, row.run, ks.key(3), 5, 0)
    with pytest.raises(AssertionError, match="differ"):
        check_position(row, faulty, ks.key(3), 5, 0)


# Law 2: more items never change the earlier ones, and a start is a place in the full run.


@pytest.mark.parametrize("row", [r for r in ROWS if r.prefix], ids=catalogue.label)
def test_prefix(row: Row) -> None:
    """A longer run begins with the shorter one."""
    few, many = row.sizes[0], row.sizes[-1]
    short, long = (jax.jit(lambda key, n=n: row.run(key, n, 0, bits)) for n in (few, many))

    @settings(max_examples=8)
    @given(seed=SEEDS)
    def holds(seed: Any) -> None:
        key = ks.key(seed)
        got = np.asarray(short(key))
        oracle.assert_same(np.asarray(long(key))[: len(got)], got)

    holds()


def check_start(run: Any, key: jax.Array, n: int, skipped: int) -> None:
    """Hold a run from a start against that place of a full one."""
    part, full = run(key, n, skipped, bits), run(key, n + skipped, 0, bits)
    oracle.assert_same(np.asarray(part), np.asarray(full)[skipped : skipped + len(part)])


@pytest.mark.parametrize("row", [r for r in ROWS if r.start and r.prefix], ids=catalogue.label)
def test_start(row: Row) -> None:
    """Starting at item s gives what a full run gives from s on."""

    @settings(max_examples=3)
    @given(seed=SEEDS)
    def holds(seed: Any) -> None:
        check_start(row.run, ks.key(seed), 2, 2)

    holds()


def test_start_finds_a_fault() -> None:
    """The check of starts fails on a helper that ignores them."""

    def ignores(key: jax.Array, n: int, start: int, draw: oracle.Draw) -> Any:
        del start
        return ks.sample(draw, key, n)

    with pytest.raises(AssertionError, match="differ"):
        check_start(ignores, ks.key(3), 2, 2)


SHAPES = ((6,), (2, 3), (1, 6, 1), (3, 1, 2))


@functools.cache
def sampled(shape: tuple[int, ...], batch: int | None) -> Callable[..., Any]:
    return jax.jit(lambda key, s: ks.sample(bits, key, shape, start=s, batch_size=batch))


@pytest.mark.slow
@pytest.mark.fast
@settings(max_examples=60)
@given(
    seed=SEEDS,
    shape=st.sampled_from(SHAPES),
    batch=st.sampled_from([None, 1, 4, 6, 7]),
    start=STARTS,
)
def test_shape_and_batch_size(seed: Any, shape: tuple[int, ...], batch: Any, start: int) -> None:
    """Neither the shape nor the batch size of a sample changes a bit of a draw."""
    key = ks.key(seed)
    got = np.asarray(sampled(shape, batch)(key, np.int32(start)))
    assert got.shape == (*shape, 3)
    oracle.assert_same(got.reshape(6, 3), catalogue.items(key, 6, start, bits))


@pytest.mark.fast
@settings(max_examples=15)
@given(seed=SEEDS, n=st.integers(0, 6))
def test_moves_over(seed: Any, n: int) -> None:
    """Under JAX's default settings the keys are those of jax.random.split."""
    key = ks.key(seed)
    if n:
        oracle.assert_same_keys(ks.keys(key, n), jax.random.split(key, n))
    oracle.assert_same_keys(ks.keys(key, (2, 3)), jax.random.split(key, (2, 3)))
    first, second = ks.split(key)
    oracle.assert_same_keys(jnp.stack([first, second]), jax.random.split(key))


# Law 1, what is made of bits alone.

EXACT: dict[str, Callable[[jax.Array], jax.Array]] = {
    "bits8": lambda key: jax.random.bits(key, (5,), np.uint8),
    "uniform": lambda key: jax.random.uniform(key, (3,)),
    "uniform16": lambda key: jax.random.uniform(key, (3,), jnp.float16),
    "randint": lambda key: jax.random.randint(key, (3,), -7, 1000),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (9,)),
    "permutation": lambda key: jax.random.permutation(key, 7),
}
LOOSE: dict[str, Callable[[jax.Array], jax.Array]] = {
    "normal": lambda key: jax.random.normal(key, (3,)),
    "gumbel": lambda key: jax.random.gumbel(key, (3,)),
    "gamma": lambda key: jax.random.gamma(key, 2.5, (3,)),
}
FORMS = ("map", "sample batches", "shard_map")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampler", EXACT)
def test_exact_draws(sampler: str, form: str) -> None:
    """What is made of bits alone is equal in every form, to the last bit."""
    row, draw = BY_NAME[form], EXACT[sampler]
    jitted = jax.jit(lambda key: row.run(key, 2, 0, draw))

    @settings(max_examples=5)
    @given(seed=SEEDS)
    def holds(seed: Any) -> None:
        key = ks.key(seed)
        oracle.assert_same(np.asarray(jitted(key)), row.want(key, 2, 0, draw))

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampler", LOOSE)
def test_loose_draws(sampler: str, form: str) -> None:
    """Draws that pass through float functions agree in every form but for last digits."""
    row, draw = BY_NAME[form], LOOSE[sampler]
    key, other = ks.key(11), ks.key(12)
    got = jax.jit(lambda key: row.run(key, 2, 0, draw))(key)
    oracle.assert_close(got, row.want(key, 2, 0, draw))
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_close(got, row.want(other, 2, 0, draw))


# Law 4: a path is one step after the other.

PARTS = st.one_of(
    st.text(min_size=1, max_size=4),
    st.binary(min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**62), 2**63 - 1),
    st.integers(-(2**300), 2**300),
)
NARROW_PARTS = st.one_of(st.text(min_size=1, max_size=4), st.integers(0, 2**32 - 1))


def check_composition(derive: Any, key: jax.Array, path: list[Any]) -> None:
    """Hold a path against its parts one by one, and against the oracle."""
    whole = derive(key, *path)
    cut = len(path) // 2
    oracle.assert_same_keys(whole, derive(derive(key, *path[:cut]), *path[cut:]))
    oracle.assert_same_keys(whole, oracle.derive(key, *path))


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_composition(impl: str) -> None:
    """derive(key, a, b) is derive(derive(key, a), b), each a child of the one before."""
    parts = PARTS if impl in CIPHER else NARROW_PARTS

    @settings(max_examples=25)
    @given(seed=SEEDS, path=st.lists(parts, max_size=3))
    def holds(seed: Any, path: list[Any]) -> None:
        check_composition(ks.derive, ks.key(seed, impl=impl), path)

    holds()


def test_composition_finds_faults() -> None:
    """The check of composition fails on a derive that joins, forgets or sorts its parts."""

    def joins(key: jax.Array, *path: Any) -> jax.Array:
        return ks.derive(key, "".join(map(str, path))) if path else key

    def forgets(key: jax.Array, *path: Any) -> jax.Array:
        return ks.derive(key, *path[-1:])

    def backwards(key: jax.Array, *path: Any) -> jax.Array:
        return ks.derive(key, *reversed(path))

    for faulty in (joins, forgets, backwards):
        with pytest.raises(AssertionError, match="differ"):
            check_composition(faulty, ks.key(3), ["ab", 7])


@settings(max_examples=10)
@given(seed=SEEDS, name=st.text(min_size=1), epoch=st.integers(0, 99))
def test_composition_elementwise(seed: Any, name: str, epoch: int) -> None:
    """Array parts broadcast against each other, and each element is a path of its own."""
    key = ks.key(seed)
    rows, columns = np.array([[3], [0], [2**20]]), np.array([5, 1])
    got = ks.derive(key, name, rows, epoch, columns)
    assert got.shape == (3, 2)
    for i, j in np.ndindex(3, 2):
        path = (name, int(rows[i, 0]), epoch, int(columns[j]))
        oracle.assert_same_keys(got[i, j], oracle.derive(key, *path))


@settings(max_examples=25)
@given(seed=SEEDS, names=st.lists(PARTS, min_size=2, max_size=5, unique_by=lambda p: (type(p), p)))
def test_parts_differ(seed: Any, names: list[Any]) -> None:
    """Different parts give different keys, whatever their types."""
    key = ks.key(seed)
    oracle.assert_distinct(jnp.stack([key, *(ks.derive(key, part) for part in names)]))


def test_parts_that_look_alike() -> None:
    """("ab", "c"), ("a", "bc"), "abc", "1", 1 and b"1" all give different keys."""
    key = ks.key(42)
    paths: list[tuple[Any, ...]] = [("ab", "c"), ("a", "bc"), ("abc",), ("1",), (1,), (b"1",)]
    made = [ks.derive(key, *path) for path in [*paths, ("1", 1), (1, "1"), (b"\x01",), (b"abc",)]]
    oracle.assert_distinct(jnp.stack(made))
    with pytest.raises(AssertionError, match="equal rows"):
        oracle.assert_distinct(jnp.stack([*made, ks.derive(key, "ab", "c")]))


# Law 8: the same under transformation.


def ahead_of_time(f: Any) -> Any:
    made: list[Any] = []

    def call(keys: jax.Array) -> Any:
        if not made:
            made.append(jax.jit(f).lower(keys[0]).compile())
        return jnp.stack([made[0](key) for key in keys])

    return call


def exported(f: Any) -> Any:
    made: list[Any] = []

    def call(keys: jax.Array) -> Any:
        if not made:
            made.append(jax.export.export(jax.jit(f))(keys[0]))
        return jnp.stack([made[0].call(key) for key in keys])

    return call


def vmapped(f: Any) -> Any:
    return jax.jit(jax.vmap(f))


def scanned(f: Any) -> Any:
    return jax.jit(lambda keys: jax.lax.scan(lambda carry, key: (carry, f(key)), 0, keys)[1])


def differentiated(f: Any) -> Any:
    def loss(weight: Any, key: jax.Array) -> Any:
        made = f(key)
        return weight * made.astype(np.float32).sum(), made

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    return lambda keys: jnp.stack([gradient(1.0, key)[1] for key in keys])


def rematerialized(f: Any) -> Any:
    return differentiated(jax.checkpoint(f))


def rematerialized_scan(f: Any) -> Any:
    """Gradient, remat and scan at once, where trying each alone would take too long."""

    def loss(weight: Any, keys: jax.Array) -> Any:
        made = scanned(jax.checkpoint(f))(keys)
        return weight * made.astype(np.float32).sum(), made

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    return lambda keys: gradient(1.0, keys)[1]


def pmapped(f: Any) -> Any:
    return jax.pmap(f, devices=jax.devices()[:2])


def sharded(f: Any) -> Any:
    return jax.jit(
        jax.shard_map(
            lambda keys: f(keys[0])[None],
            mesh=catalogue.mesh(2),
            in_specs=catalogue.P("data"),
            out_specs=catalogue.P("data"),
        )
    )


ALONE = (ahead_of_time, exported, vmapped, scanned, rematerialized, pmapped, sharded)
DEFAULT = (ahead_of_time, exported, vmapped, rematerialized_scan, pmapped, sharded)
TOGETHER = (ahead_of_time, vmapped, rematerialized_scan, sharded)
OVER_DEVICES = (pmapped, sharded)
OVER_LANES = (vmapped,)


def transformable() -> list[tuple[Transform, Row, str]]:
    """Return what is tried: all but what JAX can't do.

    A helper that maps over a mesh of its own can't stand inside another one (the nested form
    is in devices/test_devices.py), nor be exported for one device; draws from rbg keys are another
    function under vmap; philox keys don't compile over several devices.
    """
    found: list[tuple[Transform, Row, str]] = []
    for row, impl in catalogue.pairs():
        for transform in DEFAULT if impl in CIPHER else TOGETHER:
            if row.devices and transform in (*OVER_DEVICES, exported):
                continue
            if row.draws and impl == "rbg" and transform in OVER_LANES:
                continue
            if impl not in MAPPED and transform in OVER_DEVICES:
                continue
            found.append((transform, row, impl))
    return found


def check_transformed(call: Any, row: Row, keys: jax.Array, n: int) -> None:
    """Hold a transformed helper, or a faulty one, against the oracle of each key."""
    got = np.asarray(call(keys))
    oracle.assert_same(got, np.stack([flat(row.want(key, n, 0, bits)) for key in keys]))


def flat(result: Any) -> Any:
    """Join the words of a result, on the host or traced."""
    leaves = jax.tree.leaves(result)
    if isinstance(leaves[0], np.ndarray):
        return np.concatenate([leaf.ravel() for leaf in leaves])
    return jnp.concatenate([leaf.ravel() for leaf in leaves])


@pytest.mark.parametrize(
    ("transform", "row", "impl"),
    default_first(transformable(), slow=(ahead_of_time, pmapped)),
    ids=lambda v: v.__name__ if callable(v) else catalogue.label(v),
)
def test_transformed(transform: Transform, row: Row, impl: str) -> None:
    """A helper gives the keys and bits of its Python loop inside every transformation."""
    n = row.sizes[0] if row.sizes[0] > 1 or len(row.sizes) == 1 else 3
    call = transform(lambda key: flat(row.run(key, n, 0, bits)))

    @settings(max_examples=2)
    @given(seed=SEEDS)
    def holds(seed: Any) -> None:
        check_transformed(call, row, jax.random.split(ks.key(seed, impl=impl)), n)

    holds()


@pytest.mark.parametrize("transform", ALONE, ids=lambda v: v.__name__)
def test_transformed_finds_faults(transform: Transform) -> None:
    """The check of law 8 fails, in every transformation, on a key that was closed over."""
    row, keys = BY_NAME["map"], jax.random.split(ks.key(5))
    closed_over = keys[0]
    call = transform(lambda key: flat(row.run(key, 2, 0, bits)))
    check_transformed(call, row, keys, 2)
    faulty = transform(lambda key: flat(row.run(closed_over, 2, 0, bits)) + 0 * flat(bits(key))[0])
    with pytest.raises(AssertionError, match="differ"):
        check_transformed(faulty, row, keys, 2)


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.draws and r.name != "scan_carried"], ids=catalogue.label
)
def test_differentiable(row: Row) -> None:
    """A derivative passes through the helper, and is that of the Python loop."""
    n, key = row.sizes[-1] if len(row.sizes) == 1 else 2, ks.key(8)

    def total(weight: Any) -> Any:
        return row.run(key, n, 0, lambda key: weight * jax.random.uniform(key, (3,))).sum()

    forward = lambda: jax.jvp(total, (2.0,), (1.0,))[1]
    got = forward() if row.forward else jax.grad(jax.checkpoint(total))(2.0)
    want = row.want(key, n, 0, lambda key: jax.random.uniform(key, (3,))).sum()
    oracle.assert_close(got, want)
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_close(got, want - want / n)


def take(key: jax.Array, ids: Any, start: int) -> Any:
    return jax.random.key_data(ks.Stream(key).skip(start).take(ids.shape[0])[0])


def after_take(key: jax.Array, ids: Any, start: int) -> Any:
    """Return the key after all others, with one in front of it for each of them."""
    keys, stream = ks.Stream(key).skip(start).take(ids.shape[0] - 1)
    return jax.random.key_data(jnp.concatenate([keys, stream.next()[0][None]]))


def of_row(name: str) -> Any:
    return lambda key, ids, start: BY_NAME[name].run(key, ids.shape[0], start, bits)


OPEN_SIZES = {
    **{
        name: of_row(name)
        for name in ("keys", "keys table", "vmap", "vmap axes", "batched", "sample", "scan", "map")
    },
    "take": take,
    "after take": after_take,
}


@pytest.mark.parametrize("start", [0, 2**32 - 2])
@pytest.mark.parametrize("name", OPEN_SIZES)
def test_symbolic_sizes(name: str, start: int) -> None:
    """A program is exported once for all numbers of items, also across 2**32."""
    (size,) = jax.export.symbolic_shape("n")
    run = jax.jit(lambda key, ids: OPEN_SIZES[name](key, ids, start))
    ids = jax.ShapeDtypeStruct((size,), np.int32)
    exported = jax.export.export(run)(ks.key(0), ids)
    want = BY_NAME[name].want if name in BY_NAME else catalogue.words
    for n in (5, 3):
        key = ks.key(n)
        got = exported.call(key, np.arange(n, dtype=np.int32))
        oracle.assert_same(np.asarray(got), want(key, n, start, bits))


def test_symbolic_start() -> None:
    """A path takes ids of any number, and a start or a part may be a size known at run time."""
    (size,) = jax.export.symbolic_shape("n")
    ids = jax.ShapeDtypeStruct((size,), np.int32)
    run = lambda key, ids: (
        jax.random.key_data(ks.keys(key, 2, start=ids.shape[0])),
        jax.random.key_data(ks.derive(key, "a", ids.shape[0])),
        jax.random.key_data(ks.derive(key, ids, "b", ids)),
    )
    exported, key = jax.export.export(jax.jit(run))(ks.key(0), ids), ks.key(3)
    keys, derived, each = exported.call(key, np.arange(4, dtype=np.int32))
    oracle.assert_same(np.asarray(keys), catalogue.words(key, 2, 4, bits))
    oracle.assert_same(np.asarray(derived), oracle.words(oracle.derive(key, "a", 4)))
    want = [oracle.derive(key, i, "b", i) for i in range(4)]
    oracle.assert_same(np.asarray(each), oracle.all_words(want))


@pytest.mark.fast
@PMAP_IN_JIT
@pytest.mark.parametrize("row", ROWS, ids=catalogue.label)
def test_closed_over_key(row: Row) -> None:
    """A concrete key that a jitted function closes over is as good as one passed in."""
    n = row.sizes[0]
    for key in (ks.key(8), jax.device_put(ks.key(8), jax.devices()[0])):
        got = jax.jit(lambda zero, key=key: flat(row.run(key, n, 0, bits)) + zero)(np.uint32(0))
        oracle.assert_same(np.asarray(got), flat(row.want(ks.key(8), n, 0, bits)))


def test_closed_over_key_on_the_host() -> None:
    """What looks at the words of a concrete key does so while something else is traced."""
    key = ks.key(8)
    want = ks.fingerprint(key)

    def traced(x: Any) -> Any:
        assert ks.fingerprint(key) == want
        ks.check_distinct(key)
        ks.check_replicated(key)
        return x

    jax.jit(traced)(1)


def test_keys_pass_through_one_another() -> None:
    """Helpers nest: each item of one helper is the whole key of the next."""

    def inner(key: jax.Array) -> Any:
        return ks.map(lambda key, _: ks.sample(bits, key, 2), jnp.arange(2), key=key)

    def outer(key: jax.Array) -> Any:
        return ks.scan(
            lambda key, c, _: (c, ks.vmap(inner, axis_size=2)(key)), 0, key=key, length=2
        )

    key = ks.key("nested")
    got = jax.jit(lambda key: outer(key)[1])(key)
    for place in np.ndindex(2, 2, 2, 2):
        want = functools.reduce(oracle.child, place, key)
        oracle.assert_same(np.asarray(got[place]), np.asarray(bits(want)))


assert operator.eq(len({row.name for row in ROWS}), len(ROWS)), "two rows of one name"
