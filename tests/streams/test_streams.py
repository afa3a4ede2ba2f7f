"""Streams: a key and a position, whatever is done with them.

That item i is child i under every transform is in keys/test_laws.py; here is what streams add to
it: interleavings, the seams and the end of the positions, carries, buffers, copies.
"""

from __future__ import annotations

import collections.abc
import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import NamedSharding

import keystream as ks
from keystream import _compat
from tests import catalogue, oracle
from tests.oracle import IMPLS

P = jax.P
SEEDS = st.integers(0, 2**64 - 1)
SEAMS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**33 + 5, 2**62, 2**63 - 2)
LAST = 2**63 - 1
NAMES = ("params", "dropout", b"data", "Ünïcode")


def same(keys: Any, want: Any) -> None:
    """Hold keys against keys, bit for bit."""
    oracle.assert_same(oracle.words(keys), oracle.words(want))


def end(key: jax.Array) -> int:
    return 2**63 if jax.random.key_impl(key) == "threefry2x32" else 2**32


# Positions


STEPS = st.one_of(
    st.tuples(st.just("next"), st.just(1)),
    st.tuples(st.just("take"), st.sampled_from([0, 1, 2, 5])),
    st.tuples(st.just("skip"), st.one_of(st.integers(0, 9), st.sampled_from(SEAMS))),
    st.tuples(st.just("at"), st.one_of(st.integers(0, 9), st.sampled_from((*SEAMS, LAST)))),
)


def act(stream: Any, step: str, n: int) -> tuple[list[jax.Array], Any]:
    """Do one step; return the keys that came and the stream to go on with."""
    match step:
        case "next":
            use, stream = stream.next()
            return [use], stream
        case "take":
            keys, stream = stream.take(n)
            assert keys.shape == (n,)
            return list(keys), stream
        case "skip":
            return [], stream.skip(n)
        case _:
            return [stream.at(n)], stream


def wanted(key: jax.Array, place: int, step: str, n: int) -> tuple[list[jax.Array], int]:
    """Say what a step must give at a position: the Python loop."""
    match step:
        case "next" | "take":
            return oracle.children(key, range(place, place + n)), place + n
        case "skip":
            return [], place + n
        case _:
            return [oracle.child(key, n)], place


def check_interleaving(stream: Any, key: jax.Array, steps: list[tuple[str, int]]) -> None:
    """Hold a stream, or a faulty one, against the oracle step by step."""
    place, limit = 0, end(key)
    for step, n in steps:
        leaves = place + n >= limit if step != "at" else n >= limit
        if leaves:
            with pytest.raises(ks.ArgumentValueError, match=r"below 2\*\*"):
                act(stream, step, n)
            continue
        came, stream = act(stream, step, n)
        want, place = wanted(key, place, step, n)
        assert len(came) == len(want)
        for one, other in zip(came, want, strict=True):
            same(one, other)
        assert stream.position == place
        assert np.asarray(stream.words).tolist() == [place >> 32, place & 0xFFFFFFFF]


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_any_interleaving(impl: str) -> None:
    """Any interleaving of next, take, skip and at gives the loop's keys, or leaves the range."""

    @settings(max_examples=60)
    @given(seed=SEEDS, steps=st.lists(STEPS, max_size=9))
    def holds(seed: int, steps: list[tuple[str, int]]) -> None:
        key = ks.key(seed, impl=impl)
        check_interleaving(ks.Stream(key), key, steps)

    holds()


class Faulty:
    """Lie: `skip` forgets one position, or `next` gives the same key twice."""

    def __init__(self, stream: Any, lie: str) -> None:
        self.stream, self.lie = stream, lie
        self.position, self.words = stream.position, stream.words

    def next(self) -> Any:
        use, stream = self.stream.next()
        return use, Faulty(self.stream if self.lie == "next" else stream, self.lie)

    def take(self, n: int) -> Any:
        keys, stream = self.stream.take(n)
        return keys, Faulty(stream, self.lie)

    def skip(self, n: int) -> Any:
        return Faulty(self.stream.skip(n - 1 if self.lie == "skip" and n else n), self.lie)

    def at(self, i: int) -> Any:
        return self.stream.at(i)


