"""The options of the bench: what a text on the command line means, or what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from keystream.cli._demo.options import FORMATS, writable

LETTERS = "abcdefgh"
DRAWN = "cd"
"""The cases of which there is a picture."""


def letters(text: str) -> tuple[str, ...]:
    """Read `a,c`: cases, in their own order."""
    words = [word.strip() for word in text.split(",")]
    if any(len(word) != 1 or word not in LETTERS for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(
            f"must be different letters out of {', '.join(LETTERS)}, got {text!r}. "
            "For example: --only a,c"
        )
    return tuple(sorted(words))


def json_path(text: str) -> Path:
    """Read the path of a JSON file that can be written, before minutes go into it."""
    return writable(text, (".json",), "--json bench.json")


def picture_path(text: str) -> Path:
    """Read the path of a picture that can be written."""
    return writable(text, FORMATS, "--plot bench.png")


def conflict(options: argparse.Namespace) -> str | None:
    """Say what is wrong with options that are each right, or None."""
    if options.plot and not set(DRAWN) & set(options.only):
        chosen = ",".join(options.only)
        return (
            f"--plot must come with one of the cases {', '.join(DRAWN)}, got --only {chosen}. "
            f"For example: --only {','.join(sorted((*options.only, DRAWN[0])))}"
        )
    return None
