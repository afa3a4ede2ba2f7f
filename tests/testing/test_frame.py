"""`keystream.testing` stands on public names, and says what to install where that is missing."""

import ast
import doctest
import inspect
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

import keystream as ks
from keystream import testing
from keystream.testing._statistics import p_values
from tests import fresh
from tests.docs.test_docs import missing_sections

PUBLIC = {
    name: value
    for name, value in vars(testing).items()
    if inspect.isfunction(value) and not name.startswith("_")
}
FOLDER = Path(testing.__file__).parent


@pytest.mark.parametrize("name", ["hypothesis", "pytest", "scipy"])
def test_what_is_missing_is_named(name: str) -> None:
    """Without a package of the extra there is one error, and it names the command to type."""
    program = (
        "import importlib.abc, importlib.util, sys\n"
        "find_spec = importlib.util.find_spec\n"
        "absent = lambda name, *rest: None if name == sys.argv[1] else find_spec(name, *rest)\n"
        "importlib.util.find_spec = absent\n"
        "import keystream\n"
        "try:\n"
        "    import keystream.testing\n"
        "except ImportError as told:\n"
        "    print(told)\n"
    )
    assert fresh.python(program, name).stdout == (
        f"keystream.testing: the extra 'testing' must be installed, got no {name}. "
        "In a shell: pip install 'keystream[testing]'.\n"
    )


def test_keystream_itself_needs_none_of_it() -> None:
    """`import keystream` imports neither the kit nor what the kit stands on."""
    program = (
        "import sys, keystream\n"
        "print({'keystream.testing', 'hypothesis', 'pytest', 'scipy.stats'} & set(sys.modules))\n"
    )
    assert fresh.python(program).stdout == "set()\n"


def _private(file: Path) -> list[str]:
    """Return what a file imports of keystream that isn't public."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keystream."):
            inside = node.module.startswith("keystream.testing")
            words = node.module in ("keystream._errors", "keystream._display.names")
            found += [] if inside or words else [node.module]
        if isinstance(node, ast.ImportFrom) and node.module == "keystream":
            found += [alias.name for alias in node.names if alias.name not in vars(ks)]
    return found


def test_public_names_alone() -> None:
    """The kit imports public names of keystream alone, and what words errors and names."""
    assert {str(file): _private(file) for file in FOLDER.rglob("*.py") if _private(file)} == {}


def test_a_private_import_is_noticed(tmp_path: Path) -> None:
    """An import from a private module of keystream is found."""
    file = tmp_path / "faulty.py"
    file.write_text(
        "from keystream._deriving.derive import derive\nfrom keystream import key, _tree_walk\n"
    )
    assert _private(file) == ["keystream._deriving.derive", "_tree_walk"]


def test_failures_are_assertions() -> None:
    """What a check raises is an AssertionError, so that pytest shows it as a failed test."""
    for cls in (testing.CheckError, testing.DifferenceError, testing.GoldenError):
        assert issubclass(cls, (ks.KeystreamError,))
        assert issubclass(cls, (AssertionError,))
        assert issubclass(cls, testing.CheckError)


def test_the_test_extra_holds_it() -> None:
    """The extra with which our own tests run contains the kit's."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'test = ["keystream[testing]"' in text
    assert subprocess.run([sys.executable, "-c", "import scipy"], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings(name: str) -> None:
    """Every public function of the kit has all sections and its arguments; its example runs."""
    value = PUBLIC[name]
    assert missing_sections(value) == []
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_binomial(chance: float) -> None:
    """Both tails of a count are SciPy's, at the ends too."""
    found = np.arange(11)
    many, few = p_values.binomial(found, 10, chance)
    np.testing.assert_allclose(many, stats.binom.sf(found - 1, 10, chance), rtol=1e-12)
    np.testing.assert_allclose(few, stats.binom.cdf(found, 10, chance), rtol=1e-12)


@pytest.mark.parametrize(
    "check",
    [
        lambda key: testing.check_reproducible(3, key),
        lambda key: testing.check_prefix_stable(lambda key, n: jax.random.bits(key, (n + 1,)), key),
        lambda key: ks.split(key, -1),
    ],
    ids=["argument", "finding", "helper"],
)
def test_pytest_shows_the_call(check: Callable[[jax.Array], object]) -> None:
    """Of a refused call pytest shows the caller's line, and no frame that it went through.

    A frame's arguments would be shown with the words of keys.
    """
    with pytest.raises(ks.KeystreamError) as caught:
        check(ks.key(42))
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    names = [frame.f_globals["__name__"] for frame in frames]
    kept = [
        name
        for name, frame in zip(names, frames, strict=True)
        if "__tracebackhide__" not in {**frame.f_globals, **frame.f_locals}
    ]
    assert "keystream._errors" in names
    assert not [
        name for name in kept if name.startswith(("keystream._errors", "keystream.testing"))
    ]
