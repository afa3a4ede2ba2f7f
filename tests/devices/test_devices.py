"""Items on eight simulated devices: the same keys on every mesh, and nothing is sent."""

from __future__ import annotations

import functools
import re
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import AxisType, NamedSharding

import keystream as ks
from keystream import _compat
from keystream._keys import placement as _placement
from tests import catalogue, oracle
from tests.oracle import bits
from tests.speed.test_reach import programs

P = jax.P
SEEDS = st.integers(0, 2**64 - 1)
KINDS = (AxisType.Auto, AxisType.Explicit)
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@functools.cache
def grid(kind: AxisType, rows: int = 4, columns: int = 2) -> jax.sharding.Mesh:
    """Return a mesh of two axes, data and model."""
    devices = jax.devices()[: rows * columns]
    return jax.make_mesh((rows, columns), ("data", "model"), (kind,) * 2, devices=devices)


@functools.cache
def line(kind: AxisType, size: int = 4) -> jax.sharding.Mesh:
    return catalogue.mesh(size, kind)


# shard_map


def expected(key: jax.Array, vary: tuple[str, ...]) -> np.ndarray:
    """Return the bits of each shard of the grid in a Python loop over its 4 x 2 places."""
    sizes, found = {"data": 4, "model": 2}, []
    for place in np.ndindex(4, 2):
        at = dict(zip(("data", "model"), place, strict=True))
        number = 0
        for axis in vary:
            number = number * sizes[axis] + at[axis]
        found.append(oracle.child(key, number) if vary else key)
    return oracle.draws(bits, found).reshape(4, 2, 3)


def check_shards(mapped: Any, key: jax.Array, vary: tuple[str, ...]) -> None:
    """Hold what a mapped function, or a faulty one, drew on each shard against the loop."""
    oracle.assert_same(np.asarray(mapped(key)), expected(key, vary))


def draw_on_shard(key: jax.Array) -> jax.Array:
    return bits(key)[None, None]


VARY = [("data",), ("model",), ("data", "model"), ("model", "data"), ()]


@pytest.mark.fast
@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("vary", VARY, ids=str)
@kinds
def test_shard_map(kind: AxisType, vary: tuple[str, ...], check_vma: bool) -> None:
    """Shard i over the axes in vary, in their order, draws from child i; () shares the key."""
    body = draw_on_shard
    if check_vma:  # Shards that share a key draw the same, so P("data", "model") wants a cast.
        missing = tuple({"data", "model"} - set(vary))
        body = lambda key: (
            _compat.vary(draw_on_shard(key), missing) if missing else (draw_on_shard(key))
        )
    call = ks.shard_map(
        body,
        mesh=grid(kind),
        in_specs=(),
        out_specs=P("data", "model"),
        vary=vary,
        check_vma=check_vma,
    )
    jitted = jax.jit(call)
    check_shards(call, ks.key(1), vary)

    @settings(max_examples=5)
    @given(seed=SEEDS)
    def holds(seed: int) -> None:
        check_shards(jitted, ks.key(seed), vary)

    holds()


def test_shard_map_finds_a_fault() -> None:
    """The check of shards fails where the index of one axis is forgotten, and counts are off."""

    def ignores_an_axis(key: jax.Array) -> jax.Array:
        return draw_on_shard(jax.random.fold_in(key, lax.axis_index("data")))

    def off_by_one(key: jax.Array) -> jax.Array:
        return draw_on_shard(jax.random.fold_in(key, lax.axis_index(("data", "model")) + 1))

    for faulty in (ignores_an_axis, off_by_one, draw_on_shard):
        mapped = jax.shard_map(
            faulty,
            mesh=grid(AxisType.Auto),
            in_specs=P(),
            out_specs=P("data", "model"),
            check_vma=False,
        )
        with pytest.raises(AssertionError, match="differ"):
            check_shards(jax.jit(mapped), ks.key(1), ("data", "model"))


