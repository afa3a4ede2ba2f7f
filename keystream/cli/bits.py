"""Write the bits that keys make to standard output, for a battery of tests to read.

Raw 32-bit words, the lowest byte first, without end unless --bytes says otherwise. Exit
status 0 when the reader has had enough of an endless stream; 141, as a pipe that breaks
gives elsewhere, when it leaves before the --bytes that were asked for; 1 where it can't go on,
as on a disk that is full.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from typing import IO

import jax

import keystream as ks
from keystream import _compat
from keystream._errors import KeystreamError
from keystream.cli._bits.layouts import LAYOUTS, Layout
from keystream.cli._bits.reading import read
from keystream.cli._inputs import bad_value, read_seed

IMPLS = tuple(filter(_compat.has_impl, ("threefry2x32", "threefry4x32", "philox4x32")))
"""Whose keys draw alike in lanes; rbg and unsafe_rbg keys don't."""
BROKEN = 141
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
EXAMPLE = "python -m keystream bits --layout children --seed 1"

EPILOG = f"""\
One seed gives the same bits on every machine and in every process. --reverse reverses the
bits of each word, since most tests look at the upper bits more closely.

Exit status: 0 when all is written, or the reader of an endless stream has left; 141 when it
left before the --bytes; 1 where it can't go on, as on a disk that is full; 2 where nothing
could be begun.

examples:
  python -m keystream bits --list
  {EXAMPLE} | dieharder -a -g 200
  {EXAMPLE} --bytes 1G | ent
  {EXAMPLE} | RNG_test stdin32
"""


def layout(text: str) -> Layout:
    """Read the name of a layout."""
    if text in LAYOUTS:
        return LAYOUTS[text]
    near = difflib.get_close_matches(text, LAYOUTS, 1)
    cure = f"Did you mean: --layout {near[0]}" if near else "To see what they are: --list"
    known = ", ".join(map(repr, LAYOUTS))
    raise bad_value(text, f"be one of {known}", cure)


def size(text: str) -> int:
    """Read a count of bytes, such as 65536 or 4G."""
    found = re.fullmatch(r"([0-9]+)([KMGT]?)", text)
    number = int(found[1]) * UNITS[found[2]] if found else 0
    if not number or number % 4:
        rule = "be a count of bytes that 4 divides, with K, M, G or T"
        raise bad_value(text, rule, "For a gibibyte: --bytes 1G")
    return number


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--layout", type=layout, metavar="NAME", help="which keys, in which order")
    parser.add_argument("--list", action="store_true", help="show the layouts")
    parser.add_argument(
        "--seed",
        type=read_seed,
        default=0,
        metavar="SEED",
        help="an integer of any size, or a text (default: 0)",
    )
    parser.add_argument(
        "--impl", choices=IMPLS, default=IMPLS[0], help=f"whose keys (default: {IMPLS[0]})"
    )
    parser.add_argument(
        "--bytes", type=size, metavar="N", help="how many, such as 4G (default: without end)"
    )
    parser.add_argument("--reverse", action="store_true", help="reverse the bits of each word")


def run(options: argparse.Namespace) -> int:
    """Write; return 0, or what stands in the module's docstring."""
    if options.list:
        print("\n".join(f"{row.name:12}{row.told}" for row in LAYOUTS.values()))
        return 0
    if wrong := conflict(options, sys.stdout):
        print(f"bits: {wrong}", file=sys.stderr)
        return 2
    ks.accelerate()
    try:
        write(options, sys.stdout.buffer)
    except BrokenPipeError:
        _drop_the_rest()
        return BROKEN if options.bytes else 0
    except OSError as end:
        _drop_the_rest()
        print(f"bits: {full(end, options.layout.name)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except KeystreamError as end:  # of the positions, in implementations that have 2**32
        print(f"bits: {end}", file=sys.stderr)
        return 1
    return 0


def _drop_the_rest() -> None:
    """Keep Python from trying to write the rest once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def full(problem: OSError, layout: str) -> str:
    """Say that standard output takes no more."""
    told = f"python -m keystream bits --layout {layout} --bytes 1M"
    return (
        f"standard output must take all that is written, got {str(problem)!r}. "
        f"For a mebibyte: {told}"
    )


def conflict(options: argparse.Namespace, out: IO[str] | None) -> str | None:
    """Say what is wrong before anything is begun, or None."""
    if not options.layout:
        return f"--layout must be given. For example: {EXAMPLE} | dieharder -a -g 200"
    if out is None or out.isatty():  # None where it was closed from the start
        got = "a terminal" if out else "none"
        told = f"python -m keystream bits --layout {options.layout.name}"
        return f"standard output must be a pipe or a file, got {got}. For example: {told} | ent"
    return None


def write(options: argparse.Namespace, out: IO[bytes]) -> None:
    """Write the words of a layout, all that were asked for."""
    key: jax.Array = ks.key(options.seed, impl=options.impl)
    missing = options.bytes
    for words in read(options.layout, key, reverse=options.reverse):
        some = words.astype("<u4", copy=False).data.cast("B")[:missing]
        out.write(some)
        if missing is not None:
            missing -= len(some)
            if not missing:
                break
    out.flush()
