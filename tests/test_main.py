"""The command line: help, exit statuses, and no backend before a command needs one."""

import subprocess
import sys

import pytest

from keystream.__main__ import COMMANDS, main

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


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command names the ones that there are, and exits with 2."""
    with pytest.raises(SystemExit) as stop:
        main(["demos"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert all(name in told for name in NAMES)


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
