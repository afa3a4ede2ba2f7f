"""The command line: `python -m keystream`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from keystream._display.names import version
from keystream.cli import audit, bench, bits, demo, doctor, explain, run

PROGRAM = "python -m keystream"
COMMANDS: tuple[ModuleType, ...] = (demo, doctor, bench, bits, audit, explain, run)

EXAMPLES = """\
examples:
  python -m keystream demo                        simulate on 1, 2, 4 and 8 simulated devices
  python -m keystream demo --devices 1,8 --seed 7
  python -m keystream demo --resume               be killed, and go on from the checkpoint
  python -m keystream demo --processes 2          simulate in processes that are joined
  python -m keystream doctor                      check this installation and its settings
  python -m keystream bench --quick               time keys and draws beside other ways
  python -m keystream bits --list                 bits of keys, for a battery of tests
  python -m keystream audit train:main            find who uses a key twice
  python -m keystream explain KS01                what a rule of the audit means
  python -m keystream run --audit train.py        the same, in a whole program while it runs
  python -m keystream run --accelerate train.py   run a program of yours with faster draws
  python -m keystream demo --help                 the options of one command
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line, one subparser for each command."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="keystream: who gets which key?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"keystream {version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        first = (module.__doc__ or "").partition("\n")[0]  # `python -OO` leaves docstrings out
        command = commands.add_parser(name, help=first.rstrip("."), description=first)
        module.arguments(command)
        command.set_defaults(run=module.run, command=name)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; without a command, show the help."""
    top = parser()
    words = run.program_apart(list(sys.argv[1:] if argv is None else argv))
    options = top.parse_args(words)
    options.words = words
    if not hasattr(options, "run"):
        top.print_help()
        return 0
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