@kinds
def test_shard_map_arguments(kind: AxisType) -> None:
    """The specs speak of the arguments after the key, trees of them too."""
    mesh, key = line(kind), ks.key(3)

    def body(key: jax.Array, batch: Any, scale: Any) -> Any:
        return {"y": batch["x"] * scale, "bits": bits(key)[None]}

    call = ks.shard_map(
        body,
        mesh=mesh,
        in_specs=({"x": P("data")}, P()),
        out_specs={"y": P("data"), "bits": P("data")},
        vary="data",
    )
    x = jnp.arange(8.0)
    if kind == AxisType.Explicit:
        x = jax.device_put(x, NamedSharding(mesh, P("data")))
    for run in (call, jax.jit(call)):
        got = run(key, {"x": x}, jnp.float32(2))
        oracle.assert_same(np.asarray(got["y"]), np.arange(0, 16, 2, dtype=np.float32))
        oracle.assert_same(np.asarray(got["bits"]), catalogue.items(key, 4, 0, bits))


@pytest.mark.parametrize("specs", [{"in_specs": P("data")}, {"out_specs": P("data")}])
def test_axes_that_are_mapped_already(specs):
    """Inside of a mapped body, a spec that names one of its axes is refused, by JAX."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), (jax.sharding.AxisType.Auto,) * 2)
    specs = {"in_specs": P(), "out_specs": P(), **specs}

    def body(key):
        inner = ks.shard_map(lambda _, x: x, vary=(), check_vma=False, **specs)
        return inner(key, jnp.arange(8))

    outer = jax.shard_map(body, mesh=mesh, in_specs=P(), out_specs=P(), axis_names={"data"})
    with pytest.raises(ValueError, match="data"):
        jax.jit(outer)(ks.key(0))


@kinds
def test_shard_map_nests(kind: AxisType) -> None:
    """Without mesh= it takes the mesh in context, so one stands inside another's body.

    One axis may be named without a set.
    """
    mesh, key = grid(kind), ks.key(3)

    def outer(key: jax.Array) -> jax.Array:
        inner = ks.shard_map(
            draw_on_shard,
            in_specs=(),
            out_specs=P(None, "model"),
            vary="model",
            axis_names="model",
        )
        return inner(key)

    call = ks.shard_map(
        outer,
        mesh=mesh,
        in_specs=(),
        out_specs=P("data"),
        vary="data",
        axis_names={"data"},
    )
    want = [oracle.derive(key, i, j) for i, j in np.ndindex(4, 2)]
    got = np.asarray(jax.jit(call)(key))
    oracle.assert_same(got, oracle.draws(bits, want).reshape(4, 2, 3))


@pytest.mark.parametrize("jitted", [False, True])
@kinds
def test_mesh_in_context(kind: AxisType, jitted: bool) -> None:
    """Under jax.set_mesh no mesh has to be named, and shardings are PartitionSpecs."""
    key, mesh = ks.key(3), line(kind)
    want = catalogue.items(key, 8, 0, bits)
    with jax.set_mesh(mesh):
        mapped = ks.shard_map(
            lambda key: bits(key)[None], in_specs=(), out_specs=P("data"), vary="data"
        )
        drawn = lambda key: ks.sample(bits, key, 8, out_sharding=P("data"), batch_size=3)
        made = lambda key: jax.random.key_data(ks.keys(key, 8, out_sharding=P("data")))
        wrap = jax.jit if jitted else lambda f: f
        got = wrap(mapped)(key), wrap(drawn)(key), wrap(made)(key)
    oracle.assert_same(np.asarray(got[0]), want[:4])
    oracle.assert_same(np.asarray(got[1]), want)
    oracle.assert_same(np.asarray(got[2]), catalogue.words(key, 8, 0, bits))


@pytest.mark.fast
def test_derived_keys_vary() -> None:
    """Under check_vma=True JAX refuses to take draws that differ by shard for equal ones."""
    mesh, key = line(AxisType.Auto), ks.key(3)
    names: list[tuple[Any, ...]] = [(), ("name",), (2**40,), (-1,)]
    for path in names:

        def varies(key: jax.Array, path: tuple[Any, ...] = path) -> jax.Array:
            return bits(ks.derive(key, lax.axis_index("data"), *path))

        def shared(key: jax.Array, path: tuple[Any, ...] = path) -> jax.Array:
            return bits(ks.derive(key, *path))

        place = functools.partial(jax.shard_map, mesh=mesh, in_specs=P(), out_specs=P())
        with pytest.raises(ValueError, match=r"out_specs|replicat|var"):
            jax.jit(place(varies))(key)
        got = jax.jit(place(shared))(key)  # the planted opposite: equal keys pass
        oracle.assert_same(np.asarray(got), np.asarray(bits(oracle.derive(key, *path))))


def test_own_index_varies() -> None:
    """The key that shard_map and for_axis hand out counts as varying, () as shared."""
    mesh, key = line(AxisType.Auto), ks.key(3)
    place = functools.partial(ks.shard_map, mesh=mesh, in_specs=(), out_specs=P())
    with pytest.raises(ValueError, match=r"out_specs|replicat|var"):
        place(bits, vary="data")(key)
    oracle.assert_same(np.asarray(place(bits, vary=())(key)), np.asarray(bits(key)))
    with pytest.raises(ValueError, match=r"out_specs|replicat|var"):
        place(lambda key: bits(ks.for_axis(key, "data")), vary=())(key)


def test_samplers_that_loop() -> None:
    """A sampler that JAX can't check for varying axes is JAX's error; unchecked it draws."""
    mesh, key = line(AxisType.Auto), ks.key(3)
    build = functools.partial(
        ks.shard_map,
        lambda key: jax.random.binomial(key, 10, 0.5, (2,))[None],
        mesh=mesh,
        in_specs=(),
        out_specs=P("data"),
        vary="data",
    )
    with pytest.raises(TypeError, match="carry"):
        build()(key)
    got = np.asarray(build(check_vma=False)(key))
    want = oracle.draws(
        lambda key: jax.random.binomial(key, 10, 0.5, (2,)), oracle.children(key, range(4))
    )
    oracle.assert_close(got, want)


# for_axis, for_process


@pytest.mark.parametrize("axis", ["data", "model", ("data", "model"), ("model", "data")], ids=str)
@pytest.mark.parametrize("check_vma", [True, False])
def test_for_axis_in_shard_map(axis: Any, check_vma: bool) -> None:
    """for_axis gives a shard its child by its index along one axis, or several in order."""
    names = (axis,) if isinstance(axis, str) else axis
    missing = tuple({"data", "model"} - set(names)) if check_vma else ()

    def body(key: jax.Array) -> jax.Array:
        drawn = draw_on_shard(ks.for_axis(key, axis))
        return _compat.vary(drawn, missing) if missing else drawn

    mapped = jax.shard_map(
        body,
        mesh=grid(AxisType.Auto),
        in_specs=P(),
        out_specs=P("data", "model"),
        check_vma=check_vma,
    )
    check_shards(jax.jit(mapped), ks.key(9), names)


def test_for_axis_elsewhere() -> None:
    """for_axis numbers the lanes of a vmap, the devices of a pmap, and both at once."""
    key, zeros = ks.key(9), jnp.zeros((4, 3))
    lane = jax.vmap(lambda _: bits(ks.for_axis(key, "lane")), axis_name="lane")
    oracle.assert_same(np.asarray(lane(zeros[0])), catalogue.items(key, 3, 0, bits))
    device = jax.pmap(
        lambda _: bits(ks.for_axis(key, "d")), axis_name="d", devices=jax.devices()[:4]
    )
    oracle.assert_same(np.asarray(device(zeros)), catalogue.items(key, 4, 0, bits))
    both = jax.pmap(
        jax.vmap(lambda _: bits(ks.for_axis(key, ("d", "lane"))), axis_name="lane"),
        axis_name="d",
        devices=jax.devices()[:4],
    )
    want = catalogue.items(key, 12, 0, bits).reshape(4, 3, 3)
    oracle.assert_same(np.asarray(both(zeros)), want)


@pytest.mark.parametrize("axis", ["nowhere", ("data", "nowhere")], ids=str)
def test_for_axis_unknown(axis: Any) -> None:
    """An axis that isn't mapped is an error that lists those that are."""
    mapped = jax.shard_map(
        lambda key: bits(ks.for_axis(key, axis))[None],
        mesh=line(AxisType.Auto),
        in_specs=P(),
        out_specs=P("data"),
    )
    with pytest.raises(ks.MeshAxisError, match="'data'"):
        mapped(ks.key(9))


