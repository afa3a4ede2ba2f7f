"""Silence findings by comments: `# keystream: ignore[KS12] the shards share a mask`.

A comment speaks for the statement that it stands in, however many lines that has; one that
stands alone on its line speaks for the statement below it.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keystream._audit import source
from keystream._audit.rules import RULES
from keystream._audit.values import Finding, Place

_FORM = re.compile(
    r"#\s*keystream:\s*ignore\b\s*(?:\[(?P<rules>[^\]]*)\])?(?P<reason>.*?)(?=\s#\s|$)",
    re.IGNORECASE,
)
_SKIPPED = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


class Comment(NamedTuple):
    """A comment that silences, and the lines that it speaks for."""

    file: str
    line: int
    text: str
    """The whole line of source, stripped."""
    rules: tuple[str, ...]
    reason: str
    first: int
    last: int

    @property
    def is_whole(self) -> bool:
        """Does it name rules that there are, and a reason?"""
        return bool(self.reason and self.rules and set(self.rules) <= set(RULES))

    def speaks_for(self, finding: Finding) -> bool:
        """Does it name the finding's rule, on the line of one of its places?"""
        return finding.rule in self.rules and any(
            place.file == self.file and self.first <= place.line <= self.last
            for place in finding.places
        )


def apply(
    findings: Sequence[Finding], seen: Iterable[Place]
) -> tuple[list[Finding], list[Finding | None]]:
    """Silence findings by the comments at their places.

    Args:
        findings: What was found.
        seen: Where else keys are used: code that was looked at.

    Returns:
        What is to be said about the comments themselves; and for each finding its silenced
        form, or None where no comment speaks for it.
    """
    looked_at = {*seen, *(place for finding in findings for place in finding.places)}
    comments = {file: read(file) for file in sorted({place.file for place in looked_at})}
    used: set[tuple[Comment, str]] = set()
    silenced: list[Finding | None] = []
    for finding in findings:
        files = dict.fromkeys(place.file for place in finding.places)
        hiding = [
            comment
            for file in files
            for comment in comments[file]
            if comment.is_whole and comment.speaks_for(finding)
        ]
        used.update((comment, finding.rule) for comment in hiding)
        quiet = finding if finding.silenced else None
        silenced.append(finding._replace(silenced=hiding[0].reason) if hiding else quiet)
    told = [
        finding
        for file, found in comments.items()
        if found
        for finding in _about(found, used, [p for p in looked_at if p.file == file])
    ]
    return told, silenced


def read(file: str) -> tuple[Comment, ...]:
    """Return the silencing comments of a file; none where its source is gone."""
    lines = source.lines(file)
    if not any("keystream:" in line for line in lines):
        return ()
    return tuple(_comments(file, lines))


def _comments(file: str, lines: Sequence[str]) -> Iterator[Comment]:
    waiting: list[tuple[int, re.Match[str]]] = []
    first = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            line = token.start[0]
            if token.type == tokenize.COMMENT:
                match = _FORM.search(token.string)
                waiting += [(line, match)] if match else []
            elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                for at, match in waiting:
                    yield _comment(file, lines, at, match, first or at, line)
                waiting, first = [], 0
            elif token.type not in _SKIPPED:
                first = first or line
    except source.BROKEN:
        # What stood above the broken line was read; below it comments speak for their line.
        for at, match in waiting:
            yield _comment(file, lines, at, match, at, at)


def _comment(
    file: str, lines: Sequence[str], line: int, match: re.Match[str], first: int, last: int
) -> Comment:
    rules = tuple(part.strip().upper() for part in (match["rules"] or "").split(","))
    text = lines[line - 1].strip() if line <= len(lines) else ""
    reason = match["reason"].strip(" \t:-—")
    return Comment(file, line, text, tuple(filter(None, rules)), reason, first, last)


def _about(
    comments: Sequence[Comment], used: set[tuple[Comment, str]], seen: Sequence[Place]
) -> Iterator[Finding]:
    """Yield what is wrong with the comments of a file, in the code that was looked at."""
    scopes = _scopes(comments[0].file)
    looked_at = {_innermost(scopes, place.line) for place in seen}
    functions = {_innermost(scopes, place.line): place.function for place in seen}
    for comment in comments:
        scope = _innermost(scopes, comment.first)
        if scope not in looked_at:
            continue
        place = Place(comment.file, comment.line, functions[scope], comment.text)
        if not comment.is_whole:
            yield Finding("KS00", "warning", _defect(comment), (place,), ("silences nothing",))
            continue
        idle = [rule for rule in comment.rules if (comment, rule) not in used]
        if idle:
            message = f"this comment hides nothing: no {' or '.join(idle)} was found at its line"
            cure = _without(comment, idle)
            yield Finding("KS00", "note", message, (place,), ("hides nothing",), cure=cure)


def _defect(comment: Comment) -> str:
    if not comment.rules:
        return "this comment names no rule, so it silences nothing"
    unknown = [rule for rule in comment.rules if rule not in RULES]
    if unknown:
        return f"this comment names {unknown[0]!r}, which is no rule, so it silences nothing"
    return "this comment gives no reason, so it silences nothing"


def _without(comment: Comment, idle: Sequence[str]) -> str:
    """Return the comment as it should be."""
    rest = ",".join(rule for rule in comment.rules if rule not in idle)
    return f"# keystream: ignore[{rest}] {comment.reason}" if rest else "delete the comment"


def _scopes(file: str) -> list[tuple[int, int]]:
    """Return the first and last lines of the functions of a file."""
    found = [node for node in source.nodes(file) if isinstance(node, source.FUNCTIONS)]
    return [(source.first_line(node), source.last_line(node)) for node in found]


def _innermost(scopes: Sequence[tuple[int, int]], line: int) -> tuple[int, int]:
    """Return the smallest scope around a line; (0, 0) for the module."""
    around = [scope for scope in scopes if scope[0] <= line <= scope[1]]
    return min(around, key=lambda scope: scope[1] - scope[0], default=(0, 0))
