"""What `tests/keys/test_statistics.py` asks of keys one by one, asked of streams and layouts.

Seeds are fixed. z is a number of standard deviations; where a p-value is at hand, it is
turned into z. Beside each test stand its false-alarm rate (that a perfect generator would
have failed for the seeds that were picked), and the smallest defect that it finds 999 times
in 1,000; each has a faulty one of about that size, or of the kind that it is there for.
"""

import functools

import jax
import numpy as np
import pytest
from scipy import stats

import keystream as ks
from keystream.cli._bits.layouts import LAYOUTS

pytestmark = pytest.mark.slow

KEY = ks.key("layout statistics")
N = 2**19


@pytest.fixture(scope="module", params=LAYOUTS)
def words(request):
    """Return the words of one turn of a layout."""
    return np.asarray(LAYOUTS[request.param].block(KEY, 1))


@pytest.fixture(scope="module")
def good():
    """Return words of NumPy's own generator, for the faulty ones to spoil."""
    return np.random.default_rng(7).integers(0, 2**32, N, dtype=np.uint32)


def _z(p):
    """Return the z of a p-value, both sides."""
    return float(stats.norm.isf(max(p, 1e-300) / 2))


def _chi(found, expected):
    """Return the z of chi-squared, too high or too low."""
    value, free = ((found - expected) ** 2 / expected).sum(), len(found) - 1
    low, high = stats.chi2.cdf(value, free), stats.chi2.sf(value, free)
    return _z(min(1.0, 2 * min(low, high)))


# Kolmogorov-Smirnov ----------------------------------------------------------------------


def smooth(words):
    """Return the z of the largest distance between the words' distribution and a uniform one."""
    return _z(stats.kstest((words + 0.5) / 2**32, "uniform", method="asymp").pvalue)


# 12 layouts at z = 6: false alarm 2.4e-8. Finds a distance of 0.0066.
def test_smooth(words):
    """The words of a layout are uniform as a whole (Kolmogorov-Smirnov)."""
    assert smooth(words) < 6


def test_smooth_fault(good):
    """One word in 60 that is halved is found."""
    spoiled = good.copy()
    spoiled[::60] //= 2
    assert smooth(good) < 6 < smooth(spoiled)


# Serial ----------------------------------------------------------------------------------


