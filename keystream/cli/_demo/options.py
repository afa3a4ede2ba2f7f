"""Options of the demo, and files: what a text on the command line means, or what is wrong."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from keystream.cli._demo.digits import BATCH

MOST_DEVICES = 8
DEVICES = (1, 2, 4, MOST_DEVICES)
PROCESSES = (1, 2, 4)
EPOCHS = 20
FORMATS = (".png", ".svg", ".pdf")


def device_counts(text: str) -> tuple[int, ...]:
    """Read `1,2,4,8`."""
    words = [word.strip() for word in text.split(",")]
    counts = tuple(int(word) if word.isdecimal() else 0 for word in words)
    good = all(1 <= n <= MOST_DEVICES and BATCH % n == 0 for n in counts)
    if not good or len(set(counts)) < len(counts):
        fitting = [n for n in range(1, MOST_DEVICES + 1) if BATCH % n == 0]
        choice = ", ".join(map(str, fitting))
        raise argparse.ArgumentTypeError(
            f"must be different counts out of {choice} (they divide a batch of {BATCH}), "
            f"got {text!r}. For all of them: --devices {choice.replace(' ', '')}"
        )
    return counts


def epoch_count(text: str) -> int:
    """Read a count of one or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a count of one or more, got {text!r}. For a quick look: --epochs 2"
        )
    return int(text)


def process_count(text: str) -> int:
    """Read a count of processes that share the devices evenly."""
    if text not in map(str, PROCESSES):
        choice = ", ".join(map(str, PROCESSES))
        raise argparse.ArgumentTypeError(
            f"must be one of {choice} (they share {MOST_DEVICES} devices), got {text!r}. "
            "For two: --processes 2"
        )
    return int(text)


def conflict(options: argparse.Namespace) -> str | None:
    """Say what is wrong with options that are each right, or None."""
    if options.resume and options.processes:
        return "--resume and --processes must come one at a time. For the kill: --resume"
    if options.devices and (options.resume or options.processes):
        mode = "--resume" if options.resume else "--processes"
        cure = mode if options.resume else f"{mode} {options.processes}"
        return f"--devices must come without {mode}, which has its own. For those: {cure}"
    return None


def seed(text: str) -> int | str:
    """Read an integer of any size, or else a text, which is as good a seed."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty, got ''. For example: --seed 42")
    if re.fullmatch(r"\s*[+-]?\d+(_\d+)*\s*", text):
        # `int(text)` refuses long ones, from a length on that the environment sets.
        return int(Decimal(text))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            f"must be text that UTF-8 can encode, got {text!r}. For example: --seed 42"
        ) from None
    return text


def written(given: int | str) -> str:
    """Return a seed as it stands on the command line; `str` refuses long integers."""
    return given if isinstance(given, str) else f"{Decimal(given):f}"


def picture_path(text: str) -> Path:
    """Read a path that can be written, before minutes go into what is drawn there."""
    return writable(text, FORMATS, "--out demo.png")


def writable(text: str, formats: Sequence[str], example: str) -> Path:
    """Read the path of a file in one of some formats that can be written."""
    path = Path(text)
    if path.suffix not in formats:
        ending = f"one of {', '.join(formats)}" if len(formats) > 1 else formats[0]
        raise argparse.ArgumentTypeError(
            f"must end in {ending}, got {text!r}. For example: {example}"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"must be a file that can be written, got {text!r}. For example: {example}"
        )
    return path
