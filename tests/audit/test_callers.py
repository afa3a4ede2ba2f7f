"""The lines that call a helper again stand in the report, with help that fits, and silence it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import pytest

import keystream as ks

Find = Callable[[Callable[..., Any]], Any]


@pytest.fixture(params=[False, True], ids=["static", "run"])
def find(request: pytest.FixtureRequest) -> Find:
    """Return what audits a function of one key, and has one finding."""

    def audited(fun: Callable[..., Any]) -> Any:
        [finding] = ks.audit(fun, jax.random.key(0), run=request.param).findings
        return finding

    return audited


def price(strike: float, key: jax.Array) -> jax.Array:
    return strike * jax.random.normal(key)


def pair(key: jax.Array) -> jax.Array:
    one, other = jax.random.split(key)
    return jax.random.normal(one) + jax.random.normal(other)


def noise(key: jax.Array) -> jax.Array:
    return jax.random.normal(jax.random.fold_in(key, 7))


def difference(key):
    return price(1.01, key) - price(0.99, key)


def in_loop(key):
    total = 0.0
    for strike in (1.0, 2.0):
        total += price(strike, key)
    return total


def in_comprehension(key):
    return sum([price(strike, key) for strike in (1.0, 2.0)])


def in_tree(key):
    return jax.tree.map(lambda strike: price(strike, key), (1.0, 2.0))


def jitted(key):
    compiled = jax.jit(price)
    return compiled(1.0, key) - compiled(2.0, key)


def mapped(key):
    return sum(map(functools.partial(price, key=key), (1.0, 2.0)))


def text(finding: Any) -> list[str]:
    """Return the source lines of a finding."""
    return [place.text for place in finding.places]


@pytest.mark.parametrize(
    ("fun", "line", "label"),
    [
        (difference, "return price(1.01, key) - price(0.99, key)", "called here, more than once"),
        (in_loop, "total += price(strike, key)", "called here, more than once"),
        (
            in_comprehension,
            "return sum([price(strike, key) for strike in (1.0, 2.0)])",
            "called here, more than once",
        ),
        (
            in_tree,
            "return jax.tree.map(lambda strike: price(strike, key), (1.0, 2.0))",
            "called here, more than once",
        ),
        (
            jitted,
            "return compiled(1.0, key) - compiled(2.0, key)",
            "called here, more than once",
        ),
        (
            mapped,
            "return sum(map(functools.partial(price, key=key), (1.0, 2.0)))",
            "called here",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_line_of_the_caller(find: Find, fun: Any, line: str, label: str) -> None:
    """A line that calls a helper again is where it went wrong."""
    finding = find(fun)
    assert finding.rule == "KS01"
    assert text(finding) == ["return strike * jax.random.normal(key)", line]
    assert finding.labels == ("drawn from here, by jax.random.normal", label)


def test_in_one_line(find: Find) -> None:
    """A line that draws twice by itself has no caller to blame."""

    def twice(key):
        return jax.random.normal(key) + jax.random.uniform(key)

    def above(key):
        return twice(key)

    finding = find(above)
    assert len(finding.places) == 2
    assert {place.function.rpartition(".")[2] for place in finding.places} == {"twice"}


def test_help_for_a_helper(find: Find) -> None:
    """Where one helper is called twice, its key is split in the caller; the code runs."""

    def two_lines(key):
        first = pair(key)
        return first + pair(key)

    finding = find(two_lines)
    assert finding.rule == "KS03"
    assert finding.labels[-2:] == ("called here", "called here again")
    assert finding.cure.splitlines() == [
        "first, second = ks.split(key)  # where pair is called",
        "pair(first), pair(second)  # a key for each call",
    ]
    exec(finding.cure, {"ks": ks, "key": ks.key(0), "pair": pair})
    assert find(lambda key: [noise(key) for _ in range(2)]).cure.splitlines() == [
        "keys = ks.keys(key, n)  # above the loop",
        "noise(keys[i])  # for call i",
    ]

    def right(key):
        first, second = ks.split(key)
        return pair(first) + pair(second)

    assert ks.audit(right, ks.key(0)).findings == ()


def test_a_loop_of_many(find: Find) -> None:
    """The line of a loop that draws by a helper again and again is in the report, too."""

    def steps(key):
        return [price(1.0, key) for _ in range(5)]

    assert text(find(steps))[-1] == "return [price(1.0, key) for _ in range(5)]"


def test_comment_at_the_caller() -> None:
    """A comment at the line that calls silences, and says so where it doesn't."""

    def compared(key):
        # keystream: ignore[KS01] common random numbers
        return price(1.01, key) - price(0.99, key)

    def idle(key):
        # keystream: ignore[KS01] common random numbers
        return price(1.01, key)

    for run in (False, True):
        report = ks.audit(compared, jax.random.key(0), run=run)
        assert [each.silenced for each in report.silenced] == ["common random numbers"]
        assert report.findings == ()
        [told] = ks.audit(idle, jax.random.key(0), run=run).findings
        assert told.rule == "KS00"
        assert told.message == "this comment hides nothing: no KS01 was found at its line"


def test_helpers_are_named(find: Find) -> None:
    """A line that calls a helper of keystream is said to call it, and not what is around it."""

    def drawn_beside_a_loop(key):
        noisy = ks.map(lambda key, x: x + jax.random.normal(key), jax.numpy.ones(3), key=key)
        return noisy.sum() + jax.random.normal(key, (3,)).sum()

    assert any(label.endswith(", by ks.map") for label in find(drawn_beside_a_loop).labels)
