"""Read the source of a file: its lines, and its syntax."""

from __future__ import annotations

import ast
import functools
import linecache
import tokenize

BROKEN = (tokenize.TokenError, SyntaxError, ValueError, RecursionError)
"""What Python raises for text that is no Python: a notebook's cell with a magic in it."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def lines(file: str) -> list[str]:
    """Return the lines of a file; none where its source is gone."""
    try:
        return linecache.getlines(file)
    except ValueError:  # a name that no file can have
        return []


def nodes(file: str) -> list[ast.AST]:
    """Return the syntax of a file, flat; nothing of what is no Python."""
    return _parse("".join(lines(file)))


@functools.lru_cache(maxsize=64)
def _parse(text: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(text)))
    except BROKEN:
        return []


def first_line(node: ast.AST) -> int:
    """Return the line where a part of the syntax begins; 0 of one that stands nowhere."""
    return getattr(node, "lineno", 0)


def last_line(node: ast.AST) -> int:
    """Return the line where a part of the syntax ends; 0 of one that stands nowhere."""
    return getattr(node, "end_lineno", None) or first_line(node)
