"""Write a report of the audit in the form and to the place that the command line asks for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from keystream._audit.reporting.report import Report
from keystream._audit.values import SEVERITIES
from keystream.cli._inputs import output_file

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": str,
    "json": Report.to_json,
    "sarif": Report.to_sarif,
    "html": Report.to_html,
}


def options(parser: argparse.ArgumentParser, prefix: str, default: str) -> None:
    """Add the form of a report and where it goes to the options of a command."""
    read = output_file(f"--{prefix}output report.html")
    parser.add_argument(
        f"--{prefix}format",
        choices=tuple(FORMATS),
        help="the form of the report (default: text)",
    )
    parser.add_argument(
        f"--{prefix}output",
        type=lambda text: read(text).absolute(),  # the program may change its folder
        metavar="FILE",
        help=f"where to write the report (default: {default})",
    )


def strict(parser: argparse.ArgumentParser) -> None:
    """Add to the options of a command that what wasn't looked at changes the exit status."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit status 1 also where something couldn't be looked at",
    )


def level(parser: argparse.ArgumentParser, *options: str) -> None:
    """Add which findings change the exit status to the options of a command."""
    parser.add_argument(
        *options,
        dest="level",
        choices=SEVERITIES,
        help=f"the mildest finding that gives exit status 1 (default: {SEVERITIES[0]})",
    )


def show(report: Report, form: str, output: Path | None, stream: TextIO) -> None:
    """Write a report into a file, with a line about it on stderr, or to a stream."""
    written = FORMATS[form](report)
    if output is None:
        print(written, file=stream, flush=True)
    else:
        output.write_text(written + "\n", encoding="utf-8")
        print(f"{str(report).splitlines()[-1]}\nreport: {output}", file=sys.stderr, flush=True)