@pytest.mark.fast
@pytest.mark.parametrize("lie", ["next", "skip"])
def test_interleaving_finds_faults(lie: str) -> None:
    """A stream that gives a key twice, or counts wrongly, is noticed."""
    key = ks.key(3)
    steps = [("skip", 3), ("next", 1), ("next", 1)]
    check_interleaving(Faulty(ks.Stream(key), ""), key, steps)
    with pytest.raises(AssertionError):
        check_interleaving(Faulty(ks.Stream(key), lie), key, steps)


@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True])
def test_at_the_seams(x64: bool) -> None:
    """`at(i) == derive(key, i)` up to 2**63 - 1, static and traced, as does `skip(i).next()`."""
    key = ks.key(7)
    stream = ks.Stream(key)
    traced = jax.jit(lambda stream, i: (stream.at(i), stream.skip(i).next()[0]))
    with _compat.enable_x64(x64):
        for i in (*SEAMS, LAST):
            want = oracle.child(key, i)
            same(stream.at(i), want)
            same(jax.jit(lambda stream, i=i: stream.at(i))(stream), want)
            if i < LAST:
                same(stream.skip(i).next()[0], want)
            if x64 or i < 2**31:
                for found in traced(stream, np.int64(i)):
                    same(found, want)


@pytest.mark.fast
def test_traced_steps_cross_the_words() -> None:
    """`next` and `take` count across 2**32 under jit, and `position` reads what came back."""
    key = ks.key(8)
    start = ks.Stream(key).skip(2**32 - 2)
    (one, more), stream = jax.jit(lambda s: ((s.next()[0], s.take(4)[0]), s.take(5)[1]))(start)
    same(one, oracle.child(key, 2**32 - 2))
    same(more, jnp.stack(oracle.children(key, range(2**32 - 2, 2**32 + 2))))
    assert stream.position == 2**32 + 3


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_end_of_the_positions(impl: str) -> None:
    """A stream stands at its last position and goes no further; `at` reaches that position."""
    key = ks.key(9, impl=impl)
    last = end(key) - 1
    stream = ks.Stream(key).skip(last)
    assert stream.position == last
    same(stream.at(last), oracle.child(key, last))
    for call in (stream.next, lambda: stream.take(1), lambda: stream.skip(1)):
        with pytest.raises(ks.ArgumentValueError):
            call()
    assert stream.take(0)[1].position == last
    assert stream.skip(0).position == last


def test_traced_end_goes_on() -> None:
    """Under tracing the end can't be seen: positions go on modulo 2**64, as documented."""
    key = ks.key(9)
    stream = jax.jit(lambda s: s.skip(5))(ks.Stream(key).skip(LAST))
    words = np.asarray(stream.words).tolist()
    assert words == [2**31, 4]


@pytest.mark.fast
def test_without_transfers() -> None:
    """With jax.transfer_guard("disallow") `next` and `take` go on; numbers are transfers."""
    key = ks.key(9)
    stream = ks.Stream(key)
    with jax.transfer_guard("disallow"):
        one, stream = jax.jit(lambda stream: stream.next())(stream)
        two, stream = stream.next()
        more, stream = stream.take(2)
        assert stream.position == 4
        for call in (jax.random.fold_in, ks.derive, lambda key, i: ks.Stream(key).at(i)):
            with pytest.raises(Exception, match="Disallowed host-to-device"):
                call(key, 5)
    same(jnp.stack([one, two, *more]), jnp.stack(oracle.children(key, range(4))))


# Transforms that carry a stream