def test_for_process() -> None:
    """With a single process, for_process gives child 0, eager and under jit."""
    key = ks.key(9)
    oracle.assert_same_keys(ks.for_process(key), [oracle.child(key, 0)])
    oracle.assert_same_keys(jax.jit(ks.for_process)(key), [oracle.child(key, 0)])


# pmap


@pytest.mark.fast
@pytest.mark.parametrize("devices", [1, 2, 8])
def test_pmap(devices: int) -> None:
    """Lane i of pmap draws from child i, with mapped arguments and without."""
    where, key = jax.devices()[:devices], ks.key(9)
    want = catalogue.items(key, devices, 0, bits)
    oracle.assert_same(np.asarray(ks.pmap(bits, devices=where)(key)), want)
    add = ks.pmap(lambda key, x, y: (bits(key), x + y), in_axes=(0, None), devices=where)
    x = jnp.arange(devices)
    for seed in range(3):
        key = ks.key(seed)
        drawn, total = add(key, x, jnp.int32(5))
        oracle.assert_same(np.asarray(drawn), catalogue.items(key, devices, 0, bits))
        oracle.assert_same(np.asarray(total), np.arange(devices, dtype=np.int32) + 5)


def test_pmap_argument_numbers() -> None:
    """The argument numbers of pmap count without the key, from the end too."""
    key = ks.key(9)
    for number in (1, -1):
        call = ks.pmap(
            lambda key, x, static: (bits(key), x * len(static)),
            in_axes=(0, None),
            static_broadcasted_argnums=number,
            devices=jax.devices()[:4],
        )
        drawn, scaled = call(key, jnp.ones(4), "abc")
        oracle.assert_same(np.asarray(drawn), catalogue.items(key, 4, 0, bits))
        oracle.assert_same(np.asarray(scaled), np.full(4, 3, np.float32))
    sized = ks.pmap(bits, axis_size=2, devices=jax.devices()[:2])
    oracle.assert_same(np.asarray(sized(key)), catalogue.items(key, 2, 0, bits))
    whole = ks.pmap(bits)
    oracle.assert_same(np.asarray(whole(key)), catalogue.items(key, 8, 0, bits))


