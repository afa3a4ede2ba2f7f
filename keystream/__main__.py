"""The command line: `python -m keystream`."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from types import ModuleType

from keystream._public import version
from keystream.cli import audit, bench, bits, demo, doctor, explain, run

PROGRAM = "python -m keystream"
COMMANDS: tuple[ModuleType, ...] = (demo, doctor, bench, bits, audit, explain, run)

EXAMPLES = """\
examples:
  python -m keystream demo                        train on 1, 2, 4 and 8 simulated devices
  python -m keystream demo --devices 1,8 --seed 7
  python -m keystream demo --resume               be killed, and go on from the checkpoint
  python -m keystream demo --processes 2          train in processes that are joined
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
    return parsers()[0]


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the whole command line, and that of each command by its name."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="keystream: who gets which key?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"keystream {version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    each: dict[str, argparse.ArgumentParser] = {}
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        first = (module.__doc__ or "").partition("\n")[0]  # `python -OO` leaves docstrings out
        each[name] = commands.add_parser(name, help=first.rstrip("."), description=first)
        module.arguments(each[name])
        each[name].set_defaults(run=module.run, command=name)
    return top, each


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; without a command, show the help."""
    top, commands = parsers()
    words = run.program_apart(list(sys.argv[1:] if argv is None else argv))
    if words and not words[0].startswith("-") and words[0] not in commands:
        top.error(_unknown_command(words[0], tuple(commands)))
    options, unknown = top.parse_known_args(words)
    if unknown:
        told = commands[options.command] if hasattr(options, "command") else top
        told.error(_unknown_arguments(told, unknown))
    options.words = words
    if not hasattr(options, "run"):
        top.print_help()
        return 0
    status: int = options.run(options)
    return status


def _unknown_command(word: str, known: Sequence[str]) -> str:
    """Say which commands there are, and which of them may be meant."""
    near = difflib.get_close_matches(word.lower(), known, 1)
    cure = f"Did you mean: {PROGRAM} {near[0]}" if near else f"To see what they do: {PROGRAM}"
    return f"COMMAND must be one of {', '.join(known)}, got {word!r}. {cure}"


def _unknown_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """Say what a command doesn't know, and which of its options may be meant."""
    options = re.findall(r"(?<![\w-])--?\w[\w-]*", parser.format_usage())
    word = words[0]
    given, equals, value = word.partition("=")
    near = difflib.get_close_matches(given, options, 1) if given.startswith("-") else []
    cure = f"To see its options: {parser.prog} --help"
    if near:
        cure = f"Did you mean: {near[0]}{equals}{value}"
    return f"arguments must be those that it has, got {word!r}. {cure}"


if __name__ == "__main__":
    sys.exit(main())