def test_scan_carry() -> None:
    """A stream is a scan's carry: the same keys as the loop, and it comes back further on."""
    key = ks.key(10)

    def step(state: Any, _: Any) -> Any:
        stream, streams = state
        one, stream = stream.next()
        two, streams = streams.next("dropout")
        return (stream, streams), (jax.random.key_data(one), jax.random.key_data(two))

    init = (ks.Stream(key).skip(2**32 - 3), ks.Streams(ks.derive(key, "more"), NAMES))
    (stream, streams), (ones, twos) = jax.jit(lambda init: lax.scan(step, init, length=6))(init)
    first = 2**32 - 3
    oracle.assert_same(
        np.asarray(ones), oracle.all_words(oracle.children(key, range(first, first + 6)))
    )
    child = oracle.derive(key, "more", "dropout")
    oracle.assert_same(np.asarray(twos), oracle.all_words(oracle.children(child, range(6))))
    assert stream.position == first + 6
    assert [streams[name].position for name in NAMES] == [0, 6, 0, 0]


def test_streams_in_lanes() -> None:
    """Streams with a leading axis are mapped over as one is used."""
    keys = ks.keys(ks.key(11), 3)
    streams = jax.vmap(ks.Stream)(keys)
    moved = jax.vmap(lambda s, n: s.skip(n))(streams, jnp.arange(3))
    uses, moved = jax.vmap(lambda s: s.next())(moved)
    for i in range(3):
        same(uses[i], oracle.child(keys[i], i))
        one = jax.tree.map(lambda leaf, i=i: leaf[i], moved)
        assert one.position == i + 1
        same(one.next()[0], oracle.child(keys[i], i + 1))


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_streams_in_shards(kind: str) -> None:
    """In a shard_map a stream per shard is carried through a scan, with check_vma on."""
    mesh = catalogue.mesh(4, getattr(jax.sharding.AxisType, kind))
    key = jax.device_put(ks.key(12), NamedSharding(mesh, P()))

    def body(key: jax.Array) -> Any:
        stream = ks.Streams(ks.for_axis(key, "data"), ("a", "b"))

        def step(stream: Any, _: Any) -> Any:
            use, stream = stream.next("b")
            return stream, jax.random.key_data(use)

        stream, words = lax.scan(step, stream, length=3)
        return words[None]

    call = jax.shard_map(body, mesh=mesh, in_specs=P(), out_specs=P("data"))
    want = [oracle.all_words(oracle.derive(key, i, "b", n) for n in range(3)) for i in range(4)]
    oracle.assert_same(np.asarray(jax.jit(call)(key)), np.stack(want))


def test_streams_over_a_mesh() -> None:
    """A stream that is replicated over a mesh stays there and gives the same keys."""
    everywhere = NamedSharding(catalogue.mesh(8), P())
    stream = jax.device_put(ks.Stream(ks.key(13)).skip(5), everywhere)
    use, stream = stream.next()
    same(use, oracle.child(ks.key(13), 5))
    assert stream.position == 6
    assert stream.words.sharding.is_fully_replicated
    lanes = jax.vmap(ks.Stream)(ks.keys(ks.key(13), 8))
    spread = jax.device_put(lanes, NamedSharding(catalogue.mesh(8), P("data")))
    same(jax.jit(jax.vmap(lambda s: s.next()))(spread)[0], jax.vmap(lambda s: s.next())(lanes)[0])


def test_gradients_and_remat() -> None:
    """A stream rides beside parameters through grad and checkpoint."""

    def loss(x: jax.Array, streams: Any) -> Any:
        use, streams = jax.checkpoint(lambda streams: streams.next("params"))(streams)
        return x * jax.random.uniform(use), streams

    streams = ks.Streams(ks.key(14), NAMES)
    slope, after = jax.grad(loss, has_aux=True)(jnp.float32(2), streams)
    assert slope == jax.random.uniform(oracle.derive(ks.key(14), "params", 0))
    assert after["params"].position == 1


