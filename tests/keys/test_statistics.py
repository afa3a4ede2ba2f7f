"""Derived keys and their first draws look independent: names, positions, and both nested.

Seeds are fixed, so a test that passes goes on passing. A false-alarm rate is the chance that
a perfect generator would have failed for the seeds that were picked; beside it stands the
smallest defect that is found (999 times in 1,000), and each statistic has a faulty one that it
must find, of about that size where the size is a choice. z is a number of standard
deviations; beyond 6 lie 2.0e-9 of a normal distribution (both sides), beyond 6.5 lie 8.0e-11.
"""

import jax
import numpy as np
import pytest

import keystream as ks
from keystream._keys import children as _children
from keystream._keys import scheme as _scheme
from keystream._keys.scheme import Counter
from tests import reference

pytestmark = pytest.mark.slow

N = 2**16
KEY = ks.key("statistics")


def _words(keys):
    """Return keys as rows of two words."""
    return np.asarray(jax.random.key_data(keys)).reshape(-1, 2)


def _counters(chosen):
    found = [_scheme.hash_part(name) for name in chosen]
    return Counter(np.array([c.hi for c in found]), np.array([c.lo for c in found]))


def _named(key, chosen):
    return jax.jit(_children.children)(key, _counters(chosen))


def _numbers(start=0):
    return (f"layer_{number}" for number in range(start, start + N))


def _nested():
    outer = _named(KEY, [f"layer_{number}" for number in range(2**8)])
    inner = _counters([f"unit_{number}" for number in range(2**8)])
    return jax.jit(_children.children)(outer[:, None], Counter(inner.hi[None], inner.lo[None]))


SOURCES = {
    "names": lambda: _named(KEY, _numbers()),
    "positions": lambda: ks.keys(KEY, N),
    "negative": lambda: ks.derive(KEY, -1 - np.arange(N)),
    "wide": lambda: ks.derive(KEY, np.arange(N) << 40),
    "nested": _nested,
    "name, position": lambda: ks.derive(KEY, "noise", np.arange(N)),
    "epoch, example": lambda: ks.derive(KEY, np.arange(2**6)[:, None], np.arange(2**10)),
    "seeds": lambda: jax.vmap(lambda key: ks.derive(key, "noise"))(
        jax.random.wrap_key_data(np.stack([np.zeros(N), np.arange(N)], -1).astype(np.uint32))
    ),
}


@pytest.fixture(scope="module", params=SOURCES)
def keys(request):
    """Return 65,536 keys of one layout."""
    return SOURCES[request.param]().ravel()


@pytest.fixture(scope="module")
def good():
    """Return words of NumPy's own generator, for the faulty ones to spoil."""
    return np.random.default_rng(7).integers(0, 2**32, (N, 2), dtype=np.uint32)


def _bits(words):
    """Return the bits of rows of words as rows of -1 and 1."""
    octets = np.ascontiguousarray(words, ">u4").view(np.uint8)
    return np.unpackbits(octets, axis=1).astype(np.float32) * 2 - 1


def _draws(keys):
    return np.asarray(ks.batched(jax.random.bits)(keys))[:, None]


def balance(words):
    """Return the largest |z| of a bit's number of ones."""
    return float(np.abs(_bits(words).sum(0)).max() / np.sqrt(len(words)))


def cross(one, other):
    """Return the largest |z| of a correlation between a bit of one and a bit of the other."""
    return float(np.abs(_bits(one).T @ _bits(other)).max() / np.sqrt(len(one)))


def pairs(words):
    """Return the largest |z| of a correlation between two bits of one row."""
    bits = _bits(words)
    sums = np.abs(bits.T @ bits)
    np.fill_diagonal(sums, 0)
    return float(sums.max() / np.sqrt(len(words)))


def _as_normal(found, free):
    """Turn a chi-squared value into z, by the cube root of E. B. Wilson, M. M. Hilferty (1931)."""
    spread = 2 / (9 * free)
    return float(((found / free) ** (1 / 3) - (1 - spread)) / np.sqrt(spread))


def even(values, cells):
    """Return the |z| of chi-squared of values below `cells`."""
    expected = values.size / cells
    found = ((np.bincount(values, minlength=cells) - expected) ** 2).sum() / expected
    return abs(_as_normal(found, cells - 1))


def evens(words):
    """Return the largest |z| of chi-squared of a byte of a row."""
    octets = np.ascontiguousarray(words, ">u4").view(np.uint8)
    return max(even(column, 256) for column in octets.T)


