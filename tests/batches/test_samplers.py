"""Law 1 for draws: another form may change last digits, never the key."""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


measure_samplers = _load("measure_samplers")
SAMPLERS = measure_samplers.SAMPLERS

ITEMS, EACH = 24, (4,)
DIGITS = 1e-3
"""Far above last digits (the table in docs/samplers.md has none beyond 2e-4 of a value),
far below what another key leaves: of values drawn from another key at most a few in a
thousand come so near."""
RARE = 0.1
"""The part of the values that a sampler which rejects or compares may answer otherwise.
Of the 96 or more values from another key 90 % agree by chance with a probability below
C(96, 9) * 0.4**87 < 1e-22, where two draws of one sampler agree with probability 0.4."""


@functools.cache
def _drawn(name: str, form: str, seed: int = 7) -> np.ndarray:
    sampler = SAMPLERS[name]
    key = ks.key(seed)
    mesh = jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,))

    def call(key: jax.Array) -> jax.Array:
        return sampler.call(key, EACH)

    match form:
        case "vmap":
            return np.asarray(_reference(name)(key))
        case "map":
            body = jax.jit(lambda key, xs: ks.map(lambda key, _: call(key), xs, key=key))
            return np.asarray(body(key, jnp.zeros(ITEMS)))
        case "batches on devices":
            where = jax.sharding.NamedSharding(mesh, jax.P("i"))
            return np.asarray(ks.sample(call, key, ITEMS, batch_size=2, out_sharding=where))
    raise AssertionError(form)


@functools.cache
def _reference(name: str) -> Any:
    sampler = SAMPLERS[name]
    return jax.jit(lambda key: ks.sample(lambda key: sampler.call(key, EACH), key, ITEMS))


def same_key(kind: str, values: np.ndarray, reference: np.ndarray) -> bool:
    """Were these drawn from the same keys, last digits aside?"""
    if kind == "exact":
        return bool(np.array_equal(values, reference))
    if values.dtype.kind == "f":
        near = np.abs(values - reference) <= DIGITS * np.maximum(1e-2, np.abs(reference))
    else:
        near = values == reference
    return bool(near.mean() >= (1.0 if kind == "digits" else 1 - RARE))


