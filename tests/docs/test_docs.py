"""The documents run as written, and every public name has its own."""

from __future__ import annotations

import ast
import doctest
import inspect
import pathlib
import re
import types
from collections.abc import Sequence
from typing import Any

import pytest

import keystream as ks

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts),
]


def public(module: types.ModuleType) -> dict[str, Any]:
    """Return what a module offers by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


PUBLIC = public(ks)
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


def name_of(page: pathlib.Path) -> str:
    """Name a page as one looks for it: `guide/keys.md`."""
    return str(page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT))


def without_example(value: Any) -> bool:
    """Run the example in a docstring as a doctest; say whether there is none."""
    tests = doctest.DocTestFinder(recurse=False).find(value, "example", globs={})
    examples = [test for test in tests if test.examples]
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples:
        said: list[str] = []
        failed = runner.run(test, out=said.append).failed
        assert not failed, "".join(said)
    return not examples


def run_page(page: str, name: str) -> dict[str, Any]:
    """Run the Python blocks of a page in order, in one namespace."""
    namespace: dict[str, Any] = {"__name__": "page"}
    for line, block in blocks(page):
        tree = ast.parse("\n" * line + block, name)
        exec(compile(_expecting_errors(tree), name, "exec"), namespace)
    return namespace


def _expecting_errors(tree: ast.Module) -> ast.Module:
    """Where a block asserts what an error says, let it fail if none comes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and not node.orelse:
            handled = [s for handler in node.handlers for s in handler.body]
            if any(isinstance(s, ast.Assert) for s in handled):
                node.orelse = ast.parse("raise AssertionError('no error came')").body
                for new in ast.walk(node.orelse[0]):
                    ast.copy_location(new, node)
    return tree


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^(```+).*?^\1$", "", page, flags=re.MULTILINE | re.DOTALL)


def links(page: str) -> list[str]:
    """Return the targets of a page's links and pictures, without those in code."""
    text = prose(page)
    directives = re.findall(r"^```\{(?:image|figure)\} (\S+)$", page, re.MULTILINE)
    tags = re.findall(r'\b(?:src|srcset|href)="([^"\s]+)"', text)
    return re.findall(r"\[[^\]\n]+\]\(([^)\s]+)\)", text) + tags + directives


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings make."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
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


def missing_sections(value: Any, sections: Sequence[str] = SECTIONS) -> list[str]:
    """Return what the docstring of a public function lacks, by its own signature."""
    text = inspect.getdoc(value) or ""
    signature = inspect.signature(value)
    wanted = [s for s in sections if s != "Args" or set(signature.parameters) - {"self"}]
    if signature.return_annotation in (None, "None"):
        wanted = [s for s in wanted if s != "Returns"]
    lacking = [s for s in wanted if not re.search(rf"^{s}:$", text, re.MULTILINE)]
    arguments = text.partition("Args:")[2].partition("\n\n")[0]
    named = [n for n in signature.parameters if n != "self" and not n.startswith("_")]
    lacking += [f"argument {name}" for name in named if not re.search(rf"\b{name}\b", arguments)]
    if len(text.partition("\n")[0]) > SUMMARY_COLUMNS:
        lacking.append("a summary of one line")
    return lacking


@pytest.mark.parametrize(
    "page",
    [
        page if page.name == "README.md" else pytest.param(page, marks=pytest.mark.slow)
        for page in PAGES
    ],
    ids=name_of,
)
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
def test_an_error_that_stays_away_is_noticed() -> None:
    """A block that asserts what an error says fails where there is no error."""
    block = "try:\n    pass\nexcept ValueError as found:\n    assert str(found) == 'a'\n"
    with pytest.raises(AssertionError, match="no error came"):
        run_page(f"```python\n{block}```\n", "page.md")


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
def test_the_index_links_every_name() -> None:
    """The index of the API lists each public name once, to be linked with its first line."""
    page = (DOCS / "api" / "index.md").read_text()
    listed = re.findall(r"^   (\w+)$", page.partition("## [Host]")[0], re.MULTILINE)
    assert sorted(listed) == sorted(set(PUBLIC) - {"SCHEME"})


@pytest.mark.fast
def test_links_show_titles() -> None:
    """No link shows the name of a file in the place of a title."""
    shown = {name_of(page): re.findall(r"\[[\w/-]+\.md\]", page.read_text()) for page in PAGES}
    assert {name: found for name, found in shown.items() if found} == {}


@pytest.mark.fast
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: pathlib.Path) -> None:
    """Every link of a page within the clone leads to a file, and to a heading that it has."""
    assert broken(page) == []


@pytest.mark.fast
def test_a_broken_link_is_noticed(tmp_path: pathlib.Path) -> None:
    """A link, or a picture, that isn't there is found, and so is a heading in code alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One head\n[a](b.md) [c](page.md#one-head) [d](#two) [e](https://jax.dev)\n"
        '![f](f.svg) <img src="g.svg">\n\n```{image} h.svg\n```\n\n```python\n# two\n```\n'
    )
    assert broken(page) == ["b.md", "#two", "f.svg", "g.svg", "h.svg"]


@pytest.mark.fast
def test_requirements_are_tested() -> None:
    """The requirements are numbered without gaps, and a table names tests that there are."""
    heads = re.findall(r"^### (\d+\. .*)$", (DOCS / "why.md").read_text(), re.MULTILINE)
    assert [int(head.partition(".")[0]) for head in heads] == [*range(1, len(heads) + 1)]
    page = (DOCS / "how-tested.md").read_text()
    rows = re.findall(r"^\| (\d+\. .*?) \| (.*) \|$", page, re.MULTILINE)
    assert [head for head, _ in rows] == heads
    for _, text in rows:
        named = re.findall(r"`(\w+/test_\w+\.py)(?:::(test_\w+))?`", text)
        assert named
        for file, test in named:
            assert f"def {test}" in (ROOT / "tests" / file).read_text()


@pytest.mark.parametrize("name", HELPERS)
def test_docstring_example_runs(name: str) -> None:
    """The example in a public function's docstring runs and prints what it shows."""
    assert not without_example(HELPERS[name]), f"{name} has no example"


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
