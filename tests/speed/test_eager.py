"""Called eagerly: nothing compiled for a new name, position or structure of many keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding

import keystream as ks
from keystream._keys import tree as _tree
from tests import catalogue, fresh, oracle
from tests.oracle import IMPLS
from tests.speed.test_reach import programs

MANY = _tree.COMPILED + 1
"""The smallest number of keys that is made on the host whenever it is asked for."""

Call = Callable[[jax.Array, Any], Any]

# What is called, then what it is called with: the first of them compiles, the others don't.
STEADY: dict[str, tuple[Call, Sequence[Any]]] = {
    "a name": (ks.derive, ("a", "a longer name", b"bytes", "é" * 99)),
    "a position": (
        ks.derive,
        (0, 7, 2**31, 2**32 - 1, 2**32, 2**63 - 1, -1, -(2**62), 2**99, np.int64(5), "name"),
    ),
    "a path": (
        lambda key, path: ks.derive(key, *path),
        (("a", 3, "b"), ("bcd", -3, b"x"), (2**40, "z", 0), (0, 0, 2**70)),
    ),
    "ids": (
        lambda key, ids: ks.derive(key, "row", np.array(ids)),
        ([0, 1, 2], [5, 2**40, -1], [7, 7, 2**62]),
    ),
    "a start": (
        lambda key, start: ks.keys(key, 5, start=start),
        (1, 2**31, 2**32 - 3, 2**32, 2**63 - 5, np.int32(9)),
    ),
    "names": (
        ks.split,
        (("a", "b", "c"), ("other", "ones", "here"), ["c", "b", "a"], (b"x", b"y", b"z")),
    ),
    "a tree": (
        lambda key, names: ks.split_tree(key, {names[0]: [0, 0], names[1]: {names[2]: 0}}),
        ("abc", "bcd", ("first", "second", "third")),
    ),
    "Streams": (
        lambda key, names: ks.Streams(key, names)["a"],
        (("a", "b", "c"), ("a", "longer", b"bytes")),
    ),
    "Streams.at": (
        lambda key, step: ks.Streams(key, ("a", "b")).at(step),
        (0, 1, 2**31, 2**32, 2**63 - 1, np.int64(4)),
    ),
    "Stream.at": (
        lambda key, i: ks.Stream(key).at(i),
        (0, 1, 2**31, 2**32, 2**63 - 1),
    ),
    "Stream.skip": (
        lambda key, n: ks.Stream(key).skip(n),
        (1, 2**31, 2**32, 2**63 - 1),
    ),
}


def check_steady(call: Call, key: jax.Array, inputs: Sequence[Any]) -> None:
    """Let the first input compile what it needs, and hold the others to nothing more."""
    _tree._uses.cache_clear()  # the hundredth use of a structure compiles it
    jax.block_until_ready(call(key, inputs[0]))
    for each in inputs[1:]:
        more = programs(lambda each=each: call(key, each))
        assert more == 0, f"{more} programs compiled for {each!r}"


@pytest.mark.parametrize("form", STEADY)
def test_nothing_compiled(form: str) -> None:
    """A new name, position, start or set of ids compiles nothing, of whatever size it is."""
    call, inputs = STEADY[form]
    jax.clear_caches()
    check_steady(call, ks.key(1), inputs)


@pytest.mark.parametrize("impl", IMPLS[1:])
def test_nothing_compiled_without_cipher(impl: str) -> None:
    """Nor where there is no public cipher, among names and among positions."""
    key = ks.key(1, impl=impl)
    check_steady(ks.derive, key, ("a", "another", b"bytes"))
    check_steady(ks.derive, key, (0, 5, 2**32 - 1))


def test_one_for_each_count() -> None:
    """A count is compiled once, and so is a number of names."""
    key, other = ks.key(1), ks.key(2)
    for count in (1, 2, 5, 9):
        jax.clear_caches()
        assert programs(lambda count=count: ks.split(key, count)) == 1
        assert programs(lambda count=count: ks.split(other, np.int32(count))) == 0


def test_check_of_compilations_finds_a_fault() -> None:
    """A helper that compiles for each name, or for each position, is noticed."""
    named = jax.jit(ks.derive, static_argnums=1)
    with pytest.raises(AssertionError, match="1 programs"):
        check_steady(named, ks.key(1), ("a", "b"))


# Many keys


def nested(n: int) -> Any:
    """Return a tree of n leaves or two more: layers, some of them in lists."""
    return {f"layer {i}": {"w": 0, "b": [0, {7: 0}]} for i in range((n + 2) // 3)}


def check_tree(key: jax.Array, n: int, made: Any) -> None:
    """Hold the keys of a nested tree against the paths of its leaves."""
    for i in range((n + 2) // 3):
        layer = oracle.child(key, f"layer {i}")
        place = oracle.child(layer, "b")
        ours = made[f"layer {i}"]
        pairs = [(ours["w"], oracle.child(layer, "w")), (ours["b"][0], oracle.child(place, 0))]
        pairs.append((ours["b"][1][7], oracle.child(oracle.child(place, 1), 7)))
        for found, want in pairs:
            assert found.shape == ()
            assert found.dtype == key.dtype
            oracle.assert_same(oracle.words(found), oracle.words(want))


def check_names(key: jax.Array, made: dict[Any, jax.Array]) -> None:
    """Hold keys by name against the named children."""
    for name, use in made.items():
        oracle.assert_same(oracle.words(use), oracle.words(oracle.child(key, name)))


@pytest.mark.slow
@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("n", [MANY - 1, MANY, 70])
def test_many(impl: str, n: int) -> None:
    """On the host or compiled, names, leaves and streams get the keys of `derive`."""
    key = ks.key(11, impl=impl)
    names = [f"n{i}" if i % 2 else b"n%d" % i for i in range(n)]
    made = ks.split(key, names)
    assert list(made) == names
    check_names(key, made)
    check_tree(key, n, ks.split_tree(key, nested(n)))
    streams = ks.Streams(key, names)
    check_names(key, {name: streams[name]._key for name in names})
    assert all(streams[name].position == 0 for name in names)


@settings(max_examples=5)
@given(
    seed=st.integers(0, 2**64 - 1),
    names=st.lists(st.text(min_size=1, max_size=3), unique=True, min_size=MANY, max_size=2 * MANY),
)
def test_many_names(seed: int, names: list[str]) -> None:
    """Any many names get their own children, in their order."""
    names = [name for name in names if name.isprintable()]
    made = ks.split(ks.key(seed), names)
    assert list(made) == names
    check_names(ks.key(seed), made)


def test_checks_find_faults() -> None:
    """Names in another order, a tree under another key and a single false key are noticed."""
    key = ks.key(3)
    made = ks.split(key, [f"n{i}" for i in range(MANY)])
    turned = dict(zip(made, reversed(made.values()), strict=True))
    tree = ks.split_tree(key, nested(MANY))
    tree["layer 3"]["w"] = tree["layer 2"]["w"]
    for faulty in (
        lambda: check_names(key, turned),
        lambda: check_tree(key, MANY, ks.split_tree(ks.key(4), nested(MANY))),
        lambda: check_tree(key, MANY, tree),
    ):
        with pytest.raises(AssertionError):
            faulty()


def test_many_compile_nothing_more() -> None:
    """Once keys were handed out, no other number of names or shape of a tree compiles."""
    key = ks.key(1)
    ks.Streams(key, [f"n{i}" for i in range(MANY)])
    for n in (MANY + 1, 50, 128, 300):
        assert programs(lambda n=n: ks.split(key, [f"{n}, {i}" for i in range(n)])) == 0
        assert programs(lambda n=n: ks.split_tree(key, nested(n))) == 0
        assert programs(lambda n=n: ks.Streams(key, [f"{n}, {i}" for i in range(n)])._streams) == 0


def placed_alike(key: jax.Array) -> None:
    """Hold the placement of many keys against that of few, which XLA decides."""
    few = ks.split(key, ("a", "b"))["a"]
    names = [f"n{i}" for i in range(MANY)]
    made = ks.split(key, names)
    assert {use.sharding for use in made.values()} == {few.sharding}
    assert {use.committed for use in made.values()} == {few.committed}
    streams = ks.Streams(key, names)
    zero = ks.Streams(key, ("a", "b"))._streams[0].words
    words = [stream.words for stream in streams._streams]
    assert all(each.sharding.is_equivalent_to(zero.sharding, 1) for each in words)
    assert {each.committed for each in words} == {zero.committed}
    check_names(key, made)


def test_placement() -> None:
    """Many keys lie where few do: at no place, on a device, over a mesh, in its context."""
    key = ks.key(5)
    device = jax.devices()[3]
    placed_alike(key)
    placed_alike(jax.device_put(key, device))
    placed_alike(jax.device_put(key, NamedSharding(catalogue.mesh(8), jax.P())))
    with jax.default_device(device):
        placed_alike(ks.key(5))
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((8,), ("x",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            placed_alike(key)
            placed_alike(jax.device_put(key, NamedSharding(mesh, jax.P())))


@pytest.mark.parametrize(
    ("n", "impl"),
    [
        pytest.param(n, impl, marks=[pytest.mark.slow] * (impl != "threefry2x32" and n > 1))
        for n in (1, 3, 8)
        for impl in IMPLS
    ],
)
def test_few_come_again_and_again(impl: str, n: int) -> None:
    """A structure of few keys is compiled when it comes again and again, with the same keys."""
    _tree._uses.cache_clear()
    key = ks.key(11, impl=impl)
    names = [f"n{i}" for i in range(n)]
    ks.Streams(key, [f"n{i}" for i in range(MANY)])
    calls = (
        lambda: check_names(key, ks.split(key, names)),
        lambda: check_tree(key, n, ks.split_tree(key, nested(n))),
    )
    for call in calls:
        call()
        if impl == "threefry2x32":
            assert programs(call) == 0
    for _ in range(_tree.ON_HOST):
        ks.split(key, names)
        ks.split_tree(key, nested(n))
    assert programs(lambda: ks.split(key, [f"m{i}" for i in range(n)])) == 0
    for call in calls:
        call()
    placed = jax.device_put(key, jax.devices()[2])
    assert ks.split(placed, names)["n0"].sharding == placed.sharding


def test_mixed_tree() -> None:
    """In a level with names and positions side by side each gets its own child."""
    key = ks.key(5)
    made = ks.split_tree(key, ({"a": 0}, [0]))
    assert made[0]["a"] == ks.derive(key, 0, "a")
    assert made[1][0] == ks.derive(key, 1, 0)
    traced = jax.jit(lambda key: ks.split_tree(key, ({"a": 0}, [0])))(key)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(a == b), made, traced)))


def test_settings() -> None:
    """Many keys come without jit, within another trace, and with strict types."""
    key = ks.key(6)
    names = [f"n{i}" for i in range(MANY)]
    want = jax.tree.map(oracle.words, ks.split(key, names))
    with jax.disable_jit():
        check_names(key, ks.split(key, names))
        oracle.assert_same(oracle.words(ks.split(key, 3)[2]), oracle.words(oracle.child(key, 2)))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        check_names(key, ks.split(key, names))
        ks.split(key, 5)
    for within in (lambda _: ks.split(key, names), lambda _: ks.split(ks.key(6), names)):
        found = jax.jit(lambda x, fun=within: jax.tree.map(jax.random.key_data, fun(x)))(0)
        assert all((np.asarray(found[name]) == want[name]).all() for name in names)


def test_transfers() -> None:
    """A guard against transfers stops many names as it stops few: they are transfers."""
    key = ks.key(7)
    for n in (2, MANY):
        names = [f"n{i}" for i in range(n)]
        ks.split(key, names)
        with (
            jax.transfer_guard("disallow"),
            pytest.raises(Exception, match="Disallowed host-to-device"),
        ):
            ks.split(key, names)


@pytest.mark.parametrize("n", [3, MANY])
def test_buffers(n: int) -> None:
    """Streams have buffers of their own: donating one deletes no other, nor the key."""
    key = ks.key(8)
    streams = ks.Streams(key, [f"n{i}" for i in range(n)])
    leaves = [leaf for stream in streams._streams for leaf in (stream._key, stream.words)]
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == 2 * n
    jax.jit(lambda stream: stream.next(), donate_argnums=0)(streams._streams[0])
    assert not key.is_deleted()
    assert not any(leaf.is_deleted() for leaf in leaves[2:])
    oracle.assert_same(oracle.words(streams["n1"]._key), oracle.words(oracle.child(key, "n1")))


@pytest.mark.parametrize("n", [1, MANY])
def test_equal_names_of_other_types(n: int) -> None:
    """What was remembered for the key 1 of a dict is not given to 1.0 or True, nor to "1"."""
    key = ks.key(9)
    rest = {f"n{i}": 0 for i in range(n - 1)}
    made = ks.split_tree(key, {1: 0} | rest if n == 1 else {"x": {1: 0}} | rest)
    assert made
    for one in (True, 1.0):
        with pytest.raises(ks.ArgumentTypeError):
            ks.split_tree(key, {one: 0} if n == 1 else {"x": {one: 0}} | rest)
    for one in (np.int64(1), "1", b"1"):
        found = ks.split_tree(key, {"x": {one: 0}} | rest)["x"][one]
        part = int(one) if isinstance(one, np.int64) else one
        want = oracle.child(oracle.child(key, "x"), part)
        oracle.assert_same(oracle.words(found), oracle.words(want))


FRESH = """
import json, sys, time
key = ks.key(42, impl=sys.argv[1])
jax.block_until_ready(key)
names = [f"layer {i}" for i in range(1000)]
del compiled[:]
took = []
for call in (
    lambda: ks.split(key, names),
    lambda: ks.split_tree(key, {f"{name} of a tree": 0 for name in names[:977]}),
    lambda: ks.split_tree(key, {name: {"w": 0, "b": [0, 0]} for name in names[:333]}),
    lambda: ks.Streams(key, names[:900]),
):
    begin = time.perf_counter()
    jax.block_until_ready(call())
    took.append(time.perf_counter() - begin)
