"""How often the statistical checks fail good samplers, and find bad ones, counted.

The rule is run at a loosened false-alarm rate, so that there is something to count: at 1e-3
each look may reject one key in ten. The bounds below are those of a binomial count at its
stated rate, exceeded with probability 1e-6. The counts stand in docs/testing.md.
"""

import jax
import numpy as np
import pytest
from scipy import stats

import keystream as ks
from keystream import testing
from keystream.testing._statistics.rule import Rule

pytestmark = pytest.mark.outside
LOOSE = 1e-3
LEVEL = 0.1


def _two(key):
    return jax.random.normal(key, (2,)).sum() / np.sqrt(2)


def _three(key):
    return jax.random.normal(key, (3,))


def _rare(key):
    return jax.random.bernoulli(key, 0.03)


def _counts(key):
    return jax.random.poisson(key, 3.5)


def _words(key):
    return jax.random.bits(key, (4096,))


def _distribution(sampler, reference, num):
    return lambda key: testing.check_distribution(
        sampler, key, reference, num=num, false_alarm=LOOSE
    )


def _same(sampler, other):
    return lambda key: testing.check_same_distribution(
        sampler, other, key, num=1024, false_alarm=LOOSE
    )


def _streams(sampler, streams, num):
    return lambda key: testing.check_independent(sampler, key, streams, num=num, false_alarm=LOOSE)


GOOD = {
    "normal, 256": (_distribution(jax.random.normal, stats.norm(), 256), 5000),
    "normal, 1,024": (_distribution(jax.random.normal, stats.norm(), 1024), 5000),
    "uniform, 16,384": (_distribution(jax.random.uniform, stats.uniform(), 2**14), 1000),
    "three normals, 1,024": (_distribution(_three, stats.norm(), 1024), 2000),
    "Poisson(3.5), 1,024": (_distribution(_counts, stats.poisson(3.5), 1024), 1000),
    "Bernoulli(0.03), 1,024": (_distribution(_rare, stats.bernoulli(0.03), 1024), 2000),
    "two ways to a normal, 1,024": (_same(_two, jax.random.normal), 1000),
    "Poisson beside itself, 1,024": (_same(_counts, _counts), 1000),
    "16 streams of 256 normals": (_streams(jax.random.normal, 16, 256), 1000),
    "16 streams of 256 Bernoulli(0.03)": (_streams(_rare, 16, 256), 1000),
    "4,096 words": (
        lambda key: testing.check_uniform_bits(_words, key, num=None, false_alarm=LOOSE),
        500,
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_false_alarms(name):
    """Good samplers look suspicious, and fail, no more often than the rule says."""
    check, keys = GOOD[name]
    suspicious = failed = 0
    for i in range(keys):
        try:
            suspicious += len(check(ks.derive(ks.key("rates"), name, i)).draws) > 1
        except testing.CheckError:
            suspicious, failed = suspicious + 1, failed + 1
    print(f"\n| {name} | {keys:,} | {suspicious / keys:.3f} | {failed} |")
    assert suspicious <= stats.binom.isf(1e-6, keys, LEVEL)
    assert failed <= stats.binom.isf(1e-6, keys, LOOSE)


def _shifted(key, by):
    return jax.random.normal(key) + by


@pytest.mark.parametrize("part", [1.0, 0.75, 0.5])
def test_power(part):
    """A shift is found as often as the rule says of location alone, or a little more often."""
    num, keys = 4096, 1000
    mean = part * Rule(1e-9, 1).reach(17)
    by = np.float32(mean / np.sqrt(num))
    found = 0
    for i in range(keys):
        key = ks.derive(ks.key("power"), i)
        try:
            testing.check_distribution(_shifted, key, stats.norm(), by, num=num)
        except testing.DistributionError:
            found += 1
    print(f"\n| {part:g} x {by / part:.4f} | {keys:,} | {found / keys:.4f} |")
    flag, confirm = stats.norm.isf([1e-3 / 17, 1e-3])
    stated = stats.norm.sf(flag - mean) * stats.norm.sf(confirm - 2 * mean) ** 2
    assert found >= stats.binom.ppf(1e-6, keys, stated)
    assert found <= stats.binom.isf(1e-6, keys, min(1.0, stated + 0.1))
