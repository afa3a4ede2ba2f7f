"""The statistical checks pass what is good, fail every planted faulty, and say what is wrong.

False alarm: by the rule each check here fails a perfect sampler with probability 1e-9 at
most. Beside each faulty one stands what it is; how small a one is found the evidence says, and
tests/testing/test_rates.py measures.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import stats

import keystream as ks
from keystream import testing
from keystream.testing._statistics import tally
from keystream.testing._statistics.rule import Reading, Rule, two_stage

pytestmark = pytest.mark.slow

KEY = ks.key("trust")
NORMAL, UNIFORM = stats.norm(), stats.uniform()
FEW = 2**14


def _caught(check, *args, cls=testing.DistributionError, **kwargs):
    """Return the message with which a check fails."""
    with pytest.raises(cls) as caught:
        check(*args, **kwargs)
    return str(caught.value)


def _named(key, name, *args):
    """Draw beside a key that a faulty one also draws from otherwise."""
    return jax.random.normal(ks.derive(key, name), *args)


SLOW = {"cauchy", "one coordinate of many", "an LCG modulo 2**32", "a counter", "clipped"}
"""What a neighbor in its table catches too: outside the gate, which compiles too much already."""


def _each(table):
    return [pytest.param(n, marks=pytest.mark.outside) if n in SLOW else n for n in table]


GOOD = {
    "normal": (jax.random.normal, NORMAL),
    "uniform": (jax.random.uniform, UNIFORM),
    "cauchy": (jax.random.cauchy, stats.cauchy()),
    "exponential": (jax.jit(jax.random.exponential), stats.expon()),
    "randint": (lambda key: jax.random.randint(key, (), 3, 10), stats.randint(3, 10)),
    "bernoulli": (lambda key: jax.random.bernoulli(key, 0.003), stats.bernoulli(0.003)),
    "poisson": (lambda key: jax.random.poisson(key, 3.5), stats.poisson(3.5)),
    "CDF": (jax.random.normal, jax.scipy.stats.norm.cdf),
    "vector": (lambda key: jax.random.normal(key, (2, 3)), NORMAL),
    "one distribution each": (
        lambda key: jnp.array([1.0, 2.0]) * jax.random.normal(key, (2,)),
        stats.norm(0, [1, 2]),
    ),
}


@pytest.mark.parametrize("name", _each(GOOD))
def test_good(name):
    """A sampler of the distribution that it should be of passes, in a single look mostly."""
    sampler, reference = GOOD[name]
    seen = testing.check_distribution(sampler, KEY, reference, num=FEW)
    assert seen.draws[0] == FEW
    assert seen.false_alarm == 1e-9


def test_good_whole():
    """Correlated normal draws pass beside their own law, and fail where they were independent."""
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    mean = np.array([1.0, 2.0])

    def sampler(key):
        return jax.random.multivariate_normal(key, mean, covariance, dtype=np.float32)

    testing.check_distribution(sampler, KEY, stats.multivariate_normal(mean, covariance), num=FEW)
    alone = stats.multivariate_normal(mean, np.diag(covariance))
    said = _caught(testing.check_distribution, sampler, KEY, alone, num=FEW)
    assert "scale of the sum of all coordinates: 1.1" in said
    each = stats.norm(mean, np.sqrt(np.diag(covariance)))
    assert testing.check_distribution(sampler, KEY, each, num=FEW, independent=False)


def _lost(key):
    return jnp.where(jax.random.uniform(ks.derive(key, 1)) < 2e-3, jnp.nan, _named(key, 0))


MANY = 2**19
FAULTY = {
    "shifted by 1 % of a standard deviation": (
        lambda key: jax.random.normal(key) + 0.01,
        NORMAL,
        MANY,
        "location: shifted by +0.0",
    ),
    "2 % too wide": (
        lambda key: 1.02 * jax.random.normal(key),
        NORMAL,
        2**17,
        "scale: 1.02",
    ),
    "wrong tails, logistic for normal": (
        lambda key: jax.random.logistic(key) * np.sqrt(3) / np.pi,
        NORMAL,
        2**16,
        "far upper tail",
    ),
    "truncated at 3.5": (
        lambda key: jax.random.truncated_normal(key, -3.5, 3.5),
        NORMAL,
        2**18,
        "far lower tail: 0 draws lie below -3.6683",
    ),
    "clipped": (
        lambda key: jnp.clip(jax.random.normal(key), -2.0, 2.0),
        NORMAL,
        FEW,
        "CDF",
    ),
    "on a coarse grid": (
        lambda key: jnp.floor(jax.random.uniform(key) * 100) / 100,
        UNIFORM,
        FEW,
        "cells: uneven",
    ),
    "NaN, twice in a thousand": (
        lambda key: jnp.where(
            jax.random.uniform(ks.derive(key, 1)) < 2e-3, jnp.nan, _named(key, 0)
        ),
        NORMAL,
        FEW,
        "impossible draws: ",
    ),
    "out of the support": (
        lambda key: -jax.random.exponential(key),
        stats.expon(),
        FEW,
        "that can't be",
    ),
    "a count from one, not zero": (
        lambda key: jax.random.geometric(key, 0.3) - 1,
        stats.geom(0.3),
        FEW,
        "impossible draws: ",
    ),
    "an integer range that ends one early": (
        lambda key: jax.random.randint(key, (), 0, 99),
        stats.randint(0, 100),
        2**16,
        "cells: uneven over 100 cells",
    ),
    "a count one trial short": (
        lambda key: jax.random.bernoulli(key, 0.3, (49,)).sum(),
        stats.binom(50, 0.3),
        2**15,
        "location: shifted by -0.0",
    ),
    "one value of 256 for another": (
        lambda key: jnp.maximum(jax.random.randint(key, (), 0, 256), 1),
        stats.randint(0, 256),
        2**17,
        "cells: uneven",
    ),
    "correlated coordinates, r = 0.05": (
        lambda key: np.sqrt(0.95) * _named(key, 0, (3,)) + np.sqrt(0.05) * _named(key, 1),
        NORMAL,
        2**15,
        "scale of the sum of all coordinates: 1.0",
    ),
    "one coordinate of many": (
        lambda key: jax.random.normal(key, (20,)).at[7].add(0.1),
        NORMAL,
        FEW,
        "location of coordinate 7: shifted by +0.1",
    ),
}


@pytest.mark.parametrize("name", _each(FAULTY))
def test_fault(name):
    """Each faulty one among samplers is caught, and the message says in what way it lies."""
    sampler, reference, num, words = FAULTY[name]
    said = _caught(testing.check_distribution, sampler, KEY, reference, num=num)
    assert words in said
    assert f"({num:,}, {4 * num:,}, {4 * num:,} draws; by mistake at most 1e-09" in said


def test_too_even():
    """A grid is no sample: its cells are told to be more even than chance."""
    far, cuts = tally.far_tail(FEW), np.linspace(0, 1, 257)
    grid = (np.arange(FEW)[:, None] + 0.5) / FEW
    p = tally.p_values(tally.tally(grid, far, cuts), far, cuts)[:, 0]
    assert dict(zip(tally.NAMES, p, strict=True))["cells"] < 1e-12
    assert p[:-1].min() > 0.1


def test_two_values():
    """Counts that hit what is expected exactly are no sign of anything in two cells."""
    half = np.repeat([0.25, 0.75], 512)[:, None]
    p = tally.p_values(tally.tally(half, 0.01, np.array([0, 0.5, 1])), 0.01, np.array([0, 0.5, 1]))
    assert p[-2:].min() == 1


def test_message():
    """A failure reads as a whole: who, what, how often by mistake, how far and where."""
    said = _caught(
        testing.check_distribution, lambda key: jax.random.normal(key) + 0.5, KEY, NORMAL, num=4096
    )
    first, location, *_ = said.splitlines()
    assert first == (
        "check_distribution: sampler must draw from norm, and doesn't in each of three looks on "
        "fresh keys (4,096, 16,384, 16,384 draws; by mistake at most 1e-09 of the times). "
        "In the last one:"
    )
    assert location.startswith("  location: shifted by +0.5")
    assert "CDFs are farthest apart at " in said


def test_same_distribution():
    """Two ways to draw from one distribution pass, with ties and in several dimensions too."""

    def summed(key):
        return jax.random.normal(key, (2, 3)).sum(0) / np.sqrt(2)

    testing.check_same_distribution(summed, lambda key: jax.random.normal(key, (3,)), KEY, num=FEW)
    testing.check_same_distribution(
        lambda key: jax.random.bernoulli(key, 0.3, (4,)).sum(),
        lambda key: jax.random.binomial(key, 4.0, 0.3),
        KEY,
        num=FEW,
    )


def test_same_distribution_faults():
    """A shift of 10 %, other tails, NaN and another dependence of coordinates are caught."""
    check, normal = testing.check_same_distribution, jax.random.normal
    said = _caught(check, lambda key: normal(key) + 0.1, normal, KEY, num=FEW)
    assert "location: shifted by +0." in said
    said = _caught(check, jax.random.laplace, normal, KEY, num=FEW)
    assert "draws lie above" in said
    assert "NaN: " in _caught(check, _lost, normal, KEY, num=FEW)

    def alike(key):
        return np.sqrt(0.8) * _named(key, 0, (2,)) + np.sqrt(0.2) * _named(key, 1)

    said = _caught(check, alike, lambda key: normal(key, (2,)), KEY, num=FEW)
    assert "of the sum of all coordinates" in said


def test_given_draws():
    """An array of draws made elsewhere is a reference, and each look takes its own part."""
    made = np.random.default_rng(0).normal(size=163840)
    seen = testing.check_distribution(jax.random.normal, KEY, np.sort(made))
    assert seen.draws[0] == FEW
    said = _caught(testing.check_distribution, jax.random.normal, KEY, made + 0.2)
    assert "sampler must draw as the reference does, and doesn't" in said


def _siblings(key, i):
    """Return two keys for each child, whose words differ in one bit."""
    words = jax.random.key_data(ks.derive(key, i // 2))
    return jax.random.wrap_key_data(words.at[1].set(words[1] & ~jnp.uint32(1) | jnp.uint32(i % 2)))


def _numbered(key, i):
    """Return a key from which a faulty one reads its number."""
    return jax.random.wrap_key_data(jnp.stack([jax.random.key_data(key)[0], jnp.uint32(i + 1)]))


def _of_all(key):
    words = jax.random.key_data(key)
    return words[1], jax.random.wrap_key_data(words.at[1].set(0))


@jax.jit
def _shares(key):
    """Draw like the even sibling in every 1,000th place."""
    words = jax.random.key_data(key)
    even = jax.random.wrap_key_data(words.at[1].set(words[1] & ~jnp.uint32(1)))
    own, other = (ks.sample(jax.random.uniform, each, 4096) for each in (key, even))
    return jnp.where(jnp.arange(4096) % 1000 == 999, other, own)


@jax.jit
def _moved(key):
    """Draw from one sequence for all streams, stream i beginning 37 i draws later."""
    number, common = _of_all(key)
    return lax.dynamic_slice(jax.random.uniform(common, (4096,)), (number * 37,), (1024,))


@jax.jit
def _lanes(key):
    """Draw with a common part: two streams are correlated by 0.02."""
    _, common = _of_all(key)
    return jax.random.normal(key, (1024,)) + np.sqrt(0.02) * jax.random.normal(common, (1024,))


@jax.jit
def _remembers(key):
    """Draw a sequence of which each is correlated with the last by 0.04."""
    return lax.scan(lambda last, x: (x + 0.04 * last,) * 2, 0.0, jax.random.normal(key, (1024,)))[1]


@jax.jit
def _antithetic(key):
    """Draw the negative of stream 3 as stream 4, the rest independent."""
    number, common = _of_all(key)
    mine = jax.random.normal(jax.random.fold_in(common, number), (1024,))
    return jnp.where(number == 4, -jax.random.normal(jax.random.fold_in(common, 3), (1024,)), mine)


def _cut_name(key, i):
    """Return a child by 16 bits of a hash of a name: two of these 512 are equal."""
    digest = hashlib.sha256(f"layer_{i}".encode()).digest()
    return ks.derive(key, int.from_bytes(digest[:2], "big"))


def test_independent():
    """Streams of children, and of names, are independent, whatever is drawn from them."""
    testing.check_independent(jax.random.normal, KEY, 32, num=512)
    by_name = lambda key, i: ks.derive(key, f"layer_{i}")
    testing.check_independent(jax.random.uniform, KEY, 16, num=256, derive=by_name)
    testing.check_independent(
        lambda key: jax.random.bernoulli(key, 0.02), KEY, 16, num=256, derive=_siblings
    )
    testing.check_independent(jax.random.normal, KEY, 8, (12,), num=64)


DEPENDENT = {
    "every 1,000th block of a sibling": (_shares, 16, None, _siblings, "share 4 draws in the same"),
    "one sequence, moved along": (_moved, 16, None, _numbered, "equal runs of draws: "),
    "lanes correlated by 0.02": (_lanes, 64, None, _numbered, "sums over streams: "),
    "each draw remembers the last": (_remembers, 64, None, _numbered, "and itself 1 draws later"),
    "the negative of another": (_antithetic, 8, None, _numbered, "streams 2 and 3: r = -0.99"),
    "one key for two streams": (
        jax.random.normal,
        16,
        256,
        lambda key, i: ks.derive(key, 3 if i == 7 else i),
        "streams 3 and 7 share 256 draws in the same places",
    ),
    "a name hash cut to 16 bits": (jax.random.uniform, 512, 64, _cut_name, "equal runs of draws"),
    "one and the same draw": (
        lambda key: jnp.zeros_like(jax.random.normal(key)),
        8,
        64,
        None,
        "one and the same",
    ),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_dependent(name):
    """Each faulty one among streams is caught, and the message names the streams or the lag."""
    sampler, streams, num, derive, words = DEPENDENT[name]
    check, cls = testing.check_independent, testing.DependenceError
    said = _caught(check, sampler, KEY, streams, num=num, derive=derive, cls=cls)
    assert words in said


def _generator(step, dtype, num=2**16):
    """Return a function that iterates a 32-bit state and gives `dtype` words of it."""

    def words(key):
        def turn(state, _):
            state = step(state)
            return state, state.astype(dtype)

        return lax.scan(turn, jax.random.bits(key) | 1, length=num)[1]

    return words


def _xorshift(state):
    state = state ^ (state << 13)
    state = state ^ (state >> 17)
    return state ^ (state << 5)


def test_uniform_bits():
    """The words of jax.random, and keys themselves, are uniform bits."""
    testing.check_uniform_bits(jax.random.bits, KEY, num=2**16)
    testing.check_uniform_bits(jax.random.key_data, KEY, num=2**15)
    testing.check_uniform_bits(jax.random.bits, KEY, (2**16,), "uint8", num=None)
    testing.check_uniform_bits(jax.random.bits, KEY, (4,), "uint16", num=2**15)


def _flawed(mask, chance):
    """Return a function whose words have a bit set that often."""

    def words(key):
        drawn, use = jax.random.bits(ks.derive(key, 0), (2**16,)), ks.derive(key, 1)
        return jnp.where(jax.random.bernoulli(use, chance, drawn.shape), drawn | mask, drawn)

    return words


def _again(key):
    """Give words whose low bit repeats the next word's top bit once in 25."""
    drawn = jax.random.bits(ks.derive(key, 0), (2**16,))
    then = drawn & ~jnp.uint32(1) | jnp.roll(drawn, -1) >> 31
    return jnp.where(jax.random.bernoulli(ks.derive(key, 1), 0.04, drawn.shape), then, drawn)


