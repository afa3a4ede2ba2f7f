"""Check that a sampler draws from the distribution that it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._failures import DistributionError
from keystream.testing._statistics import tally, two_samples
from keystream.testing._statistics.one_sample import OneSample
from keystream.testing._statistics.reference import read_reference
from keystream.testing._statistics.rule import MORE, Evidence, Rule, conclude, read_rule, two_stage
from keystream.testing._statistics.sampler import Form, chunks, form_of, rows_at_once
from keystream.testing._statistics.two_samples import TwoSamples

__tracebackhide__ = True  # pytest shows the line that calls the check

LEAST, MOST, WIDEST = 256, 2**32, 4096
NUM = 2**20


@public
def check_distribution(
    sampler: Callable[..., Any],
    key: jax.Array,
    reference: Any,
    /,
    *args: Any,
    num: int = NUM,
    false_alarm: float = 1e-9,
    tests: int = 1,
    independent: bool = True,
) -> Evidence:
    """Raise if draws don't follow a distribution, saying how far off and how.

    Reach for it to keep a sampler right in CI. It isn't flaky: all its seeds come from `key`,
    so that it passes until the numbers change, and when they do (another release, another
    processor) a perfect sampler fails with probability `false_alarm` at most. For a sampler
    whose distribution has no formula use `check_same_distribution`.

    Draw i of a look is `sampler(ks.derive(look_key, i), *args)`, as `ks.sample` makes it.
    The first look is at `num` draws. What it finds suspicious is looked at in two reruns on
    fresh keys with four times as many; the check fails only where both agree with the first,
    in the same direction. Each of the three looks rejects a perfect sampler with probability
    `level = (false_alarm / tests) ** (1 / 3)` at most (one in a thousand by default), so all
    three do with `level**3 == false_alarm / tests`.

    A look tests location and scale (of normal scores, so for a normal reference the mean and
    the variance), both tails at two depths, the CDF, cells, and whether all draws can be at
    all: 17 one-sided tests for each coordinate. A discrete reference is met exactly, by
    breaking ties at random, with cells that are its atoms.

    Args:
        sampler: A function of one key and `args` that returns an array of real numbers of
            any shape; jitted or not, it has to work under `jax.vmap`.
        key: One typed key.
        reference: A frozen distribution of `scipy.stats`, continuous or discrete, with
            parameters that broadcast against a draw, or a frozen `multivariate_normal`;
            or a function that is a continuous CDF, from arrays to arrays; or an array of
            draws made elsewhere, with the draws along its first axis: independent ones,
            ten times as many as the `num` that is used, since each look takes its own.
        *args: Further arguments of the sampler.
        num: Draws of the first look, 256 or more; at most a tenth of the draws where these
            are the reference. A shift of `smallest_shift` standard deviations is found 999
            times in 1,000; it shrinks as `1 / sqrt(num)`: 0.0068 at the default.
        false_alarm: The probability of a false failure in the whole suite.
        tests: How many such checks the suite has; each gets `false_alarm / tests`.
        independent: Whether the coordinates of one draw are meant to be independent. Then
            the sum of all their scores, divided by the root of their number, and all of them
            together are tested like a coordinate. For draws as reference the sum is, always.

    Returns:
        The evidence, which prints as a line: the least likely statistic, its p-value, the
        draws, the smallest shift found.

    Key use:
        Uses up three named children of `key`.

    Guarantees:
        Deterministic for one version, processor and key. Holds 2**18 numbers at a time. The
        p-values are exact or bounds, except that those of cells are Pearson's approximation.

    Raises:
        DistributionError: The draws don't follow the reference.
        KeyTypeError: Not one typed key.
        ArgumentTypeError, ArgumentValueError: A sampler or reference that is none, `num` too
            small to find a shift of one standard deviation, a rate outside of (0, 1).

    Example:
        >>> import jax, scipy.stats, keystream as ks, keystream.testing
        >>> normal = scipy.stats.norm()
        >>> seen = ks.testing.check_distribution(jax.random.normal, ks.key(42), normal, num=10**4)
        >>> seen.draws
        (10000,)

    References:
        C. Bonferroni (1936), inequality. P. Massart (1990), "The tight constant in the
        Dvoretzky-Kiefer-Wolfowitz inequality", Annals of Probability 18. M. Rosenblatt
        (1952), "Remarks on a multivariate transformation", Annals of Mathematical Statistics
        23: numbers made uniform by their CDF. A. E. Brockwell (2007), "Universal residuals",
        Statistics & Probability Letters 77: ties broken at random. K. Pearson (1900), cells.
    """
    name = "check_distribution"
    _arguments.check_key(key)
    rule = read_rule(false_alarm, tests)
    form = _form("sampler", sampler, key, args)
    num = _arguments.count("num", num, least=LEAST, most=MOST)
    if isinstance(reference, (np.ndarray, jax.Array, list)):
        given = _given_draws(reference, form, ks.derive(key, name, "parts"))
        num = min(num, len(given) // 10)
        both = TwoSamples(_draws_of(sampler, args, form, num), _part(given, num), form.shape, num)
        sentence = "sampler must draw as the reference does, and doesn't"
        return _conclude_both(name, both, key, rule, sentence)
    cells = int(np.clip(num // 64, 4, 256))
    against = read_reference(reference, form, cells)
    one = OneSample(sampler, args, form, against, num, bool(independent))
    directions = len(tally.NAMES) * len(one.names)
    shift = _shift(rule, directions, num)
    outcome = two_stage(one.look, key, name, num, rule)
    wrong = DistributionError, f"sampler must draw from {against.name}, and doesn't"
    return conclude(name, outcome, rule, (num, MORE * num, MORE * num), shift, wrong)


@public
def check_same_distribution(
    sampler: Callable[..., Any],
    other: Callable[..., Any],
    key: jax.Array,
    /,
    *args: Any,
    num: int = NUM,
    false_alarm: float = 1e-9,
    tests: int = 1,
) -> Evidence:
    """Raise if two samplers draw from different distributions, saying how.

    Reach for it when a sampler is rewritten, made faster or upgraded, and its numbers change
    though its distribution mustn't. Beside a formula `check_distribution` finds more.

    The rule is that of `check_distribution`: a first look at `num` draws of each, and where
    it is suspicious two reruns with four times as many on fresh keys, which have to agree.
    Each look first draws a pilot of `other` of at most 16,384 draws, through whose order
    both are seen; it tests location and scale, both tails at two depths, the CDF, cells and
    how often a draw is NaN: 17 one-sided tests for each coordinate and for their sum.

    Args:
        sampler: A function of one key and `args` that returns an array of real numbers.
        other: Another one, whose draws have the same shape. The two get different keys.
        key: One typed key.
        *args: Further arguments of both samplers.
        num: Draws of each sampler in the first look, 256 or more. A shift of `smallest_shift`
            is found 999 times in 1,000: 0.0096 standard deviations at the default.
        false_alarm: The probability of a false failure in the whole suite.
        tests: How many such checks the suite has; each gets `false_alarm / tests`.

    Returns:
        The evidence, which prints as a line.

    Key use:
        Uses up three named children of `key`.

    Guarantees:
        Deterministic for one version, processor and key. Holds 2**18 numbers at a time.

    Raises:
        DistributionError: The draws differ in distribution.
        KeyTypeError: Not one typed key.
        ArgumentTypeError, ArgumentValueError: Samplers that are none or return other shapes,
            `num` too small to find a shift of one standard deviation, a rate outside of (0, 1).

    Example:
        >>> import jax, keystream as ks, keystream.testing
        >>> twice = lambda key: jax.random.normal(key, (2,)).sum() / 2**0.5
        >>> seen = ks.testing.check_same_distribution(
        ...     twice, jax.random.normal, ks.key(42), num=10**4)
        >>> seen.draws
        (10000,)

    References:
        R. A. Fisher (1935), exact test of two counts. B. V. Gnedenko, V. S. Korolyuk (1951),
        "On the maximum discrepancy between two empirical distributions". B. L. van der
        Waerden (1952), normal scores.
    """
    name = "check_same_distribution"
    _arguments.check_key(key)
    rule = read_rule(false_alarm, tests)
    form = _form("sampler", sampler, key, args)
    second = _form("other", other, key, args)
    if second.shape != form.shape:
        wanted = f"a sampler of draws of shape {form.shape}, as the first one's"
        raise error(ArgumentValueError, "other", wanted, Phrase(f"shape {second.shape}"))
    num = _arguments.count("num", num, least=LEAST, most=MOST)
    ones, others = _draws_of(sampler, args, form, num), _draws_of(other, args, second, num)
    sentence = "the two must draw from one distribution, and don't"
    both = TwoSamples(ones, others, form.shape, num)
    return _conclude_both(name, both, key, rule, sentence)


def _conclude_both(
    name: str, both: TwoSamples, key: jax.Array, rule: Rule, sentence: str
) -> Evidence:
    directions = len(two_samples.NAMES) * len(both.names)
    shift = _shift(rule, directions, both.num / 2)
    outcome = two_stage(both.looker(), key, name, both.num, rule)
    wrong = DistributionError, sentence
    draws = (both.num, MORE * both.num, MORE * both.num)
    return conclude(name, outcome, rule, draws, shift, wrong)


def _form(argument: str, sampler: Any, key: jax.Array, args: Any) -> Form:
    form = form_of(argument, sampler, key, args)
    if form.size > WIDEST:
        wanted = f"a function that returns at most {WIDEST:,} numbers"
        got = Phrase(f"one that returns {form.size:,}")
        cure = "For some of them: lambda key: sampler(key).ravel()[:100]."
        raise error(ArgumentValueError, argument, wanted, got, cure)
    return form


def _shift(rule: Rule, directions: int, num: float) -> float:
    reach = rule.reach(directions)
    if reach > np.sqrt(num):
        least = int(np.ceil(reach**2))
        wanted = f"at least {least:,} to find a shift of one standard deviation at this false_alarm"
        raise error(ArgumentValueError, "num", wanted, int(num))
    return float(reach / np.sqrt(num))


def _draws_of(sampler: Callable[..., Any], args: Any, form: Form, num: int) -> Any:
    size = rows_at_once(num, form)
    return lambda key, _, wanted: chunks(sampler, key, wanted, args, form, size)


def _given_draws(reference: Any, form: Form, key: jax.Array) -> np.ndarray:
    """Return draws that were made elsewhere, as rows in an order of our own."""
    try:
        found = np.asarray(reference).astype(np.float64)
    except (TypeError, ValueError) as told:
        wanted = "an array of draws"
        raise error(ArgumentTypeError, "reference", wanted, reference) from told
    if found.ndim == 0 or found.shape[1:] != form.shape or len(found) < 10 * LEAST:
        wanted = f"at least {10 * LEAST:,} draws of shape {form.shape} each"
        raise error(ArgumentValueError, "reference", wanted, reference)
    order = np.asarray(jax.random.permutation(key, len(found)))
    rows: np.ndarray = found.reshape(len(found), -1)[order]
    return rows


def _part(given: np.ndarray, num: int) -> Any:
    """Return the tenth that is the pilot, the one of the first look, four and four more."""
    starts = {-1: 0, 0: num, 1: 2 * num, 2: 6 * num}

    def part(key: jax.Array, look: int, wanted: int) -> Any:
        del key
        return iter([given[starts[look] :][:wanted]])

    return part
