"""Make a program smaller that fails, as long as it fails in the same way."""

from __future__ import annotations

from tests.audit.fuzz import judge


def shrink(text: str, kind: str) -> str:
    """Leave out lines, and whole bodies with what calls them, while the failure stays."""
    lines, size = text.splitlines(), 8
    while size:
        place, smaller = 1, False
        while place < len(lines):
            fewer = lines[:place] + lines[_end(lines, place, size) :]
            if len(fewer) < len(lines) and _fails("\n".join(fewer) + "\n", kind):
                lines, smaller = fewer, True
            else:
                place += 1
        size = size if smaller else size // 2
    return "\n".join(lines) + "\n"


def _end(lines: list[str], place: int, size: int) -> int:
    """Return where a piece ends: some lines, and the bodies that begin in them."""
    end = min(place + size, len(lines))
    deep = len(lines[place]) - len(lines[place].lstrip())
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > deep:
        end += 1
    return end


def _fails(text: str, kind: str) -> bool:
    try:
        for flag in (False, True):
            judge.words.run(text, "<program>", flag, judge.STEP)
        judge.load(text, "<program>")
    except Exception:  # a program no more
        return False
    try:
        return any(each.kind == kind for each in judge.judge(text))
    except Exception:
        return False