FLAWED = {
    "an LCG modulo 2**16": (
        _generator(lambda s: s * 25173 + 13849 & 0xFFFF, np.uint16, 2**17),
        "come again, 32,768 words later",
    ),
    "an LCG modulo 2**32": (_generator(lambda s: s * 1664525 + 1013904223, np.uint32), "bytes: "),
    "xorshift32, whose words never come again": (
        _generator(_xorshift, np.uint32, 2**19),
        "repeated words: 0 words came before, where 32.0 should have",
    ),
    "a counter": (lambda key: jax.random.bits(key) + jnp.arange(2**16, dtype="uint32"), "balance"),
    "a bit that is one in 52 %": (_flawed(jnp.uint32(2**7), 0.04), "balance: bit 7 is one in 0.5"),
    "a bit that repeats the next word's": (_again, "a bit and one of the next word: bits 0 and 31"),
}


@pytest.mark.parametrize("name", _each(FLAWED))
def test_flawed_bits(name):
    """Each faulty one among generators of words is caught."""
    fun, words = FLAWED[name]
    assert words in _caught(testing.check_uniform_bits, fun, KEY, num=None)


def _looks(*p_values):
    """Return a look that gives rows of p-values one after the other, and how often it looked."""
    given, seen = iter(p_values), []

    def look(key, num):
        seen.append((key, num))
        p = np.array(next(given))
        return Reading(p, "direction {}".format, [f"d{i}" for i in range(p.size)])

    return look, seen