# Values


@pytest.mark.fast
def test_tree_map_to_anything() -> None:
    """Unflattening checks nothing: leaves may become None, text, shapes, and back."""
    for value in (ks.Stream(ks.key(15)), ks.Streams(ks.key(15), NAMES)):
        leaves, structure = jax.tree.flatten(value)
        assert len(leaves) == (2 if isinstance(value, ks.Stream) else 2 * len(NAMES))
        for make in (lambda _: None, str, lambda _: object(), lambda leaf: leaf.shape):
            mapped = jax.tree.map(make, value)
            assert type(mapped) is type(value)
            assert repr(mapped).startswith(type(value).__name__)
        shapes = jax.eval_shape(lambda v: v, value)
        assert jax.tree.structure(shapes) == structure
        again = jax.tree.unflatten(structure, leaves)
        assert jax.tree.structure(again) == structure


@pytest.mark.fast
def test_paths_name_the_leaves() -> None:
    """The leaves have paths that a checkpoint can show."""
    paths = jax.tree_util.tree_flatten_with_path(ks.Streams(ks.key(15), ("a", "b")))[0]
    shown = [jax.tree_util.keystr(path) for path, _ in paths]
    assert shown == ["['a'].key", "['a'].words", "['b'].key", "['b'].words"]


@pytest.mark.fast
def test_other_names_are_another_structure() -> None:
    """Streams of other names, or in another order, don't pass for one another."""
    one, other = (ks.Streams(ks.key(15), names) for names in (("a", "b"), ("b", "a")))
    assert jax.tree.structure(one) != jax.tree.structure(other)
    with pytest.raises(ValueError, match="'b'"):
        jax.tree.map(max, one, other)


def _values() -> list[Any]:
    stream = ks.Stream(ks.key(16)).skip(3)
    return [
        stream,
        ks.Streams(ks.key(16), NAMES).next("dropout")[1],
        ks.Stream(ks.key(1, impl="rbg")),
    ]


@pytest.mark.fast
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies(how: Any) -> None:
    """copy, deepcopy and pickle give the same stream at the same position."""
    for value in _values():
        again = how(value)
        assert repr(again) == repr(value)
        for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(value), strict=True):
            oracle.assert_same(np.asarray(on_host(one)), np.asarray(on_host(other)))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_copies_have_buffers_of_their_own(how: Any) -> None:
    """Donating a copy leaves the original alone."""
    for value in _values():
        again = how(value)
        assert not set(pointers(again)) & set(pointers(value))
        jax.tree.map(lambda leaf: leaf.delete(), again)
        assert value == how(value)
        repr(value)


@pytest.mark.fast
def test_equality() -> None:
    """`==` compares keys, positions and names, as one bool; there is no hash."""
    for value in _values():
        again = ks.loads(ks.dumps(value))
        assert (value == again) is True
        assert (value != again) is False
        assert value == copy.copy(value)
        assert value != 3
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)
    stream, streams = ks.Stream(ks.key(16)), ks.Streams(ks.key(16), ("a", "b"))
    for other in (stream.skip(1), ks.Stream(ks.key(17)), ks.Stream(ks.key(16, impl="rbg"))):
        assert (stream == other) is False
    for other in (
        streams.next("b")[1],
        ks.Streams(ks.key(17), ("a", "b")),
        ks.Streams(ks.key(16), ("b", "a")),
    ):
        assert (streams == other) is False
    lanes = jax.vmap(ks.Stream)(ks.keys(ks.key(1), 3))
    assert (lanes == jax.vmap(ks.Stream)(ks.keys(ks.key(1), 3))) is True
    assert (lanes == jax.vmap(ks.Stream)(ks.keys(ks.key(2), 3))) is False


