"""The strategies give what keystream takes, shrink to what people read, and print as code."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import keystream as ks
from keystream import testing
from tests import oracle

quiet = settings(database=None, max_examples=100)


@given(testing.seeds())
def test_seeds(seed: Any) -> None:
    """Every seed makes one key, the same one twice."""
    assert ks.fingerprint(ks.key(seed)) == ks.fingerprint(ks.key(seed))


KINDS = {
    "small": lambda seed: isinstance(seed, int) and 0 <= seed < 10,
    "wide": lambda seed: isinstance(seed, int) and seed >= 2**64,
    "negative": lambda seed: isinstance(seed, int) and seed < 0,
    "str": lambda seed: isinstance(seed, str),
    "bytes": lambda seed: isinstance(seed, bytes),
    "list": lambda seed: isinstance(seed, list),
    "SeedSequence": lambda seed: isinstance(seed, np.random.SeedSequence),
}


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_of_every_kind(kind: str) -> None:
    """Everything that ks.key takes comes among the seeds."""
    find(testing.seeds(), KINDS[kind], settings=quiet)


@given(testing.keys(), testing.paths())
def test_paths(key: jax.Array, path: tuple[Any, ...]) -> None:
    """A path leads to the key to which its parts lead one by one."""
    there = key
    for part in path:
        there = ks.derive(there, part)
    assert bool(ks.derive(key, *path) == there)


@pytest.mark.parametrize("impl", [None, *oracle.IMPLS])
def test_impl(impl: str | None) -> None:
    """Keys are of the implementation that was asked for."""
    key = find(testing.keys(impl=impl), lambda _: True, settings=quiet)
    assert key.dtype == ks.key(0, impl=impl).dtype
    keys = find(testing.key_arrays((2,), impl=impl), lambda _: True, settings=quiet)
    assert bool((keys == ks.keys(key, 2)).all())


@given(testing.key_arrays())
def test_key_arrays(keys: jax.Array) -> None:
    """Key arrays hold different keys, in few shapes."""
    assert keys.ndim in (1, 2)
    words = np.asarray(jax.random.key_data(keys)).reshape(keys.size, -1)
    assert len({tuple(row) for row in words.tolist()}) == keys.size


@pytest.mark.parametrize(
    "kind", ["exact", "floats", pytest.param("reject", marks=pytest.mark.outside)]
)
def test_samplers(kind: str) -> None:
    """Each sampler draws finite numbers of the shape asked for, with the arguments it has."""
    drawn = set()

    @settings(quiet, max_examples=20 if kind == "reject" else 8)
    @given(testing.samplers(kind))
    def run(sampler: Any) -> None:
        if sampler.name not in drawn:
            drawn.add(sampler.name)
            made = sampler(ks.key(0), shape=(3,))
            assert made.shape == (3,)
            assert np.isfinite(np.asarray(made, np.float64)).all()

    run()
    assert len(drawn) > 1


def test_samplers_table() -> None:
    """Every sampler of the table is one of jax.random, and comes when all are asked for."""
    for name in ("bits", "normal", "binomial"):
        found = find(testing.samplers(), lambda s, name=name: s.name == name, settings=quiet)
        assert found.func is getattr(jax.random, name)
    from keystream.testing._strategies import samplers

    for rows in samplers.KINDS.values():
        assert all(hasattr(jax.random, name) for name in rows)


@given(testing.meshes())
def test_meshes(mesh: jax.sharding.Mesh) -> None:
    """A mesh is of the first devices, with the first of the names."""
    assert list(mesh.devices.flat) == jax.devices()[: mesh.size]
    assert mesh.axis_names == ("data", "model")[: len(mesh.axis_names)]


def test_meshes_reach() -> None:
    """All eight devices come, on one axis and on two, of both types."""
    for wanted in ((8,), (2, 4), (4, 2)):
        find(testing.meshes(), lambda m, w=wanted: tuple(m.shape.values()) == w, settings=quiet)
    auto, explicit = jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit
    for kind in (auto, explicit):
        find(testing.meshes(), lambda m, k=kind: set(m.axis_types) == {k}, settings=quiet)
    most = find(testing.meshes(max_devices=2), lambda m: m.size > 1, settings=quiet)
    assert most.size == 2


def _a_word(value: Any) -> bool:
    return isinstance(value, str)


SHRUNK = {
    "seed": (testing.seeds(), lambda _: True, 0),
    "str seed": (testing.seeds(), _a_word, "a"),
    "name": (testing.names(), lambda _: True, "a"),
    "path": (testing.paths(), lambda path: len(path) > 1, (0, 0)),
    "path of names": (testing.paths(), lambda p: p and all(map(_a_word, p)), ("a",)),
}


@pytest.mark.parametrize("what", SHRUNK)
def test_shrinks(what: str) -> None:
    """What is found shrinks to something that a person can read."""
    strategy, wanted, least = SHRUNK[what]
    assert find(strategy, wanted, settings=quiet) == least


PRINTED = """
import jax
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
import keystream as ks
from keystream import testing

