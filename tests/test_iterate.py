"""iter_keys hands out the keys of a loop, early, evenly and to the end."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
import time
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding

import keystream as ks
from keystream import _cipher, _iterate
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
    """Key i is child start + i, one at a time and from compiled blocks, across 2**32."""
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
def test_check_finds_a_liar() -> None:
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
    """With jax.transfer_guard("disallow") keys come on, from compiled blocks too."""
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
        patch.setattr(jax, "device_put", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(keys)
    check(keys, key, 3, 3)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.fast
def test_inside_a_trace() -> None:
    """A concrete key is iterated over while something else is traced."""
    key = ks.key(8)

    def fun(x: jax.Array) -> jax.Array:
        for use in itertools.islice(ks.iter_keys(key), 3):
            x = x + jax.random.bits(use)
        return x

    want = sum(int(jax.random.bits(oracle.child(key, i))) for i in range(3)) % 2**32
    assert int(jax.jit(fun)(np.uint32(0))) == want


@pytest.mark.fast
def test_no_next_waits_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the compiler is busy keys come all the same, and the switch loses none."""
    begun, go_on = threading.Event(), threading.Event()
    made = _iterate._compiled(ks.key(9).dtype, None, None).result()

    def slow(*_: Any) -> Any:
        future: Any = _iterate.Future()

        def finish() -> None:
            begun.set()
            go_on.wait(60)
            future.set_result(made)

        threading.Thread(target=finish).start()
        return future

    monkeypatch.setattr(_iterate, "_compiled", slow)
    monkeypatch.setattr(_iterate, "PATIENCE", 0.001)
    key = ks.key(9)
    keys = ks.iter_keys(key)
    check(keys, key, 0, 100)
    assert begun.is_set()
    assert not go_on.is_set()
    go_on.set()
    time.sleep(0.05)
    check(keys, key, 100, 200)


FRESH = """
key = ks.key(42)
del compiled[:]
keys = ks.iter_keys(key)
first = [next(keys) for _ in range(64)]
print(len(compiled))
"""


def test_first_keys_compile_nothing() -> None:
    """In a fresh process the first 64 keys come before anything is compiled."""
    assert fresh.python(fresh.COUNTING + FRESH).stdout.split() == ["0"]
