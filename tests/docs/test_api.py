"""The pages of the API: every public name is on one of them, and says all that is asked."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from typing import Any

import pytest

import keystream as ks
from keystream.__main__ import main
from keystream._audit.reporting.report import Report
from tests.docs.test_docs import DOCS, missing_sections, public, without_example

PAGES = sorted((DOCS / "api").glob("*.md"))
MODULES = [
    name
    for name in ("keystream", "keystream.host", "keystream.testing", "keystream.interop")
    if importlib.util.find_spec(name)
]
GIVEN = ("Report", "Finding", "Place", "Count", "Branch", "Summary")
"""Values that `audit` and `recording` return, and that nobody imports."""
COMMANDS = ("demo", "doctor", "bench", "bits", "audit", "explain", "run")
OURS = (ks.Stream, ks.Streams)


def entries(page: str) -> list[str]:
    """Return what a page of the API describes, as `keystream.testing.keys`."""
    found = []
    module = ""
    for kind, name in re.findall(r"^\.\. (currentmodule|auto\w+):: ([\w.]+)", page, re.MULTILINE):
        if kind == "currentmodule":
            module = name
        else:
            found.append(f"{module}.{name.rpartition('.')[2]}")
    return found


def offered(name: str) -> list[str]:
    """Return the public names of a module that are its own."""
    return [f"{name}.{each}" for each in public(importlib.import_module(name))]


def members(cls: type) -> dict[str, Any]:
    """Return what a class of ours offers to its users; JAX asks for the rest."""
    return {
        name: value
        for name, value in vars(cls).items()
        if name == "__getitem__" or not name.startswith(("_", "tree_"))
    }


METHODS = {
    f"{cls.__name__}.{name}": value
    for cls in OURS
    for name, value in members(cls).items()
    if inspect.isfunction(value)
}


@pytest.mark.fast
def test_every_public_name_is_described_once() -> None:
    """The pages describe each public name of each public module, once, and nothing else."""
    described = sorted(entry for page in PAGES for entry in entries(page.read_text()))
    names = [name for module in MODULES for name in offered(module)]
    assert described == sorted([*names, *(f"keystream.{name}" for name in GIVEN)])


@pytest.mark.fast
def test_the_index_of_the_api_lists_every_name() -> None:
    """The first page of the API names all of keystream, and sends to the page that has it."""
    index = (DOCS / "api" / "index.md").read_text()
    sections = re.findall(
        r"^## \[[^]]+\]\(([\w-]+\.md)\)$(.*?)(?=^## |\Z)", index, re.MULTILINE | re.DOTALL
    )
    for page, section in sections:
        here = {entry.rpartition(".")[2] for entry in entries((DOCS / "api" / page).read_text())}
        assert {*re.findall(r"^   (\w+)$", section, re.MULTILINE)} <= here
    assert {page for page, _ in sections} == {page.name for page in PAGES} - {"index.md"}


@pytest.mark.fast
@pytest.mark.parametrize("cls", OURS)
def test_every_member_is_described(cls: type) -> None:
    """The page of streams lists each of their methods and properties."""
    page = (DOCS / "api" / "streams.md").read_text()
    listed = re.search(rf"autoclass:: {cls.__name__}\n   :members: (.*)\n", page)
    assert listed
    assert sorted(listed[1].split(", ")) == sorted(members(cls))


@pytest.mark.fast
@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_its_sections(name: str) -> None:
    """A method of a stream has a summary, every section and every argument."""
    assert missing_sections(METHODS[name]) == []


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_a_method_runs(name: str) -> None:
    """The example of a method runs and prints what it shows."""
    assert not without_example(METHODS[name])


def test_the_report_is_described() -> None:
    """A report has what its users need: an example, and each argument that it takes."""
    assert missing_sections(Report, ("Guarantees", "Raises", "Example")) == []
    assert not without_example(Report)
    for value in members(Report).values():
        assert inspect.getdoc(value)
        if inspect.isfunction(value) and len(inspect.signature(value).parameters) > 1:
            assert missing_sections(value, ("Args", "Returns", "Raises")) == []


@pytest.mark.fast
@pytest.mark.parametrize(
    "name", [name for module in MODULES[1:] for name in offered(module) if "." in name]
)
def test_a_name_of_another_module_has_its_sections(name: str) -> None:
    """What is public beside `keystream` itself is documented as its own names are."""
    module, _, own = name.rpartition(".")
    value = getattr(importlib.import_module(module), own)
    assert inspect.getdoc(value)
    if inspect.isfunction(value):
        assert missing_sections(value) == []


@pytest.mark.fast
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_is_described(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The page of the command line has each option of each command, and no other."""
    page = (DOCS / "api" / "command-line.md").read_text()
    section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = re.findall(r"^  (-[-\w]+)", capsys.readouterr().out, re.MULTILINE)
    assert re.findall(r"^\| `(-[-\w]+)", section[1], re.MULTILINE) == [
        option for option in shown if option != "-h"
    ]


@pytest.mark.fast
def test_every_command_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """The page of the command line has every command that the help has."""
    main([])
    shown = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\nexamples")[0]
    assert tuple(re.findall(r"^    (\w+)", shown, re.MULTILINE)) == COMMANDS


@pytest.mark.fast
def test_a_name_that_is_left_out_is_noticed() -> None:
    """What a page describes is read from its directives, in the module that they stand in."""
    page = (
        "```{eval-rst}\n.. currentmodule:: a.b\n\n.. autofunction:: c\n.. autoclass:: d.e.F()\n```"
    )
    assert entries(page) == ["a.b.c", "a.b.F"]
    assert entries("```python\nautofunction:: c\n```") == []
