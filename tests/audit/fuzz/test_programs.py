"""The audit of random programs agrees with their words, but for exceptions that have a name.

The same programs at every run; `python -m tests.audit.fuzz --programs 100000` makes others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from keystream._audit.reporting.report import make_report
from keystream._audit.values import Finding, Place
from tests.audit.fuzz import judge, programs, shrink, words


def _judge_all(seeds: range) -> list[judge.Disagreement]:
    return [each for seed in seeds for each in judge.judge(programs.write(seed))]


@pytest.mark.fast
def test_some() -> None:
    """A few dozen random programs are judged as their words are."""
    assert _judge_all(range(40)) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 11_000, 100))
def test_more(first: int) -> None:
    """A thousand random programs are judged as their words are."""
    assert _judge_all(range(first, first + 100)) == []


def _jax_words(text: str) -> set[tuple[int, tuple[int, ...]]]:
    """Run a program by JAX, and return the lines and words of its draws."""
    found = set()

    def draw(sampler: Any) -> Any:
        def drawing(key: jax.Array, shape: Any = ()) -> jax.Array:
            line = sys._getframe(1).f_lineno
            note = lambda data: found.update(
                (line, (*row,)) for row in data.reshape(-1, 2).tolist()
            )
            jax.debug.callback(lambda data: note(np.asarray(data)), jax.random.key_data(key))
            return sampler(key, shape)

        return drawing

    random = SimpleNamespace(
        **{name: draw(getattr(jax.random, name)) for name in ("normal", "uniform", "bits")},
        **{name: getattr(jax.random, name) for name in ("split", "fold_in", "key")},
    )
    namespace = judge.names() | {"R": random}
    exec(compile(text, "<program>", "exec"), namespace)
    key = jax.random.wrap_key_data(np.asarray((0, 2**31), np.uint32))
    namespace["program"](key, np.bool_(True), np.int32(judge.STEP))
    jax.effects_barrier()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_words_are_those_of_jax(seed: int) -> None:
    """Plain Python draws from the same words on the same lines as JAX does.

    In lanes and shards JAX runs both branches of a `cond`.
    """
    text = programs.write(seed)
    plain = words.run(text, "<program>", True, judge.STEP)
    drawn = {(each.line, each.key.words) for each in plain if each.act == "draw"}
    by_jax = _jax_words(text)
    assert drawn <= by_jax
    assert drawn == by_jax or ("lax.cond" in text and "vmap" in text)


def test_bits_are_those_of_jax() -> None:
    """The cipher of the second implementation is that of JAX."""
    key = jax.random.key(3)
    child = jax.random.fold_in(jax.random.split(key, 3)[2], 5)
    world = words.Words()
    mine = world.fold_in(world.split(words.Key((0, 3)), 3)[2], 5)
    assert tuple(jax.random.key_data(child).tolist()) == mine.words
    assert int(jax.random.bits(child)) == words._bits(mine.words)


TWICE = """\
def program(key, flag, step):
    out = R.normal(key)
    def f1(total, k2):
        return total + R.normal(k2), None
    out += lax.scan(f1, 0.0, R.split(R.key(3), 3))[0]
    out += R.uniform(key)
    return out
"""
ONCE = TWICE.replace("R.uniform(key)", "R.uniform(R.key(4))")


def test_silent_audit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that finds nothing misses what the words show."""
    monkeypatch.setattr(judge.ks, "audit", lambda *_: make_report("program", ()))
    assert judge.judge(ONCE) == []
    assert {each.kind for each in judge.judge(TWICE)} == {"missed"}


def test_audit_of_false_alarms_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that names lines on which no numbers are equal is found."""
    places = Place("<program>", 4, "f1"), Place("<program>", 2, "program")
    finding = Finding("KS01", "error", "a key is drawn from twice", places)
    monkeypatch.setattr(judge.ks, "audit", lambda *_: make_report("program", [finding]))
    assert {each.kind for each in judge.judge(ONCE)} == {"alarm"}


def test_broken_audit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that ends in an exception is found."""

    def breaks(*_: Any) -> None:
        raise TypeError("unhashable type")

    monkeypatch.setattr(judge.ks, "audit", breaks)
    assert {each.kind for each in judge.judge(ONCE)} == {"crash"}


def test_programs_are_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failure doesn't need is left out."""
    monkeypatch.setattr(judge.ks, "audit", lambda *_: make_report("program", ()))
    small = shrink.shrink(TWICE, "missed").splitlines()
    assert [line.strip() for line in small[1:]] == ["out = R.normal(key)", "out += R.uniform(key)"]


def test_half_of_the_programs_are_wrong() -> None:
    """There are right and wrong programs, so that both kinds of mistake can be seen."""
    runs = [words.run(programs.write(seed), "<program>", True, judge.STEP) for seed in range(100)]
    wrong = [any(pair.what != "beside" for pair in judge.pairs_of(run)) for run in runs]
    assert 20 < sum(wrong) < 80


def test_exceptions_are_explained() -> None:
    """The docs name every reason for which the two may differ."""
    page = Path(__file__).parents[3].joinpath("docs", "how-tested.md").read_text()
    assert all(f"| {name} |" in page for name in (*judge.MISSES, *judge.ALARMS))