def pair_even(draws):
    """Return the |z| of chi-squared of neighbors, 16 times 16 cells of their top four bits."""
    top = (draws.ravel() >> 28).astype(np.int64)
    return even(top[0::2] * 16 + top[1::2], 256)


# 64 bits at z = 6: false alarm 1.3e-7. Finds a bit that is one with 0.482 or 0.518.
def test_balance(keys):
    """Each of the 64 bits of a key is one half of the time."""
    assert balance(_words(keys)) < 6


def test_balance_fault(good):
    """A bit that is one with probability 0.52 is found."""
    spoiled = good.copy()
    spoiled[np.random.default_rng(1).random(N) < 0.04, 1] |= np.uint32(2**20)
    assert balance(good) < 6 < balance(spoiled)


# 2,016 pairs at z = 6.5: false alarm 1.6e-7. Finds a correlation of 0.038.
def test_pairs(keys):
    """No two bits of a key are correlated."""
    assert pairs(_words(keys)) < 6.5


def test_pairs_fault(good):
    """A bit that repeats another one in 4 % of the keys is found."""
    spoiled = good.copy()
    rows = np.random.default_rng(2).random(N) < 0.04
    spoiled[rows, 0] = spoiled[rows, 0] & ~np.uint32(1) | spoiled[rows, 1] >> 31
    assert pairs(good) < 6.5 < pairs(spoiled)


# 4,096 pairs of bits at z = 6.5: false alarm 3.3e-7. Finds a correlation of 0.038.
@pytest.mark.parametrize("lag", [1, 1024])
def test_neighbors(keys, lag):
    """No bit of a key is correlated with a bit of the next one, or of one further on."""
    words = _words(keys)
    assert cross(words[:-lag], words[lag:]) < 6.5


def test_neighbors_fault(good):
    """A bit that repeats one of the key before in 4 % of the keys is found."""
    spoiled = good.copy()
    rows = 1 + np.flatnonzero(np.random.default_rng(3).random(N - 1) < 0.04)
    spoiled[rows, 0] = spoiled[rows, 0] & ~np.uint32(1) | good[rows - 1, 1] >> 31
    assert cross(good[:-1], good[1:]) < 6.5 < cross(spoiled[:-1], spoiled[1:])


CROSSED = {
    "name and position": lambda: (_named(KEY, _numbers()), ks.keys(KEY, N)),
    "two names": lambda: (ks.derive(KEY, "a", np.arange(N)), ks.derive(KEY, "b", np.arange(N))),
    "two seeds": lambda: (ks.keys(ks.key(0), N), ks.keys(ks.key(1), N)),
    "i and -i": lambda: (ks.keys(KEY, N, start=1), ks.derive(KEY, -np.arange(1, N + 1))),
    "parent and child": lambda: (
        ks.keys(KEY, N),
        jax.vmap(lambda key: ks.derive(key, 0))(ks.keys(KEY, N)),
    ),
    "ab, c and a, bc": lambda: (
        ks.derive(KEY, "ab", "c", np.arange(N)),
        ks.derive(KEY, "a", "bc", np.arange(N)),
    ),
}


# 4,096 pairs of bits at z = 6.5: false alarm 3.3e-7. Finds a correlation of 0.038.
@pytest.mark.parametrize("source", CROSSED)
def test_relatives(source):
    """No bit of a key is correlated with a bit of its relative in another domain."""
    one, other = CROSSED[source]()
    assert cross(_words(one), _words(other)) < 6.5


def test_relatives_fault():
    """A name that is only added to the key, and not enciphered, is found."""
    one = _words(ks.keys(KEY, N))
    assert cross(one, one + np.uint32(0x9E3779B9)) > 6.5


def _flips(one, other):
    """Return the largest |z| of how often a bit of the key flips, of each row of inputs."""
    changed = one ^ other
    bits = np.unpackbits(np.ascontiguousarray(changed, ">u4").view(np.uint8), axis=-1)
    samples = bits.shape[1]
    return float(np.abs(bits.sum(1) * 2.0 - samples).max() / np.sqrt(samples))


SAMPLES = 2**11


def _positions():
    return np.random.default_rng(4).integers(0, 2**62, SAMPLES)


# 62 bits in, 64 out, 2,048 positions, at z = 6.5: false alarm 3.2e-7. Finds a bit that flips
# with 0.394 or 0.606.
def test_avalanche_positions():
    """Flipping any one bit of a position flips each bit of the key half of the time."""
    base, one = _positions(), np.int64(1) << np.arange(62)[:, None]
    here = _words(ks.derive(KEY, base))
    there = _words(ks.derive(KEY, base ^ one)).reshape(62, SAMPLES, 2)
    assert _flips(here, there) < 6.5


