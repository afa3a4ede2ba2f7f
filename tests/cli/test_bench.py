"""The bench measures what it says it measures; no test asserts a time."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keystream as ks
from keystream.__main__ import main, parser
from keystream.cli import bench
from keystream.cli._bench import (
    catalogue,
    draws,
    eager,
    eagerly,
    floors,
    gains,
    helpers,
    machine,
    makers,
    orders,
    reach,
    samplers,
    table,
    whole,
)
from keystream.cli._bench.build import ACCELERATED, MODES, STOCK, Built, build, build_in_turns
from keystream.cli._bench.contest import (
    QUICK,
    SLOW,
    Contender,
    Effort,
    Spread,
    compete,
    pooled,
    ratio,
    repeated,
    spread,
)
from keystream.cli._bench.hlo import canonical, collectives
from keystream.cli._bench.pairs import STABLE, Pair, eager_pairs, pairs
from keystream.cli._bench.result import Result, Task, from_json, result, to_json
from tests.commands import assert_refused

pytestmark = pytest.mark.slow

# --- numbers ---------------------------------------------------------------------------------


def slow_quantile(values: Sequence[float], part: float) -> float:
    """Return a quantile by walking along the sorted values."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=20))
def test_spread_equals_the_oracle(values: list[float]) -> None:
    """A spread is the median and the quartiles, as one finds them by hand."""
    found = spread(values)
    wanted = [slow_quantile(values, part) for part in (0.5, 0.25, 0.75)]
    assert found[:3] == pytest.approx(wanted, rel=1e-12)
    assert found.number == len(values)


def test_ratios_are_of_pairs() -> None:
    """A ratio is taken round for round: the ratio of the medians would be another one."""
    times = {"a": (1.0, 10.0, 100.0), "b": (2.0, 2.0, 200.0)}
    assert ratio(times, "a", "b") == Spread(0.5, 0.5, 2.75, 3)
    faulty = spread(times["a"]).median / spread(times["b"]).median
    assert faulty == 5.0
    with pytest.raises(ValueError, match="argument 2"):
        ratio({"a": (1.0,), "b": (1.0, 2.0)}, "a", "b")


# --- contests --------------------------------------------------------------------------------


class Clock:
    """A clock that only moves when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.debt = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def worker(self, name: str, seconds: float, *, debt: float = 0.0) -> Contender:
        """Work for some time, and leave a debt that the next call has to pay."""

        def call() -> None:
            self.calls.append(name)
            self.now += seconds + self.debt
            self.debt = debt

        return Contender(name, call)


EFFORT = Effort(rounds=4, least=2, sample=0.01, budget=100.0)


def test_a_slower_contender_is_found() -> None:
    """A contender that takes three times as long has the ratio three, without any spread."""
    clock = Clock()
    times = compete([clock.worker("a", 0.03), clock.worker("b", 0.01)], EFFORT, clock=clock)
    assert len(times["a"]) == len(times["b"]) == EFFORT.rounds
    assert ratio(times, "a", "b")[:3] == pytest.approx((3, 3, 3))
    assert ratio(times, "b", "a")[:3] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_nobody_pays_for_another_one() -> None:
    """What a call leaves to be cleaned up is charged to its own kind, not to who comes next."""
    clock = Clock()
    leaves = clock.worker("leaves", 0.01, debt=0.05)
    times = compete([leaves, clock.worker("after", 0.01)], EFFORT, clock=clock)
    assert times["after"] == pytest.approx([0.01] * EFFORT.rounds)
    assert times["leaves"] == pytest.approx([0.06] * EFFORT.rounds)

    faulty = Clock()
    begin = faulty()
    for contender in (faulty.worker("leaves", 0.01, debt=0.05), faulty.worker("after", 0.01)):
        begin = faulty()
        contender.call()
    assert faulty() - begin == pytest.approx(0.06)


def test_turns_rotate() -> None:
    """Each round begins with another contender, and each sample with a call of its own."""
    clock = Clock()
    ways = [clock.worker(name, 0.01) for name in "abc"]
    compete(ways, EFFORT._replace(rounds=3), clock=clock)
    assert "".join(clock.calls) == "abc" + "abc" + "aabbcc" + "bbccaa" + "ccaabb"


def test_short_calls_are_timed_together() -> None:
    """So many calls make a sample that it takes long enough, and a time is that of one call."""
    clock = Clock()
    times = compete([clock.worker("a", 0.001)], EFFORT._replace(rounds=1), clock=clock)
    assert times["a"] == pytest.approx([0.001])
    assert len(clock.calls) == 2 + 1 + 10


def test_the_budget_ends_a_contest() -> None:
    """Beyond the budget no round is begun, but the least number is held."""
    clock = Clock()
    short = EFFORT._replace(rounds=50, budget=0.9)
    assert len(compete([clock.worker("a", 0.1)], short, clock=clock)["a"]) == 4
    assert len(compete([clock.worker("a", 1.0)], short, clock=clock)["a"]) == short.least


def test_a_slow_call_counts_at_once() -> None:
    """Where one call takes many seconds, the first one is a sample and none goes before it."""
    clock = Clock()
    ways = [clock.worker("a", 2 * SLOW), clock.worker("b", SLOW)]
    times = compete(ways, EFFORT._replace(budget=1.0), clock=clock)
    assert clock.calls == ["a", "b"]
    assert ratio(times, "a", "b") == Spread(2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize(("good_from", "most", "tries"), [(1, 3, 1), (3, 3, 3), (9, 3, 4)])
def test_repeated(good_from: int, most: int, tries: int) -> None:
    """What isn't enough is tried again, up to the limit and no longer than needed."""
    numbers = itertools.count(1)
    found = repeated(lambda: next(numbers), lambda seen: seen[-1] >= good_from, most=most)
    assert found == list(range(1, tries + 1))