def serial(words, shift):
    """Return the z of chi-squared of triples of four bits each, in 4,096 cells."""
    cut = (words[: len(words) // 3 * 3] >> np.uint32(shift) & 15).astype(np.int64).reshape(-1, 3)
    found = np.bincount(cut @ [256, 16, 1], minlength=4096)
    return _chi(found, np.full(4096, len(cut) / 4096))


# 12 layouts, upper and lower bits, at z = 6: false alarm 4.8e-8. Finds one triple in 54 whose
# third part repeats the first.
@pytest.mark.parametrize("shift", [28, 0])
def test_serial(words, shift):
    """Three words in a row fall evenly into 4,096 cells (D. E. Knuth's serial test)."""
    assert serial(words, shift) < 6


def test_serial_fault(good):
    """One triple in 15 whose third word repeats the first is found; pairs don't show it."""
    spoiled = good[: N // 3 * 3].reshape(-1, 3).copy()
    spoiled[::15, 2] = spoiled[::15, 0]
    assert serial(good, 28) < 6 < serial(spoiled.ravel(), 28)


# Gaps ------------------------------------------------------------------------------------

SHARE, LONGEST = 1 / 16, 100


def gaps(words):
    """Return the z of chi-squared of the gaps between words below 2**28."""
    places = np.flatnonzero(words < 2**32 * SHARE)
    found = np.bincount(np.minimum(np.diff(places) - 1, LONGEST), minlength=LONGEST + 1)
    odds = SHARE * (1 - SHARE) ** np.arange(LONGEST + 1)
    odds[LONGEST] = (1 - SHARE) ** LONGEST
    return _chi(found, odds * (len(places) - 1))


# 12 layouts at z = 6: false alarm 2.4e-8. Finds a word that avoids low values after a low one
# in 3 of 10 cases.
def test_gaps(words):
    """Low words come as far apart as chance has it (D. E. Knuth's gap test)."""
    assert gaps(words) < 6


def test_gaps_fault(good):
    """A generator that follows half of its low words by a high one is found."""
    spoiled = good.copy()
    after = 1 + np.flatnonzero(spoiled[:-1] < 2**28)[::2]
    spoiled[after] |= np.uint32(2**31)
    assert gaps(good) < 6 < gaps(spoiled)


# Collisions ------------------------------------------------------------------------------


def collisions(words):
    """Return the z of the number of words that are not the first of their kind."""
    found = len(words) - len(np.unique(words))
    expected = len(words) ** 2 / 2**33
    tail = min(stats.poisson.cdf(found, expected), stats.poisson.sf(found - 1, expected))
    return _z(min(1.0, 2 * tail))


# 12 layouts at z = 5, where 32 are expected: false alarm 6.9e-6. Finds two bits that are
# missing, and a generator that never repeats itself.
def test_collisions(words):
    """Words repeat as often as the birthday bound says, neither more nor less."""
    assert collisions(words) < 5


def test_collisions_fault(good):
    """Words of 30 bits repeat too often, and those of a counter through a cipher too rarely."""
    mixed = np.arange(N, dtype=np.uint32) * np.uint32(2654435769)
    assert collisions(good) < 5
    assert collisions(good >> np.uint32(2)) > 5
    assert collisions(mixed) > 5


# Avalanche of seeds ----------------------------------------------------------------------

SAMPLES = 2**11


def _made(seeds):
    """Return the first child's words of seeds below 2**32, as `ks.key` makes them."""
    keys = jax.vmap(lambda seed: ks.derive(jax.random.key(seed, impl="threefry2x32"), 0))
    return np.asarray(jax.random.key_data(keys(seeds.ravel()))).reshape(*seeds.shape, 2)


def flips(one, other):
    """Return the largest |z| of how often a bit flips, along the axis before the last."""
    octets = np.ascontiguousarray(one ^ other, ">u4").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1)
    samples = bits.shape[-2]
    return float(np.abs(bits.sum(-2) * 2.0 - samples).max() / np.sqrt(samples))


def _flipped(seeds):
    return seeds ^ (np.uint32(1) << np.arange(32, dtype=np.uint32)[:, None])


# 32 bits in, 64 out, 2,048 seeds, at z = 6.5: false alarm 1.6e-7. Finds a bit that flips with
# 0.394 or 0.606.
def test_avalanche_of_seeds():
    """Flipping any one bit of a seed flips each bit of a child of its key half of the time."""
    seeds = np.random.default_rng(1).integers(0, 2**32, SAMPLES, dtype=np.uint32)
    assert (_made(seeds)[0] == jax.random.key_data(ks.derive(ks.key(int(seeds[0])), 0))).all()
    assert flips(_made(seeds)[None], _made(_flipped(seeds))) < 6.5


# 127 bits in, 8 seeds: 1,016 flips for each bit out, 512 for each bit in, at z = 6: false
# alarm 3.8e-7 in all. Finds a bit out that flips with 0.357, or a bit in that flips with 0.299.
def test_avalanche_of_wide_seeds():
    """The same of seeds of 128 bits, which are hashed: no bit of them is left out."""
    source = np.random.default_rng(2)
    changed = []
    for seed in (int.from_bytes(source.bytes(16), "big") | 2**127 for _ in range(8)):
        flipped = [seed, *(seed ^ 1 << bit for bit in range(127))]
        words = np.stack([jax.random.key_data(ks.key(each)) for each in flipped])
        changed.append(words[1:] ^ words[0])
    changed = np.stack(changed)  # seeds, bits in, words
    zero = np.zeros_like(changed)
    assert flips(changed.reshape(1, -1, 2), zero.reshape(1, -1, 2)) < 6
    octets = np.ascontiguousarray(changed, ">u4").view(np.uint8)
    ones = np.unpackbits(octets, axis=-1).sum((0, 2))
    assert np.abs(ones * 2.0 - 512).max() / np.sqrt(512) < 6


def test_avalanche_of_seeds_fault():
    """A key that is its seed times a constant is found: low bits don't depend on high ones."""
    seeds = np.random.default_rng(1).integers(0, 2**32, SAMPLES, dtype=np.uint32)

    def mixed(seeds):
        return np.stack([seeds * np.uint32(2654435769), seeds * np.uint32(2246822519)], -1)

    assert flips(mixed(seeds)[None], mixed(_flipped(seeds))) > 6.5


# Many streams, in pairs --------------------------------------------------------------------

STREAMS, LENGTH = 1024, 2048
NAMES = [f"stream_{number}" for number in range(STREAMS)]


@functools.partial(jax.jit, static_argnums=1)
def _drawn(keys, length):
    return ks.batched(jax.random.bits)(keys, (length,), np.uint32)


def _centered(words):
    """Return words as numbers of mean 0 and variance 1."""
    return ((words + 0.5) / 2**32 - 0.5) * np.sqrt(12)


def pairwise(streams):
    """Return the largest |z| of a correlation, and the |z| of the squares of all of them."""
    size, length = streams.shape
    z = (_centered(streams) @ _centered(streams).T / np.sqrt(length))[np.triu_indices(size, 1)]
    return float(np.abs(z).max()), float(abs((z**2 - 1).mean()) * np.sqrt(len(z) / 2))


KINDS = {
    "children": lambda: ks.keys(KEY, STREAMS),
    "named": lambda: jax.numpy.stack(list(ks.split(KEY, NAMES).values())),
    "seeds": lambda: jax.numpy.stack([ks.key(seed) for seed in range(STREAMS)]),
}


# 523,776 pairs of three kinds at z = 7, and their squares at z = 6: false alarm 4.0e-6.
# Finds two streams with a correlation of 0.22, and all of them with one of 0.01.
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_streams(kind):
    """No two of 1,024 streams are correlated, nor are all of them a little."""
    largest, together = pairwise(np.asarray(_drawn(KINDS[kind](), LENGTH)))
    assert largest < 7
    assert together < 6


def test_pairs_of_streams_faults():
    """Two streams that share a quarter are found, and so are all that share one word in 100."""
    source = np.random.default_rng(3)
    good = source.integers(0, 2**32, (STREAMS, LENGTH), dtype=np.uint32)
    two = good.copy()
    two[99, ::4] = two[17, ::4]
    assert pairwise(good)[0] < 7 < pairwise(two)[0]
    everyone = good.copy()
    everyone[:, ::100] = everyone[0, ::100]
    assert pairwise(good)[1] < 6 < pairwise(everyone)[1]


# Lags ------------------------------------------------------------------------------------

RELATIVES, LAGGED = 256, 2**12


def lagged(one, other):
    """Return the largest |z| of a correlation of relatives at any lag, of each pair and of all.

    Lags go around the end, so that all have the same number of words.
    """
    product = np.fft.rfft(_centered(one)) * np.conj(np.fft.rfft(_centered(other)))
    z = np.fft.irfft(product, one.shape[1]) / np.sqrt(one.shape[1])
    return float(np.abs(z).max()), float(np.abs(z.sum(0)).max() / np.sqrt(len(z)))


def _family(path):
    parents = ks.keys(ks.derive(KEY, "parents"), RELATIVES)
    children = jax.vmap(lambda key: ks.derive(key, *path))(parents)
    return np.asarray(_drawn(parents, LAGGED)), np.asarray(_drawn(children, LAGGED))


def _siblings():
    drawn = np.asarray(_drawn(ks.keys(KEY, RELATIVES + 1), LAGGED))
    return drawn[:-1], drawn[1:]


RELATED = {
    "siblings": _siblings,
    "parent and named child": lambda: _family(("noise",)),
    "parent and far child": lambda: _family((2**31,)),
    "parent and grandchild": lambda: _family(("noise", 0)),
}


# 256 pairs at 4,096 lags at z = 7, and 4,096 sums over pairs at z = 6.5: false alarm 1.2e-5 for
# the four kinds. Finds a pair with a correlation of 0.16, and pairs that all have one of 0.0094.
@pytest.mark.parametrize("kind", RELATED)
def test_lags(kind):
    """Draws of siblings, and of parent and child, are uncorrelated at every lag."""
    single, together = lagged(*RELATED[kind]())
    assert single < 7
    assert together < 6.5


def test_lags_faults():
    """A child that repeats a fifth of its parent, 17 later, is found; so are many that do 1 %."""
    source = np.random.default_rng(4)
    one, other = source.integers(0, 2**32, (2, RELATIVES, LAGGED), dtype=np.uint32)
    single, together = lagged(one, other)
    assert single < 7
    assert together < 6.5
    spoiled = other.copy()
    spoiled[5, 17::5] = one[5, :-17:5]
    assert lagged(one, spoiled)[0] > 7
    spoiled = other.copy()
    spoiled[:, 17::100] = one[:, :-17:100]
    assert lagged(one, spoiled)[1] > 6.5