# Level 0.001; a direction of two is flagged at 0.0005.
RUNS = {
    "nothing suspicious": ([(0.4, 0.0006)], []),
    "not seen again": ([(0.4, 0.0004), (0.4, 0.5)], []),
    "seen again once": ([(0.4, 0.0004), (0.4, 1e-9), (0.4, 0.0011)], []),
    "in the other direction": ([(0.4, 0.0004), (1e-9, 0.99)], []),
    "seen three times": ([(0.4, 0.0004), (0.4, 0.001), (0.4, 0.001)], [1]),
    "both, one again": ([(1e-9, 1e-9), (1e-9, 1e-9), (0.5, 1e-9)], [1]),
}


@pytest.mark.parametrize("name", RUNS)
def test_two_stages(name):
    """It fails only where both reruns agree with the first look on a direction."""
    rows, failing = RUNS[name]
    look, seen = _looks(*rows)
    outcome = two_stage(look, KEY, "test", 100, Rule(1e-9, 1))
    assert outcome.failing.tolist() == failing
    assert [num for _, num in seen] == [100, 400, 400][: len(rows)]
    fingerprints = {ks.fingerprint(key) for key, _ in seen}
    assert len(fingerprints) == len(rows)


def test_rule():
    """The level is the cube root of one test's share, and the reach gives the stated power."""
    assert Rule(1e-9, 1).level == pytest.approx(1e-3)
    assert Rule(8e-9, 8).level == pytest.approx(1e-3)
    mean = Rule(1e-9, 1).reach(17)
    flag, confirm = -stats.norm.ppf([1e-3 / 17, 1e-3])
    found = stats.norm.sf(flag - mean) * stats.norm.sf(confirm - 2 * mean) ** 2
    assert found == pytest.approx(0.999)
    assert Rule(1e-9, 100).reach(17) > mean


