"""No two keys alike, exactly: 4,194,304 of them in each layout that programs have.

Counting is the one test for this. A hash of 32 bits passes every statistical battery, and
still gives some two thousand pairs of equal keys among as many names.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from keystream._keys import children as _children
from keystream._keys import scheme as _scheme
from keystream._keys.scheme import Counter

pytestmark = pytest.mark.slow

N = 2**22
KEY = ks.key(42)


@jax.jit
def _words(keys):
    return jax.random.key_data(keys).reshape(-1, 2)


def _pack(*several):
    """Return keys as 64-bit numbers."""
    words = np.concatenate([np.asarray(_words(keys)) for keys in several])
    return np.ascontiguousarray(words).view(np.uint64).ravel()


def _repeats(packed):
    """Return how many keys are not the first of their kind."""
    ordered = np.sort(packed)
    return int((ordered[1:] == ordered[:-1]).sum())


def _at(keys, hi, lo):
    """Return children at counters, as the library makes them."""
    return jax.jit(_children.children)(keys, Counter(hi, lo))


def _stack(counters):
    return np.array([c.hi for c in counters], np.uint32), np.array([c.lo for c in counters])


def _names(prefix, count):
    return _stack([_scheme.hash_part(f"{prefix}{number}") for number in range(count)])


@pytest.fixture(scope="module")
def digests():
    """Return the first eight bytes of the hashes of 2**22 names, as programs number layers."""
    sha256, prefix = hashlib.sha256, b"keystream:1:str:layer_%d"
    joined = b"".join(sha256(prefix % number).digest()[:8] for number in range(N))
    return np.frombuffer(joined, ">u8").astype(np.uint64)


@pytest.fixture(scope="module")
def names(digests):
    """Return the counters of those names: the library's, hashed in bulk as it does one by one."""
    counters = digests & np.uint64(2**62 - 1) | np.uint64(2**63)
    hi, lo = (counters >> np.uint64(32)).astype(np.uint32), counters.astype(np.uint32)
    for number in (*range(100), *range(0, N, 10007)):
        assert _scheme.hash_part(f"layer_{number}") == (hi[number], lo[number])
    return hi, lo


@pytest.fixture(scope="module")
def children():
    """Return 2**22 children of one key."""
    return _pack(ks.keys(KEY, N))


def test_children(children):
    """2**22 children of one key are 2**22 keys."""
    assert children.size == N
    assert _repeats(children) == 0


def test_positions():
    """2**22 positions at every seam, negative ones among them, are as many keys."""
    seams = (-(2**62), -(2**32), -(2**31), 0, 2**31, 2**32, 2**40, 2**63)
    width = N // (2 * len(seams))
    ids = [
        np.arange(seam - width if seam > -(2**62) else seam, min(seam + width, 2**63))
        for seam in seams[:-1]
    ]
    ids.append(np.arange(2**63 - N + sum(map(len, ids)), 2**63, dtype=np.uint64).astype(np.int64))
    ids = np.concatenate(ids)
    assert np.unique(ids).size == ids.size == N
    assert _repeats(_pack(ks.derive(KEY, ids))) == 0


def test_names(names, children):
    """2**22 names of one key are 2**22 keys, and none of them a child of the same key."""
    named = _pack(_at(KEY, *names))
    assert int(named[7]) == int(_pack(ks.derive(KEY, "layer_7"))[0])
    assert _repeats(named) == 0
    assert _repeats(np.concatenate([named, children])) == 0


def test_nested_names():
    """2**11 names under each of 2**11 names are 2**22 keys."""
    outer = _at(KEY, *_names("layer_", 2**11))
    inner = _names("unit_", 2**11)
    packed = _pack(_at(outer[:, None], *(word[None] for word in inner)))
    path = ks.derive(KEY, "layer_3", "unit_5")
    assert int(packed[3 * 2**11 + 5]) == int(_pack(path)[0])
    assert packed.size == N
    assert _repeats(packed) == 0


def test_tree():
    """Children, their children and theirs, and the key itself: 2**22 and some, no two alike."""
    few, more = np.arange(2**7), np.arange(2**8)
    first = ks.derive(KEY, few)
    second = ks.derive(KEY, few[:, None], few)
    third = ks.derive(KEY, more[:, None, None], few[:, None], few)
    packed = _pack(KEY, first, second, third)
    assert packed.size == N + 2**14 + 2**7 + 1
    assert _repeats(packed) == 0


def test_epoch_step_example():
    """32 epochs of 256 steps of 512 examples, the layout of a training run, are 2**22 keys."""
    epochs, steps, examples = np.arange(32), np.arange(256), np.arange(512)
    made = ks.derive(KEY, "noise", epochs[:, None, None], steps[:, None], examples)
    assert made.shape == (32, 256, 512)
    assert _repeats(_pack(made)) == 0


def test_chain():
    """2**17 steps of a carried chain, each splitting its key in 32, make 2**22 keys."""

    def body(key, carry, _):
        return carry, jax.random.split(key, 32)

    _, _, ys = jax.jit(lambda key: ks.scan_carried(body, 0, key=key, length=2**17))(KEY)
    assert ys.shape == (2**17, 32)
    assert _repeats(_pack(ys)) == 0


def test_cousins():
    """2**22 children of 2**14 seeds in a row are as many keys: seeds may be small and near."""
    seeds = np.stack([np.zeros(2**14, np.uint32), np.arange(2**14, dtype=np.uint32)], -1)
    parents = jax.random.wrap_key_data(jnp.asarray(seeds))
    assert bool(parents[42] == KEY)
    made = _at(parents[:, None], None, np.arange(2**8, dtype=np.uint32)[None])
    assert _repeats(_pack(made)) == 0


def test_fault_narrow_names(digests):
    """Names of 32 bits, as other libraries have them, repeat 2,047 times on average at 2**22."""
    short = (digests >> np.uint64(32)).astype(np.uint32)
    found = _repeats(_pack(ks.derive(KEY, short)))
    assert 1800 < found < 2300  # 2,047 and five times its square root, 45


def test_fault_one_pair(children):
    """A single repeated key among 2**22 is found."""
    planted = children.copy()
    planted[N // 3] = planted[-5]
    assert _repeats(planted) == 1


def test_fault_joined_paths():
    """Paths joined to one name before hashing, ("ab", "c") as "abc", repeat; paths don't."""
    parts = [f"{number:b}" for number in range(64)]
    joined = [_scheme.hash_part(one + two) for one in parts for two in parts]
    assert _repeats(_pack(_at(KEY, *_stack(joined)))) > 1000
    outer = _at(KEY, *_stack([_scheme.hash_part(part) for part in parts]))
    inner = _stack([_scheme.hash_part(part) for part in parts])
    assert _repeats(_pack(_at(outer[:, None], *(word[None] for word in inner)))) == 0