def test_pmap_is_jax_pmap() -> None:
    """Axes may be trees, as in jax.pmap, and what jax.pmap refuses is refused in its words."""
    key, four = ks.key(9), jax.devices()[:4]
    add = lambda key, tree: (bits(key), tree["a"] + 1)
    drawn, total = ks.pmap(add, in_axes=({"a": 0},), devices=four)(key, {"a": jnp.zeros(4)})
    oracle.assert_same(np.asarray(drawn), catalogue.items(key, 4, 0, bits))
    oracle.assert_same(np.asarray(total), np.ones(4, np.float32))
    with pytest.raises(ValueError, match="non-empty") as refused:
        ks.pmap(bits, devices=[])(key)
    assert not isinstance(refused.value, ks.KeystreamError)


def test_pmap_again() -> None:
    """Calling what pmap returned again, with another key, compiles nothing."""
    call, keys, xs = ks.pmap(lambda key, x: x + bits(key)[0]), ks.split(ks.key(1), 4), np.arange(8)
    jax.block_until_ready(call(keys[0], xs))
    assert [programs(lambda key=key: call(key, xs)) for key in keys[1:]] == [0, 0, 0]


# Keys that lie elsewhere


@kinds
def test_committed_keys(kind: AxisType) -> None:
    """A key that is committed to another device is placed where it is needed."""
    key = ks.key(9)
    mesh = line(kind)
    sharding = NamedSharding(mesh, P("data"))
    away = [
        jax.device_put(key, jax.devices()[6]),
        jax.device_put(key, NamedSharding(grid(kind), P())),
        jax.device_put(key, NamedSharding(line(kind, 2), P())),
    ]
    want = catalogue.items(key, 4, 0, bits)
    call = ks.shard_map(
        lambda key: bits(key)[None], mesh=mesh, in_specs=(), out_specs=P("data"), vary="data"
    )
    for one in away:
        oracle.assert_same(np.asarray(call(one)), want)
        oracle.assert_same(np.asarray(ks.pmap(bits, devices=jax.devices()[:4])(one)), want)
        oracle.assert_same(np.asarray(ks.sample(bits, one, 4, out_sharding=sharding)), want)
        oracle.assert_same_keys(ks.keys(one, 4, out_sharding=sharding), ks.keys(key, 4))
        oracle.assert_same_keys(ks.shard_keys(one, mesh, P("data")), ks.keys(key, 4))
        oracle.assert_same_keys(ks.keys(one, 4), ks.keys(key, 4))
        oracle.assert_same_keys(ks.derive(one, "name", 3), ks.derive(key, "name", 3))