def test_evidence():
    """Evidence says what was looked at and what would have been found, and doesn't change."""
    seen = testing.check_distribution(jax.random.normal, KEY, NORMAL, num=10**4, tests=10)
    assert seen.smallest_shift == pytest.approx(Rule(1e-9, 10).reach(17) / 100)
    assert seen.false_alarm == pytest.approx(1e-10)
    assert str(seen).startswith("check_distribution: nothing wrong in 10,000 draws; least likely")
    assert seen == testing.check_distribution(jax.random.normal, KEY, NORMAL, num=10**4, tests=10)
    with pytest.raises(AttributeError):
        seen.draws = ()


N = jax.random.normal
BAD = [
    (lambda: testing.check_distribution(N, 3, NORMAL), TypeError, "key must be one typed key"),
    (lambda: testing.check_distribution(3, KEY, NORMAL), TypeError, "sampler must be a function"),
    (lambda: testing.check_distribution(N, KEY, stats.norm), TypeError, "scipy.stats.norm()."),
    (lambda: testing.check_distribution(N, KEY, 3), TypeError, "reference must be a frozen"),
    (lambda: testing.check_distribution(N, KEY, N), TypeError, "check_same_distribution"),
    (lambda: testing.check_distribution(N, KEY, np.sin), ValueError, "aren't probabilities"),
    (lambda: testing.check_distribution(N, KEY, lambda x: x * 0 + (x < 0)), ValueError, "falls"),
    (lambda: testing.check_distribution(N, KEY, lambda x: x.sum()), ValueError, "turns shape"),
    (lambda: testing.check_distribution(jax.random.bits, KEY, np.sin), TypeError, "no floats"),
    (lambda: testing.check_distribution(N, KEY, np.zeros(9)), ValueError, "at least 2,560 draws"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, num=255), ValueError, "from 256 to"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, num=1e5), TypeError, "num must be a whole"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, false_alarm=0.0), ValueError, "between"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, false_alarm=1), ValueError, "between 0"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, tests=0), ValueError, "tests must be"),
    (
        lambda: testing.check_distribution(N, KEY, NORMAL, num=300, false_alarm=1e-290),
        ValueError,
        "to find a shift of one standard deviation",
    ),
    (lambda: testing.check_distribution(N, KEY, NORMAL, 1.5), TypeError, "can't be called as"),
    (lambda: testing.check_distribution(ks.split, KEY, NORMAL), TypeError, "returns tuple"),
    (lambda: testing.check_distribution(ks.derive, KEY, NORMAL), TypeError, "returns key<fry>[]"),
    (lambda: testing.check_distribution(N, KEY, NORMAL, (5000,)), ValueError, "at most 4,096"),
    (
        lambda: testing.check_same_distribution(N, lambda key: N(key, (2,)), KEY),
        ValueError,
        "other must be a sampler of draws of shape ()",
    ),
    (lambda: testing.check_independent(N, KEY, 1), ValueError, "num_streams must be"),
    (lambda: testing.check_independent(N, KEY, 2, num=8), ValueError, "from 64 to"),
    (lambda: testing.check_independent(N, KEY, 8192, num=2**12), ValueError, "at most 16,777,216"),
    (lambda: testing.check_independent(N, KEY, 2, num=None), ValueError, "at least 64 draws"),
    (lambda: testing.check_independent(N, KEY, 2, derive=3), TypeError, "derive must be"),
    (
        lambda: testing.check_independent(N, KEY, 2, derive=lambda _, i: i),
        TypeError,
        "derive(key, i) must be one typed key",
    ),
    (lambda: testing.check_uniform_bits(N, KEY), TypeError, "fun must be a function that returns"),
    (lambda: testing.check_uniform_bits(jax.random.bits, KEY, num=9), ValueError, "16,384 to"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input(number):
    """Bad input is an error at the door, that says what is wanted."""
    call, cls, words = BAD[number]
    with pytest.raises(cls) as caught:
        call()
    assert isinstance(caught.value, ks.KeystreamError)
    assert not isinstance(caught.value, testing.CheckError)
    assert words in str(caught.value)
