"""Find the key bugs of a function: who gets a key that somebody else has used?

Exit status 1 if there are findings at the level asked for, 0 if there are none, and 2 if
the function couldn't be audited.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any

import keystream as ks
from keystream._audit.audit import subject_of
from keystream._audit.reporting.report import Report
from keystream._audit.values import SEVERITIES
from keystream._errors import KeystreamError, complete, summary
from keystream.cli import _report
from keystream.cli._audit import stages
from keystream.cli._audit.target import (
    collect_arguments,
    evaluate_arguments,
    find_function,
    read_argument,
)

EPILOG = """\
TARGET is module:function or path/to/file.py:function; Class.method works too. Without --run
it is traced and nothing is drawn; with --run it is called once, and the keys are compared
that are really used. The module is imported either way, and what stands at its top is run.

Each --arg gives one of the function's arguments as a Python expression. It is evaluated, as
code of yours, with jax, jnp, np and ks at hand; without --run, an array may be a
jax.ShapeDtypeStruct.

Exit status: 1 if there are findings at --level, 0 if there are none, 2 if it couldn't be
audited. With --strict it is 1 also where there is something that couldn't be looked at.

examples:
  python -m keystream audit train:main
  python -m keystream audit train:step --arg "key=ks.key(0)" --arg "x=jnp.zeros((8, 3))"
  python -m keystream audit examples/train.py:main --run --format html --output report.html
  python -m keystream audit package.train:main --format sarif --output audit.sarif
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("target", metavar="TARGET", help="module:function or file.py:function")
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        dest="arg",
        type=read_argument,
        metavar="NAME=EXPR",
        help="an argument of the function, as a Python expression that is evaluated",
    )
    parser.add_argument("--run", action="store_true", dest="really", help="call the function")
    _report.options(parser, "", "standard output")
    _report.level(parser, "--level")
    _report.strict(parser)


def run(options: argparse.Namespace) -> int:
    """Audit and tell; return 0, 1 if something was found, 2 if it can't be audited."""
    form = options.format or "text"
    stdout = sys.stdout
    # What the function prints would stand in the middle of a document.
    aside = contextlib.nullcontext() if form == "text" else contextlib.redirect_stdout(sys.stderr)
    before = sys.argv
    sys.argv = [options.target.rpartition(":")[0]]  # the options are ours, not the function's
    try:
        with aside:
            report = _audit(options)
    finally:
        sys.argv = before
    if report is None:
        return 2
    _report.show(report, form, options.output, stdout)
    found = bool(report.at_least(options.level or SEVERITIES[0]))
    return int(found or (options.strict and not report.complete))


def _audit(options: argparse.Namespace) -> Report | None:
    """Audit, or say what is in the way."""
    raised: list[Exception] = []
    try:
        given = collect_arguments(options.arg)
        fun = find_function(options.target)
        args, kwargs = evaluate_arguments(fun, options.target, given)
        with stages.show_stages("running" if options.really else "tracing") as stage:
            done = functools.partial(stage, "reading")
            return ks.audit(_report_end(fun, done, raised), *args, run=options.really, **kwargs)
    except (Exception, SystemExit) as problem:
        own = isinstance(problem, KeystreamError) and complete(problem, "audit").caller == "audit"
        if not own or problem in raised:
            traceback.print_exc()
            print(f"audit: {options.target} raised, so there is no report", file=sys.stderr)
            return None
        print(problem, file=sys.stderr)
        if not options.really and _RUN in str(problem):
            print("On the command line that is: --run", file=sys.stderr)
        return None


_RUN = "ks.audit(fun, *args, run=True)"
"""The cure of what can't be traced."""


def _report_end(
    fun: Callable[..., Any], done: Callable[[], None], raised: list[Exception]
) -> Callable[..., Any]:
    """Return a function that comes back where this one ends the program, and tells `done`.

    What the function raises is kept in `raised`: an audit of its own may refuse something,
    and that is no refusal of ours.
    """

    # An object that can be called has no name to take over, and may have anything as attributes.
    @functools.wraps(fun, assigned=(), updated=())
    def ended(*args: Any, **kwargs: Any) -> Any:
        try:
            return fun(*args, **kwargs)
        except SystemExit as end:
            if end.code:
                raise
            return None
        except Exception as problem:
            raised.append(problem)
            raise
        finally:
            done()

    ended.__name__, ended.__qualname__ = summary(fun), subject_of(fun)
    return ended