# shard_keys, check_distinct, check_replicated


@kinds
@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (P("data"), (4,)),
        (P("data", "model"), (4, 2)),
        (P(("data", "model")), (8,)),
        (P(("model", "data")), (8,)),
        (P("model", None), (2, 1)),
        (P(None, "model"), (1, 2)),
        (P(), ()),
    ],
    ids=str,
)
def test_shard_keys(kind: AxisType, spec: Any, shape: tuple[int, ...]) -> None:
    """There is one key per shard along each dimension of the spec, child i in C order."""
    key, mesh = ks.key(9), grid(kind)
    made = ks.shard_keys(key, mesh, spec)
    assert made.shape == shape
    assert made.sharding.is_equivalent_to(NamedSharding(mesh, spec), len(shape))
    oracle.assert_same_keys(made, oracle.children(key, range(int(np.prod(shape)))))
    ks.check_distinct(made)
    ks.check_replicated(made)


@kinds
def test_check_distinct(kind: AxisType) -> None:
    """check_distinct passes keys that differ, and names the places of two that don't."""
    mesh, key = grid(kind), ks.key(9)
    good = ks.shard_keys(key, mesh, P("data", "model"))
    ks.check_distinct(good)
    ks.check_distinct(jax.device_put(key, NamedSharding(mesh, P())))  # copies of one key
    sharding = NamedSharding(mesh, P("data", "model"))
    reused = jax.device_put(jnp.broadcast_to(key, (4, 2)), sharding)
    forgot = jnp.stack([oracle.child(key, i) for i, _ in np.ndindex(4, 2)]).reshape(4, 2)
    for bad in (reused, jax.device_put(forgot, sharding)):
        with pytest.raises(ks.KeysEqualError, match=r"\[0, 0\] on .* and \[0, 1\] on"):
            ks.check_distinct(bad)


def replicas(words: list[np.ndarray], dtype: Any) -> jax.Array:
    """Return an array that claims to be replicated over devices that hold these."""
    devices = jax.devices()[: len(words)]
    mesh = jax.make_mesh((len(words),), ("x",), axis_types=(AxisType.Auto,), devices=devices)
    parts = [jax.device_put(one, device) for one, device in zip(words, devices, strict=True)]
    whole = jax.make_array_from_single_device_arrays(
        words[0].shape, NamedSharding(mesh, P()), parts
    )
    return jax.random.wrap_key_data(whole, dtype=dtype)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_check_distinct_looks_at_every_copy(impl: str) -> None:
    """A repeat in one device's copy is found, and copies of one key are no repeat."""
    keys = ks.keys(ks.key(9, impl=impl), 4)
    good = oracle.words(keys)
    bad = good.copy()
    bad[3] = good[1]
    ks.check_distinct(replicas([good, good, good], keys.dtype))
    with pytest.raises(ks.KeysEqualError, match=r"\[1\] on cpu:0 and \[3\] on cpu:2"):
        ks.check_distinct(replicas([good, good, bad], keys.dtype))
    with pytest.raises(ks.KeysDifferError, match=r"a key at \[3\] on cpu:0 .* from cpu:2\."):
        ks.check_replicated(replicas([good, good, bad], keys.dtype))


