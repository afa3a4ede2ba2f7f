"""What fails in keystream itself is told as unseen, and everything else is still found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import keystream as ks
from keystream._audit import conclude, failures
from keystream._audit.judging import findings, pairs, single, traced
from keystream._audit.reading import program, reader, records

pytestmark = pytest.mark.fast


@pytest.fixture(name="as_users_have_it")
def _as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the tests take away."""
    monkeypatch.setattr(failures, "CAUGHT", (Exception,))


def breaks(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a mistake of ours")


def twice_and_rolled(key: jax.Array) -> Any:
    one, other = jax.random.normal(key), jax.random.uniform(key)
    rolled = jax.random.split(jax.random.key(1), 4)[::-1]
    return one + other, jax.vmap(jax.random.normal)(rolled)


RULES = {
    "read a draw": (program._RULES, "random_split"),
    "move keys": (program.MOVES, "rev"),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.usefixtures("as_users_have_it")
def test_reading_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An equation that can't be read is named, and the rest of the program is judged."""
    table, primitive = RULES[name]
    monkeypatch.setitem(table, primitive, breaks)
    report = ks.audit(twice_and_rolled, jax.random.key(0))
    assert [(each.rule, each.severity) for each in report.findings] == [("KS01", "error")]
    [unseen] = [each for each in report.unseen if "a mistake of ours" in each]
    assert "test_failures.py" in unseen
    assert "twice_and_rolled" in unseen


PASSES = {
    "pairs": (pairs.Pairs, "_judge"),
    "single uses": (single.SingleUses, "_judge"),
    "returned": (traced, "_find_returned"),
    "unused": (traced, "_find_unused"),
    "groups": (pairs.Pairs, "group_by_key"),
    "places": (findings, "_marks"),
}


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.usefixtures("as_users_have_it")
def test_judging_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that fails is named, and the others are held."""
    monkeypatch.setattr(*PASSES[name], breaks)
    report = ks.audit(twice_and_rolled, jax.random.key(0))
    assert any("a mistake of ours" in each for each in report.unseen)
    found = [each.rule for each in report.findings]
    assert found == ([] if name in ("pairs", "groups", "places") else ["KS01"])


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize("run", [False, True])
def test_last_guard(run: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else fails, there is a report, which isn't complete."""
    monkeypatch.setattr(conclude, "_report", breaks)
    report = ks.audit(twice_and_rolled, jax.random.key(0), run=run)
    assert any("a mistake of ours" in each for each in report.unseen)
    assert not report.complete


@pytest.mark.usefixtures("as_users_have_it")
def test_records_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that can't be read is named, and the others are judged."""
    monkeypatch.setattr(records, "_children", breaks)
    report = ks.audit(twice_and_rolled, jax.random.key(0), run=True)
    assert [each.rule for each in report.findings] == ["KS01"]
    assert any("a mistake of ours" in each for each in report.unseen)


@pytest.mark.usefixtures("as_users_have_it")
def test_errors_of_the_user_stay() -> None:
    """What the audited function raises is raised; nothing is said of keystream."""

    def divides(_: jax.Array) -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError, match="division by zero"):
        ks.audit(divides, jax.random.key(0))


@pytest.mark.usefixtures("as_users_have_it")
def test_interrupts_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt ends the audit."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reader.Reader, "move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ks.audit(twice_and_rolled, jax.random.key(0))


def test_tests_see_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """In these tests what fails is raised, so that no guard hides it from them."""
    monkeypatch.setitem(program._RULES, "random_split", breaks)
    with pytest.raises(ZeroDivisionError):
        ks.audit(twice_and_rolled, jax.random.key(0))


def second_is_a_number(key: jax.Array) -> tuple[jax.Array, float]:
    return jax.random.normal(key), 0.0


LITERAL_RESULTS: dict[str, Callable[[jax.Array], Any]] = {
    "jit in lanes": lambda key: jax.vmap(lambda x: x + jax.jit(second_is_a_number)(key)[0])(
        jnp.zeros(3)
    ),
    "jit": jax.jit(second_is_a_number),
    "scan": lambda key: jax.lax.scan(
        lambda _, key: (0.0, second_is_a_number(key)), 1.0, jax.random.split(key, 3)
    ),
    "cond": lambda key: jax.lax.cond(
        jnp.sum(jax.random.key_data(key)) > 3, second_is_a_number, lambda _: (1.0, 2.0), key
    ),
    "while": lambda key: jax.lax.while_loop(
        lambda _: False, lambda _: (*second_is_a_number(key), 1.0), (0.0, 0.0, 0.0)
    ),
    "checkpoint": jax.checkpoint(second_is_a_number),
    "the program itself": lambda key: (0.0, 1, key),
}


@pytest.mark.parametrize("name", LITERAL_RESULTS)
def test_results_that_are_numbers(name: str) -> None:
    """A body may return a number that is written into it."""
    report = ks.audit(LITERAL_RESULTS[name], jax.random.key(0))
    assert {each.rule for each in report.findings} <= {"KS07", "KS11", "KS15"}
    assert report.unseen == ()


def test_second_result_of_a_call_is_its_own() -> None:
    """The numbers that a jitted function makes of constants are told apart."""

    def folds(key: jax.Array) -> Any:
        one, other = jax.jit(lambda number: (number + 1, number + 2))(3)
        fold = jax.random.fold_in
        return jax.random.normal(fold(key, one)), jax.random.normal(fold(key, other))

    assert not ks.audit(folds, jax.random.key(0)).findings


def test_equal_results_of_a_call_are_equal() -> None:
    """The same numbers, made in two ways, are seen to be the same."""

    def folds(key: jax.Array) -> Any:
        _, other = jax.jit(lambda number: (number + 1, number + 2))(3)
        fold = jax.random.fold_in
        return jax.random.normal(fold(key, 5)), jax.random.normal(fold(key, other))

    assert [each.rule for each in ks.audit(folds, jax.random.key(0)).findings] == ["KS05"]