def built(seconds: float) -> Built:
    return Built(None, seconds / 4, seconds * 3 / 4)


def attempt(run: float, compiling: float, *, stock: float = 1e-3) -> samplers.Attempt:
    """Make up an attempt with these ratios."""
    times = {STOCK: (stock,) * 3, ACCELERATED: (stock / run,) * 3}
    return samplers.Attempt(times, {STOCK: (built(1.0),), ACCELERATED: (built(1 / compiling),)})


@pytest.mark.parametrize(
    ("found", "enough"),
    [
        ([attempt(1.0, 1.0)], True),
        ([attempt(0.8, 1.0)], False),
        ([attempt(1.0, 0.7)], False),
        ([attempt(0.8, 1.0)] * 3, False),
        ([attempt(0.8, 1.0)] * 4, True),
        ([attempt(0.8, 1.0), attempt(1.0, 1.0), attempt(1.0, 1.0)], True),
        ([attempt(0.8, 1.0, stock=2.0)], False),
        ([attempt(0.8, 1.0, stock=2.0)] * 2, True),
    ],
)
def test_a_case_that_misses_is_measured_again(found: list[samplers.Attempt], enough: bool) -> None:
    """A miss is measured again, a short case three times, and all rounds count together."""
    assert samplers.enough(found) is enough


def test_attempts_are_summed_up() -> None:
    """Every round of every attempt counts; of the compile times the best one of each form."""
    found = samplers.summed("bits", 10, [attempt(0.5, 0.5), attempt(2.0, 2.0)])
    assert found.ratios[reach.FASTER] == Spread(1.25, 0.5, 2.0, 6)
    assert found.facts["compile: stock / accelerated"] == pytest.approx(2.0)
    assert found.facts["attempts"] == 2
    assert found.times["accelerated: to compile"].number == 2
    assert pooled([{"a": (1.0,)}, {"a": (2.0,)}]) == {"a": (1.0, 2.0)}


# --- programs --------------------------------------------------------------------------------


def text_of(fun: Callable[..., Any], *args: Any) -> str:
    text: str = jax.jit(fun).lower(*args).compile().as_text()
    return text


def test_names_are_no_difference() -> None:
    """Two programs that differ in names and places alone are the same, others are not."""

    def one(x: jax.Array) -> jax.Array:
        return jnp.sin(x) * 2 + jnp.cos(x)

    def other(value: jax.Array) -> jax.Array:
        doubled = jnp.sin(value) * 2
        return doubled + jnp.cos(value)

    x = jnp.arange(5.0)
    texts = [text_of(fun, x) for fun in (one, other)]
    assert texts[0] != texts[1]
    assert canonical(texts[0]) == canonical(texts[1])
    others = [lambda x: jnp.sin(x) * 3 + jnp.cos(x), lambda x: jnp.cos(x) * 2 + jnp.sin(x)]
    assert all(canonical(text_of(other, x)) != canonical(texts[0]) for other in others)
    assert canonical(text_of(one, jnp.arange(6.0))) != canonical(texts[0])


