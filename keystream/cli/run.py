"""Run a program that one doesn't edit, with acceleration switched on."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from pathlib import Path

from keystream.cli import _launcher

EPILOG = """\
The program runs as `python program.py args` would run it, in a process that has imported
nothing yet: what it sets in the environment before it imports jax counts. Acceleration is
switched on as soon as it imports jax. Its exit status is its own. Processes that it starts
are not accelerated; ks.accelerate() in their code does that.

examples:
  python -m keystream run --accelerate train.py --steps 1000
  python -m keystream run --accelerate -m package.train --steps 1000
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--accelerate",
        action="store_true",
        help="the same keys and bits from jax.random, several times faster on CPU",
    )
    parser.add_argument(
        "-m", dest="module", action="store_true", help="PROGRAM is a module, as in python -m"
    )
    parser.add_argument("program", metavar="PROGRAM", help="a Python file")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="what the program is given")


def run(options: argparse.Namespace) -> int:
    """Become the program; return only where there is none."""
    found = problem(options.program, module=options.module)
    if found:
        print(f"run: {found}", file=sys.stderr)
        return 2
    switches = ["--accelerate"] if options.accelerate else []
    kind = "-m" if options.module else "--"
    rest = after_program(options.words)
    told = [str(_launcher.__file__), *switches, kind, options.program, *rest]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *interpreter_options(sys.orig_argv), *told])
    raise AssertionError("execv came back")


def after_program(words: list[str]) -> list[str]:
    """Return what stands behind the program, a `--` too, which argparse would take away."""
    rest = words[words.index("run") + 1 :]
    while rest[0].startswith("-"):
        rest = rest[1:]
    return rest[1:]


def problem(program: str, *, module: bool) -> str | None:
    """Say what is wrong with a program before anything is started, or None."""
    if module:
        if _is_there(program.partition(".")[0]):
            return None
        return (
            f"PROGRAM must be a module that can be imported, got {program!r}. "
            "For a file: python -m keystream run --accelerate program.py"
        )
    if Path(program).exists():
        return None
    return (
        f"PROGRAM must be a Python file, got {program!r}. "
        "For a module: python -m keystream run --accelerate -m package.module"
    )


def _is_there(module: str) -> bool:
    # Of a package only the outermost name: looking for more would run its code.
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def interpreter_options(command: list[str]) -> list[str]:
    """Return what Python itself was told on a command line, before it was told what to run."""
    taken: list[str] = []
    rest = iter(command[1:])
    for word in rest:
        if not word.startswith("-"):
            break
        letters = re.fullmatch(r"-([^-WXmc]*)([WXmc]?)(.*)", word)
        kind = letters[2] if letters else ""
        if kind in ("m", "c") and letters:
            taken.extend([f"-{letters[1]}"] * bool(letters[1]))
            break
        taken.append(word)
        if word == "--check-hash-based-pycs" or (kind and letters and not letters[3]):
            taken.append(next(rest))
    return taken
