"""`python -m keystream run --audit`: a program that nobody edits is recorded, and told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import keystream as ks
from keystream.__main__ import main, parser
from keystream.cli import run

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
assert not {"jax", "keystream"} & set(sys.modules)
import jax
jax.config.update("jax_num_cpu_devices", 2)  # no backend has been started yet

step = jax.jit(jax.random.normal)

def train(key):
    return sum(step(key) for _ in range(2))

key = jax.random.key(0)
print(train(key) if "wrong" in sys.argv else step(key), jax.device_count(), sys.argv[1:])
if "raise" in sys.argv:
    raise ValueError("the data set is gone")
if sys.argv[-1].isdecimal():
    sys.exit(int(sys.argv[-1]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in a folder of its own."""
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def _run(*words: object, folder: Path) -> tuple[int, list[str], str]:
    """Run a command where keystream can be imported from this checkout."""
    places = str(Path(ks.__file__).parents[1]), os.environ.get("PYTHONPATH", "")
    ended = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


@pytest.mark.parametrize(
    ("args", "status"),
    [("", 0), ("wrong 0", 1), ("wrong 5", 5), ("wrong -- raise", 1)],
)
def test_program(args: str, status: int, program: Path) -> None:
    """The report is told at the end, however that comes; errors only turn 0 into 1."""
    words = "-m", "keystream", "run", "--audit", program.name, *args.split()
    code, lines, said = _run(*words, folder=program.parent)
    assert code == status
    assert lines[0].endswith(f" 2 {args.split()}")
    told = "1 error; looked at 2 draws" if "wrong" in args else "no findings; looked at 1 draw"
    assert f"train.py: {told}, 0 splits, 0 folds, 1 key\n" in said
    assert ("--> train.py:10 in train" in said) is ("wrong" in args)
    assert said.rstrip().endswith("ValueError: the data set is gone") is ("raise" in args)


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("note", 1)])
def test_level(level: str, status: int, tmp_path: Path) -> None:
    """Warnings turn 0 into 1 where that was asked for."""
    lines = [
        "import jax",
        "for epoch in range(3):",
        "    jax.random.normal(jax.random.fold_in(jax.random.key(1), 2))",
    ]
    (tmp_path / "train.py").write_text("\n".join(lines))
    words = "-m", "keystream", "run", "--audit", "--level", level, "train.py"
    code, _, said = _run(*words, folder=tmp_path)
    assert code == status
    assert "train.py: 1 warning; looked at 3 draws" in said


def test_accelerated_into_a_file(program: Path) -> None:
    """Faster, the same numbers, and with its report in a file, from where the program stood."""
    inside = program.parent / "inside.py"
    inside.write_text("import os\nos.chdir('/')\n" + PROGRAM.replace("assert", "not "))
    _, plain, _ = _run(inside, "wrong", folder=program.parent)
    options = "--audit", "--audit-format=json", "--audit-output", "found.json", "--accelerate"
    words = "-m", "keystream", "run", *options, "-m", "inside", "wrong"
    code, lines, said = _run(*words, folder=program.parent)
    assert (code, lines) == (1, plain)
    path = program.parent / "found.json"
    assert said.splitlines()[-1] == f"report: {path}"
    found = json.loads(path.read_text())
    assert (found["subject"], found["ok"]) == ("inside", False)


def test_what_was_not_looked_at(tmp_path: Path) -> None:
    """With `--strict` a program isn't well that exports what nobody will see being called."""
    lines = [
        "import jax",
        "from jax import export",
        "key = jax.random.key(0)",
        "print(len(export.export(jax.jit(jax.random.normal))(key).out_avals))",
    ]
    (tmp_path / "train.py").write_text("\n".join(lines))
    for strict in (False, True):
        words = "-m", "keystream", "run", "--audit", *["--strict"] * strict, "train.py"
        code, out, said = _run(*words, folder=tmp_path)
        assert (code, out) == (int(strict), ["1"])
        assert "exported" in said


@pytest.mark.parametrize(
    "first",
    [
        "import keystream as ks",
        "from keystream import split",
        "from keystream import host; host.key(1); import keystream as ks; ks.key",
        "import keystream.testing",
    ],
)
def test_keystream_before_jax(first: str, tmp_path: Path) -> None:
    """A program that imports keystream first, which imports jax, is recorded and accelerated."""
    lines = [
        first,
        "import jax",
        "step = jax.jit(lambda key: jax.random.bits(key, (3,)))",
        "key = jax.random.key(1)",
        "step(key), step(key)",
        "print('inlineable' in step.lower(key).as_text())",
    ]
    (tmp_path / "train.py").write_text("\n".join(lines))
    words = "-m", "keystream", "run", "--audit", "--accelerate", "train.py"
    code, out, said = _run(*words, folder=tmp_path)
    assert (code, out) == (1, ["True"])
    assert "train.py: 1 error; looked at 2 draws" in said


def test_another_keystream(tmp_path: Path) -> None:
    """A package of the program's own by the name of keystream is named, not taken for ours."""
    (tmp_path / "keystream.py").write_text("import jax\n")
    (tmp_path / "train.py").write_text("import keystream\n")
    launcher = Path(ks.__file__).parent / "cli" / "_run" / "launcher.py"
    code, _, said = _run(
        launcher, "--audit", "text", "", "error", "", "--", "train.py", folder=tmp_path
    )
    assert code == 1
    assert said == f"audit: not audited, keystream is {tmp_path / 'keystream.py'}\n"


def test_without_jax(tmp_path: Path) -> None:
    """A program that draws nothing with JAX runs as it is, which is said."""
    (tmp_path / "plain.py").write_text("import sys\nprint('jax' in sys.modules)\n")
    ended = _run("-m", "keystream", "run", "--audit", "plain.py", folder=tmp_path)
    assert ended == (0, ["False"], "audit: nothing to look at, plain.py imported no jax\n")


def test_options_without_an_audit(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A form of a report that nobody asked for is refused before the program starts."""
    assert main(["run", "--audit-format", "json", str(program)]) == 2
    told = "run: --audit-format must come with --audit. For both: --audit --audit-format json\n"
    assert capsys.readouterr().err == told
    assert main(["run", "--level", "note", str(program)]) == 2
    assert capsys.readouterr().err.startswith("run: --level must come with --audit.")
    cure = told.rpartition(": ")[2].split()
    assert run.conflict(parser().parse_args(["run", *cure, "p.py"])) is None
    assert main(["run", "--strict", str(program)]) == 2
    assert "--strict must come with --audit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ("run p.py", []),
        ("run --audit --audit-format json p.py -v p.py", ["-v", "p.py"]),
        ("run --audit --audit-output p.py p.py -- x", ["--", "x"]),
        ("run -m p -- --audit", ["--", "--audit"]),
        ("run --audit --level note p.py --level error", ["--level", "error"]),
    ],
)
def test_what_the_program_is_given(words: str, rest: list[str]) -> None:
    """Whatever stands behind the program is the program's."""
    options = parser().parse_args(words.split())
    assert run.after_program(words.split(), options.program, options.args) == rest