# The same for 56 bits of a name of 7 bytes.
def test_avalanche_names():
    """Flipping any one bit of a name flips each bit of the key half of the time."""
    base = np.random.default_rng(5).integers(1, 2**56, SAMPLES)
    one = np.int64(1) << np.arange(56)[:, None]

    def made(ids):
        chosen = [int(number).to_bytes(7, "big") for number in ids.ravel()]
        return _words(_named(KEY, chosen)).reshape(*ids.shape, 2)

    assert _flips(made(base), made(base ^ one)) < 6.5


# The same for the 64 bits of the parent: two levels of derivation.
def test_avalanche_parents():
    """Flipping any one bit of a key flips each bit of its named child half of the time."""
    base = np.random.default_rng(6).integers(0, 2**32, (SAMPLES, 2), dtype=np.uint32)
    mask = np.zeros((64, 1, 2), np.uint32)
    mask[:32, 0, 0] = mask[32:, 0, 1] = np.uint32(1) << np.arange(32, dtype=np.uint32)

    def made(words):
        parents = jax.random.wrap_key_data(words.reshape(-1, 2))
        children = jax.vmap(lambda key: ks.derive(key, "noise", 3))(parents)
        return _words(children).reshape(words.shape)

    assert _flips(made(base), made(base ^ mask)) < 6.5


def test_avalanche_fault():
    """A cipher of six rounds in place of twenty is found, and the reference's twenty pass."""
    base, one = _positions().astype(np.uint64), np.uint64(1) << np.arange(62, dtype=np.uint64)
    low = np.uint64(2**32 - 1)

    def made(ids, rounds):
        block = reference.threefry2x32((0, 42), (ids >> np.uint64(32), ids & low), rounds)
        return np.stack(block, -1).astype(np.uint32)

    flipped = base ^ one[:, None]
    assert _flips(made(base, 20), made(flipped, 20)) < 6.5 < _flips(made(base, 6), made(flipped, 6))


# 8 bytes at z = 6, both sides: false alarm 1.6e-8. Finds one byte value in 256 that comes
# twice as often as it should, and counts that are too even.
def test_even(keys):
    """Every byte of a key takes its 256 values equally often, but not too equally."""
    assert evens(_words(keys)) < 6


def test_even_fault(good):
    """A byte value that comes twice as often is found, and so is a plain counter: too even."""
    spoiled = good.copy()
    rows = np.random.default_rng(8).random(N) < 1 / 256
    spoiled[rows, 0] = spoiled[rows, 0] & ~np.uint32(255) | 17
    assert evens(good) < 6 < evens(spoiled)
    assert even(np.arange(N) % 256, 256) > 6


# 32 bits, 496 pairs, 4 bytes and 1,024 neighbors: false alarm 2.0e-7 in all. Finds what the
# tests of keys find.
def test_first_draws(keys):
    """The first draws of derived keys are balanced, even, and uncorrelated within and along."""
    draws = _draws(keys)
    assert balance(draws) < 6
    assert pairs(draws) < 6.5
    assert evens(draws) < 6
    assert pair_even(draws) < 6
    assert cross(draws[:-1], draws[1:]) < 6.5


def test_first_draws_fault(keys):
    """A key that is used a second time in every 16th place is found in the draws."""
    draws = _draws(keys).copy()
    draws[16::16] = draws[15:-1:16]
    assert cross(draws[:-1], draws[1:]) > 6.5


def together(drawn):
    """Return the z of how far the means over streams, one for each draw, lie from one half."""
    z = (drawn.mean(0) - 0.5) * np.sqrt(12 * len(drawn))
    return _as_normal((z**2).sum(), z.size)


# 1,024 keys draw 64 uniforms each: 64 means over keys, whose squares are chi-squared, at
# z = 6, both sides: false alarm 2.0e-9. Finds 52 keys among the 1,024 that share their draws.
def test_streams():
    """Streams of uniforms of named keys are independent: their mean varies as little as that."""
    made = _named(KEY, [f"stream_{number}" for number in range(1024)])
    drawn = np.asarray(ks.batched(jax.random.bits)(made, (64,))) / 2.0**32
    assert abs(together(drawn)) < 6
    shared = drawn.copy()
    shared[:64] = shared[0]
    assert together(shared) > 6
