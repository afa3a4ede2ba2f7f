"""What is built is whole: the wheel holds the package and nothing else, the sdist all of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import keystream as ks

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "keystream"
MISSING = [name for name in ("build", "hatchling") if not importlib.util.find_spec(name)]
DOOR = {"keystream/_audit/entry.py": "keystream_pytest.py"}
"""What stands elsewhere in a wheel than in the source."""
INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
BESIDE = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", ".gitignore"}

from_source = pytest.mark.skipif(not SOURCE.exists(), reason="there is no source tree here")
needs_build = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def files(folder: Path) -> set[str]:
    """Return the files below a folder of the source, as they are named from its parent."""
    found = (file for file in folder.rglob("*") if file.is_file())
    named = (file.relative_to(folder.parent).as_posix() for file in found)
    return {name for name in named if "__pycache__" not in name and not _made(name)}


def _made(name: str) -> bool:
    """Is this something that builds, tests and pictures leave behind?"""
    return name.endswith(".pyc") or "/_build/" in name or "/." in name


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both, the wheel from the sdist as pip would."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def wheel_names(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sdist_names(built: Path) -> set[str]:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive if member.isfile()]
    return {name.partition("/")[2] for name in names}


def unlike(found: Iterable[str], wanted: Iterable[str]) -> set[str]:
    """Return the names that are only in one of the two."""
    return set(found) ^ set(wanted)


@pytest.mark.slow
@from_source
@needs_build
def test_wheel(built: Path) -> None:
    """The wheel holds every file of the package, pytest's door, its own description, no tests."""
    names = wheel_names(built)
    info = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    assert info == INFO
    wanted = {DOOR.get(name, name) for name in files(SOURCE)}
    assert unlike({n for n in names if ".dist-info/" not in n}, wanted) == set()
    assert "keystream/py.typed" in names
    assert {"keystream/_audit/reporting/page.html", "keystream/_audit/reporting/report.css"} < names


@pytest.mark.slow
@from_source
@needs_build
def test_sdist(built: Path) -> None:
    """The sdist holds the package, its tests and its documents, whole."""
    names = sdist_names(built)
    wanted = files(SOURCE) | files(ROOT / "tests") | files(ROOT / "docs") | BESIDE
    assert unlike({n for n in names if not _made(n)}, wanted - {".gitignore"}) <= {".gitignore"}


@pytest.mark.slow
@from_source
@needs_build
def test_sdist_is_installed(built: Path, tmp_path: Path) -> None:
    """What pip makes of the sdist is imported, and holds the same files as the wheel."""
    (sdist,) = built.glob("*.tar.gz")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    command = [sys.executable, "-m", "pip", "install", *options, str(tmp_path), str(sdist)]
    subprocess.run(command, check=True, timeout=300)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import keystream, keystream_pytest\n"
        "assert keystream.split(keystream.key(42))[0].shape == ()\n"
        "print(keystream.__file__)\n"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    assert said.strip() == str(tmp_path / "keystream" / "__init__.py")
    installed = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")}
    kept = {n for n in wheel_names(built) if ".dist-info" not in n}
    assert kept <= installed


@pytest.mark.fast
def test_a_file_too_many_is_noticed() -> None:
    """A file that is left out, or that doesn't belong there, is found."""
    assert unlike(["keystream/key.py", "tests/x.py"], ["keystream/key.py", "keystream/y.py"]) == {
        "tests/x.py",
        "keystream/y.py",
    }


def installed_from(distribution: importlib.metadata.Distribution) -> set[Path]:
    """Return the files that an installed wheel has written."""
    return {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}


@pytest.mark.fast
def test_the_wheel_is_tested() -> None:
    """Where no source tree stands beside the tests, what they import is an installed wheel.

    The gate copies the tests and the documents alone, and installs the wheel that it built.
    """
    home = Path(ks.__file__)
    if SOURCE.exists():
        assert home == SOURCE / "__init__.py"
        return
    distribution = importlib.metadata.distribution("keystream")
    assert home in installed_from(distribution)
    assert distribution.read_text("WHEEL")
    origin = distribution.read_text("direct_url.json")
    assert origin is None or ".whl" in origin
