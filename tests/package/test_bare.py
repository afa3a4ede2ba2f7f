"""`pip install .` and no extra: what needs one says so, and with the command to type."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGIN = "import keystream as ks\n"

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(not (ROOT / "keystream").exists(), reason="there is no source tree here"),
]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment into which nothing but `.` was installed."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=300)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(ROOT)]
    subprocess.run(install, check=True, timeout=1200)
    (folder / "train.py").write_text(
        "import jax\n"
        "def main():\n"
        "    key = jax.random.key(0)\n"
        "    return jax.random.normal(key), jax.random.normal(key)\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    return python


def ended(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where neither a checkout nor other packages are in sight."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(
        [str(python), *arguments],
        cwd=python.parents[1],
        env={**kept, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_import(bare: Path) -> None:
    """`import keystream` works where there is nothing else but what JAX needs."""
    assert ended(bare, "-c", "import keystream").returncode == 0
    listed = ended(bare, "-m", "pip", "list", "--format=freeze").stdout.split()
    there = {line.partition("==")[0].replace("_", "-") for line in listed}
    wanted = {"jax", "jaxlib", "keystream", "numpy"}
    assert wanted <= there
    assert there - wanted <= {"ml-dtypes", "opt-einsum", "scipy", "pip", "setuptools", "wheel"}
    program = (
        "import jax\n"
        "noise = ks.sample(jax.random.normal, ks.key(42), 3)\n"
        "use, stream = ks.Stream(ks.key(42)).next()\n"
        "assert ks.loads(ks.dumps(stream)).position == 1\n"
        "assert ks.audit(jax.random.normal, use).ok\n"
        "assert stream._repr_html_() and ks.manifest()\n"
        "ks.accelerate()\n"
    )
    found = ended(bare, "-c", BEGIN + program)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("", 0),
        ("--version", 0),
        ("doctor", 0),
        ("bits --list", 0),
        ("audit train:main", 1),
        ("audit train:main --run --format html --output report.html", 1),
        ("run --audit train.py", 1),
        ("run --accelerate train.py", 0),
        ("bench --quick --only c", 0),
    ],
)
def test_commands(bare: Path, command: str, status: int) -> None:
    """Every command but the demo does its work without an extra."""
    found = ended(bare, "-m", "keystream", *command.split())
    assert found.returncode == status, found.stdout + found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "told", "extra"),
    [
        ("-m keystream demo", "demo: matplotlib, tqdm must be", "demo"),
        ("-m keystream demo --resume", "demo: matplotlib, tqdm must be", "demo"),
        ("-m keystream demo --processes 2", "demo: matplotlib, tqdm must be", "demo"),
        ("-m keystream bench --plot x.png", "bench: matplotlib must be installed", "bench"),
        ("-c import keystream.testing", "keystream.testing: the extra 'testing' must", "testing"),
    ],
)
def test_what_needs_an_extra(bare: Path, arguments: str, told: str, extra: str) -> None:
    """What needs an extra says which packages are missing, and ends with what to type."""
    flag, _, rest = arguments.partition(" ")
    found = ended(bare, flag, *([rest] if flag == "-c" else rest.split()))
    assert found.returncode in (1, 2)
    last = found.stderr.strip().splitlines()[-1]
    assert told in last
    assert re.search(rf"pip install 'keystream\[{extra}\]'\.?$", last)


@pytest.mark.parametrize("extra", ["demo", "bench", "testing"])
def test_the_command_is_right(bare: Path, extra: str) -> None:
    """That command takes the keystream that is installed, wherever it came from."""
    options = ["--dry-run", "--disable-pip-version-check"]
    found = ended(bare, "-m", "pip", "install", *options, f"keystream[{extra}]")
    assert found.returncode == 0, found.stderr
    assert f"Requirement already satisfied: keystream[{extra}]" in found.stdout
    assert not re.search(r"Would install .*\bkeystream-", found.stdout)
