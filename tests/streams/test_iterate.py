"""iter_keys hands out the keys of a loop, early, evenly and to the end."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import threading
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding

import keystream as ks
from keystream._keys import cipher as _cipher
from keystream._keys import on_host as _on_host
from tests import catalogue, fresh, oracle
from tests.oracle import IMPLS

STARTS = (0, 2**31 - 30, 2**32 - 30, 2**32 - 1, 2**40)


def words(keys: Any) -> np.ndarray:
    return np.stack([oracle.words(key) for key in keys])


def check(keys: Any, key: jax.Array, start: int, n: int) -> None:
    """Hold the first n keys of an iterator against the key array from the same start."""
    want = oracle.words(ks.keys(key, n, start=start))
    oracle.assert_same(words(itertools.islice(keys, n)), want)


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_position(impl: str) -> None:
    """Key i is child start + i, across blocks and across 2**32."""
    key = ks.key(3, impl=impl)
    wide = impl == "threefry2x32"
    for start in STARTS if wide else (0, 2**31 - 30, 2**32 - 400):
        keys = ks.iter_keys(key, start=start)
        oracle.assert_same(oracle.words(next(keys)), oracle.words(oracle.child(key, start)))
        check(keys, key, start + 1, 250)


@pytest.mark.fast
@settings(max_examples=20)
@given(seed=st.integers(0, 2**64 - 1), start=st.integers(0, 2**63 - 200))
def test_start(seed: int, start: int) -> None:
    """Any start and seed: the same keys as `derive`, whichever way they are made."""
    key = ks.key(seed)
    keys = ks.iter_keys(key, start=start)
    for i in range(3):
        oracle.assert_same(oracle.words(next(keys)), oracle.words(oracle.child(key, start + i)))
    check(ks.iter_keys(key, start=start), key, start, 140)


@pytest.mark.fast
def test_check_finds_a_fault() -> None:
    """An iterator that begins one position late is noticed."""
    key = ks.key(3)
    with pytest.raises(AssertionError):
        check(ks.iter_keys(key, start=1), key, 0, 3)


@pytest.mark.fast
@pytest.mark.parametrize("short", [1, 64, 65, 130, 200])
def test_end(short: int) -> None:
    """The last position is handed out, and the next call is an error, not a silent end."""
    for impl, end in (("threefry2x32", 2**63), ("rbg", 2**32)):
        key = ks.key(4, impl=impl)
        keys = ks.iter_keys(key, start=end - short)
        check(keys, key, end - short, short)
        for _ in range(2):
            with pytest.raises(ks.ArgumentValueError, match="below its end"):
                next(keys)


@pytest.mark.fast
@settings(max_examples=50)
@given(
    key=st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    counters=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5),
)
def test_cipher(key: tuple[int, int], counters: list[int]) -> None:
    """The cipher in NumPy is the published one, written out in Python's integers."""
    hi, lo = (np.array([c >> s & 0xFFFFFFFF for c in counters], np.uint32) for s in (32, 0))
    made = _cipher.threefry2x32(np.array(key, np.uint32), hi, lo)
    want = [oracle.threefry2x32(key, (c >> 32, c & 0xFFFFFFFF)) for c in counters]
    oracle.assert_same(made, np.array(want, np.uint32))


def test_placement() -> None:
    """Keys lie where the key lies: committed to a device, over a mesh, or nowhere."""
    key = ks.key(5)
    device = jax.devices()[3]
    everywhere = NamedSharding(catalogue.mesh(8), jax.P())
    for place in (device, everywhere):
        placed = jax.device_put(key, place)
        keys = ks.iter_keys(placed)
        made = list(itertools.islice(keys, 200))
        assert {one.sharding for one in made} == {placed.sharding}
        assert all(one.committed for one in made)
        oracle.assert_same(words(made), oracle.words(ks.keys(key, 200)))
    made = list(itertools.islice(ks.iter_keys(key), 200))
    assert not any(one.committed for one in made)


