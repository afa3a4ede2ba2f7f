"""The uses of other libraries that are audited still run, where the libraries are installed."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest

import keystream as ks
from tests.audit.corpus.program import Program
from tests.audit.real import REAL


@pytest.mark.outside
@pytest.mark.parametrize("program", REAL, ids=lambda program: program.name)
def test_runs(program: Program) -> None:
    """A typical use of a library runs, and can be traced if it says so."""
    if program.missing:
        pytest.skip(f"{program.missing} isn't installed: install keystream[corpus]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others' code warns of isn't ours to mend
        result = program.fun(*program.args())
        assert any(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in jax.tree.leaves(result))
        if program.mode == "static":
            assert jax.make_jaxpr(program.fun)(*program.args()).jaxpr.eqns


FOUND = {"blackjax_dynamic_hmc": "error"}
"""What is truly wrong, see docs/audit-corpus.md; nothing else may be accused."""


@pytest.mark.outside
@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("program", REAL, ids=lambda program: program.name)
def test_audit(program: Program, run: bool) -> None:
    """Real code that is right is accused of no error, by its jaxpr or by a run."""
    if program.missing:
        pytest.skip(f"{program.missing} isn't installed: install keystream[corpus]")
    if program.mode == "run" and not run:
        pytest.skip("no jaxpr shows it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = ks.audit(program.fun, *program.args(), run=run)
    assert report.ok or program.name in FOUND, str(report)
    if program.name in FOUND:
        assert report.at_least("warning")


def test_uses_are_right() -> None:
    """Nobody has found a true fault in them yet: they are taken to be right."""
    assert all(program.rule is None for program in REAL)
    assert len({program.name for program in REAL}) == len(REAL)