@pytest.mark.fast
def test_equality_is_refused_where_it_cannot_be_seen() -> None:
    """`==` of a traced or donated stream raises, also of one with itself."""
    for make in (ks.Stream, lambda key: ks.Streams(key, ("a",))):
        value = make(ks.key(16))
        with pytest.raises(ks.ArgumentTypeError, match="must be concrete"):
            jax.jit(lambda v: v == v)(value)
        jax.tree.map(lambda leaf: leaf.delete(), value)
        with pytest.raises(ks.ArgumentValueError, match="donated"):
            bool(value == value)


def on_host(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if leaf.dtype != np.uint32 else leaf


@pytest.mark.fast
def test_repr_shows_no_words() -> None:
    """A stream shows its implementation and position, and no word of its key."""
    key = jax.random.wrap_key_data(np.array([0x5EC2E7, 0x5EC2E7], np.uint32))
    assert repr(ks.Stream(key).skip(2**40)) == f"Stream(key<fry>[], position={2**40})"
    assert str(0x5EC2E7) not in repr(ks.Streams(key, ("a",)))
    seen = []
    jax.jit(lambda s: seen.append(repr(s)))(ks.Stream(key))
    assert seen == ["Stream(key<fry>[], position=...)"]


@pytest.mark.fast
def test_immutable() -> None:
    """What `next` leaves behind gives the same key again."""
    stream = ks.Stream(ks.key(17))
    same(stream.next()[0], stream.next()[0])
    assert stream.position == 0


# Buffers


def makers() -> dict[str, Any]:
    """Return every way to a new stream from an old one."""
    key = ks.key(18)
    stream, streams = ks.Stream(key), ks.Streams(key, ("a", "b"))
    return {
        "Stream": (key, ks.Stream),
        "Streams": (key, lambda key: ks.Streams(key, ("a", "b"))),
        "next": (stream, lambda s: s.next()[1]),
        "take": (stream, lambda s: s.take(2)[1]),
        "take none": (stream, lambda s: s.take(0)[1]),
        "skip": (stream, lambda s: s.skip(2)),
        "skip none": (stream, lambda s: s.skip(0)),
        "streams next": (streams, lambda s: s.next("a")[1]),
        "streams get": (streams, lambda s: s["b"]),
        "at": (stream, lambda s: s.at(0)),
        "streams at": (streams, lambda s: s.at(0)),
    }


def pointers(tree: Any) -> list[int]:
    return [on_host(leaf).unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]


@pytest.mark.fast
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("maker", makers())
def test_own_buffers(maker: str, jitted: bool) -> None:
    """A new stream shares no buffer with what it came from, nor among its own leaves."""
    old, make = makers()[maker]
    new = (jax.jit(make) if jitted else make)(old)
    found = pointers(new)
    assert len(set(found)) == len(found)
    assert not set(found) & set(pointers(old))


@pytest.mark.fast
def test_shared_buffers_are_noticed() -> None:
    """The pointers do tell: a stream put together by hand shares its key's buffer."""
    stream = ks.Stream(ks.key(18))
    by_hand = jax.tree.unflatten(jax.tree.structure(stream), jax.tree.leaves(stream))
    assert set(pointers(by_hand)) == set(pointers(stream))


def test_donation() -> None:
    """Donating a stream leaves the key it was made of, and every other stream, alone."""
    key = ks.key(19)
    stream = ks.Stream(key)
    _, other = stream.next()
    streams = ks.Streams(key, ("a", "b"))
    part = streams["a"]
    step = jax.jit(lambda s: s.next()[1], donate_argnums=0)
    named = jax.jit(lambda s: s.next("a")[1], donate_argnums=0)
    after, after_named = step(other), named(streams)
    for gone in (other, streams):
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(gone))
    assert after.position == 2
    assert after_named["a"].position == 1
    for left in (key, stream, part):
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(left))
    same(stream.next()[0], oracle.child(key, 0))
    same(part.next()[0], oracle.derive(key, "a", 0))
    both = jax.jit(lambda a, b: (a.skip(1), b.skip(1)), donate_argnums=(0, 1))
    assert both(ks.Stream(key), ks.Stream(key))[0].position == 1


