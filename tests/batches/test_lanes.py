"""Items in lanes: vmap, batched and sample, whatever the axes, shapes and samplers."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keystream as ks
from keystream._batches import sample as _sample
from tests import catalogue, oracle
from tests.oracle import bits

SEEDS = st.integers(0, 2**64 - 1)


def lane(key: jax.Array, x: Any, y: Any) -> Any:
    """Return the key's bits and what the lane was given, so that a swap would show."""
    return bits(key), x + y


X = np.arange(12, dtype=np.int32).reshape(3, 4)
Y = np.arange(3, dtype=np.int32)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("in_axes", "out_axes"),
    [((0, 0), 0), ((0, None), (0, 1)), ([-2, -1], (1, 0)), (0, -1), ((0, 0), (0, None))],
    ids=str,
)
def test_vmap_axes(in_axes: Any, out_axes: Any) -> None:
    """The axes mean what they mean in jax.vmap over keys and arguments, the key not counted."""
    unmapped = lambda key, x, y: (lane(key, x, y)[0], jnp.ones(2))
    fun = unmapped if out_axes == (0, None) else lane
    call = jax.jit(ks.vmap(fun, in_axes, out_axes))
    axes = (in_axes,) * 2 if isinstance(in_axes, int) else tuple(in_axes)
    by_hand = jax.jit(jax.vmap(fun, (0, *axes), out_axes))

    @settings(max_examples=5)
    @given(seed=SEEDS)
    def holds(seed: int) -> None:
        key = ks.key(seed)
        y = np.int32(5) if axes[1] is None else Y
        keys = jnp.stack(oracle.children(key, range(3)))
        oracle.assert_same(call(key, X, y), by_hand(keys, X, y))

    holds()


def test_vmap_trees_and_keywords() -> None:
    """Trees of arguments take trees of axes, None among them, and keywords go by axis 0."""
    key = ks.key(6)

    def fun(key: jax.Array, tree: Any, *, more: Any) -> Any:
        return bits(key), tree["a"] + tree["b"][0] + more

    call = ks.vmap(fun, in_axes=({"a": 1, "b": (None,)},))
    drawn, total = call(key, {"a": X.T, "b": (np.ones(4, np.int32),)}, more=Y)
    oracle.assert_same(np.asarray(drawn), catalogue.items(key, 3, 0, bits))
    oracle.assert_same(np.asarray(total), X + 1 + Y[:, None])
    nothing = ks.vmap(lambda key, _: bits(key), in_axes=None, axis_size=3)
    oracle.assert_same(np.asarray(nothing(key, X)), np.asarray(drawn))
    named = ks.vmap(
        lambda key: bits(key) + jax.lax.axis_index("i").astype(np.uint32),
        axis_name="i",
        axis_size=3,
    )
    want = catalogue.items(key, 3, 0, bits) + np.arange(3, dtype=np.uint32)[:, None]
    oracle.assert_same(np.asarray(named(key)), want)


def test_vmap_finds_faults() -> None:
    """The checks of lanes fail on a key that all lanes share, and on the first one doubled."""
    key, want = ks.key(6), catalogue.items(ks.key(6), 3, 0, bits)
    shared = jax.vmap(lambda key, _: bits(key), in_axes=(None, 0))(key, Y)
    doubled = jax.vmap(bits)(ks.keys(key, 3)[np.array([0, 0, 1])])
    for faulty in (shared, doubled):
        with pytest.raises(AssertionError, match="differ"):
            oracle.assert_same(np.asarray(faulty), want)


SHAPES = [(), (3,), (0,), (2, 3), (2, 0, 3), (1, 1, 2), (2, 1, 3)]


@pytest.mark.fast
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batched(shape: tuple[int, ...]) -> None:
    """A batched sampler takes a key array of any shape, and every place draws from its key."""
    count = int(np.prod(shape))
    call = jax.jit(ks.batched(lambda key, extra: {"bits": bits(key), "more": extra}))

    @settings(max_examples=4)
    @given(seed=SEEDS)
    def holds(seed: int) -> None:
        key = ks.key(seed)
        got = call(ks.keys(key, shape), jnp.arange(2))
        assert got["bits"].shape == (*shape, 3)
        assert got["more"].shape == (*shape, 2)
        if count:
            want = catalogue.items(key, count, 0, bits).reshape(*shape, 3)
            oracle.assert_same(np.asarray(got["bits"]), want)

    holds()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "batch"),
    [
        *((shape, batch) for shape in (4, *SHAPES, [2, 2], np.int64(3)) for batch in (None, 3)),
        *((shape, batch) for shape in (4, (2, 1, 3)) for batch in (1, 4, 100)),
    ],
    ids=str,
)
def test_sample_shapes(shape: Any, batch: int | None) -> None:
    """A sample of any shape holds one draw per place in C order, in batches that fit or don't."""
    key, sizes = ks.key(6), np.empty(shape).shape
    call = functools.partial(ks.sample, bits, batch_size=batch)
    got = call(key, shape)
    assert got.shape == (*sizes, 3)
    count = int(np.prod(sizes))
    if count:
        want = catalogue.items(key, count, 0, bits).reshape(*sizes, 3)
        oracle.assert_same(np.asarray(got), want)


