"""The command line: help, exit statuses, and no backend before a command needs one."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import keystream as ks
from keystream.__main__ import COMMANDS, EXAMPLES, main, parser
from keystream._audit.rules import RULES
from keystream.cli import demo
from tests.demo_runs import environment

NAMES = [module.__name__.rpartition(".")[2] for module in COMMANDS]


def test_no_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the help is shown, with every command and examples, and all is well."""
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert all(f"python -m keystream {name}" in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself and exits with 0."""
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"python -m keystream {name}" in capsys.readouterr().out


@pytest.mark.slow
def test_help_without_docstrings() -> None:
    """Python leaves them out with -OO, and the help has no summary of a command then."""
    for given in ("[]", "['audit', '--help']"):
        program = f"from keystream.__main__ import main; main({given})"
        told = subprocess.run(
            [sys.executable, "-OO", "-c", program],
            check=True,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert "None" not in told.stdout
        assert "examples:" in told.stdout


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command names the ones that there are, and exits with 2."""
    with pytest.raises(SystemExit) as stop:
        main(["demos"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert all(name in told for name in NAMES)


EXAMPLE_LINES = [line.strip() for line in EXAMPLES.splitlines() if "python -m" in line]


def words(line: str) -> list[str]:
    """Return what stands behind `python -m keystream`, without what it is for."""
    command = re.split(r"  +", line)[0]
    assert command.startswith("python -m keystream ")
    return shlex.split(command)[3:]


@pytest.mark.parametrize("line", EXAMPLE_LINES)
def test_examples_are_read(line: str) -> None:
    """Every example of the help is a command line that is understood."""
    if words(line)[-1] == "--help":
        with pytest.raises(SystemExit) as stop:
            main(words(line))
        assert stop.value.code == 0
    else:
        options, unknown = parser().parse_known_args(words(line))
        assert unknown == []
        assert options.command == words(line)[0]


TRAIN = """
import jax
def main():
    key = jax.random.key(0)
    return jax.random.normal(key), jax.random.normal(key)
if __name__ == "__main__":
    main()
    print("trained")
"""
FOUND = ("audit", "run --audit")
"""They tell the key bug of that program, and end with status 1."""


@pytest.mark.outside
@pytest.mark.parametrize("line", EXAMPLE_LINES)
def test_examples_run(line: str, tmp_path: Path) -> None:
    """Every example of the help runs as written, and ends as it should."""
    (tmp_path / "train.py").write_text(TRAIN)
    told = subprocess.run(
        [sys.executable, "-m", "keystream", *words(line)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    expected = int(" ".join(words(line)).startswith(FOUND))
    assert told.returncode == expected, told.stderr
    assert told.stdout or told.stderr


def test_a_rule_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """`explain` prints all that the table says of a rule; the reports name that command."""
    for rule in RULES.values():
        command = rule.more.removeprefix("python -m keystream ").split()
        assert main(command) == 0
        told = capsys.readouterr().out
        assert all(part in told for part in (rule.id, rule.title, rule.why, rule.cure))
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.count("KS") == len(RULES)


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """Return what is said of a command line that is wrong, without the usage."""
    with pytest.raises(SystemExit) as stop:
        main(given)
    assert stop.value.code == 2
    return capsys.readouterr().err.rpartition("error: ")[2].strip()


def test_an_unknown_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that there is none of is refused, with all that there are."""
    told = refused(capsys, "explain", "KS99")
    assert "must be one of KS00, KS01" in told
    assert told.endswith("got 'KS99'. To list them: python -m keystream explain")


def test_each_demo_has_a_picture_of_its_own() -> None:
    """Where nothing is said, no kind of demo writes over the picture of another."""
    kinds = ("demo", "demo --resume", "demo --processes 2")
    paths = {demo.default_picture(parser().parse_args(kind.split())) for kind in kinds}
    assert len(paths) == len(kinds)


def test_unknown_option(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option is named, and exits with 2."""
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--deivces", "1,8"])
    assert stop.value.code == 2
    assert "--deivces" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version that `keystream.__version__` is."""
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"keystream {ks.__version__}\n"


def test_help_starts_no_backend() -> None:
    """After the help the number of devices can still be set: no backend was started."""
    program = (
        "import jax; from keystream.__main__ import main\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        "assert main([]) == 0\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"
        "assert jax.device_count() == 3\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