def test_check_distinct_of_a_million() -> None:
    """A million keys are compared in a moment, and one pair among them is found."""
    keys = ks.keys(ks.key(9), 10**6)
    words = oracle.words(keys).copy()
    words[777_777] = words[5]
    bad = jax.random.wrap_key_data(words)
    begin = time.perf_counter()
    ks.check_distinct(keys)
    ks.check_replicated(keys)
    with pytest.raises(ks.KeysEqualError, match=r"\[5\] on cpu:0 and \[777777\] on cpu:0\."):
        ks.check_distinct(bad)
    # Some 1.5 s where much else runs; it was 22 s.
    assert time.perf_counter() - begin < 8


def test_check_replicated() -> None:
    """check_replicated passes equal copies, and names the devices of a copy that differs."""
    mesh, key = line(AxisType.Auto), ks.key(9)
    everywhere = NamedSharding(mesh, P())
    ks.check_replicated(jax.device_put(key, everywhere))
    ks.check_replicated(key)
    words = oracle.words(key)
    parts = [jax.device_put(words, device) for device in mesh.devices]
    parts[2] = jax.device_put(oracle.words(oracle.child(key, 0)), mesh.devices[2])
    torn = jax.make_array_from_single_device_arrays(words.shape, everywhere, parts)
    with pytest.raises(ks.KeysDifferError, match=re.escape(str(mesh.devices[2]))):
        ks.check_replicated(jax.random.wrap_key_data(torn, impl=jax.random.key_impl(key)))


# keys and sample over a mesh

SPECS = [
    ((8,), P("data")),
    ((8,), P(("data", "model"))),
    ((8,), P(("model", "data"))),
    ((2, 4), P("model", "data")),
    ((3, 2), P(None, "model")),
    ((4, 3, 2), P("data", None, "model")),
    ((4, 2), P()),
    ((), P()),
]


@functools.cache
def placed(kind: AxisType, shape: tuple[int, ...], spec: Any, batch: int | None) -> Any:
    sharding = NamedSharding(grid(kind), spec)
    return jax.jit(
        lambda key, start: ks.sample(
            bits, key, shape, start=start, batch_size=batch, out_sharding=sharding
        )
    )


@pytest.mark.parametrize(("shape", "spec"), SPECS, ids=str)
@pytest.mark.parametrize(
    ("kind", "batch"), [(AxisType.Auto, None), (AxisType.Explicit, 3)], ids=str
)
def test_sample_over_mesh(
    kind: AxisType, shape: tuple[int, ...], spec: Any, batch: int | None
) -> None:
    """On a mesh, whatever its axes, spec and batches, draw i is from child start + i."""
    total, sharding = int(np.prod(shape)), NamedSharding(grid(kind), spec)
    call = placed(kind, shape, spec, batch)

    for start in (0, 3, 2**31 - 3):
        key = ks.key(start)
        got = call(key, np.int32(start))
        assert got.sharding.is_equivalent_to(sharding, got.ndim), got.sharding
        assert got.shape == (*shape, 3)
        want = catalogue.items(key, total, start, bits)
        oracle.assert_same(np.asarray(got).reshape(-1, 3), want)


@pytest.mark.parametrize(("shape", "spec"), SPECS, ids=str)
@kinds
def test_keys_over_mesh(kind: AxisType, shape: tuple[int, ...], spec: Any) -> None:
    """On a mesh, key i is child start + i, eager and under jit, laid out as asked for."""
    total, sharding = int(np.prod(shape)), NamedSharding(grid(kind), spec)
    for start, key in ((0, ks.key(1)), (2**32 - 2, ks.key(2)), (2**62, ks.key(3))):
        call = functools.partial(ks.keys, start=start, out_sharding=sharding)
        for made in (call(key, shape), jax.jit(call, static_argnums=1)(key, shape)):
            assert made.shape == shape
            assert made.sharding.is_equivalent_to(sharding, len(shape)), made.sharding
            oracle.assert_same_keys(made, oracle.children(key, range(start, start + total)))


