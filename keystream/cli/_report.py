"""A report of the audit on the command line: in which form, and where to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from keystream._audit.reporting.report import Report

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": str,
    "json": Report.to_json,
    "sarif": Report.to_sarif,
    "html": Report.to_html,
}


def options(parser: argparse.ArgumentParser, prefix: str, default: str) -> None:
    """Add the form of a report and where it goes to the options of a command."""
    parser.add_argument(
        f"--{prefix}format",
        choices=tuple(FORMATS),
        help="the form of the report (default: text)",
    )
    parser.add_argument(
        f"--{prefix}output",
        type=output_path(f"--{prefix}output report.html"),
        metavar="FILE",
        help=f"where to write the report (default: {default})",
    )


def output_path(example: str) -> Callable[[str], Path]:
    """Return what reads a path that can be written, before a program runs for hours."""

    def read(text: str) -> Path:
        path = Path(text).absolute()  # the program may go elsewhere
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise argparse.ArgumentTypeError(
                f"must be a file that can be written, got {text!r}. For example: {example}"
            )
        return path

    return read


def show(report: Report, form: str, output: Path | None, stream: TextIO) -> None:
    """Write a report into a file, with a line about it on stderr, or to a stream."""
    written = FORMATS[form](report)
    if output is None:
        print(written, file=stream, flush=True)
    else:
        output.write_text(written + "\n", encoding="utf-8")
        print(f"{str(report).splitlines()[-1]}\nreport: {output}", file=sys.stderr, flush=True)
