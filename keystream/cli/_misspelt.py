"""Commands and options that there are none of: the nearest that there is."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence

PROGRAM = "python -m keystream"


def command(word: str, known: Sequence[str]) -> str:
    """Say which commands there are, and which of them may be meant."""
    near = difflib.get_close_matches(word.lower(), known, 1)
    cure = f"Did you mean: {PROGRAM} {near[0]}" if near else f"To see what they do: {PROGRAM}"
    return f"COMMAND must be one of {', '.join(known)}, got {word!r}. {cure}"


def arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """Say what a command doesn't know, and which of its options may be meant."""
    options = re.findall(r"(?<![\w-])--?\w[\w-]*", parser.format_usage())
    word = words[0]
    given, equals, value = word.partition("=")
    near = difflib.get_close_matches(given, options, 1) if given.startswith("-") else []
    cure = f"To see its options: {parser.prog} --help"
    if near:
        cure = f"Did you mean: {near[0]}{equals}{value}"
    return f"arguments must be those that it has, got {word!r}. {cure}"
