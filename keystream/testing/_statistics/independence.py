"""Check that the streams of different keys are independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream import ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._failures import DependenceError
from keystream.testing._statistics import stream_tests
from keystream.testing._statistics.rule import (
    Evidence,
    Found,
    Reading,
    conclude,
    read_rule,
    two_stage,
)
from keystream.testing._statistics.sampler import compile_sampler, form_of

__tracebackhide__ = True  # pytest shows the line that calls the check

MOST = 2**24
FEATURES = 8


@public
def check_independent(
    sampler: Callable[..., Any],
    key: jax.Array,
    num_streams: int,
    /,
    *args: Any,
    num: int | None = 4096,
    derive: Callable[[jax.Array, int], jax.Array] | None = None,
    lags: Sequence[int] = (1, 2, 3, 4, 8, 16, 64, 256),
    false_alarm: float = 1e-9,
    tests: int = 1,
) -> Evidence:
    """Raise if streams of draws from different keys depend on each other, saying how.

    Reach for it to test how a program makes its keys: hand in what it does as `derive`. What
    it can't see is a dependence that shows in no pair, sum or repeated draw.

    Draw t of stream i is `sampler(ks.derive(stream_key, t), *args)`, as `ks.sample` makes it,
    where `stream_key` is `derive(look_key, i)`. The rule is that of `check_distribution`:
    what a first look finds suspicious is looked at twice again, on fresh keys and as large,
    and has to be there both times; each look rejects independent streams with probability
    `(false_alarm / tests) ** (1 / 3)` at most.

    A look replaces draws by the normal scores of their ranks, equal ones in a random order,
    and tests the correlation of every two streams, of neighbors, of each two at each of
    `lags`, of each with itself, and the sums over streams and over draws; and it looks for
    equal draws of two streams in the same place, and for equal runs of draws anywhere,
    bit for bit. A stream that shares one draw in a thousand is found by these, and one that
    is another one moved along.

    Args:
        sampler: A function of one key and `args` that returns an array of real numbers. Of
            more than eight numbers eight sums with random signs are looked at, and all bits.
        key: One typed key.
        num_streams: How many streams, two or more.
        *args: Further arguments of the sampler.
        num: Draws of each stream, 64 or more. None where one call of the sampler makes a
            whole stream, whose draws lie along its first axis.
        derive: What makes the key of stream i of a key, `derive(key, i)`, called with Python
            integers; child i if None.
        lags: At which distances draws are correlated; those of less than 32 pairs are not.
        false_alarm: The probability of a false failure in the whole suite.
        tests: How many such checks the suite has; each gets `false_alarm / tests`.

    Returns:
        The evidence; its `smallest_shift` is the correlation of two streams, of all, that is
        found 999 times in 1,000: 0.13 for 64 streams of 4,096 draws.

    Key use:
        Uses up three named children of `key`.

    Guarantees:
        Deterministic for one version, processor and key. Holds all draws of a look, at most
        2**24 numbers. p-values of correlations are exact for normal draws, and for others
        as good as ranks are.

    Raises:
        DependenceError: The streams depend on each other.
        KeyTypeError: Not one typed key, or `derive` returns something else.
        ArgumentTypeError, ArgumentValueError: A sampler that is none, too few or too many
            draws, a rate outside of (0, 1).

    Example:
        >>> import jax, keystream as ks, keystream.testing
        >>> by_name = lambda key, i: ks.derive(key, f"layer_{i}")
        >>> seen = ks.testing.check_independent(
        ...     jax.random.normal, ks.key(42), 16, num=256, derive=by_name)
        >>> seen.draws
        (4096,)

    References:
        Student (1908) and R. A. Fisher (1915), correlation of normal samples. J. R. Schott
        (2005), "Testing for complete independence in high dimensions", Biometrika 92.
    """
    name = "check_independent"
    _arguments.check_key(key)
    rule = read_rule(false_alarm, tests)
    streams = _arguments.count("num_streams", num_streams, least=2, most=8192)
    if derive is not None:
        _arguments.check_function("derive", derive)
    steps = _arguments.counts("lags", lags, several=0) if lags else ()
    form = form_of("sampler", sampler, key, args)
    if num is None:
        if not form.shape or form.shape[0] < 64:
            wanted = "a function that returns at least 64 draws where num is None"
            got = Phrase(f"one that returns shape {form.shape}")
            raise error(ArgumentValueError, "sampler", wanted, got)
        length, width = form.shape[0], form.size // form.shape[0]
    else:
        length = _arguments.count("num", num, least=64, most=MOST)
        width = form.size
    if streams * length * width > MOST:
        wanted = f"such that num_streams * num * the size of a draw is at most {MOST:,}"
        raise error(ArgumentValueError, "num", wanted, streams * length * width)

    draw = _make_drawer(sampler, args, num, (length, width))
    look = _Streams(draw, derive, streams, length, width, steps)
    outcome = two_stage(look.look, key, name, streams * length, rule, more=1)
    pairs = streams * (streams - 1) // 2
    reach = rule.reach(outcome.readings[0].p.size, more=1, within=pairs)
    wrong = DependenceError, f"the {streams:,} streams must be independent, and aren't"
    draws = (streams * length,) * 3
    return conclude(name, outcome, rule, draws, float(np.tanh(reach / np.sqrt(length))), wrong)


def _make_drawer(
    sampler: Callable[..., Any], args: Any, num: int | None, shape: tuple[int, int]
) -> Callable[[jax.Array], np.ndarray]:
    """Return what draws one stream, compiled once and looked up by JAX for a known sampler."""
    if num is not None:
        batch = -(-num // 4)
        return lambda key: np.asarray(
            ks.sample(sampler, key, num, *args, batch_size=batch)
        ).reshape(shape)
    call = compile_sampler(sampler, args)
    return lambda key: np.asarray(call(key)).reshape(shape)


class _Streams(NamedTuple):
    draw: Callable[[jax.Array], np.ndarray]
    derive: Callable[[jax.Array, int], jax.Array] | None
    streams: int
    length: int
    width: int
    lags: tuple[int, ...]

    def look(self, key: jax.Array, num: int) -> Reading:
        """Draw all streams, and return the p-values of all statistics."""
        del num
        draws = self._draws(self._keys(ks.derive(key, "streams")))
        found = Found([], [], [])
        stream_tests.add_repeats(stream_tests.hash_draws(draws), found)
        for i, values in enumerate(self._features(draws, ks.derive(key, "signs"))):
            ties = np.asarray(jax.random.bits(ks.derive(key, "ties", i), values.shape))
            z = stream_tests.normal_scores(values, ties)
            what = self._name(i)
            stream_tests.add_correlations(z, self.lags, found, what)
        return found.reading()

    def _keys(self, key: jax.Array) -> jax.Array:
        if self.derive is None:
            return ks.keys(key, self.streams)
        made = [_arguments.check_child(self.derive(key, i)) for i in range(self.streams)]
        return jnp.stack(made)

    def _draws(self, keys: jax.Array) -> np.ndarray:
        return np.stack([self.draw(key) for key in keys])

    def _features(self, draws: np.ndarray, key: jax.Array) -> list[np.ndarray]:
        """Return the coordinates of draws, or sums of them where there are many."""
        if self.width <= FEATURES:
            return [draws[..., i].astype(np.float64) for i in range(self.width)]
        signs = np.asarray(jax.random.rademacher(key, (self.width, FEATURES), np.float32))
        made = draws.astype(np.float64) @ signs
        return [made[..., i] for i in range(FEATURES)]

    def _name(self, i: int) -> str:
        if self.width == 1:
            return ""
        return f" of coordinate {i}" if self.width <= FEATURES else f" of sum {i} with random signs"