def test_check_of_meshes_finds_a_fault() -> None:
    """The check of draws over a mesh fails where each device counts from 0."""
    key = ks.key(9)
    faulty = jax.shard_map(
        lambda key: jax.vmap(bits)(jax.random.split(key, 2)),
        mesh=line(AxisType.Auto),
        in_specs=P(),
        out_specs=P("data"),
        check_vma=False,
    )
    with pytest.raises(AssertionError, match="differ"):
        oracle.assert_same(np.asarray(jax.jit(faulty)(key)), catalogue.items(key, 8, 0, bits))


@pytest.mark.parametrize(("devices", "batch"), [(1, 2), (2, 2), (4, 1), (8, None), (8, 1)])
def test_device_count_changes_nothing(devices: int, batch: int | None) -> None:
    """A sample is the same on 1, 2, 4 and 8 devices."""
    key = ks.key(devices)
    sharding = NamedSharding(line(AxisType.Auto, devices), P("data"))
    got = ks.sample(bits, key, 8, out_sharding=sharding, batch_size=batch)
    oracle.assert_same(np.asarray(got), catalogue.items(key, 8, 0, bits))


@pytest.mark.parametrize("mesh", [False, True])
def test_batches_save_memory(mesh: bool) -> None:
    """A batch at a time needs a small part of the memory of all draws, on a mesh too."""
    sharding = NamedSharding(line(AxisType.Auto), P("data")) if mesh else None

    def median(key: jax.Array) -> jax.Array:
        return jnp.sort(jax.random.uniform(key, (4096,)))[2048]

    def memory(batch: int | None) -> int:
        call = lambda key: ks.sample(median, key, 512, batch_size=batch, out_sharding=sharding)
        return int(jax.jit(call).lower(ks.key(1)).compile().memory_analysis().temp_size_in_bytes)

    assert memory(None) > 10 * memory(1)


LARGE = (2**17, 2**17)


def test_positions_of_large_shapes() -> None:
    """Where a shape has more than 2**32 items, a shard counts its own with all 64 bits."""
    sharding = NamedSharding(grid(AxisType.Auto), P("data", "model"))
    place = _placement.resolve(LARGE, sharding)

    def shard(number: jax.Array) -> Any:
        at = _placement.positions(place, None, number)
        return jnp.stack([at.hi, at.lo])[None, None]

    mesh, spec = sharding.mesh, sharding.spec
    mapped = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=P(), out_specs=spec, check_vma=False))
    for index in (0, 65537, 2**31 - 1):
        words = np.asarray(mapped(np.uint32(index))).astype(np.uint64)
        row, column = divmod(index, 2**16)
        for i, j in np.ndindex(4, 2):
            hi, lo = words[i, j].tolist()
            assert hi << 32 | lo == (i * 2**15 + row) * 2**17 + j * 2**16 + column


@given(index=st.integers(0, 2**32 - 1), stride=st.integers(0, 2**63 - 1))
@example(index=2**32 - 1, stride=2**63 - 1)
@example(index=2**32 - 1, stride=2**32 - 1)
@example(index=0x10001, stride=0xFFFF)
def test_positions_are_exact(index: int, stride: int) -> None:
    """An index times a stride is exact modulo 2**64, or modulo 2**32 where that is enough."""
    made = _placement.multiply(np.array([index], np.uint32), stride, narrow=False)
    assert int(made.hi[0]) << 32 | int(made.lo[0]) == index * stride % 2**64
    small = _placement.multiply(np.array([index], np.uint32), stride, narrow=True)
    assert (small.hi, int(small.lo[0])) == (None, index * stride % 2**32)


def test_uneven_shape_is_refused() -> None:
    """A shape that the mesh doesn't divide is refused with one that it does."""
    sharding = NamedSharding(line(AxisType.Auto), P("data"))
    for call in (ks.keys, functools.partial(ks.sample, bits)):
        with pytest.raises(ks.ArgumentValueError, match=r"shape = \(12,\)"):
            call(ks.key(1), 10, out_sharding=sharding)


# Nothing is sent

COLLECTIVES = re.compile(
    r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
)


