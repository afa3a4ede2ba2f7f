"""What happens inside of installed libraries, which whoever is told can't mend."""

from __future__ import annotations

from pathlib import PurePath

from keystream._audit.files import installed
from keystream._audit.judging.taken import Taken

MEANT = {
    "diffrax/_brownian/tree.py": (
        "a Brownian path is a function of time: asked again for one time, it answers alike"
    ),
}
"""Code that draws from one key again on purpose, and why."""


def inside(takens: list[Taken]) -> str:
    """Return the library in which two uses part from one call of the user's, or nothing.

    What stands above the user's first line, as a test runner does, is no library that was
    called.
    """
    called = False
    if len(takens) < 2:
        return ""
    for one, other in zip(takens[0].call.frames, takens[1].call.frames, strict=False):
        if one != other:
            theirs = called and installed(one[0]) and installed(other[0])
            return _package(other[0]) if theirs else ""
        called = called or not installed(one[0])
    return ""


def _package(file: str) -> str:
    parts = PurePath(file).parts
    homes = [i for i, part in enumerate(parts[:-1]) if part.endswith("-packages")]
    return parts[homes[-1] + 1 if homes else -1].removesuffix(".py")


def meant(takens: list[Taken]) -> str:
    """Return why a library does this on purpose, or nothing."""
    files = [taken.call.frames[-1][0].replace("\\", "/") for taken in takens if taken.call.frames]
    for file, reason in MEANT.items():
        if files and all(found.endswith(file) and installed(found) for found in files):
            return reason
    return ""