# Names


@pytest.mark.fast
@settings(max_examples=40)
@given(seed=SEEDS, picks=st.lists(st.sampled_from(NAMES), max_size=12))
def test_names_count_apart(seed: int, picks: list[Any]) -> None:
    """Each name has a position of its own, and no interleaving gives a key twice."""
    key = ks.key(seed)
    streams, counts, seen = ks.Streams(key, NAMES), dict.fromkeys(NAMES, 0), set()
    for name in picks:
        use, streams = streams.next(name)
        same(use, oracle.derive(key, name, counts[name]))
        counts[name] += 1
        seen.add(tuple(oracle.words(use).tolist()))
    assert len(seen) == len(picks)
    assert {name: streams[name].position for name in NAMES} == counts
    assert streams.names == NAMES


@pytest.mark.fast
def test_names_do_not_move_each_other() -> None:
    """Adding, removing and reordering names changes no other name's keys."""
    key = ks.key(20)
    for names in (("a", "b"), ("b", "a", "c"), ("a",)):
        same(ks.Streams(key, names).next("a")[0], oracle.derive(key, "a", 0))
        same(ks.Streams(key, names).at(2**40)["a"], oracle.derive(key, "a", 2**40))


@pytest.mark.fast
def test_many_and_no_names() -> None:
    """No name at all is a value too; a hundred are made without compiling for each."""
    none = ks.Streams(ks.key(21), ())
    assert none.names == ()
    assert none.at(3) == {}
    with pytest.raises(ks.UnknownNameError, match="there are none"):
        none.next("a")
    with pytest.raises(KeyError):
        none["a"]
    many = ks.Streams(ks.key(21), [f"layer {i}" for i in range(100)])
    same(many["layer 99"].next()[0], oracle.derive(ks.key(21), "layer 99", 0))


@pytest.mark.fast
def test_resume_from_seed_and_step() -> None:
    """`at(step)` is all a run needs: each step's keys don't depend on earlier steps."""
    names = [name for name in NAMES if isinstance(name, str)]  # jit sorts what it returns
    streams = ks.Streams(ks.key(22), names)
    moved = streams.next("params")[1].next("dropout")[1]
    at = jax.jit(lambda streams, step: streams.at(step))
    for step in (0, 7, 2**31 - 1):
        found = at(moved, np.int32(step))
        assert list(streams.at(step)) == names
        for name in names:
            same(found[name], oracle.derive(ks.key(22), name, step))


@pytest.mark.fast
@settings(max_examples=30)
@given(seed=SEEDS, cuts=st.lists(st.integers(0, 4), max_size=5))
def test_continue_is_never_stopped(seed: int, cuts: list[int]) -> None:
    """Flattened to the host, put together again and continued: as if it had never stopped."""
    whole, _ = ks.Stream(ks.key(seed)).take(20)
    stream, parts = ks.Stream(ks.key(seed)), []
    for cut in cuts:
        keys, stream = stream.take(cut)
        parts.append(oracle.words(keys))
        leaves, structure = jax.tree.flatten(stream)
        kept = pickle.dumps([np.asarray(on_host(leaf)) for leaf in leaves])
        key, words = pickle.loads(kept)
        stream = jax.tree.unflatten(structure, (jax.random.wrap_key_data(key), jnp.asarray(words)))
    joined = np.concatenate([np.zeros((0, 2), np.uint32), *parts])
    oracle.assert_same(joined, oracle.words(whole)[: sum(cuts)])


@pytest.mark.fast
def test_a_stream_is_no_iterator():
    """A stream is no iterator: it has no place for what `next` would change."""
    stream = ks.Stream(ks.key(42))
    assert not isinstance(stream, (collections.abc.Iterable, collections.abc.Iterator))
    with pytest.raises(TypeError):
        next(stream)
