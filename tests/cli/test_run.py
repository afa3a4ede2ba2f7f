"""`python -m keystream run`: the program runs as it would without us, only faster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import keystream as ks
from keystream.cli import run

pytestmark = pytest.mark.slow

PROGRAM = """
import os, sys
assert not {"jax", "keystream"} & set(sys.modules)
os.environ["JAX_ENABLE_X64"] = "1"
import jax, pathlib
text = jax.jit(lambda key: jax.random.bits(key, (3,))).lower(jax.random.key(1)).as_text()
print(__name__, sys.argv[1:], jax.random.uniform(jax.random.key(1)).dtype, "inlineable" in text)
print(jax.random.normal(jax.random.key(7), (5,)).tolist())
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import beside
print(pathlib.Path(sys.argv[0]).name, jax.__spec__.loader is jax.__loader__, beside.NAME)
raise SystemExit(7)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with a module beside it, in a folder of its own."""
    (tmp_path / "beside.py").write_text("NAME = __name__\n")
    path = tmp_path / "a program.py"
    path.write_text(PROGRAM)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "__main__.py").write_text(PROGRAM)
    return path


def _run(*words: object, folder: Path, python: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
    """Run a command where keystream can be imported from this checkout."""
    places = str(Path(ks.__file__).parents[1]), os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=0"  # so that nothing is said of it
    ended = subprocess.run(
        [sys.executable, *python, *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


def test_program(program: Path) -> None:
    """Arguments, environment, neighbors, exit status and draws are those of a plain run."""
    told = "--steps", "3", "--accelerate"
    code, plain, _ = _run(program, *told, folder=program.parent)
    fast = _run("-m", "keystream", "run", "--accelerate", program, *told, folder=program.parent)
    same = _run("-m", "keystream", "run", program, *told, folder=program.parent)
    assert plain[0] == "__main__ ['--steps', '3', '--accelerate'] float64 False"
    assert plain[2] == "a program.py True beside"
    assert (code, plain) == same[:2]
    assert (code, [plain[0].replace("False", "True"), *plain[1:]]) == fast[:2]
    assert (code, fast[2]) == (7, "")


def test_module(program: Path) -> None:
    """With -m the program is a module of the folder that one stands in."""
    code, lines, _ = _run(
        "-m", "keystream", "run", "--accelerate", "-m", "inside", folder=program.parent
    )
    assert code == 7
    assert lines[0] == "__main__ [] float64 True"


LATE = """
import atexit, importlib.util, os, pickle, sys, threading, time
assert importlib.util.find_spec("jax") and sys.argv[1:] == ["--", "x"]
os.chdir("/")
assert os.path.exists(__file__) and __package__ is None and __spec__ is None

class Kept:
    pass

def late():
    time.sleep(0.2)
    print(type(pickle.loads(pickle.dumps(Kept()))).__name__)

threading.Thread(target=late).start()
atexit.register(late)
import jax
print("inlineable" in jax.jit(jax.random.bits).lower(jax.random.key(1)).as_text())
"""


def test_what_outlives_the_last_line(tmp_path: Path) -> None:
    """Threads and handlers find the program's names; a probe for jax takes nothing away."""
    (tmp_path / "late.py").write_text(LATE)
    words = "-m", "keystream", "run", "--accelerate", "late.py", "--", "x"
    code, lines, said = _run(*words, folder=tmp_path)
    assert (code, sorted(lines), said) == (0, ["Kept", "Kept", "True"], "")


def test_folders_and_packages(program: Path) -> None:
    """A folder runs by its __main__, and a package is imported once."""
    inside = program.parent / "inside"
    (inside / "__init__.py").write_text("print('imported')\n")
    (inside / "part.py").write_text("print('part', __name__)\n")
    code, lines, _ = _run("-m", "keystream", "run", "--accelerate", inside, folder=program.parent)
    assert (code, lines[0]) == (7, "__main__ [] float64 True")
    ended = _run("-m", "keystream", "run", "-m", "inside.part", folder=program.parent)
    assert ended[:2] == (0, ["imported", "part __main__"])


def test_python_without_jax(tmp_path: Path) -> None:
    """A program that never imports jax just runs, under Python's own options too."""
    path = tmp_path / "plain.py"
    path.write_text("import sys\nprint(sys.flags.dev_mode, 'jax' in sys.modules)\nassert False\n")
    words = "-m", "keystream", "run", "--accelerate", path
    code, lines, said = _run(*words, folder=tmp_path, python=("-X", "dev", "-W", "ignore"))
    assert (code, lines) == (1, ["True False"])
    assert said.rstrip().endswith("AssertionError")
    assert _run(*words, folder=tmp_path, python=("-O", "-W", "ignore"))[0] == 0


def test_module_without_a_space(tmp_path: Path) -> None:
    """-mmodule is what Python takes it for, and what follows a program is the program's."""
    (tmp_path / "told.py").write_text("import sys\nprint(__name__, sys.argv[1:])\n")
    for words, rest in (
        (["-mtold", "-mx", "--a", "1"], ["-mx", "--a", "1"]),
        (["--audit-f=json", "--audit", "-mtold", "--", "-h"], ["--", "-h"]),
        (["told.py", "--a", "-mx"], ["--a", "-mx"]),
        (["--audit", "--audit-output", "file", "told.py", "--"], ["--"]),
    ):
        code, lines, _ = _run("-m", "keystream", "run", *words, folder=tmp_path)
        assert (code, lines) == (0, [f"__main__ {rest}"])


def test_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a program that alone is missing: its arguments may be none."""
    from keystream.__main__ import main

    with pytest.raises(SystemExit) as stop:
        main(["run", "--accelerate"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.endswith("error: the following arguments are required: PROGRAM\n")


NO_FILE = (
    "run: PROGRAM must be a Python file, got 'nothing.py'. "
    "For a module: python -m keystream run --accelerate -m package.module"
)
NO_MODULE = (
    "run: PROGRAM must be a module that can be imported, got 'nothing.at_all'. "
    "For a file: python -m keystream run --accelerate program.py"
)


@pytest.mark.parametrize(
    ("words", "message"), [(["nothing.py"], NO_FILE), (["-m", "nothing.at_all"], NO_MODULE)]
)
def test_no_such_program(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What isn't there is named before anything is started."""
    from keystream.__main__ import main

    assert main(["run", *words]) == 2
    assert capsys.readouterr().err.strip() == message


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("python -m keystream run p.py", []),
        ("python -O -W error -X dev -m keystream run p.py -v", ["-O", "-W", "error", "-X", "dev"]),
        ("python -Wignore -mkeystream run", ["-Wignore"]),
        ("python -u keystream/__main__.py run -O", ["-u"]),
        ("python -um keystream run p.py", ["-u"]),
        ("python -uW ignore -OO -m keystream run", ["-uW", "ignore", "-OO"]),
        ("python --check-hash-based-pycs never -mkeystream", ["--check-hash-based-pycs", "never"]),
    ],
)
def test_interpreter_options(command: str, options: list[str]) -> None:
    """What Python was told for itself is handed on, and nothing else."""
    assert run.interpreter_options(command.split()) == options
