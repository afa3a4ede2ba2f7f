"""The page on misuse shows what is really said to each wrong program; a right one gets nothing."""

from __future__ import annotations

import contextlib
import io
import pathlib
import re
from typing import Any, NamedTuple

import pytest

from keystream._audit.rules import RULES

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "misuse.md"
HEAD = re.compile(r"(error|warning|note)\[KS\d\d\]: ")
ELSEWHERE = {"KS00"}
"""About comments in a file of Python, which a page is not; the page links to it."""


class Shown(NamedTuple):
    """A block of output on the page, and what the code above it printed."""

    line: int
    shown: list[str]
    said: list[str]

    @property
    def is_true(self) -> bool:
        """Was all of it said, in this order, and is every finding's first line shown?

        Of a report only some lines are shown; a message is shown whole, on as many lines as fit.
        """
        heads = [line for line in self.said if HEAD.match(line)]
        if not heads:
            return " ".join(self.shown) == " ".join(self.said)
        rest = iter(self.said)
        was_said = all(any(shown == line for line in rest) for shown in self.shown)
        return was_said and [line for line in self.shown if HEAD.match(line)] == heads


def run(page: str, name: str) -> list[Shown]:
    """Run the blocks of a page in order, and return each block of output with what was said."""
    namespace: dict[str, Any] = {"__name__": "page"}
    found, said = [], ""
    for match in re.finditer(r"^```(python|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        line = page.count("\n", 0, match.start(2))
        if match[1] == "text":
            found.append(Shown(line, dedented(match[2]), dedented(said)))
            said = ""
            continue
        assert not said, f"line {line}: what was printed above isn't shown"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile("\n" * line + match[2], name, "exec"), namespace)
        said = out.getvalue()
    assert not said, "what was printed last isn't shown"
    return found


def dedented(text: str) -> list[str]:
    # How far a report is indented depends on how long its line numbers are.
    return [line.strip() for line in text.splitlines()]


@pytest.mark.slow
def test_what_is_shown_is_what_is_said() -> None:
    """Each wrong program gets the findings and messages that the page shows, and no others."""
    found = run(PAGE.read_text(), str(PAGE))
    assert [each for each in found if not each.is_true] == []
    shown = {
        line[line.index("[") + 1 :][:4] for each in found for line in each.shown if "[KS" in line
    }
    assert shown == set(RULES) - ELSEWHERE


@pytest.mark.fast
def test_every_wrong_has_its_right() -> None:
    """Each section with code has a block that is called wrong, and after it one that is right."""
    sections = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    code = [section for section in sections if "```python" in section]
    assert len(code) > 25
    for section in code:
        wrong, _, right = section.partition("\n**Right**")
        assert "\n**Wrong**\n\n```python\n" in wrong, section
        assert re.match(r"[^\n]*\n\n```python\n", right), section


@pytest.mark.fast
@pytest.mark.parametrize(
    "text",
    [
        "error[KS02]: a key is drawn from and split",
        "error[KS01]: a key is drawn from twice\nerror[KS02]: a key is drawn from and split",
        "= help: first, second = ks.split(key)  # draw from each of them once",
        "error[KS01]: a key is drawn from once",
    ],
)
def test_a_false_report_is_noticed(text: str) -> None:
    """A finding that isn't said, that is left out or reworded makes the page false."""
    code = (
        "import jax\nimport keystream as ks\n"
        "def wrong(key):\n    return jax.random.bits(key), jax.random.bits(key)\n\n\n"
        "print(ks.audit(wrong, ks.key(0)))\n"
    )
    (true,) = run(
        f"```python\n{code}```\n\n```text\nerror[KS01]: a key is drawn from twice\n```\n", "p"
    )
    assert true.is_true
    (false,) = run(f"```python\n{code}```\n\n```text\n{text}\n```\n", "p")
    assert not false.is_true


@pytest.mark.fast
@pytest.mark.parametrize("text", ["one\n", "one two\nthree\n", "two\none\n"])
def test_a_false_message_is_noticed(text: str) -> None:
    """A message has to be shown whole."""
    (false,) = run(f"```python\nprint('one')\nprint('two')\n```\n\n```text\n{text}```\n", "p")
    assert not false.is_true