def test_collectives_are_counted() -> None:
    """Each instruction by which devices talk counts once, whatever it is called."""
    text = """\
ENTRY %main (p: f32[2]) -> f32[8] {
  %all-reduce.1 = f32[2]{0} add(%p, %p)
  %x = f32[2]{0} all-reduce(%p), to_apply=%sum
  %y = (f32[2]{0}, f32[8]{0}) all-gather-start(%x), dimensions={0}
  ROOT %z = f32[8]{0} all-gather-done(%y)
}
"""
    assert collectives(text) == 2
    mesh = jax.make_mesh((8,), ("d",), (jax.sharding.AxisType.Auto,))
    rows, one = jax.NamedSharding(mesh, jax.P("d")), jax.NamedSharding(mesh, jax.P())
    x = jax.device_put(jnp.arange(16.0), rows)
    summed = jax.jit(jnp.sum, out_shardings=one).lower(x).compile().as_text()
    doubled = jax.jit(lambda x: 2 * x, out_shardings=rows).lower(x).compile().as_text()
    assert [collectives(summed) > 0, collectives(doubled)] == [True, 0]


def test_both_forms_are_built() -> None:
    """The two forms are other programs, draw the same bits, and leave acceleration off."""
    key = ks.key(42)
    forms = build_in_turns(lambda key: jax.random.bits(key, (64,)), (key,), 2)
    assert [len(forms[mode]) for mode in MODES] == [2, 2]
    stock, fast = (forms[mode][-1].call for mode in MODES)
    assert (stock(key) == fast(key)).all()
    assert canonical(stock.as_text()) != canonical(fast.as_text())
    after = build(lambda key: jax.random.bits(key, (64,)), (key,), STOCK).call
    assert canonical(after.as_text()) == canonical(stock.as_text())
    assert all(one.lowering > 0 and one.compiling > 0 for mode in MODES for one in forms[mode])


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_samplers_draw_what_they_say(name: str) -> None:
    """A sampler at some size makes so many numbers; a categorical one takes so many."""
    fun, args = catalogue.program(name, 32)
    out = jax.eval_shape(fun, *args)
    assert out.shape == ((32 // catalogue.CLASSES,) if name == "categorical" else (32,))


def test_ways_to_draw_agree() -> None:
    """Lanes, `sample` and its batches draw the same normals; a bulk draw and a window others."""
    ways = draws.ways_to_draw(100) | draws.ways_to_batch(100, (30, 64))
    assert len(ways) == 6
    found = {name: np.asarray(jax.jit(way)(ks.key(42))) for name, way in ways.items()}
    bulk = found.pop(draws.BULK)
    assert np.allclose(found.pop(draws.WINDOW), bulk, rtol=1e-6)
    first, *others = found.values()
    assert all(np.allclose(first, other, rtol=1e-6) for other in others)
    assert bulk.shape == first.shape
    assert not np.allclose(first, bulk)


OTHER_KEYS = ("derive(name)", "split_tree")
"""Helpers whose keys nothing written by hand has."""


STABLE_PAIRS = [pair for pair in eager_pairs() if pair.name in STABLE]


@pytest.mark.parametrize("pair", [*pairs(), *STABLE_PAIRS], ids=lambda pair: pair.name)
def test_pairs_do_the_same(pair: Pair) -> None:
    """A helper and its form by hand come to the same, so that it is fair to compare them."""
    found = [jax.jit(fun)(ks.key(42), *pair.more) for fun in pair[1:3]]
    leaves = [jax.tree.leaves(one) for one in found]
    assert len(leaves[0]) == len(leaves[1])
    for one, other in zip(*leaves, strict=True):
        assert one.shape == other.shape
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            assert pair.name in OTHER_KEYS or bool((one == other).all())
        else:
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_helper_is_measured_where_it_differs() -> None:
    """The same program is told so and not timed; another one is timed."""
    same = Pair("same", lambda key: jax.random.split(key), jax.random.split)  # noqa: PLW0108
    found = helpers.measure(same, STOCK, QUICK)
    assert found.facts == {helpers.SAME: True}
    assert not found.times
    faulty = Pair("faulty", lambda key: jax.random.split(key)[::-1], jax.random.split)
    found = helpers.measure(faulty, STOCK, QUICK)
    assert found.facts[helpers.SAME] is False
    assert list(found.ratios) == ["helper / by hand"]


def test_compilations_are_counted() -> None:
    """Of a call that compiles each time, and of one that doesn't."""
    anew = lambda: jax.jit(lambda x: x + 1)(jnp.zeros(3))
    assert eagerly.count_compiled(anew) == 1
    assert eagerly.count_compiled(lambda: jnp.zeros(3) + 1) == 0


def test_gains_are_told_first() -> None:
    """Each of the ten lines is of something that is measured; what wasn't has no line."""
    found = made_up()
    found += [
        result(
            "d",
            eager.PATH,
            1,
            {eager.BY_PATH: (2.0,), eager.ON_HOST: (1.0,)},
            [(eager.BY_PATH, eager.ON_HOST)],
        )
    ]
    told = gains.lines(found)
    assert len(told) == len(gains.GAINS) == 10
    assert told[0] == "     13.0 times as fast: bits of 16,777,216, under run --accelerate"
    assert gains.lines([]) == []
    busy = {"machine": {"cpu": "x", "cores for this process": 2, "load at the start": 1.5}}
    assert "spoilt" in bench.gained(found, busy)[-1]
    busy["machine"]["load at the start"] = 0.9
    assert "spoilt" not in bench.gained(found, busy)[-1]


# --- makers of keys --------------------------------------------------------------------------


@pytest.mark.parametrize("maker", makers.MAKERS, ids=lambda maker: maker.name)
def test_makers_make_distinct_keys(maker: makers.Maker) -> None:
    """Everybody hands out one typed key after the other, each another one."""
    if maker.missing():
        pytest.skip(f"not installed: {maker.distribution}")
    following = maker.begin(ks.key(42), 3)
    words = [jax.random.key_data(following()) for _ in range(5)]
    assert all(word.shape == (2,) for word in words)
    assert len({tuple(word.tolist()) for word in words}) == 5


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that isn't installed is left out, with a line that says so and how to get it."""
    absent = makers.Maker("somebody", lambda _key, _count: list, "no_such_module", "no-such")
    monkeypatch.setattr(eager, "MAKERS", (*makers.MAKERS[:2], absent))
    assert eager.missing() == [
        "left out: somebody, no-such isn't installed. pip install 'keystream[bench]'"
    ]
    assert not any("somebody" in task.label for task in eager.tasks(Effort()))


# --- the table of what should be reached -----------------------------------------------------


def only(value: float) -> Spread:
    return Spread(value, value * 0.9, value * 1.1, 5)


def made_up() -> list[Result]:
    """Make up everything that the table speaks of, all of it reached."""
    found = [
        Result(
            "c",
            name,
            size,
            {STOCK: only(1.0), ACCELERATED: only(0.1)},
            {reach.FASTER: only(10.0)},
            {
                "compile: stock / accelerated": 1.5,
                "attempts": 1,
                **{f"{mode}: {part}": 0.1 for mode in MODES for part in ("lowering", "compiling")},
            },
        )
        for name in catalogue.NAMES
        for size in catalogue.SIZES
    ]

    def one(case: str, what: str, size: int, **ratios: float) -> Result:
        return Result(case, what, size, {}, {k: only(v) for k, v in ratios.items()}, {})

    fill, numpy = f"{floors.FLOOR} / {ACCELERATED}", f"{floors.NUMPY} / {ACCELERATED}"
    many = {f"ks.sample, {ACCELERATED} / one bulk draw, {ACCELERATED}": 1.3}
    many |= {f"ks.window, {mode} / one bulk draw, {mode}": 1.1 for mode in MODES}
    batches = {
        f"{draws.batched(batch)}, {ACCELERATED} / ks.sample, {ACCELERATED}": 1.0
        for batch in draws.BATCHES[2**24]
    }
    found += [
        one("g", "bits", 2**24, **{fill: 0.7, numpy: 1.0}),
        one("g", "normal", 2**24, **{fill: 0.7, numpy: 2.5}),
        one("g", "uniform", 2**24, **{fill: 0.7, numpy: 1.5}),
        one("d", eager.STEADY, 10_000, **{"jax.random.split / ks.iter_keys": 30.0}),
        one("i", orders.WHOLE, 2**20, **{f"{orders.PERMUTATION} / {orders.PLACES}": 3.0}),
        one("d", eager.THREE, 3, **{f"{eager.BY_JAX} / {eager.BY_KS}": 5.0}),
        one("b", "normals", 10**6, **many),
        one("b", draws.IN_BATCHES, 2**24, **batches),
    ]
    times = {helpers.HELPER: (1.1e-3,) * 5, helpers.BY_HAND: (1e-3,) * 5}
    counted = eagerly.COMPILED
    called = [
        result("j", pair.name, 1000, times, [(helpers.HELPER, helpers.BY_HAND)], {counted: 0})
        for pair in eager_pairs()
    ]
    called += [
        one("k", name, size, **{whole.FASTER: 13.0})
        for name in whole.NAMES
        for size in (10**6, 2**24)
    ]
    return [*found, *called] + [
        Result("e", f"{pair.name}, {mode}", 1000, {}, {}, {helpers.SAME: True})
        for pair in pairs()
        for mode in MODES
    ]


def verdicts(found: Iterable[Result]) -> list[str]:
    return [row.verdict for row in reach.rows(found)]


def test_everything_reached() -> None:
    """Where every number is good, every row is reached."""
    assert set(verdicts(made_up())) == {reach.REACHED}


def test_nothing_measured() -> None:
    """Where nothing was measured, no row is reached, and none is missed."""
    assert set(verdicts([])) == {reach.UNKNOWN}
    assert len(verdicts([])) == len(verdicts(made_up()))


@pytest.mark.parametrize(
    ("case", "what", "size", "place", "value", "rows"),
    [
        ("c", "bits", 10**6, "ratios", 1.9, [1]),
        ("c", "vmap(normal)(keys)", 10**6, "ratios", 1.9, [5]),
        ("c", "exponential", 10**6, "ratios", 1.9, [9]),
        ("c", "exponential", 2**24, "ratios", 1.9, []),
        ("c", "gamma", 1, "ratios", 0.84, [10]),
        ("c", "bits", 2**24, "ratios", 0.0005, [0, 10]),
        ("c", "gamma", 2**24, "compile", 0.74, [11]),
        ("g", "bits", 2**24, "ratios", 0.59, [12, 13, 14]),
        ("g", "normal", 2**24, "ratios", 1.9, [13]),
        ("g", "uniform", 2**24, "ratios", 1.1, [14]),
        ("d", eager.STEADY, 10_000, "ratios", 19.0, [15]),
        ("d", eager.THREE, 3, "ratios", 3.9, [16]),
        ("i", orders.WHOLE, 2**20, "ratios", 0.9, [17]),
        ("e", "scan, stock", 1000, "hlo", 0.89, [18]),
        ("e", "scan, accelerated", 1000, "hlo", 1.11, [18]),
        ("e", "scan, accelerated", 1000, "hlo", 1.09, []),
        ("b", "normals", 10**6, "ratios", 1.5, [19, 20, 21]),
        ("b", draws.IN_BATCHES, 2**24, "ratios", 1.2, [22, 23]),
        ("j", "split", 1000, "ratios", 1.3, [25]),
        ("j", "scan", 1000, "times", 1.6e-3, [24]),
        ("j", "map", 1000, "compiled", 1, [26]),
        ("k", "bits", 2**24, "ratios", 0.01, [27]),
        ("k", "bernoulli", 2**24, "ratios", 11.9, [28]),
    ],
)
def test_each_row_fails_its_fault(
    case: str, what: str, size: int, place: str, value: float, rows: list[int]
) -> None:
    """One number that is too low or too high misses its row, and no other one."""
    found = made_up()
    at = next(i for i, each in enumerate(found) if each[:3] == (case, what, size))
    each = found[at]
    if place == "ratios":
        each = each._replace(ratios=dict.fromkeys(each.ratios, only(value)))
    elif place == "times":
        each = each._replace(times={**each.times, helpers.HELPER: only(2e-3 + value)})
    elif place == "compiled":
        each = each._replace(facts={eagerly.COMPILED: value})
    elif place == "compile":
        each = each._replace(facts={**each.facts, "compile: stock / accelerated": value})
    else:
        each = each._replace(facts={helpers.SAME: False}, ratios={"helper / by hand": only(value)})
    found[at] = each
    wanted = [reach.MISSED if i in rows else reach.REACHED for i in range(len(verdicts([])))]
    if (case, what) == ("g", "bits"):
        wanted[13] = wanted[14] = reach.REACHED  # those rows are other results
    assert verdicts(found) == wanted


def test_the_geometric_mean_is_one() -> None:
    """The mean is the twelfth root of the product, at 10**6 and 2**24 alone."""
    found = made_up()
    values = {}
    for at, each in enumerate(found):
        if each.case == "c":
            values[each.what, each.size] = 2.0 + at
            found[at] = each._replace(ratios={reach.FASTER: only(2.0 + at)})
    chosen = [values[name, size] for name in whole.NAMES for size in (10**6, 2**24)]
    first = reach.rows(found)[0].measured
    assert first is not None
    assert first.median == pytest.approx(math.prod(chosen) ** (1 / 12))
    assert first.low == pytest.approx(0.9 * first.median)


def test_a_part_is_not_the_whole() -> None:
    """A row that speaks of many cases isn't reached by some of them."""
    found = [each for each in made_up() if each[:3] != ("c", "gamma", 10)]
    missed = [row for row in reach.rows(found) if row.verdict != reach.REACHED]
    assert [row.note.partition(", ")[2] for row in missed] == ["of 95 cases of 96"] * 2
    assert {row.verdict for row in missed} == {reach.UNKNOWN}
    assert all(row.measured for row in missed)


# --- what is told ----------------------------------------------------------------------------


def test_json_round_trip() -> None:
    """A result comes back from JSON as it was, every number with its spread."""
    times = {"a": (0.1, 0.2, 0.4), "b": (0.3, 0.3, 0.3)}
    facts = {"bytes": 5, "same": True, "none": None, "seconds": 0.25, "text": "x"}
    found = result("b", "normals", 10, times, [("a", "b"), ("a", "absent")], facts)
    assert list(found.ratios) == ["a / b"]
    assert from_json(json.loads(json.dumps(to_json(found)))) == found
    for each in made_up()[::10]:
        assert from_json(json.loads(json.dumps(to_json(each)))) == each


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12.34, "12.3 s"),
        (0.5, "500 ms"),
        (0.0123, "12.3 ms"),
        (1.5e-5, "15 us"),
        (2e-9, "2 ns"),
        (1234.0, "1234 s"),
    ],
)
def test_seconds_are_shown(value: float, shown: str) -> None:
    """A time is shown with three digits, in the unit that suits it."""
    assert table.seconds(value) == shown


