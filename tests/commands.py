"""What every command of `python -m keystream` does with an option that is bad."""

import pytest

from keystream.__main__ import main, parser


def assert_refused(
    capsys: pytest.CaptureFixture[str], command: str, option: str, value: str, message: str
) -> None:
    """A bad option ends the command with the whole message, whose cure is taken."""
    with pytest.raises(SystemExit) as stop:
        main([command, f"{option}={value}"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument {option}: {message}\n")
    parser().parse_args([command, *message.rpartition(": ")[2].split()])
