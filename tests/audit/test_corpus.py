"""The corpus holds what it says: wrong programs are wrong, right ones right, and all run."""

from __future__ import annotations

import functools
import importlib.util
import pathlib
from collections import Counter
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

from tests.audit.corpus import PROGRAMS, Program
from tests.audit.corpus.jax_checker import verdict
from tests.audit.corpus.program import differs, one_key, repeats

RULES = {f"KS{number:02}" for number in range(1, 17)}
SELDOM = {"KS11", "KS15", "KS16"}
"""Rules that aren't errors: one program is enough."""


def named(program: Program) -> str:
    return f"{program.style.replace(' ', '-')}-{program.name}"


def importable(program: Program) -> None:
    if program.missing:
        pytest.skip(f"{program.missing} isn't installed")


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=named)
def test_runs(program: Program) -> None:
    """A program runs and returns arrays, which show what it is."""
    importable(program)
    result = program.fun(*program.args())
    assert any(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in jax.tree.leaves(result))
    if program.shows is not None:
        assert program.shows(result), program.what


@pytest.mark.outside
@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.mode == "static"], ids=named)
def test_is_traceable(program: Program) -> None:
    """A program that a jaxpr shows is traced with abstract arguments."""
    importable(program)
    assert jax.make_jaxpr(program.fun)(*program.args()).jaxpr.eqns


def first_of_each() -> list[Any]:
    """Return what a jaxpr shows: all but the first of each style and rule is slow.

    So is what needs another library.
    """
    found, seen = [], set()
    for program in PROGRAMS:
        if program.mode == "static":
            kind = program.style, program.rule
            slow = kind in seen or bool(program.needs)
            found.append(pytest.param(program, marks=[pytest.mark.slow] * slow))
            seen.add(kind)
    return found


@pytest.mark.parametrize("program", first_of_each(), ids=named)
def test_static_audit(program: Program) -> None:
    """A jaxpr shows what is wrong with a program, and no error in a right one."""
    importable(program)
    script = table()
    said = script.audited(program)
    if program.rule is None:
        assert not script.alarmed(said), said
        assert not said.startswith("error")
    else:
        assert script.found(script.Row(program, said, "", ""), said), said


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if p.mode == "run" or p.rule is None], ids=named
)
def test_run_audit(program: Program) -> None:
    """A run shows what no jaxpr does, and no error in a right program."""
    importable(program)
    script = table()
    said = script.audited(program, run=True)
    if program.rule is None:
        assert not script.alarmed(said), said
        assert not said.startswith("error")
    else:
        assert script.found(script.Row(program, "", said, ""), said), said


def test_what_is_shown_can_fail() -> None:
    """A wrong program isn't taken for a right one, nor a right one for a wrong one."""
    (key,) = one_key()
    draw = jax.random.normal(key, (3,))
    other = jax.random.normal(jax.random.fold_in(key, 0), (3,))
    assert repeats([draw, draw])
    assert not differs([draw, draw])
    assert differs([draw, other])
    assert not repeats([draw, other])
    assert not differs([])


def test_every_rule_has_wrong_programs() -> None:
    """Each rule has two wrong programs, or one where it is no error; half of all are right."""
    found = Counter(program.rule for program in PROGRAMS)
    assert set(found) == {None, *RULES}
    assert all(found[rule] >= (1 if rule in SELDOM else 2) for rule in RULES)
    assert 0.4 < found[None] / len(PROGRAMS) < 0.6


def test_programs_are_named() -> None:
    """Each program has a name of its own within its style, and a sentence that says what it is."""
    assert len({named(program) for program in PROGRAMS}) == len(PROGRAMS)
    assert all(program.what.endswith(".") for program in PROGRAMS)
    assert len({program.what for program in PROGRAMS}) == len(PROGRAMS)


def test_jax_checker_sees_what_it_is_for() -> None:
    """JAX's checker is switched on: it finds the plainest program, and not its near miss."""
    by_name = {program.name: program for program in PROGRAMS}
    assert verdict(by_name["two_draws"]) == "found"
    assert verdict(by_name["two_draws_two_keys"]) == "nothing"
    assert verdict(by_name["rng_used_twice"]) == "nothing"


@functools.cache
def table() -> ModuleType:
    path = pathlib.Path(__file__).parents[2] / "docs" / "audit_table.py"
    spec = importlib.util.spec_from_file_location("audit_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_counts_what_is_said() -> None:
    """A program counts as found by its own rule, as an error unless the rule is milder."""
    script = table()
    by_name = {program.name: program for program in PROGRAMS}
    wrong, right, lanes = (
        by_name[name] for name in ("two_draws", "two_draws_two_keys", "closed_key_in_lanes")
    )
    row = script.Row(wrong, "KS02 (KS01)", "KS01", "found")
    assert not script.found(row, row.static)
    assert script.found(row, row.run)
    assert script.found(script.Row(lanes, "(KS11)", "-", "nothing"), "(KS11)")
    assert script.alarmed("KS01 (KS11)")
    assert not any(script.alarmed(said) for said in ("nothing", "(KS01)", "-", "error: TypeError"))
    some = [row, script.Row(right, "nothing", "KS01", "found")]
    lines = script.recall(some)
    assert lines[2].startswith("| KS01 | 1 |")
    assert lines[2].endswith("| 1 |")
    assert lines[-1].endswith("| 1 |")
    assert "`two_draws` | plain | KS01 | KS02 (KS01) | KS01 | found" in script.by_program(some)[2]