IN_A_MINUTE = {"normal", "gumbel", "categorical", "gamma", "poisson"}
"""Of those that pass through floats, the ones that the gate has time to compile."""
IN_TURN = [
    name
    if sampler.kind == "exact" or name in IN_A_MINUTE
    else pytest.param(name, marks=pytest.mark.outside)
    for name, sampler in SAMPLERS.items()
]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["map", "batches on devices"])
@pytest.mark.parametrize("name", IN_TURN)
def test_another_form_draws_from_the_same_keys(name: str, form: str) -> None:
    """Every sampler agrees in every form: exactly, to last digits, or but for a rare value."""
    assert same_key(SAMPLERS[name].kind, _drawn(name, form), _drawn(name, "vmap"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sibling_key_is_noticed(name: str) -> None:
    """The comparison above fails for every sampler when it is run with the sibling key."""
    key = ks.key(7)
    for sibling in (ks.derive(key, 1), ks.key(8)):
        faulty = np.asarray(_reference(name)(sibling))
        assert not same_key(SAMPLERS[name].kind, faulty, _drawn(name, "vmap"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_shifted_children_are_noticed(name: str) -> None:
    """The comparison above fails for every sampler when lane i is given child i + 1."""
    honest = _drawn(name, "vmap")
    shifted = np.roll(honest, -1, axis=0)
    assert not same_key(SAMPLERS[name].kind, shifted, honest)


@pytest.mark.fast
def test_other_last_digits_are_not_taken_for_another_key() -> None:
    """A float sampler whose values are 64 ulp off passes, an exact one that is one off doesn't."""
    normal = _drawn("normal", "vmap")
    off = (normal.view(np.int32) + 64).view(np.float32)
    assert same_key("digits", off, normal)
    bits = _drawn("bits", "vmap").copy()
    other = bits.copy()
    other.flat[0] ^= 1
    assert same_key("exact", bits, bits)
    assert not same_key("exact", other, bits)


@pytest.mark.fast
def test_every_sampler_is_in_the_catalog() -> None:
    """Whatever `jax.random` draws with, in this version, is measured and tested here."""
    named = {name.split(",")[0] for name in SAMPLERS}
    assert measure_samplers.public_samplers() <= named


@pytest.mark.fast
@pytest.mark.parametrize("version", ["0.10", "0.12"])
def test_the_page_has_a_row_for_every_sampler(version: str) -> None:
    """docs/samplers.md holds a measured row for each sampler, and the exact ones are exact."""
    page = (DOCS / "samplers.md").read_text()
    first, last = f"<!-- measured: jax {version} -->", f"<!-- end: jax {version} -->"
    section = page.split(first)[1].split(last)[0]
    assert re.search(
        rf"Measured with jax {re.escape(version)}\S*, Python 3\.\d+\.\d+, CPU: ", section
    )
    rows = dict(re.findall(r"^\| ([a-z_, ]+?) \| (yes|no) \|", section, re.MULTILINE))
    exact = {name for name, sampler in SAMPLERS.items() if sampler.kind == "exact"}
    loop_free = {name for name in [*rows, *SAMPLERS] if name.endswith(", approximate")}
    assert set(rows) - loop_free == set(SAMPLERS) - loop_free
    assert all(rows[name] == "yes" for name in exact)
    processors = page.split(first.replace("jax", "processors, jax"))[1]
    differing = dict(re.findall(r"^\| ([a-z_, ]+?) \| ([\d,]+) of ", processors, re.MULTILINE))
    assert {name for name in exact if differing[name] == "0"} == exact
    assert int(differing["uniform, in a range"].replace(",", "")) > 0


@pytest.mark.fast
def test_the_page_names_the_samplers_that_the_newest_jax_has() -> None:
    """The approximate methods of jax 0.12 have rows, of what draws by them where it has them."""
    page = (DOCS / "samplers.md").read_text().split("<!-- measured: jax 0.12 -->")[1]
    rows = set(re.findall(r"^\| ([a-z]+, approximate) \|", page, re.MULTILINE))
    assert {f"{name}, approximate" for name in ("gamma", "beta", "poisson", "chisquare")} <= rows
    assert {name for name in SAMPLERS if name.endswith(", approximate")} in (rows, set())


def fused() -> bool:
    """Whether XLA has fused multiply-add here, and can be told not to use it."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    return cpuinfo.exists() and " fma " in cpuinfo.read_text()


@pytest.mark.skipif(not fused(), reason="no x86 processor with fused multiply-add")
def test_another_processor_changes_no_exact_draw() -> None:
    """Code for a processor without fused multiply-add draws the same, but for ranges and floats.

    Of uniform in a range it changes last digits; that also shows that the code is other code.
    """
    exact = tuple(name for name, sampler in SAMPLERS.items() if sampler.kind == "exact")
    names = (*exact, "uniform, in a range")
    here = measure_samplers.on_this_processor(names)
    there = measure_samplers.on_an_older_processor(names)
    found = {name: measure_samplers.compare(there[name], here[name]) for name in names}
    ranged = found.pop("uniform, in a range")
    assert {name for name in exact if found[name].differing} == set()
    assert ranged.differing > ranged.total / 10
    assert (ranged.ulps, ranged.altogether) == (1, 0)


@pytest.mark.fast
def test_the_measurement_tells_digits_from_other_values() -> None:
    """The measuring script counts one ulp as one ulp, and another value as another value."""
    reference = np.array([1.0, -2.0, 3.0, 4.0], np.float32)
    values = np.array([np.nextafter(np.float32(1), np.float32(2)), -2.0, 3.5, 4.0], np.float32)
    assert measure_samplers.compare(values, reference) == (4, 2, 1, 1)
    assert measure_samplers.compare(np.array([1, 2]), np.array([1, 3, 9])) == (2, 1, 0, 1)
    assert measure_samplers.compare(reference[:2], reference) == (2, 0, 0, 0)