print(json.dumps([took, len(compiled)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("impl", IMPLS)
def test_a_thousand_names(impl: str) -> None:
    """In a fresh process 1,000 names, or leaves, take a few tens of milliseconds, not 10 s."""
    took, compiled = json.loads(fresh.python(fresh.COUNTING + FRESH, impl).stdout)
    # One to hand out keys and one positions; without a public cipher one to make them.
    assert compiled <= (2 if impl == "threefry2x32" else 3)
    # Twenty times what they take here, on machines that have something else to do.
    assert max(took) < (2 if impl == "threefry2x32" else 10)


USES = {
    "split twice": (lambda key: ks.split(key, 3), lambda key: ks.split(key, 3)),
    "split, then drawn from": (ks.split, jax.random.normal),
    "drawn from, then split": (jax.random.normal, ks.split),
    "keys, then split": (lambda key: ks.keys(key, 3), ks.split),
}


@pytest.mark.parametrize("use", USES)
def test_reused_keys_are_seen(use):
    """JAX's own checker of reused keys sees that a key was split eagerly, as it was before."""
    first, second = USES[use]
    with jax.debug_key_reuse(True):
        key = ks.key(99)
        first(key)
        with pytest.raises(jax.errors.KeyReuseError):
            second(key)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("count", [20, 40])
def test_closed_over_keys(count, committed):
    """Many names of a concrete key are the same inside traced functions that close over it."""
    names = tuple(f"n{i}" for i in range(count))
    key = jax.device_put(ks.key(1), jax.devices()[0] if committed else None)
    wanted = jax.random.bits(ks.derive(ks.key(1), "n3"))
    mesh = jax.make_mesh((4,), ("i",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    x = jax.device_put(jnp.zeros(4, jnp.uint32), jax.NamedSharding(mesh, jax.P("i")))

    def fun(x):
        return x + jax.random.bits(ks.split(key, names)["n3"])

    assert (jax.jit(fun)(x) == wanted).all()
    assert (jax.vmap(fun)(jnp.zeros(4, jnp.uint32)) == wanted).all()
    if not committed:
        mapped = jax.shard_map(fun, mesh=mesh, in_specs=jax.P("i"), out_specs=jax.P("i"))
        assert (mapped(x) == wanted).all()


def test_many_names_without_jit():
    """Without jit the keys of many names are arrays in their place, and a stream owns its own."""
    names = tuple(f"n{i}" for i in range(40))
    with jax.disable_jit():
        streams = ks.Streams(ks.key(1), names)
        made = ks.split(jax.device_put(ks.key(1), jax.devices()[3]), names)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(streams))
    assert made["n7"].devices() == {jax.devices()[3]}
