"""The fixture `key` and the switch of golden files, in suites that know nothing of keystream."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

import keystream as ks
from tests.door import DOOR

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY = "keystream_pytest"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run somebody else's suite, with both plugins as a wheel has them."""
    shutil.copy(DOOR, pytester.path / f"{ENTRY}.py")
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{Path(ks.__file__).parents[1]}")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they may be installed too
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("KEYSTREAM_UPDATE_GOLDEN", raising=False)

    def run(*options: str, **tests: str) -> pytest.RunResult:
        if tests:
            pytester.makepyfile(**tests)
        # The door's plugins are attributes of it, which -p can't name, but a conftest can.
        return pytester.runpytest_subprocess("-p", f"{ENTRY}_both", *options, timeout=300)

    (pytester.path / f"{ENTRY}_both.py").write_text(
        f"import {ENTRY}\n\n"
        "def pytest_addoption(parser, pluginmanager):\n"
        f"    pluginmanager.register({ENTRY}.plugin, 'keystream')\n"
        f"    pluginmanager.register({ENTRY}.testing, 'keystream-testing')\n"
    )
    return run


def test_no_jax_without_being_asked(suite: Run) -> None:
    """A suite that asks for no key imports neither JAX nor keystream; the seed is shown."""
    found = suite(
        "--strict-markers",
        test_plain="""
        import sys

        def test_modules():
            assert not {"jax", "numpy", "keystream", "hypothesis"} & set(sys.modules)
            assert "keystream_pytest" in sys.modules
        """,
    )
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["keystream: --keystream-seed=0"])


def test_entry_point() -> None:
    """The entry point is the second plugin of the module that the wheel gets."""
    door, _, plugin = PROJECT["project"]["entry-points"]["pytest11"]["keystream-testing"].partition(
        ":"
    )
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "keystream/_audit/entry.py": f"{door}.py"
    }
    assert (door, plugin) == (ENTRY, "testing")


WRITING = """
import json
import jax
import pytest
import keystream as ks


def write(request, key):
    words = jax.random.key_data(key).tolist()
    with (request.config.rootpath / "words.jsonl").open("a") as file:
        file.write(json.dumps([request.node.nodeid, words]) + "\\n")


@pytest.mark.parametrize("x", ["a", "b"])
def test_passes(request, key, x):
    assert isinstance(key, jax.Array) and key.shape == ()
    write(request, key)


@pytest.mark.xdist_group("together")
def test_grouped(request, key):
    write(request, key)


def test_fails(request, key):
    write(request, key)
    assert key is None


def test_without():
    raise AssertionError
"""


def _words(folder: Path) -> dict[str, list[int]]:
    file = folder / "words.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    return {name.partition("@")[0]: words for name, words in lines}


def _derived(seed: int, name: str) -> list[int]:
    return jax.random.key_data(ks.derive(ks.key(seed), name)).tolist()


def test_each_test_has_a_key(suite: Run, pytester: pytest.Pytester) -> None:
    """Each test has the key of the seed and its own name."""
    found = suite("--audit-keys", test_keys=WRITING)
    found.assert_outcomes(passed=3, failed=2)
    plain = _words(pytester.path)
    assert len({tuple(words) for words in plain.values()}) == len(plain) == 4
    for name, words in plain.items():
        assert words == _derived(0, name)

    found.stdout.fnmatch_lines(
        [
            "*key of the test*",
            "key = ks.derive(ks.key(0), 'test_keys.py::test_fails')",
            "again: pytest --keystream-seed=0 'test_keys.py::test_fails'",
        ]
    )
    assert str(found.stdout).count("key of the test") == 1