def test_every_case_can_be_told() -> None:
    """Every made-up result is a line of its case's table."""
    found = made_up()
    for letter in sorted({each.case for each in found}):
        chosen = [each for each in found if each.case == letter]
        told = "\n".join(table.lines(letter, chosen))
        assert all(each.what in told for each in chosen)


def test_first_keys_stand_together() -> None:
    """Results of the same piece by several makers are one table."""
    found = [result("d", eager.FIRST, 1, {name: (0.1,)}) for name in ("a", "b")]
    assert table.lines("d", found) == ["the first key, 1", "  a  100 ms", "  b  100 ms"]


def test_cpu_model() -> None:
    """The model is what Linux calls the first processor; without it something is said."""
    text = "processor : 0\nmodel name\t: Some CPU @ 2: fast\nmodel name : Other\n"
    assert machine.cpu_model(text) == "Some CPU @ 2: fast"
    assert machine.cpu_model("")


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tqdm the same is measured, without a bar."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    tasks = [Task(name, made_up) for name in "abc"]
    assert list(bench.each_in_turn(tasks, "contest")) == tasks


# --- the command -----------------------------------------------------------------------------

LETTERS = "must be different letters out of a, b, c, d, e, f, g, h, i, j, k"
FILE = "must be a file that can be written"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "--only",
            "a,x",
            f"{LETTERS}, got 'a,x'. For example: --only a,c",
        ),
        (
            "--only",
            "a,a",
            f"{LETTERS}, got 'a,a'. For example: --only a,c",
        ),
        ("--json", "x.txt", "must end in .json, got 'x.txt'. For example: --json bench.json"),
        (
            "--json",
            "no/such/x.json",
            f"{FILE}, got 'no/such/x.json'. For example: --json bench.json",
        ),
        (
            "--plot",
            "x.gif",
            "must end in one of .png, .svg, .pdf, got 'x.gif'. For example: --plot bench.png",
        ),
    ],
)
def test_bad_options(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad option is told with its cure before anything is measured, and the cure works."""
    assert_refused(capsys, "bench", option, value, message)


def test_a_picture_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A picture of cases that have none is refused with its cure before anything is measured."""
    assert main(["bench", "--only", "a,h", "--plot", "x.png"]) == 2
    wanted = (
        "bench: --plot must come with one of the cases c, d, got --only a,h. "
        "For example: --only a,c,h\n"
    )
    assert capsys.readouterr().err == wanted


def test_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture that can't be drawn is refused before anything is measured."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert main(["bench", "--plot", "x.png"]) == 2
    needs = "matplotlib must be installed for --plot. pip install 'keystream[bench]'"
    assert capsys.readouterr().err == f"bench: {needs}\n"


def test_cases_and_letters() -> None:
    """Every letter is a case, told in the help, and everything is measured unless told so."""
    assert tuple(bench.CASES) == parser().parse_args(["bench"]).only
    assert parser().parse_args(["bench", "--only=d, a"]).only == ("a", "d")
    command = argparse.ArgumentParser()
    bench.arguments(command)
    assert all(
        f"{letter}: {title}" in str(command.epilog) for letter, (title, _) in bench.CASES.items()
    )


def test_a_missed_row_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What isn't reached is told as such, and the exit status is 0."""
    found = [
        each._replace(ratios=dict.fromkeys(each.ratios, only(0.5)))
        for each in made_up()
        if each.case == "c"
    ]
    cases = {"c": ("made up", lambda _: [Task("one", lambda each=each: each) for each in found])}
    monkeypatch.setattr(bench, "CASES", cases)
    file = tmp_path / "made-up.json"
    assert main(["bench", "--only", "c", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.count("  not reached  ") == 11
    assert told.count("  reached  ") == 1
    document = json.loads(file.read_text())
    assert [from_json(each) for each in document["results"]] == found
    assert [row["verdict"] for row in document["reach"]] == verdicts(found)


def test_a_sampler_is_measured() -> None:
    """A quick measurement of one sampler has every number that its row is told with."""
    found = samplers.measure("bits", 1000, QUICK)
    assert found.times[STOCK].number == QUICK.rounds
    assert all(value.median > 0 for value in (*found.times.values(), *found.ratios.values()))
    assert len(samplers.tasks(Effort())) == len(catalogue.NAMES) * len(catalogue.SIZES)
    assert "bits" in "\n".join(table.sampler_lines([found]))


def test_quick_run(tmp_path: Path) -> None:
    """A quick run of most cases says what it belongs to, tells each, and writes its files."""
    numbers, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    drawn = importlib.util.find_spec("matplotlib") is not None
    line = [sys.executable, "-m", "keystream", "bench", "--quick", "--only", "a,b,d,f,g,h,i,j,k"]
    line += ["--json", str(numbers), *(["--plot", str(picture)] if drawn else [])]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"  jax                     {jax.__version__}\n" in done.stdout
    assert re.findall(r"^\((.)\)", done.stdout, re.MULTILINE) == list("abdfghijk")
    document = json.loads(numbers.read_text())
    results = [from_json(each) for each in document["results"]]
    assert {each.case for each in results} == set("abdfghijk")
    assert document["machine"]["cpu"]
    assert document["settings"]["jax_enable_x64"] == "False"
    meshes = {each.size: each.facts for each in results if each.case == "f"}
    assert sorted(meshes) == [1, 2]
    for facts in meshes.values():
        assert all(value == 0 for name, value in facts.items() if "collectives" in name)
    whole, half = (meshes[n]["ks.sample(out_sharding=), stock: bytes a device"] for n in (1, 2))
    assert whole == 2 * half == 40_000
    assert not drawn or picture.read_bytes().startswith(b"\x89PNG")


def test_benchmarks_stay_outside() -> None:
    """What is for pytest-benchmark has no name that the default run would collect."""
    folder = Path(__file__).parents[1] / "benchmarks"
    assert list(folder.glob("bench_*.py"))
    assert not list(folder.glob("test_*.py")) + list(folder.glob("*_test.py"))