@pytest.mark.fast
def test_many_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a number of draws they come in batches, on each device of a mesh, and are the same."""
    monkeypatch.setattr(_sample, "MANY", 7)
    monkeypatch.setattr(_sample, "AT_ONCE", 3)
    key, draw = ks.key(6), functools.partial(ks.sample, bits)
    for shape in (7, 8, (2, 5), 64):
        sizes = np.empty(shape).shape
        want = catalogue.items(key, int(np.prod(sizes)), 0, bits).reshape(*sizes, 3)
        for call in (draw, jax.jit(draw, static_argnums=1)):
            oracle.assert_same(np.asarray(call(key, shape)), want)
    loops = {n: "scan" in str(jax.make_jaxpr(lambda k, n=n: draw(k, n))(key)) for n in (7, 8)}
    assert loops == {7: False, 8: True}
    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    place = jax.sharding.NamedSharding(mesh, jax.P("data"))
    placed = lambda key: draw(key, 64, out_sharding=place)
    oracle.assert_same(np.asarray(placed(key)), want)
    assert "scan" in str(jax.make_jaxpr(placed)(key))


class Pair(NamedTuple):
    """A result of a user's own type."""

    key: jax.Array
    draws: Any


@pytest.mark.parametrize("batch", [None, 2, 3])
def test_sample_trees(batch: int | None) -> None:
    """A sampler may return any pytree, keys among its leaves."""
    key = ks.key(6)

    def sampler(key: jax.Array, scale: Any, *, dtype: Any) -> Pair:
        again, use = jax.random.split(key)
        draws = {"u": jax.random.uniform(use, (2,), dtype) * scale, "none": None}
        return Pair(again, draws)

    got = ks.sample(sampler, key, (2, 2), jnp.float16(2), batch_size=batch, dtype=jnp.float16)
    assert isinstance(got, Pair)
    assert got.key.shape == (2, 2)
    want = [
        sampler(one, np.float16(2), dtype=jnp.float16) for one in oracle.children(key, range(4))
    ]
    oracle.assert_same_keys(got.key, [pair.key for pair in want])
    draws = np.stack([np.asarray(pair.draws["u"]) for pair in want]).reshape(2, 2, 2)
    oracle.assert_same(np.asarray(got.draws["u"]), draws)
    assert got.draws["none"] is None


@pytest.mark.parametrize("batch", [None, 2])
def test_sample_arguments(batch: int | None) -> None:
    """The sampler's own shape=, tuples and dtypes stay static; arrays may be traced."""
    key, one = ks.key(6), oracle.children(ks.key(6), range(3))
    call = functools.partial(ks.sample, batch_size=batch)
    uniform = call(jax.random.uniform, key, 3, shape=(2, 2), dtype=jnp.float16)
    want = oracle.draws(lambda k: jax.random.uniform(k, (2, 2), jnp.float16), one)
    oracle.assert_same(np.asarray(uniform), want)
    positional = call(jax.random.uniform, key, 3, (2, 2), jnp.float16)
    oracle.assert_same(np.asarray(positional), want)
    ints = jax.jit(lambda key, low: call(jax.random.randint, key, 3, (2,), low, 900))(key, 5)
    want = oracle.draws(lambda k: jax.random.randint(k, (2,), 5, 900), one)
    oracle.assert_same(np.asarray(ints), want)
    table = call(jax.random.permutation, key, 3, np.arange(5, dtype=np.int32), independent=True)
    want = oracle.draws(lambda k: jax.random.permutation(k, np.arange(5, dtype=np.int32)), one)
    oracle.assert_same(np.asarray(table), want)


@pytest.mark.parametrize("batch", [None, 2])
def test_sample_keeps_wide_arguments(batch: int | None) -> None:
    """A NumPy array of int64 ids reaches the sampler with all its bits."""
    key, ids = ks.key(6), np.array([2**40, -(2**35)])

    def sampler(key: jax.Array, ids: Any) -> Any:
        return ks.derive(key, ids)

    got = ks.sample(sampler, key, 3, ids, batch_size=batch)
    want = [oracle.derive(key, i, int(j)) for i in range(3) for j in ids]
    oracle.assert_same_keys(got, want)