def rejecting(key: jax.Array) -> jax.Array:
    """Draw until a draw is above three quarters, as users' own samplers do."""

    def more(state: Any) -> Any:
        return state[1] < 0.75

    def again(state: Any) -> Any:
        key, use = jax.random.split(state[0])
        return key, jax.random.uniform(use)

    return lax.while_loop(more, again, (key, jnp.float32(0)))[1]


SAMPLERS: dict[str, Any] = {
    "normal": jax.random.normal,
    "poisson": lambda key: jax.random.poisson(key, 20.0),
    "gamma": lambda key: jax.random.gamma(key, 2.5),
    "binomial": lambda key: jax.random.binomial(key, 10.0, 0.4),
    "rejecting": rejecting,
}


def check_no_collectives(call: Any, key: jax.Array) -> None:
    """Look for communication in what XLA made of a call."""
    text = jax.jit(call).lower(key).compile().as_text()
    assert text, "no HLO"
    found = sorted(set(COLLECTIVES.findall(text)))
    assert not found, f"it communicates: {found}"


LAYOUTS = [(AxisType.Auto, None), (AxisType.Explicit, 3)]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("kind", "batch"), LAYOUTS, ids=str)
def test_no_collectives(sampler: str, kind: AxisType, batch: int | None) -> None:
    """Drawing over a mesh sends nothing, also where samplers reject and in batches."""
    draw, key = SAMPLERS[sampler], ks.key(4)
    sharding = NamedSharding(grid(kind), P("data", "model"))
    call = lambda key: ks.sample(draw, key, (8, 4), out_sharding=sharding, batch_size=batch)
    check_no_collectives(call, key)
    got = np.asarray(jax.jit(call)(key)).ravel()
    want = oracle.draws(draw, oracle.children(key, range(0, 32, 9)))
    oracle.assert_close(got[::9], want)


@pytest.mark.parametrize("spec", [P("data"), P(None, "model"), P(("model", "data"))], ids=str)
def test_no_collectives_for_other_specs(spec: Any) -> None:
    """Neither keys nor draws are sent around, whatever dimensions the spec cuts."""
    shape = (8,) if len(spec) == 1 else (3, 4)
    for kind in KINDS:
        sharding = NamedSharding(grid(kind), spec)
        check_no_collectives(
            lambda key, s=sharding: ks.sample(rejecting, key, shape, out_sharding=s), ks.key(4)
        )
        made = lambda key, s=sharding: jax.random.key_data(ks.keys(key, shape, out_sharding=s))
        check_no_collectives(made, ks.key(4))


def test_no_collectives_in_shard_map() -> None:
    """The keys of shard_map's shards are made where they are used."""
    call = ks.shard_map(
        lambda key: jax.random.gamma(key, 2.5, (2,)),
        mesh=line(AxisType.Auto),
        in_specs=(),
        out_specs=P("data"),
        vary="data",
    )
    check_no_collectives(call, ks.key(4))


def test_check_of_collectives_finds_a_fault() -> None:
    """The check fails on the obvious form, whose loop asks all devices whether to go on."""
    sharding = NamedSharding(line(AxisType.Auto), P("data"))

    def obvious(key: jax.Array) -> jax.Array:
        keys = jax.lax.with_sharding_constraint(jax.random.split(key, 8), sharding)
        return jax.lax.with_sharding_constraint(jax.vmap(rejecting)(keys), sharding)

    with pytest.raises(AssertionError, match="it communicates"):
        check_no_collectives(obvious, ks.key(4))


def test_helpers_inside_shard_map() -> None:
    """Inside a body of JAX's own, keys by global row are the same on every mesh."""
    key = ks.key(4)
    for devices in (1, 2, 4):
        rows = 8 // devices

        def body(key: jax.Array, rows: int = rows) -> Any:
            first = lax.axis_index("data") * rows
            own = ks.keys(key, rows, start=first)
            return ks.batched(bits)(own), ks.sample(bits, key, rows, start=first, batch_size=1)

        mapped = jax.shard_map(
            body, mesh=line(AxisType.Auto, devices), in_specs=P(), out_specs=P("data")
        )
        for got in jax.jit(mapped)(key):
            oracle.assert_same(np.asarray(got), catalogue.items(key, 8, 0, bits))
