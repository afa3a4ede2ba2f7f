"""The pytest plugin: tests that use a key wrongly fail, in suites that know nothing of it."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import keystream as ks
from tests.door import DOOR

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY = "keystream_pytest"

Run = Callable[..., pytest.RunResult]

LIBRARY = """
import jax


def two(key):
    noise = jax.random.normal(key)
    return noise + jax.random.uniform(key)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run somebody else's suite, with the plugin as a wheel has it: by the file beside it."""
    shutil.copy(DOOR, pytester.path / f"{ENTRY}.py")
    (pytester.path / "library.py").write_text(LIBRARY)
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{Path(ks.__file__).parents[1]}")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it may be installed too
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*options: str, **tests: str) -> pytest.RunResult:
        pytester.makepyfile(**tests)
        # The door's plugin is an attribute of it, which -p can't name, but a conftest can.
        return pytester.runpytest_subprocess("-p", f"{ENTRY}_checked", *options, timeout=300)

    (pytester.path / f"{ENTRY}_checked.py").write_text(
        f"import {ENTRY}\n\n"
        "def pytest_addoption(parser, pluginmanager):\n"
        f"    pluginmanager.register({ENTRY}.plugin, 'keystream')\n"
    )
    return run


def test_no_jax_without_being_asked(suite: Run) -> None:
    """A suite that has nothing to do with keys doesn't import JAX, nor keystream."""
    found = suite(
        "--strict-markers",
        "--audit-level=warning",
        test_plain="""
        import sys
        import pytest

        def test_modules():
            assert not {"jax", "numpy", "keystream"} & set(sys.modules)
            assert "keystream_pytest_plugin" in {type(each).__module__ for each in PLUGINS}

        @pytest.mark.audit_keys(False)
        def test_left_out():
            assert "keystream" not in sys.modules

        @pytest.fixture(autouse=True)
        def plugins(request):
            global PLUGINS
            PLUGINS = request.config.pluginmanager.get_plugins()
        """,
    )
    found.assert_outcomes(passed=2)
    found.stdout.no_fnmatch_line("*audit of keys*")


WRONG = """
import unittest

import jax
import pytest
from library import two


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="module")
def data():
    return two(jax.random.key(7))


@pytest.mark.parametrize("wrong", [False, True])
def test_keys(key, data, wrong):
    if wrong:
        two(key)
    else:
        jax.random.normal(key)


def test_fails(key):
    two(key)
    assert key is None


def test_compares(key):
    one = jax.random.bits(key)
    other = jax.random.bits(key)  # keystream: ignore[KS01] the same numbers are wanted
    assert one == other


@pytest.mark.audit_keys(False)
def test_left_out(key):
    two(key)


@pytest.mark.xfail(strict=True)
def test_expected(key):
    two(key)


@pytest.mark.skip
def test_skipped(key):
    two(key)


class TestCase(unittest.TestCase):
    def setUp(self):
        self.key = jax.random.key(1)

    def test_unittest(self):
        two(self.key)

    def test_unittest_fails(self):
        two(self.key)
        self.assertIsNone(self.key)


async def test_async():
    two(jax.random.key(0))
"""
FAILED = ("keys[[]True]", "unittest")


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param((), id="one"),
        pytest.param(("-p", "xdist", "-n", "2"), id="xdist", marks=pytest.mark.slow),
    ],
)
def test_audit_keys(suite: Run, workers: tuple[str, ...]) -> None:
    """Every test is recorded, and fails in its own name; the summary counts, in workers too."""
    if workers:
        pytest.importorskip("xdist", reason="needs pip install pytest-xdist")
    found = suite("--audit-keys", "--strict-markers", "-rfx", *workers, test_wrong=WRONG)
    async_fails = 1  # as without the plugin, where nothing runs it
    found.assert_outcomes(passed=3, failed=4 + async_fails, xfailed=1, skipped=1)
    for name in FAILED:
        found.stdout.fnmatch_lines([f"FAILED test_wrong.py::*test_{name} - Failed: KS0*"])
    for name in ("fails", "unittest_fails"):
        found.stdout.fnmatch_lines([f"FAILED test_wrong.py::*test_{name} - Assert*"])
    found.stdout.fnmatch_lines(
        ["KS01 a key is drawn from twice, at library.py:7 in two", "", "error?KS01?: *"]
    )
    found.stdout.fnmatch_lines(["*ignore[[]KS01] the reason"])
    found.stdout.fnmatch_lines(["*-- audit of keys --*", "error?KS01?: *"], consecutive=True)
    found.stdout.fnmatch_lines(
        [
            "*- audit of keys: 5 tests with errors, 8 audited -*",
            "KS01  library.py:7 in two * 5 tests  a key is drawn from twice",
        ],
        consecutive=True,
    )


