"""Read the values of options that several commands have: seeds, and paths to write to."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path


def bad_value(text: str, rule: str, cure: str) -> argparse.ArgumentTypeError:
    """Return the error of an option's value that breaks a rule, such as `be a count`."""
    return argparse.ArgumentTypeError(f"must {rule}, got {text!r}. {cure}")


def read_seed(text: str) -> int | str:
    """Read an integer of any size, or else a text, which is as good a seed."""
    if not text:
        raise bad_value(text, "not be empty", "For example: --seed 42")
    if re.fullmatch(r"\s*[+-]?\d+(_\d+)*\s*", text):
        # `int(text)` refuses long ones, from a length on that the environment sets.
        return int(Decimal(text))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_value(text, "be text that UTF-8 can encode", "For example: --seed 42") from None
    return text


def write_seed(seed: int | str) -> str:
    """Return a seed as it stands on the command line; `str` refuses long integers."""
    return seed if isinstance(seed, str) else f"{Decimal(seed):f}"


def output_file(example: str, endings: Sequence[str] = ()) -> Callable[[str], Path]:
    """Return a reader of paths that can be written, for `type=` of an option.

    They are tried before minutes go into what is written there.
    """

    def read(text: str) -> Path:
        path = Path(text)
        cure = f"For example: {example}"
        if endings and path.suffix not in endings:
            some = f"one of {', '.join(endings)}" if len(endings) > 1 else endings[0]
            raise bad_value(text, f"end in {some}", cure)
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise bad_value(text, "be a file that can be written", cure)
        return path

    return read