def test_default_devices() -> None:
    """Keys that are committed nowhere lie on the default device, also on the second one."""
    key = ks.key(5)
    for device in jax.devices()[:3]:
        with jax.default_device(device):
            made = list(itertools.islice(ks.iter_keys(key), 100))
            assert {one.sharding for one in made} == {ks.split(key)[0].sharding}
        assert all(one.devices() == {device} for one in made)
        assert not any(one.committed for one in made)


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_under_a_mesh(kind: str) -> None:
    """What is made under a mesh in context is of use outside of it: it isn't committed to it."""
    key = ks.key(5)
    keys = ks.iter_keys(key)
    with jax.set_mesh(catalogue.mesh(8, getattr(jax.sharding.AxisType, kind))):
        check(keys, key, 0, 3)
    use = next(keys)
    assert not use.committed
    assert use == jax.device_put(oracle.child(key, 3), jax.devices()[3])


@pytest.mark.fast
def test_iterators_are_apart() -> None:
    """Two iterators on two keys don't disturb each other, nor does a thread of its own each."""
    one, other = ks.key(6), ks.key(7)
    turns = zip(ks.iter_keys(one), ks.iter_keys(other), range(150), strict=False)
    left, right = zip(*[(a, b) for a, b, _ in turns], strict=True)
    oracle.assert_same(words(left), oracle.words(ks.keys(one, 150)))
    oracle.assert_same(words(right), oracle.words(ks.keys(other, 150)))
    failures = []

    def draw(seed: int) -> None:
        try:
            check(ks.iter_keys(ks.key(seed)), ks.key(seed), 0, 150)
        except AssertionError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.fast
