"""A program is started with the settings that make it fast, and draws what it drew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keystream.__main__ import main
from keystream.cli import doctor
from keystream.cli._run import tuning

HUGE = "glibc.malloc.hugetlb=1"
WIDE = "--xla_cpu_prefer_vector_width=512"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has everything."""
    (tmp_path / "pages").write_text("always [madvise] never\n")
    (tmp_path / "processor").write_text("processor : 0\nflags\t: fpu avx2 avx512f avx512dq\n")
    monkeypatch.setattr(tuning, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(tuning, "PROCESSOR", tmp_path / "processor")
    monkeypatch.setattr(os, "confstr", lambda _: "glibc 2.36", raising=False)
    return tmp_path


def _missing(given: dict[str, str], *, wide: bool = True) -> dict[str, str]:
    return {each.variable: each.value for each in tuning.missing_settings(given, wide=wide)}


@pytest.mark.usefixtures("machine")
def test_settings() -> None:
    """What is there stays, and what speaks of a setting is left alone."""
    assert _missing({}) == {"GLIBC_TUNABLES": HUGE, "XLA_FLAGS": WIDE}
    assert _missing({}, wide=False) == {"GLIBC_TUNABLES": HUGE}
    kept = {"GLIBC_TUNABLES": "glibc.malloc.check=3", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
    assert _missing(kept) == {
        "GLIBC_TUNABLES": f"glibc.malloc.check=3:{HUGE}",
        "XLA_FLAGS": f"--xla_cpu_max_isa=AVX2 {WIDE}",
    }
    chosen = {
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=0",
        "XLA_FLAGS": "--xla_cpu_prefer_vector_width=128",
    }
    assert not _missing(chosen)


@pytest.mark.parametrize(
    ("file", "text"),
    [("pages", "always madvise [never]"), ("processor", "flags : fpu avx2"), ("pages", None)],
)
def test_another_machine(machine: Path, file: str, text: str | None) -> None:
    """What a machine doesn't have is never set."""
    if text is None:
        (machine / file).unlink()
    else:
        (machine / file).write_text(text)
    left = {"pages": "XLA_FLAGS", "processor": "GLIBC_TUNABLES"}[file]
    assert set(_missing({})) == {left}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("told", ["glibc 2.34", "musl", None])
def test_another_c_library(told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library that knows nothing of huge pages is told nothing of them."""
    monkeypatch.setattr(os, "confstr", lambda _: told, raising=False)
    assert set(_missing({})) == {"XLA_FLAGS"}


@pytest.mark.usefixtures("machine")
def test_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed for a shell is what a shell then has, and what the doctor asks for."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    program = tmp_path / "a program.py"
    program.write_text("raise SystemExit(3)\n")
    words = ["run", "--accelerate", "--dry-run", "--wide-vectors", str(program)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    show = "import os; print(os.environ['GLIBC_TUNABLES'], os.environ['XLA_FLAGS'])"
    script = f"{printed}exec '{sys.executable}' -c \"{show}\""
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [f"glibc.malloc.check=1:{HUGE}", WIDE]
    lines = doctor.speed(os.environ)
    assert [line.strip() for line in lines[1::2]] == [
        line.partition("  #")[0] for line in printed.splitlines()
    ]


def test_options_of_another_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """Settings are part of acceleration, and are refused without it."""
    for option in ("--dry-run", "--wide-vectors"):
        assert main(["run", option, __file__]) == 2
        assert f"For both: --accelerate {option}" in capsys.readouterr().err


DIGESTS = """
import hashlib, os
import jax, numpy as np
from tests.speed.test_accelerate import SAMPLERS

def content(made):
    leaves = jax.tree.leaves(made)
    typed = jax.dtypes.prng_key
    words = (
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, typed) else x for x in leaves
    )
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in words)).hexdigest()

LARGE = "bits", "uniform", "normal", "gumbel", "split"
SLOW_TO_COMPILE = "gamma", "poisson", "dirichlet", "permutation", "choice", "ten splits"

def draw_all(key):
    few = [SAMPLERS[name](key) for name in SAMPLERS if name not in SLOW_TO_COMPILE]
    return few, [getattr(jax.random, name)(key, (1 << 21,)) for name in LARGE]

print(content(jax.jit(draw_all)(jax.random.key(7))))
print(os.environ.get("GLIBC_TUNABLES"))
"""


@pytest.mark.slow
def test_same_numbers(tmp_path: Path) -> None:
    """Keys, bits and floats are those of the program alone, small and large."""
    program = tmp_path / "digests.py"
    program.write_text(DIGESTS)
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": paths}
    variables.pop("GLIBC_TUNABLES", None)
    plain, fast = (
        subprocess.run(
            [sys.executable, *words, str(program)],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        )
        for words in ([], ["-m", "keystream", "run", "--accelerate"])
    )
    *numbers, nothing = plain.stdout.splitlines()
    *same, tunables = fast.stdout.splitlines()
    assert (numbers, nothing) == (same, "None")
    expected = [each.value for each in tuning.missing_settings({})]
    assert [tunables] == (expected or ["None"])
    assert fast.stderr.count("run: GLIBC_TUNABLES") == len(expected)