def test_sample_arguments_that_look_alike() -> None:
    """Static arguments that Python calls equal, like 3 and 3.0 and True, are not mixed up."""
    key = ks.key(6)

    def tell(key: jax.Array, value: Any) -> Any:
        del key
        return jnp.asarray(value)

    for value in (1, 1.0, True, 1, 0.0, -0.0, np.float32(1), np.arange(2), np.arange(2.0)):
        got = ks.sample(tell, key, 3, value, batch_size=2)
        want = ks.sample(tell, key, 3, value)
        oracle.assert_same(np.asarray(got), np.asarray(want))
        assert np.array_equal(
            np.signbit(np.asarray(got, float)), np.signbit(np.asarray(want, float))
        )


@pytest.mark.parametrize("batch", [None, 3])
def test_sample_gradient(batch: int | None) -> None:
    """A gradient passes through a sample to its arguments, in batches too."""
    key = ks.key(6)

    def sampler(key: jax.Array, scale: Any) -> Any:
        return scale * jax.random.uniform(key, (2,))

    def loss(scale: Any) -> Any:
        return ks.sample(sampler, key, (2, 2), scale, batch_size=batch).sum()

    want = catalogue.items(key, 4, 0, lambda key: jax.random.uniform(key, (2,))).sum()
    oracle.assert_close(jax.grad(loss)(3.0), want)
    oracle.assert_close(jax.jit(jax.grad(loss))(3.0), want)
    oracle.assert_close(jax.jvp(loss, (3.0,), (1.0,))[1], want)


def check_memory(call: Any, key: jax.Array, result: int) -> None:
    """Ask the compiler how much a draw needs beside its result, without running it."""
    analysis = jax.jit(call).lower(key).compile().memory_analysis()
    assert analysis.output_size_in_bytes <= result + 4096, analysis
    assert analysis.temp_size_in_bytes <= 2**24, f"{analysis.temp_size_in_bytes} bytes of buffers"


@pytest.mark.fast
def test_sample_memory() -> None:
    """10**8 draws of a float in batches need the result and a small buffer."""
    total = 10**8
    for batch in (None, 2**16):
        draw = functools.partial(ks.sample, jax.random.normal, batch_size=batch)
        check_memory(lambda key, draw=draw: draw(key, total), ks.key(6), 4 * total)
    table = lambda key: ks.sample(jax.random.uniform, key, (10**4, 10**4), batch_size=10**5)
    check_memory(table, ks.key(6), 4 * total)


def test_check_of_memory_finds_faults() -> None:
    """The check of memory fails on lax.map in batches, which joins its parts, and on one batch."""
    total = 10**8 + 1  # not a multiple of the batch

    def joined(key: jax.Array) -> Any:
        keys = ks.keys(key, total)
        return jax.lax.map(jax.random.uniform, keys, batch_size=2**16)

    at_once = functools.partial(ks.sample, jax.random.uniform, batch_size=total)
    for wrong in (joined, lambda key: at_once(key, total)):
        with pytest.raises(AssertionError, match="bytes of buffers"):
            check_memory(wrong, ks.key(6), 4 * total)


@pytest.mark.parametrize("form", ["plain", "batches", "mesh"])
def test_numpy_arrays(form: str) -> None:
    """A sampler may index a NumPy array by what it draws, and may need another one's values."""
    rows, sizes = np.arange(10, dtype=np.float32), np.array([3, 2])
    place = jax.sharding.NamedSharding(catalogue.mesh(2), jax.P("data"))
    options: Any = {"plain": {}, "batches": {"batch_size": 3}, "mesh": {"out_sharding": place}}

    def resampled(key: jax.Array, rows: Any) -> Any:
        return rows[jax.random.randint(key, (5,), 0, 10)]

    def shaped(key: jax.Array, sizes: Any) -> Any:
        return jax.random.bits(key, tuple(int(size) for size in sizes))

    for sampler, array in ((resampled, rows), (shaped, sizes)):
        got = ks.sample(sampler, ks.key(7), 8, array, **options[form])
        given = jnp.asarray(array) if array is rows else array
        want = jnp.stack([sampler(key, given) for key in ks.keys(ks.key(7), 8)])
        oracle.assert_same(np.asarray(got), np.asarray(want))


@pytest.mark.parametrize("call", [ks.sample, ks.vmap, ks.batched], ids=lambda f: f.__name__)
def test_rbg_is_refused(call: Any) -> None:
    """Keys of rbg, of which under vmap only the first draws, are refused with the way round."""
    key = ks.key(6, impl="rbg")
    calls = {
        ks.sample: lambda: ks.sample(bits, key, 3),
        ks.vmap: lambda: ks.vmap(bits, axis_size=3)(key),
        ks.batched: lambda: ks.batched(bits)(ks.keys(key, 3)),
    }
    with pytest.raises(ks.KeyImplError, match=r"ks\.map"):
        calls[call]()
    got = ks.map(lambda key, _: bits(key), jnp.arange(3), key=key)
    oracle.assert_same(np.asarray(got), catalogue.items(key, 3, 0, bits))
