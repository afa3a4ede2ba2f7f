"""What is found depends on the program alone: not on hashes, threads or the order of callbacks."""

from __future__ import annotations

import functools
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import keystream as ks
from keystream._audit import conclude
from keystream._audit.recording.record import record_uses
from tests.audit.fuzz import judge, programs

ROOT = Path(__file__).parents[2]


@jax.jit
def step(key: jax.Array, weight: jax.Array) -> jax.Array:
    """Draw in ways that don't depend on each other, some of them twice."""
    keys = jax.random.split(key, 4)
    again = jax.random.split(key, 3)
    total = sum(jnp.sum(weight * jax.random.normal(each, (8,))) for each in keys)
    total += jax.random.uniform(again[1]) + jax.random.normal(jax.random.fold_in(key, 2))

    def body(carry: Any, _: Any) -> Any:
        key, total = carry
        key, use = jax.random.split(key)
        return (key, total + jax.random.normal(use)), None

    return total + jax.lax.scan(body, (again[2], 0.0), None, length=3)[0][1]


def records() -> list[Any]:
    with record_uses() as found:
        key = ks.key(0)
        for place in range(3):
            step(jax.random.fold_in(key, place % 2), jnp.ones(8)).block_until_ready()
    return list(found.records)


@pytest.mark.parametrize("seed", range(5))
def test_order_of_callbacks(seed: int) -> None:
    """XLA may call back in any order within one run of a program: the same is found."""
    found = records()
    kept = conclude.audit_records("run", found, ()).to_json()
    dice, again = random.Random(seed), []
    for program, several in itertools.groupby(found, key=lambda record: record.program):
        run = [*several]
        again += dice.sample(run, len(run)) if program else run
    assert [id(each) for each in again] != [id(each) for each in found]
    assert conclude.audit_records("run", again, ()).to_json() == kept


FRESH = """
from tests.audit import test_determinism
print(test_determinism.all_reports())
"""


def all_reports() -> str:
    """Return the reports of a run and of some programs, as text."""
    key = jax.eval_shape(lambda: ks.key(0))
    texts = [programs.write(seed) for seed in range(100, 120)]
    traced = [ks.audit(judge.load(text, "<program>"), key, *judge.ARGUMENTS) for text in texts]
    traced.append(ks.audit(step, ks.key(0), jnp.ones(8)))
    run = conclude.audit_records("run", records(), ())
    return "\n".join(report.to_json() for report in (*traced, run))


@functools.cache
def in_process(hash_seed: int) -> str:
    environment = os.environ | {
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "4",
    }
    done = subprocess.run(
        [sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", [1, 2, 3])
def test_hashes(hash_seed: int) -> None:
    """In processes that hash strings in other ways the same is found."""
    assert "KS0" in in_process(0)
    assert in_process(hash_seed) == in_process(0)


@pytest.mark.fast
@pytest.mark.parametrize("fun", [step, jax.random.binomial])
def test_again_in_one_process(fun: Callable[..., Any]) -> None:
    """What was audited before changes nothing."""
    args = (ks.key(0), jnp.ones(8)) if fun is step else (ks.key(0), 10.0, 0.3)
    first = ks.audit(fun, *args).to_json()
    ks.audit(lambda key: jax.random.split(key, 7), ks.key(1))
    assert ks.audit(fun, *args).to_json() == first


def test_keys_that_are_made_of_each_other() -> None:
    """Folds of unsafe_rbg cancel: what is done with such keys is seen all the same."""

    def there_and_back(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        once = jax.random.fold_in(key, 3)
        return jax.random.normal(once), jax.random.normal(jax.random.fold_in(once, 3))

    report = ks.audit(jax.jit(there_and_back), jax.random.key(1, impl="unsafe_rbg"), run=True)
    assert sum(count.draws for count in report.counts) == 2
    assert "KS16" in {found.rule for found in report.findings}