def test_what_belongs_to_a_test(suite: Run) -> None:
    """Fixtures of function scope and setUp are recorded with the test, wider ones are not."""
    found = suite(
        "--audit-keys",
        test_set_up="""
        import unittest

        import jax
        import pytest

        @pytest.fixture
        def key():
            return jax.random.key(0)

        @pytest.fixture(scope="module")
        def wide():
            key = jax.random.key(0)
            jax.random.normal(key)
            return key

        @pytest.fixture
        def params(key):
            return jax.random.normal(key, (3,))

        def test_fixture(key, params):
            jax.random.uniform(key)

        def test_wide(wide):
            jax.random.uniform(wide)

        class TestCase(unittest.TestCase):
            def setUp(self):
                self.key = jax.random.key(1)
                jax.random.normal(self.key)

            def test_unittest(self):
                jax.random.uniform(self.key)
        """,
    )
    found.assert_outcomes(passed=1, failed=2)


def test_marker(suite: Run) -> None:
    """Single tests are audited by their marker, at a level of their own."""
    found = suite(
        "--strict-markers",
        "-rfE",
        "--audit-level=note",
        test_marked="""
        import jax
        import pytest
        from library import two

        def lanes():
            key = jax.random.key(0, impl="rbg")
            jax.vmap(jax.random.normal)(jax.random.split(key, 3))

        @pytest.mark.audit_keys
        def test_wrong():
            two(jax.random.key(0))

        @pytest.mark.audit_keys(level="error")
        def test_error():
            lanes()

        @pytest.mark.audit_keys(level="warning")
        def test_warning():
            lanes()

        def test_unmarked():
            two(jax.random.key(0))

        @pytest.mark.audit_keys(level="warn")
        def test_level():
            pass

        @pytest.mark.audit_keys("warning", 3)
        def test_argument():
            pass
        """,
    )
    found.assert_outcomes(passed=2, failed=2, errors=2)
    cure = 'For warnings and errors: @pytest.mark.audit_keys(level="warning").'
    level = "level must be 'error', 'warning' or 'note', got 'warn'"
    form = "audit_keys, audit_keys(False) or audit_keys(level=...)"
    marker = f"marker must be {form}, got audit_keys('warning', 3)"
    for problem in (level, marker):
        found.stdout.fnmatch_lines([f"audit_keys: {problem}. {cure}"])
    found.stdout.fnmatch_lines(["*- audit of keys: 1 test with errors, 2 with warnings, 3 *"])
    found.stdout.fnmatch_lines(
        ["FAILED *test_wrong - Failed: KS01 *", "FAILED *test_warning - Failed: KS16 *"]
    )


def test_the_door_is_in_the_wheel() -> None:
    """The entry point is the module that the wheel gets from the door's file."""
    door, _, plugin = PROJECT["project"]["entry-points"]["pytest11"]["keystream"].partition(":")
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert (door, plugin) == (ENTRY, "plugin")
    assert wheel["force-include"] == {"keystream/_audit/entry.py": f"{ENTRY}.py"}


