"""Check that the words that a function makes of a key are uniform, independent bits."""

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
from keystream.testing._statistics import bit_tests
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

LEAST, MOST = 2**14, 2**26
"""Bytes of a look."""
WIDTHS = ("uint8", "uint16", "uint32", "uint64")


@public
def check_uniform_bits(
    fun: Callable[..., Any],
    key: jax.Array,
    /,
    *args: Any,
    num: int | None = 2**20,
    false_alarm: float = 1e-9,
    tests: int = 1,
) -> Evidence:
    """Raise if words that a function makes of a key aren't uniform bits, saying how.

    Reach for it to test a generator of your own, or the words that a program's keys give.
    It is what a CI can do in seconds; a battery such as PractRand's or TestU01's sees more.

    Words stand in the order of `ks.sample(fun, key, num, *args)`, or of one call's result.
    The rule is that of `check_distribution`: what a first look finds suspicious is looked at
    twice again, on fresh keys and as large, and has to be there both times; each look rejects
    uniform bits with probability `(false_alarm / tests) ** (1 / 3)` at most.

    A look tests each bit, each two bits of a word, and of a word and the next; the bytes; the
    high and the low bits of neighbors (serial); the number of ones; gaps; the order of four
    words and the runs up and down; correlations of words up to 256 places apart; how often a
    word comes again, beside the birthday bound; birthday spacings; and whether three words in
    a row ever come again, which finds a period shorter than the words that are looked at.

    Args:
        fun: A function of one key and `args` that returns an array of uint8, uint16, uint32
            or uint64 of any shape.
        key: One typed key.
        *args: Further arguments of `fun`.
        num: How many times it is called, with a key each. None for a single call, whose words
            are the sequence. 16 KiB in all are needed, 64 MiB the most.
        false_alarm: The probability of a false failure in the whole suite.
        tests: How many such checks the suite has; each gets `false_alarm / tests`.

    Returns:
        The evidence; its `smallest_shift` is how far from one half the chance of one bit may
        be without being found 999 times in 1,000: 0.0038 for 2**20 words of 32 bits.

    Key use:
        Uses up three named children of `key`.

    Guarantees:
        Deterministic for one version and key. Holds all words of a look. p-values of counts
        are exact, those of chi-squared and correlations approximate for so many words.

    Raises:
        DistributionError: The words aren't uniform and independent.
        KeyTypeError: Not one typed key.
        ArgumentTypeError, ArgumentValueError: A function that returns no words, too few or
            too many of them, a rate outside of (0, 1).

    Example:
        >>> import jax, keystream as ks, keystream.testing
        >>> seen = ks.testing.check_uniform_bits(jax.random.bits, ks.key(42), num=2**14)
        >>> seen.draws
        (16384,)

    References:
        D. E. Knuth (1997), "The Art of Computer Programming" 2, section 3.3.2 (serial, gap).
        H. Levene (1952), "On the power function of tests of randomness based on runs up and
        down". G. Marsaglia, W. W. Tsang (2002), "Some difficult-to-pass tests of randomness",
        Journal of Statistical Software 7 (birthday spacings).
    """
    name = "check_uniform_bits"
    _arguments.check_key(key)
    rule = read_rule(false_alarm, tests)
    form = form_of("fun", fun, key, args)
    if np.dtype(form.dtype).name not in WIDTHS:
        got = Phrase(f"one that returns {np.dtype(form.dtype).name}")
        cure = (
            "For the bits of floats: lambda key: jax.lax.bitcast_convert_type(fun(key), 'uint32')."
        )
        wanted = f"a function that returns {', '.join(WIDTHS[:-1])} or {WIDTHS[-1]}"
        raise error(ArgumentTypeError, "fun", wanted, got, cure)
    calls = 1 if num is None else _arguments.count("num", num, least=1, most=MOST)
    width = np.dtype(form.dtype).itemsize
    if not LEAST <= calls * form.size * width <= MOST:
        wanted = f"such that there are {LEAST:,} to {MOST:,} bytes"
        got = Phrase(f"{calls:,} calls of {form.size * width:,} bytes")
        raise error(ArgumentValueError, "num", wanted, got)

    whole = compile_sampler(fun, args)

    def look(key: jax.Array, words: int) -> Reading:
        drawn = whole(key) if num is None else _sample(fun, key, calls, args)
        found = Found([], [], [])
        bit_tests.all_tests(np.ascontiguousarray(drawn).reshape(words), found)
        return found.reading()

    words = calls * form.size
    outcome = two_stage(look, key, name, words, rule, more=1)
    reach = rule.reach(outcome.readings[0].p.size, more=1, within=8 * width)
    wrong = DistributionError, "the words must be uniform bits, and aren't"
    return conclude(name, outcome, rule, (words,) * 3, reach / 2 / float(np.sqrt(words)), wrong)


def _sample(fun: Callable[..., Any], key: jax.Array, num: int, args: Any) -> Any:
    return ks.sample(fun, key, num, *args, batch_size=min(-(-num // 4), 2**18))
