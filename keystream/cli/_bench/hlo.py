"""Compare optimized HLO up to names, and find the collectives in it."""

from __future__ import annotations

import re

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)
_METADATA = re.compile(r",? (?:metadata|origin|original_value)=\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_COMMENT = re.compile(r"/\*.*?\*/")
_DEFINED = re.compile(
    r"^\s*(?:ROOT )?%?([\w.-]+) = |^(?:ENTRY )?%?([\w.-]+) \(|([\w.-]+): (?=[a-z])", re.MULTILINE
)
_WORD = re.compile(r"%?([\w.-]+)")
_INSTRUCTION = re.compile(r" = .*? ([a-z][a-z-]*)\(")


def canonical(text: str) -> str:
    """Return a program without names, places in the source and other remarks.

    What is left is equal for two programs that do the same in the same way.
    """
    # The tables of source files stand between the module's line and the first computation.
    body = re.search(r"^(?:ENTRY )?%?[\w.-]+ \(.*\{$", text, re.MULTILINE)
    text = _COMMENT.sub("", _METADATA.sub("", text[body.start() if body else 0 :]))
    names: dict[str, str] = {}
    for found in _DEFINED.finditer(text):
        name = next(filter(None, found.groups()))
        names.setdefault(name, f"v{len(names)}")
    return _WORD.sub(lambda word: names.get(word[1], word[0]), text)


def collectives(text: str) -> int:
    """Count the instructions by which devices communicate."""
    found = (match[1].removesuffix("-start") for match in _INSTRUCTION.finditer(text))
    return sum(name in COLLECTIVES for name in found)
