"""How bad a finding is, in whose code it happens, and in which order it tells of its lines."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import random

import keystream as ks
from keystream._audit import places

LIBRARY = """\
import jax
from jax import random

def two_lines(key):
    first = random.normal(key)
    return first + random.uniform(key)

def one_line(key):
    return random.normal(key) + random.uniform(key)

@jax.jit
def compiled(key):
    return random.normal(key) + random.uniform(key)

def helper(key):
    return random.normal(key)

def helper_twice(key):
    first = helper(key)
    return first + helper(key)

def helper_and_draw(key):
    return helper(key) + random.uniform(key)

def seeded(key):
    return random.normal(random.key(random.bits(key)))

def call(fun, key):
    return fun(key)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A library that counts as installed."""
    path = tmp_path / "samplers.py"
    path.write_text(LIBRARY)
    monkeypatch.setattr(places, "_LIBRARIES", (*places._LIBRARIES, f"{tmp_path}/"))
    spec = importlib.util.spec_from_file_location("samplers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def severities(fun: Callable[..., Any], *, run: bool) -> set[str]:
    found = ks.audit(fun, ks.key(0), run=run).findings
    return {each.severity for each in found if each.severity != "note"}


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize(
    "name", ["two_lines", "one_line", "compiled", "helper_twice", "helper_and_draw"]
)
def test_a_library_that_was_called(library: ModuleType, name: str, run: bool) -> None:
    """What a library does with a key is a warning, in however many lines it does so."""
    fun = getattr(library, name)
    assert severities(lambda key: fun(key), run=run) == {"warning"}  # noqa: PLW0108 - a call


def test_a_library_that_seeds(library: ModuleType) -> None:
    """A library that builds a key from what it drew is a warning as well."""
    assert severities(lambda key: library.seeded(key), run=False) == {"warning"}  # noqa: PLW0108


@pytest.mark.parametrize("run", [False, True])
def test_calls_of_a_library(library: ModuleType, run: bool) -> None:
    """Who calls a library twice with one key, or hands it what draws twice, does it himself."""

    def on_one_line(key: jax.Array) -> Any:
        return library.helper(key) + library.call(jax.random.uniform, key)

    def in_turn(key: jax.Array) -> Any:
        return [library.helper(key) for _ in range(2)]

    def handed_in(key: jax.Array) -> Any:
        def draws(key: jax.Array) -> Any:
            first = jax.random.normal(key)
            return first + jax.random.uniform(key)

        return library.call(draws, key)

    for fun in (on_one_line, in_turn, handed_in):
        assert severities(fun, run=run) == {"error"}


@jax.jit
def several(key: jax.Array) -> Any:
    first = jax.random.normal(key, (3,))
    second = jax.random.uniform(key, (3,))
    children = jax.random.split(key)
    return second.sum() * first, jax.random.bits(children[1])


def folded(key: jax.Array) -> Any:
    one = jax.random.fold_in(key, 1)
    first = jax.random.normal(one)
    other = jax.random.fold_in(key, 1)
    return first, jax.random.normal(other)


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("fun", [several, folded])
def test_lines_in_their_order(fun: Callable[..., Any], run: bool) -> None:
    """A finding tells of lines as they stand, in whatever order a program runs them."""
    found = ks.audit(fun, ks.key(0), run=run).findings
    assert found
    for each in found:
        lines = [place.line for place in each.places]
        assert lines == sorted(lines)
        assert not each.labels[0].startswith("drawn from here again")


def _shared_children(key: jax.Array) -> Any:
    params, dropout = random.split(key)
    data, noise = random.split(key)
    early = [random.normal(each) for each in (params, noise)]
    return early, random.normal(dropout), random.normal(data)


def _used_half_carried(key: jax.Array) -> Any:
    def body(key: jax.Array, x: jax.Array) -> Any:
        key, use = random.split(key)
        return use, x + random.normal(use)

    return jax.lax.scan(body, key, jnp.ones(3))[1]


@pytest.mark.parametrize(
    ("fun", "rule"), [(_shared_children, "KS03"), (_used_half_carried, "KS09")]
)
def test_one_mistake_is_told_once(fun: Callable[..., Any], rule: str) -> None:
    """Two children on the same lines, or a step and the next, make one finding."""
    assert [each.rule for each in ks.audit(fun, random.key(0)).findings] == [rule]
