"""Run a program that one doesn't edit: accelerated, or with an audit of its keys."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path

from keystream.cli import _report
from keystream.cli._run import launcher, tuning

EPILOG = """\
The program runs as `python program.py args` would run it, in a process that has imported
nothing yet: what it sets in the environment before it imports jax counts. Acceleration and
the audit begin as soon as it imports jax. Its exit status is its own, but for an audit with
findings at --level, which turns 0 into 1, and with --strict one that couldn't look at all.
Processes that it starts are neither accelerated nor audited.

--accelerate also starts it with what only a new process can have: huge pages for large
arrays, where glibc (2.35 and later) and the kernel have them and GLIBC_TUNABLES doesn't
speak of them. They change no number; processes that it starts inherit them. What is set is
told on standard error; --dry-run prints it for a shell, and starts nothing. --wide-vectors
has XLA use vectors of 512 bits on a processor that has them (AVX-512): faster again, and last
digits of floats may change.

The audit's report is told when the last line is done, also where that raises or calls
sys.exit; keys and bits are the program's own, and it takes up to three times as long.

examples:
  python -m keystream run --accelerate train.py --steps 1000
  python -m keystream run --accelerate -m package.train --steps 1000
  eval "$(python -m keystream run --accelerate --dry-run train.py)"
  python -m keystream run --audit train.py --steps 10
  python -m keystream run --audit --level warning train.py --steps 10
  python -m keystream run --audit --audit-format html --audit-output report.html train.py
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--accelerate",
        action="store_true",
        help="the same bits from jax.random, large draws 2 to 5 times faster on CPU",
    )
    parser.add_argument(
        "--wide-vectors",
        action="store_true",
        help="with --accelerate: vectors of 512 bits too, where the processor has them",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --accelerate: print what the environment lacks, for a shell, and stop",
    )
    parser.add_argument(
        "--audit", action="store_true", help="record which keys it uses, and tell key bugs"
    )
    _report.options(parser, "audit-", "standard error")
    _report.strict(parser)
    _report.level(parser, "--level", "--audit-level")
    parser.add_argument(
        "-m", dest="module", action="store_true", help="PROGRAM is a module, as in python -m"
    )
    parser.add_argument("program", metavar="PROGRAM", help="a Python file")
    rest = parser.add_argument("args", nargs=argparse.REMAINDER, help="what the program is given")
    rest.required = False  # else it is told of as missing where PROGRAM is


def program_apart(words: list[str]) -> list[str]:
    """Put `--` before the program of `run`, and a space into `-mmodule`, which Python takes too.

    Without it argparse looks for options of ours among the program's, and refuses the
    `--a` of `program.py --a 1` as one that could be `--audit` or `--accelerate`.
    """
    if words[:1] != ["run"]:
        return words
    value = False
    for at, word in enumerate(words[1:], 1):
        before, after = words[:at], words[at + 1 :]
        if value:
            value = False
        elif word == "--":
            break
        elif not word.startswith("-"):
            return [*before, "--", word, *after]
        elif word.startswith("-m") and word != "-m":
            return [*before, "-m", "--", word.removeprefix("-m"), *after]
        else:
            value = word.startswith(("--audit-", "--level")) and "=" not in word
    return words


def run(options: argparse.Namespace) -> int:
    """Become the program; return only where there is none."""
    found = conflict(options) or problem(options.program, module=options.module)
    if found:
        print(f"run: {found}", file=sys.stderr)
        return 2
    switches = ["--accelerate"] if options.accelerate else []
    settings = tuning.missing_settings(os.environ, wide=options.wide_vectors)
    settings = settings if options.accelerate else []
    if options.dry_run:
        for each in settings:
            print(f"export {each.variable}={shlex.quote(each.value)}  # {each.why}")
        return 0
    for each in settings:
        print(f"run: {each.variable}={shlex.quote(each.value)} ({each.why})", file=sys.stderr)
    if options.audit:
        form, output = options.audit_format or "text", str(options.audit_output or "")
        strict = "strict" if options.strict else ""
        switches += ["--audit", form, output, options.level or "error", strict]
    kind = "-m" if options.module else "--"
    rest = after_program(options.words, options.program, options.args)
    told = [str(launcher.__file__), *switches, kind, options.program, *rest]
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *interpreter_options(sys.orig_argv), *told]
    os.execve(
        sys.executable, command, os.environ | {each.variable: each.value for each in settings}
    )
    raise AssertionError("execve came back")


def after_program(words: list[str], program: str, args: list[str]) -> list[str]:
    """Return what stands behind the program, a `--` too, which argparse may take away."""
    for at, word in enumerate(words):
        rest = words[at + 1 :]
        if word == program and _without_dashes(rest) == _without_dashes(args):
            return rest
    return args


def _without_dashes(words: list[str]) -> list[str]:
    return [word for word in words if word != "--"]


def conflict(options: argparse.Namespace) -> str | None:
    """Say what is wrong with options that are each right, or None."""
    if options.strict and not options.audit:
        return "--strict must come with --audit. For both: --audit --strict"
    for option in ("--wide-vectors", "--dry-run"):
        if getattr(options, option[2:].replace("-", "_")) and not options.accelerate:
            return f"{option} must come with --accelerate. For both: --accelerate {option}"
    told = [
        f"{option} {given}"
        for option, given in (
            ("--audit-format", options.audit_format),
            ("--audit-output", options.audit_output),
            ("--level", options.level),
        )
        if given
    ]
    if told and not options.audit:
        option = told[0].split()[0]
        return f"{option} must come with --audit. For both: --audit {told[0]}"
    return None


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