@pytest.mark.slow  # it needs pytest-xdist
def test_the_same_keys_in_processes(suite: Run, pytester: pytest.Pytester) -> None:
    """Where tests run in several processes, and in groups, each has the key it has in one."""
    pytest.importorskip("xdist", reason="needs pip install pytest-xdist")
    found = suite("-p", "xdist", "-n2", "--dist=loadgroup", "--keystream-seed=0", test_keys=WRITING)
    found.assert_outcomes(passed=3, failed=2)
    words = _words(pytester.path)
    assert len(words) == 4
    assert words == {name: _derived(0, name) for name in words}


@pytest.mark.slow  # it needs pytest-xdist
def test_a_fresh_seed(suite: Run, pytester: pytest.Pytester) -> None:
    """A fresh seed is drawn once for all processes, is shown, and gives the same when replayed."""
    pytest.importorskip("xdist", reason="needs pip install pytest-xdist")
    found = suite("-p", "xdist", "-n2", "--keystream-seed=fresh", "-k", "passes", test_keys=WRITING)
    shown = re.search(r"^keystream: --keystream-seed=(\d+)$", str(found.stdout), re.MULTILINE)
    assert shown
    seed = int(shown[1])
    assert seed > 2**32  # 64 bits: below with probability 2**-32
    words = _words(pytester.path)
    assert len(words) == 2
    for name, each in words.items():
        assert each == _derived(seed, name)


OWN = """
import pytest

@pytest.fixture
def key():
    return "{}"
"""


def test_a_key_of_ones_own_wins(suite: Run, pytester: pytest.Pytester) -> None:
    """A fixture called key of a test file, of a conftest or of another plugin stays what it is."""
    folder = pytester.mkdir("inside")
    (folder / "conftest.py").write_text(OWN.format("conftest"))
    (folder / "test_in.py").write_text("def test_it(key):\n    assert key == 'conftest'\n")
    tests = {
        "test_file": OWN.format("file") + "def test_it(key):\n    assert key == 'file'\n",
        "test_ours": "def test_it(key):\n    assert str(key.dtype) == 'key<fry>'\n",
    }
    suite(**tests).assert_outcomes(passed=3)
    (pytester.path / "theirs.py").write_text(OWN.format("plugin"))
    tests["test_ours"] = "def test_it(key):\n    assert key == 'plugin'\n"
    suite("-p", "theirs", **tests).assert_outcomes(passed=3)


def test_a_bad_seed(suite: Run) -> None:
    """A seed that is no int is refused before anything runs; the ini file may hold one too."""
    plain = "def test_it():\n    pass\n"
    found = suite("--keystream-seed=soon", test_plain=plain)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*--keystream-seed must be an int or 'fresh', got 'soon'.*"])
    found = suite("-o", "keystream_seed=0x11")
    found.stdout.fnmatch_lines(["keystream: --keystream-seed=17"])


GOLDEN = """
import numpy as np
from keystream import testing


def test_golden():
    testing.check_golden("here", np.arange(3))
"""


def test_the_switch(suite: Run) -> None:
    """The switch of golden files is on while it is asked for, and off else."""
    test = "import os\ndef test_it():\n    assert os.environ.get('KEYSTREAM_UPDATE_GOLDEN') == {}"
    suite(test_on=test.format("None")).assert_outcomes(passed=1)
    suite("--keystream-update-golden", test_on=test.format("'1'")).assert_outcomes(passed=1)


@pytest.mark.outside
def test_update_golden(suite: Run, pytester: pytest.Pytester) -> None:
    """Golden files are written with the switch alone, lie beside the test, and are kept."""
    found = suite(test_golden=GOLDEN)
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*GoldenError: check_golden: value must have a golden file, *"])
    assert "keystream/testing" not in str(found.stdout)  # the test's lines are shown, not ours
    assert not (pytester.path / "golden").exists()
    suite("--keystream-update-golden").assert_outcomes(passed=1)
    held: dict[str, Any] = json.loads((pytester.path / "golden" / "here.json").read_text())
    assert held["leaves"][""]["values"] == [0, 1, 2]
    suite().assert_outcomes(passed=1)