def test_threads_share_an_iterator() -> None:
    """Threads that take turns on one iterator get each key once, and none is lost."""
    key = ks.key(10)
    keys, got = ks.iter_keys(key), []

    def draw() -> None:
        got.extend(itertools.islice(keys, 50))

    threads = [threading.Thread(target=draw) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want = oracle.words(ks.keys(key, 300))
    assert sorted(words(got).tolist()) == sorted(want.tolist())


@pytest.mark.fast
def test_threads_make_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that make the same block at the same time hand out one of the two."""
    key, both, hand_over = ks.key(10), threading.Barrier(2), _on_host.hand_over

    def slow(*args: Any) -> Any:
        if len(blocks) < 2:
            blocks.append(both.wait(10))
        return hand_over(*args)

    blocks: list[int] = []
    monkeypatch.setattr(_on_host, "hand_over", slow)
    keys, got = ks.iter_keys(key), []
    threads = [threading.Thread(target=lambda: got.append(next(keys))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(blocks) == [0, 1]
    got.extend(itertools.islice(keys, 100))
    want = oracle.words(ks.keys(key, 102))
    assert sorted(words(got).tolist()) == sorted(want.tolist())


@pytest.mark.fast
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copies(way: Any) -> None:
    """An iterator can't be copied, by which its keys would come twice."""
    with pytest.raises(ks.ArgumentTypeError, match="not copied"):
        way(ks.iter_keys(ks.key(14)))


@pytest.mark.fast
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_without_jit(impl: str) -> None:
    """With jax_disable_jit, set from the start or in between, the same keys come."""
    key = ks.key(11, impl=impl)
    with jax.disable_jit():
        check(ks.iter_keys(key), key, 0, 80)
    keys = ks.iter_keys(key)
    check(keys, key, 0, 250)
    with jax.disable_jit():
        check(keys, key, 250, 80)


@pytest.mark.fast
def test_without_transfers() -> None:
    """With jax.transfer_guard("disallow") keys come on, block after block."""
    key = ks.key(12)
    want = oracle.words(ks.keys(key, 250))
    with jax.transfer_guard("disallow"):
        made = list(itertools.islice(ks.iter_keys(key), 250))
    oracle.assert_same(words(made), want)


@pytest.mark.fast
def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt inside `next` neither ends the iterator nor costs a key."""
    key = ks.key(13)
    keys = ks.iter_keys(key)
    check(keys, key, 0, 3)
    with monkeypatch.context() as patch:
        patch.setattr(_on_host, "hand_over", _interrupt)
        check(keys, key, 3, 61)
        with pytest.raises(KeyboardInterrupt):
            next(keys)
    check(keys, key, 64, 3)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.fast
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_inside_a_trace(impl: str) -> None:
    """A concrete key is iterated over while something else is traced, and goes on after it."""
    key = ks.key(8, impl=impl)
    keys = ks.iter_keys(key)

    def fun(x: jax.Array) -> jax.Array:
        for use in itertools.islice(keys, 3):
            x = x + jax.random.bits(use)
        return x

    want = sum(int(jax.random.bits(oracle.child(key, i))) for i in range(3)) % 2**32
    assert int(jax.jit(fun)(np.uint32(0))) == want
    check(keys, key, 3, 70)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_inside_a_mapped_body(impl: str, jitted: bool) -> None:
    """A body that is mapped eagerly takes a key of the iterator, which goes on after it."""
    key, mesh = ks.key(8, impl=impl), catalogue.mesh(4)
    keys = ks.iter_keys(key, start=2**32 - 7)
    mapped = jax.shard_map(
        lambda x: x + jax.random.bits(next(keys)),
        mesh=mesh,
        in_specs=jax.P("data"),
        out_specs=jax.P("data"),
    )
    found = (jax.jit(mapped) if jitted else mapped)(np.zeros(4, np.uint32))
    want = jax.random.bits(oracle.child(key, 2**32 - 7))
    assert np.asarray(found).tolist() == [int(want)] * 4
    check(keys, key, 2**32 - 6, 5)


@pytest.mark.fast
def test_donated_key() -> None:
    """An iterator holds a copy of the key's words: it goes on when the key is donated."""
    key = ks.key(9)
    keys = ks.iter_keys(key)
    jax.jit(jax.random.clone, donate_argnums=0)(key)
    check(keys, ks.key(9), 0, 70)


@pytest.mark.fast
def test_nothing_is_kept() -> None:
    """An iterator that is gone leaves no key behind, neither its own nor those it made."""
    next(ks.iter_keys(ks.key(9)))
    gc.collect()
    before = len(jax.live_arrays())
    keys = ks.iter_keys(ks.key(9))
    made = list(itertools.islice(keys, 70))
    assert len(jax.live_arrays()) > before
    del keys, made
    gc.collect()
    assert len(jax.live_arrays()) == before


COMPILED = """
import itertools, sys
del compiled[:]
for seed, start in ((1, 0), (2, 5), (3, 2**40)):
    for use in itertools.islice(ks.iter_keys(ks.key(seed), start=start), 3000):
        pass
    print(len(compiled))
"""


def test_compilations() -> None:
    """In a fresh process one small call is compiled, and nothing more for any key or number."""
    found = [int(n) for n in fresh.python(fresh.COUNTING + COMPILED).stdout.split()]
    assert found == [1, 1, 1]


ELSEWHERE = """
import atexit, itertools, os, signal, sys, warnings
import jax
jax.config.update("jax_platforms", "cpu")
import keystream as ks
warnings.simplefilter("ignore")  # that JAX has threads
key = ks.key(42)
want = jax.random.key_data(ks.keys(key, 300)).tolist()

def check(keys, first):
    made = itertools.islice(keys, 200)
    assert [jax.random.key_data(use).tolist() for use in made] == want[first : first + 200]

def forked(keys, first):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        check(keys, first)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

forked(ks.iter_keys(key), 0)
keys = ks.iter_keys(key)
next(keys)
forked(keys, 1)
check(keys, 1)
later = ks.iter_keys(key)
atexit.register(lambda: (check(later, 0), print("at the end")))
"""


def test_after_a_fork_and_at_exit() -> None:
    """A forked process goes on with an iterator or begins one, and an atexit handler does."""
    assert fresh.python(ELSEWHERE).stdout == "at the end\n"


AT_EXIT = """
import atexit, itertools
import jax
jax.config.update("jax_platforms", "cpu")
import keystream as ks
key = ks.key(42)
atexit.register(lambda: print(len(list(itertools.islice(ks.iter_keys(key), 100)))))
"""


def test_begun_at_exit() -> None:
    """An atexit handler begins an iterator, in a process that had none before."""
    assert fresh.python(AT_EXIT).stdout == "100\n"
