"""The documents run as written, and every public name has its own."""

from __future__ import annotations

import doctest
import inspect
import pathlib
import re
import types
from typing import Any

import pytest

import keystream as ks

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PUBLIC = {
    name: value
    for name, value in vars(ks).items()
    if not name.startswith("_") and not isinstance(value, types.ModuleType)
}
VALUES = ("Stream", "Streams")
"""The public classes that are no errors, documented as functions are."""

HELPERS = {
    name: value for name, value in PUBLIC.items() if inspect.isfunction(value) or name in VALUES
}
OTHERS = ("SCHEME", "Difference")
SECTIONS = ("Args", "Returns", "Key use", "Guarantees", "Raises", "Example")
SUMMARY_COLUMNS = 80


def blocks(page: str, language: str = "python") -> list[tuple[int, str]]:
    """Return the fenced blocks of a page, each with the line at which it begins."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(page.count("\n", 0, match.start(1)), match[1]) for match in found]


def run_page(page: str, name: str) -> dict[str, Any]:
    """Run the Python blocks of a page in order, in one namespace."""
    namespace: dict[str, Any] = {"__name__": "page"}
    for line, block in blocks(page):
        exec(compile("\n" * line + block, name, "exec"), namespace)
    return namespace


def links(page: str) -> list[str]:
    """Return the targets of a page's links, without code blocks."""
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\[[^\]\n]+\]\(([^)\s]+)\)", text)


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings make."""
    heads = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(page: pathlib.Path) -> list[str]:
    """Return the links of a page that lead nowhere in the clone."""
    found = []
    for link in links(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        known = target.exists() and (not anchor or anchor in anchors(target.read_text()))
        if not known:
            found.append(link)
    return found


def missing_sections(value: Any) -> list[str]:
    """Return what the docstring of a public function lacks, by its own signature."""
    text = inspect.getdoc(value) or ""
    signature = inspect.signature(value)
    wanted = [s for s in SECTIONS if s != "Args" or signature.parameters]
    if signature.return_annotation in (None, "None"):
        wanted.remove("Returns")
    lacking = [s for s in wanted if not re.search(rf"^{s}:$", text, re.MULTILINE)]
    arguments = text.partition("Args:")[2].partition("\n\n")[0]
    named = [name for name in signature.parameters if not name.startswith("_")]
    lacking += [f"argument {name}" for name in named if not re.search(rf"\b{name}\b", arguments)]
    if len(text.partition("\n")[0]) > SUMMARY_COLUMNS:
        lacking.append("a summary of one line")
    return lacking


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page: pathlib.Path) -> None:
    """Every fenced Python block of a page runs as written, in order."""
    run_page(page.read_text(), str(page))


def test_readme_numbers_stay() -> None:
    """The README's program before and after gives equal numbers, bit for bit."""
    namespace = run_page((ROOT / "README.md").read_text(), "README.md")
    before, after = namespace["before"], namespace["after"]
    assert len(before) == len(after) == 3
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()


@pytest.mark.fast
def test_a_false_block_is_noticed() -> None:
    """A block that raises fails its page, and names the line."""
    page = "text\n\n```python\na = 1\n```\n\n```python\nassert a == 2\n```\n"
    with pytest.raises(AssertionError) as caught:
        run_page(page, "page.md")
    assert caught.traceback[-1].lineno + 1 == 8


@pytest.mark.fast
def test_readme_commands() -> None:
    """The README has two commands of one line each: one ends in the demo, one in the tests."""
    commands = [block.strip() for _, block in blocks((ROOT / "README.md").read_text(), "sh")]
    assert [c.rpartition("&& ")[2] for c in commands] == [
        "python -m keystream demo",
        "python -m pytest",
    ]
    for command in commands:
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install '.")


@pytest.mark.fast
def test_readme_is_short() -> None:
    """The README fits on two screens, and says what the keys are not for."""
    page = (ROOT / "README.md").read_text()
    assert len(page.splitlines()) <= 110
    assert "Not for cryptography" in page


@pytest.mark.fast
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: pathlib.Path) -> None:
    """Every link of a page within the clone leads to a file, and to a heading that it has."""
    assert broken(page) == []


@pytest.mark.fast
def test_a_broken_link_is_noticed(tmp_path: pathlib.Path) -> None:
    """A link to a file or a heading that isn't there is found; one that is there is not."""
    page = tmp_path / "page.md"
    page.write_text("# One head\n[a](b.md) [c](page.md#one-head) [d](#two) [e](https://jax.dev)\n")
    assert broken(page) == ["b.md", "#two"]


@pytest.mark.fast
def test_index_names_every_helper() -> None:
    """The tour uses every public helper in a block that runs."""
    code = "".join(block for _, block in blocks((ROOT / "docs" / "index.md").read_text()))
    assert [name for name in HELPERS if not re.search(rf"\bks\.{name}\b", code)] == []


@pytest.mark.parametrize("name", HELPERS)
def test_docstring_example_runs(name: str) -> None:
    """The example in a public function's docstring runs and prints what it shows."""
    value = HELPERS[name]
    tests = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    examples = [test for test in tests if test.examples]
    assert examples, f"{name} has no example"
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples:
        said: list[str] = []
        failed = runner.run(test, out=said.append).failed
        assert not failed, "".join(said)


@pytest.mark.fast
@pytest.mark.parametrize("name", HELPERS)
def test_docstring_has_its_sections(name: str) -> None:
    """A public function's docstring has a summary, every section and every argument."""
    assert missing_sections(HELPERS[name]) == []


@pytest.mark.fast
@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in HELPERS and n not in OTHERS])
def test_errors_say_what_they_mean(name: str) -> None:
    """Every other public name is an error class with a docstring and a builtin as parent."""
    value = PUBLIC[name]
    assert issubclass(value, ks.KeystreamError)
    assert inspect.getdoc(value)
    builtin = [parent for parent in value.__mro__ if parent.__module__ == "builtins"]
    expected = builtin[0] is not Exception
    assert value is ks.KeystreamError or expected


@pytest.mark.fast
def test_a_missing_section_is_noticed() -> None:
    """A docstring without a section, or silent on an argument, is found."""

    def sloppy(key: Any, num: int) -> Any:  # noqa: D417 - what is missing is what is tested
        """Return something.

        Args:
            key: One key.

        Returns:
            Something.

        Example:
            >>> 1
            1
        """

    assert missing_sections(sloppy) == ["Key use", "Guarantees", "Raises", "argument num"]
