"""keystream's own helpers audit clean, and each rule is told in the words that are frozen here."""

from __future__ import annotations

import pathlib

import jax
import pytest

import keystream as ks
from keystream._audit.rules import RULES
from tests.audit.corpus import PROGRAMS
from tests.catalogue import ROWS, Row

TEXTS = pathlib.Path(__file__).with_name("rules.txt")
"""A line for each rule: what the audit says of the first program of the corpus that breaks it."""


def draw(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (2,))


@pytest.mark.parametrize(
    ("row", "impl"),
    [
        pytest.param(row, impl, marks=[pytest.mark.slow] * (impl != "threefry2x32"))
        for row in ROWS
        for impl in ("threefry2x32", "threefry4x32")
        if impl in row.impls
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_helpers_are_clean(row: Row, impl: str) -> None:
    """No helper does anything with its key that the audit warns of, by its jaxpr or by a run."""
    size, start = row.sizes[-1], 2 if row.start else 0

    def fun(key: jax.Array) -> object:
        return row.run(key, size, start, draw)

    for run in (False, True) if impl == "threefry2x32" else (False,):
        report = ks.audit(fun, ks.key(3, impl=impl), run=run)
        assert not report.at_least("warning"), str(report)


def told() -> dict[str, str]:
    """Return what is said of the first wrong program of each rule."""
    found = {}
    for rule in RULES:
        program = next((p for p in PROGRAMS if p.rule == rule and p.mode == "static"), None)
        if program is None or program.needs:
            continue
        finding = next(
            each for each in ks.audit(program.fun, *program.args()).findings if each.rule == rule
        )
        words = "; ".join(finding.labels)
        path = " -> ".join(finding.lineage)
        found[rule] = f"{program.name}: {finding.severity}: {finding.message} [{words}] ({path})"
    return found


def test_texts() -> None:
    """What is said of a rule's first program: severity, message, what happens where, the path."""
    frozen = dict(line.split(" ", 1) for line in TEXTS.read_text().splitlines())
    assert set(frozen) == {rule for rule in RULES if rule != "KS00"}
    assert told() == frozen