def test_another_keystream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    """A folder of the same name that isn't this package doesn't stop pytest."""
    shutil.copy(DOOR, tmp_path / f"{ENTRY}.py")
    (tmp_path / "keystream").mkdir()
    (tmp_path / "keystream" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = pytester.run(
        sys.executable, "-c", f"import {ENTRY}; print(vars({ENTRY}.plugin).keys())"
    )
    assert found.ret == 0
    found.stdout.no_fnmatch_line("*pytest_addoption*")


COMPARES = """
import jax
from library import two


def test_one():
    two(jax.random.key(0))


def test_other():
    key = jax.random.key(0)
    one = jax.random.bits(key)
    assert one == jax.random.bits(key)
"""


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param((), id="one"),
        pytest.param(("-p", "xdist", "-n", "2"), id="xdist", marks=pytest.mark.slow),
    ],
)
def test_baseline(suite: Run, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """The first run writes what it finds, and passes; later ones fail for what is new."""
    options = ("--audit-keys", "--audit-baseline", "accepted.json", *workers)
    file = pytester.path / "accepted.json"
    first = suite(*options, test_compares=COMPARES)
    first.assert_outcomes(passed=2)
    first.stdout.fnmatch_lines(["2 findings written to accepted.json, and accepted from now on"])
    written = file.read_text()
    assert written == BASELINE
    # Lines move, another test comes to an accepted line, and one to a line of its own.
    moved = COMPARES.replace("def test_one", "# a comment\n\n\ndef test_one")
    moved += "\ndef test_again():\n    two(jax.random.key(1))\n"
    new = "\ndef test_new():\n    key = jax.random.key(0)\n    two(key) + jax.random.normal(key)\n"
    later = suite(*options, "-rf", test_compares=moved + new)
    later.assert_outcomes(passed=3, failed=1)
    later.stdout.fnmatch_lines(["2 findings in accepted.json accepted"])
    later.stdout.fnmatch_lines(["FAILED test_compares.py::test_new - Failed: KS01 *"])
    # One that isn't there any more is told, of tests that were run.
    place = "test_compares.py in test_other: assert one == jax.random.bits(key)"
    repaired = COMPARES.replace("assert one == jax.random.bits(key)", "assert one >= 0")
    suite(*options, "-k", "one", test_compares=repaired).stdout.no_fnmatch_line("gone*")
    suite(*options, test_compares=repaired).stdout.fnmatch_lines(
        [
            "1 finding in accepted.json accepted",
            f"gone, and can be deleted from accepted.json: KS01 at {place}, by *::test_other",
        ]
    )
    assert file.read_text() == written


BASELINE = """\
{
 "format": 1,
 "accepted": [
  {
   "rule": "KS01",
   "places": [
    "library.py in two: noise = jax.random.normal(key)",
    "library.py in two: return noise + jax.random.uniform(key)"
   ],
   "test": "test_compares.py::test_one"
  },
  {
   "rule": "KS01",
   "places": [
    "test_compares.py in test_other: one = jax.random.bits(key)",
    "test_compares.py in test_other: assert one == jax.random.bits(key)"
   ],
   "test": "test_compares.py::test_other"
  }
 ]
}
"""


def test_no_baseline_of_a_part(suite: Run, pytester: pytest.Pytester) -> None:
    """A run that was stopped writes nothing, and a file that can't be read is said to be one."""
    file = pytester.path / "accepted.json"
    options = ("--audit-keys", "--audit-baseline=accepted.json")
    stopped = suite(*options, "-x", test_fails="def test(): assert 0\n\ndef test_more(): pass\n")
    stopped.stdout.fnmatch_lines(["accepted.json isn't written: the run was stopped"])
    assert not file.exists()
    file.write_text("[]")
    broken = suite(*options, test_fails="def test(): pass\n")
    broken.stderr.fnmatch_lines(["ERROR: --audit-baseline: can't read *accepted.json. Delete it*"])


def test_ignored_folder(suite: Run, pytester: pytest.Pytester) -> None:
    """Tests below a folder of audit_keys_ignore aren't audited, but for those that are marked."""
    (pytester.path / "tests" / "samplers").mkdir(parents=True)
    marked = "import pytest\n\n\n@pytest.mark.audit_keys\ndef test_marked():\n    test_one()\n"
    (pytester.path / "tests" / "samplers" / "test_draws.py").write_text(COMPARES + marked)
    pytester.makeini("[pytest]\naudit_keys_ignore = tests/samplers\n")
    found = suite("--audit-keys", "--strict-config", test_top=COMPARES)
    found.assert_outcomes(passed=2, failed=3)
    found.stdout.fnmatch_lines(["*- audit of keys: 3 tests with errors, 3 audited -*"])
