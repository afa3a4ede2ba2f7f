"""The loaders of docs/howto/loaders.md: the same records in processes of torch and Grain."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_docs import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "loaders.md").read_text()


def run_loader(name: str, folder: Path, fault: tuple[str, str] = ("", "")) -> str:
    """Run a loader's program beside the page's module; return what it says where it fails."""
    (folder / "records.py").write_text(blocks(PAGE)[0][1])
    ((_, program),) = blocks(PAGE, f"python {name}")
    assert fault[0] in program
    (folder / "train.py").write_text(program.replace(*fault) if fault[0] else program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    call = [sys.executable, str(folder / "train.py")]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=500, env=environment, check=False
    )
    return done.stderr if done.returncode else ""


WITH = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name) is None, reason=f"no {name}: install {name}"
        ),
    )
    for name in ("torch", "grain")
]


@pytest.mark.outside
@pytest.mark.parametrize("name", WITH)
def test_loader(name: str, tmp_path: Path) -> None:
    """No worker, one, and eight make the records of the loop."""
    assert run_loader(name, tmp_path) == ""


@pytest.mark.outside
@pytest.mark.parametrize("name", WITH)
def test_fault(name: str, tmp_path: Path) -> None:
    """A loader whose records depend on more than their number is found."""
    assert "AssertionError" in run_loader(name, tmp_path, ("record(self.epoch, i)", "record(4, i)"))