phases = (Phase.generate, Phase.shrink)
quiet = settings(
    database=None, deadline=None, derandomize=True, max_examples=20, phases=phases
)


@quiet
@given(
    seed=testing.seeds().filter(lambda seed: not isinstance(seed, (int, str, bytes, list))),
    key=testing.keys(),
    other=testing.keys(impl="philox4x32"),
    keys=testing.key_arrays((2, 1)),
    name=testing.names(),
    path=testing.paths(min_size=1),
    sampler=testing.samplers("reject"),
    mesh=testing.meshes(("data", "model")).filter(lambda mesh: mesh.axis_names != ("data",)),
    data=st.data(),
)
def test_all(seed, key, other, keys, name, path, sampler, mesh, data):
    use = data.draw(testing.keys())
    assert bool(use != use)
"""

WANTED = {
    "seed": "np.random.SeedSequence(0)",
    "key": "ks.key(0)",
    "other": "ks.key(0, impl='philox4x32')",
    "keys": "ks.keys(ks.key(0), (2, 1))",
    "name": "'a'",
    "path": "(0,)",
    "sampler": "functools.partial(jax.random.gamma, a=1.0)",
    "mesh": "jax.make_mesh((1, 1), ('data', 'model'), (jax.sharding.AxisType.Auto,) * 2)",
}


@pytest.mark.slow
def test_a_failure_prints_as_code(tmp_path: Path) -> None:
    """What a really failing test prints is code that gives the same values when it is pasted."""
    (tmp_path / "test_printed.py").write_text(PRINTED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(ks.__file__).parents[1]
    )
    assert ended.returncode == 1
    lines = [line[1:].strip(" ") for line in ended.stdout.splitlines() if line.startswith("E ")]
    text = re.sub(r"  # .*", "", "\n".join(lines))
    assert "\nDraw 1: ks.key(0)" in text
    call = re.search(r"test_all\(\n(.*?)\n\)\n", text, re.DOTALL)
    assert call
    pasted = textwrap.dedent(call[1]).replace("data=data(...),", "")
    names = {"jax": jax, "np": np, "ks": ks, "functools": functools}
    values = eval(f"dict({pasted})", names)
    for name, code in WANTED.items():
        assert _content(values[name]) == _content(eval(code, names)), (name, pasted)


def _content(value: Any) -> Any:
    if isinstance(value, jax.Array):
        return str(value.dtype), jax.random.key_data(value).tolist()
    return repr(value)


def test_doors() -> None:
    """What the strategies don't take is refused where they are made, in whole messages."""
    doors: dict[str, Any] = {
        "key_arrays: shape must be a tuple of sizes or a strategy for such tuples, got 3. "
        "For 3: shape=(3,).": lambda: testing.key_arrays(3),
        "samplers: kinds must be some of 'exact', 'floats', 'reject', got 'normal'.": (
            lambda: testing.samplers("normal")
        ),
        "paths: min_size must be between 0 and max_size, got 5.": (
            lambda: testing.paths(min_size=5)
        ),
        "meshes: axis_names must be one or more names, got 'data'. "
        'For one axis: axis_names=("data",).': lambda: testing.meshes("data"),
        "meshes: max_devices must be one or more, got 0.": lambda: testing.meshes(max_devices=0),
    }
    for message, call in doors.items():
        with pytest.raises(ks.KeystreamError) as caught:
            call()
        assert str(caught.value) == message
    with pytest.raises(ks.KeyImplError):
        testing.keys(impl="unsafe_rbg")
    assert find(testing.key_arrays(st.just((3,))), lambda _: True, settings=quiet).shape == (3,)
