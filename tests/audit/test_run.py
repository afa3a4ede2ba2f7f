"""The audit of a run: real key words, however they got where they are used."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from keystream._audit.reading import records
from keystream._audit.recording.recordings import Record

KEY = jax.random.key(7)


def rules(report: Any) -> list[tuple[str, str]]:
    return [(each.rule, each.severity) for each in report.findings if each.severity != "note"]


noise = jax.jit(lambda key: jax.random.normal(key, (3,)))


def test_copies_are_one_key() -> None:
    """A key is known by its words: a copy, a pickle and a second root of one seed are that key."""
    with ks.recording() as report:
        noise(ks.key(3))
        words = pickle.loads(pickle.dumps(np.asarray(jax.random.key_data(jax.random.key(3)))))
        noise(jax.random.wrap_key_data(jnp.asarray(words)))
    assert {rule for rule, _ in rules(report)} <= {"KS01", "KS13"}
    assert not report.ok


def test_a_manifest_is_left_out() -> None:
    """What a manifest draws, twice here and from the words of key 42, is no use by the program."""
    with ks.recording() as report:
        ks.check_manifest(ks.manifest())
        noise(ks.key(42))
    assert report.findings == ()


def test_a_loop_in_python() -> None:
    """A compiled step that is called with one key again and again is found, on one line."""

    def train(advance: bool) -> None:
        key = jax.random.key(8)
        for _ in range(4):
            key, use = jax.random.split(key)
            noise(use if advance else KEY)

    assert rules(ks.audit(train, False, run=True)) == [("KS07", "error")]
    assert rules(ks.audit(train, True, run=True)) == []


def test_two_calls_on_two_lines() -> None:
    """The places of two calls of one compiled function are those of the callers."""
    with ks.recording() as report:
        first = noise(KEY)
        second = noise(KEY)
    assert bool((first == second).all())
    (found,) = report.findings
    assert found.rule == "KS01"
    assert [place.text for place in found.places[1:]] == [
        "first = noise(KEY)",
        "second = noise(KEY)",
    ]
    assert found.labels[1:] == ("called here", "called here again")


def test_two_samplers_on_one_line() -> None:
    """Two samplers of one compiled line are two draws; the two algorithms of one are not."""
    both = jax.jit(lambda key: jax.random.normal(key) + jax.random.poisson(key, 3.0))
    assert rules(ks.audit(both, KEY, run=True)) == [("KS01", "error")]
    assert not rules(ks.audit(jax.jit(lambda key: jax.random.poisson(key, 3.0)), KEY, run=True))


def test_nothing_stays() -> None:
    """After a recording, and inside one, programs for several platforms are lowered."""
    draw = jax.jit(lambda key: jax.random.normal(key) + jax.random.bits(ks.derive(key, "a")))
    before = draw.trace(KEY).lower(lowering_platforms=("cpu", "cuda")).as_text()
    with ks.recording():
        noise(KEY)
        jax.jit(jax.random.normal).trace(KEY).lower(lowering_platforms=("cpu", "cuda"))
    jax.clear_caches()
    assert draw.trace(KEY).lower(lowering_platforms=("cpu", "cuda")).as_text() == before


def test_the_numbers_stay() -> None:
    """What is drawn while it is recorded is what is drawn otherwise."""
    before = noise(KEY)
    with ks.recording():
        inside = noise(KEY)
    assert bool((before == inside).all())
    assert bool((noise(KEY) == before).all())


def test_the_report_is_for_afterwards() -> None:
    """Inside the block the report says that it isn't done; after it, it is a report."""
    with ks.recording() as report:
        with pytest.raises(ks.RecordingError, match="Report"):
            _ = report.findings
        assert "still recording" in repr(report)
    assert report.ok
    assert report.subject == "recording"


def test_an_exception_passes_through() -> None:
    """What is raised inside the block comes out of it, and the next recording works."""

    def fail() -> None:
        with ks.recording():
            noise(KEY)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with ks.recording() as report:
        noise(KEY)
    assert sum(count.draws for count in report.summary()) == 1


@pytest.mark.parametrize("run", [1.5, "yes", None])
def test_run_is_a_bool(run: Any) -> None:
    """`run` is True or False."""
    with pytest.raises(ks.ArgumentTypeError, match="audit: run must be True or False"):
        ks.audit(noise, KEY, run=run)


@pytest.mark.parametrize("impl", ["threefry2x32", "threefry4x32", "philox4x32", "rbg"])
def test_children_are_what_jax_makes(impl: str) -> None:
    """The words of children of recorded splits and folds are those of `jax.random`."""
    key = ks.key(5, impl=impl)
    words = np.asarray(jax.random.key_data(key))[None]
    split = Record("split", impl, words, (), (3,), 0, None, (), 1, None, 0)
    fold = Record("fold_in", impl, words, (), (), 0, np.asarray(9, np.uint32), (), 1, None, 0)
    for record, real in (
        (split, jax.random.split(key, 3)),
        (fold, jax.random.fold_in(key, 9)[None]),
    ):
        [made] = records._children([record], [records._numbers(record)])
        np.testing.assert_array_equal(made, jax.random.key_data(real))


def test_a_fault_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lineage that takes all words for those of one key accuses a right program."""

    def right() -> None:
        for use in ks.split(KEY, 2):
            noise(use)

    assert ks.audit(right, run=True).ok
    monkeypatch.setattr(records, "_nodes", lambda words, _: np.ones(len(words), np.uint64))
    assert not ks.audit(right, run=True).ok


def test_summary_of_a_run() -> None:
    """A run counts what was done, not what is written: a loop of four steps draws four times."""

    def loop(key: jax.Array) -> None:
        for use in jax.random.split(key, 4):
            jax.random.bits(use, (5,))

    report = ks.audit(loop, KEY, run=True)
    totals = [sum(count[column] for count in report.summary()) for column in range(1, 5)]
    assert totals == [4, 4 * 5 * 32, 1, 0]


def test_many_keys_twice() -> None:
    """Many keys that are used on the same lines are compared once, not key by key."""
    with ks.recording() as report:
        keys = jax.random.split(jax.random.key(0), 1 << 16)
        jax.vmap(jax.random.bits)(keys)
        jax.vmap(jax.random.uniform)(keys)  # key by key, this would take an hour
        jax.random.bits(keys[5])
    assert [finding.rule for finding in report.findings] == ["KS01"] * 3
    assert {finding.lineage[-1] for finding in report.findings} == {"split[0]", "split[5]"}
