"""The tutorials' cells run: in plain Python here, and as notebooks where the tools are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tutorials"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "index.md")
SMALLER = {"count, rounds = 1000, 5": "count, rounds = 20, 1"}
"""Sizes that take long, and what a test takes in their place."""

BY_KS = re.compile(r"^(by_ks\b.*|.*, by_ks) = ", re.MULTILINE)
"""A cell in which keystream's form of something is made."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def cells(page: str) -> list[tuple[int, str]]:
    """Return the code cells of a MyST notebook, each with the line at which its code begins."""
    found = re.finditer(
        r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*\n?)(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    return [(page.count("\n", 0, match.start(2)), match[2].rstrip("\n")) for match in found]


def run_cells(page: str, name: str) -> dict[str, Any]:
    """Run the cells of a notebook in order, in one namespace."""
    namespace: dict[str, Any] = {"__name__": "page"}
    for line, cell in cells(page):
        exec(compile("\n" * line + cell, name, "exec"), namespace)
    return namespace


@pytest.fixture
def pictures() -> Iterator[Any]:
    """Pictures that are drawn and thrown away."""
    plt = pytest.importorskip("matplotlib.pyplot", reason="needs pip install 'keystream[demo]'")
    plt.switch_backend("Agg")
    yield plt
    plt.close("all")


@pytest.mark.outside  # the gate runs them once, where it builds the site
@each_page
def test_cells_run(page: Path, pictures: Any) -> None:
    """Every cell of a tutorial runs as written, in order, in plain Python."""
    text = page.read_text()
    for size, smaller in SMALLER.items():
        text = text.replace(size, smaller)
    run_cells(text, str(page))
    assert len(pictures.get_fignums()) == 1


@pytest.mark.fast
def test_sizes_are_found() -> None:
    """What a test makes smaller stands in one tutorial, once."""
    whole = "".join(page.read_text() for page in PAGES)
    assert [whole.count(size) for size in SMALLER] == [1] * len(SMALLER)


@pytest.mark.fast
def test_a_false_cell_is_noticed() -> None:
    """A cell that raises fails its tutorial, and names the line, also below cell options."""
    page = (
        "```{code-cell} ipython3\na = 1\n```\n\n```{code-cell}\n:tags: [x]\n\nassert a == 2\n```\n"
    )
    with pytest.raises(AssertionError) as caught:
        run_cells(page, "page.md")
    assert caught.traceback[-1].lineno + 1 == 8


@pytest.mark.fast
@each_page
def test_both_forms_are_compared(page: Path) -> None:
    """Where a cell has a form by hand and one by keystream, it asserts that they are equal."""
    both = [cell for _, cell in cells(page.read_text()) if BY_KS.search(cell)]
    assert both
    assert [cell for cell in both if "by_hand" not in cell or "assert" not in cell] == []


@pytest.mark.fast
def test_index_has_every_tutorial() -> None:
    """The folder's index has each tutorial in its table and in its tree."""
    index = (FOLDER / "index.md").read_text()
    tree = re.search(r"^```\{toctree\}\n(.*?)^```$", index, re.MULTILINE | re.DOTALL)
    assert tree
    assert sorted(tree[1].split()[1:]) == [page.stem for page in PAGES]
    assert all(f"({page.name})" in index for page in PAGES)


def sources(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow  # it needs jupytext
@each_page
def test_opens_in_jupyter(page: Path) -> None:
    """Jupytext, by which Jupyter opens such a page, finds the cells that are run here."""
    jupytext = pytest.importorskip("jupytext", reason="needs pip install jupytext")
    notebook = jupytext.reads(page.read_text(), fmt="md:myst")
    assert notebook.metadata.kernelspec.name == "python3"
    assert sources(notebook) == [cell for _, cell in cells(page.read_text())]


@pytest.mark.outside
@pytest.mark.filterwarnings("default")  # of the tools, not of the page: that has its own process
@each_page
def test_runs_as_a_notebook(page: Path) -> None:
    """Built as the site builds it, a tutorial runs in a kernel of its own and shows a picture."""
    read = pytest.importorskip("myst_nb.core.read", reason="needs pip install myst-nb")
    client = pytest.importorskip("nbclient", reason="needs pip install nbclient ipykernel")
    text = page.read_text()
    assert read.is_myst_markdown_notebook(text)
    notebook = read.read_myst_markdown_notebook(text, path=str(page))
    assert sources(notebook) == [cell for _, cell in cells(text)]

    place = {"metadata": {"path": str(ROOT)}}  # there `import keystream` finds this clone
    client.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    complaints = [out.text for out in outputs if out.get("name") == "stderr"]
    assert [text for text in complaints if "font cache" not in text] == []  # Matplotlib's first run
    assert sum("image/png" in out.get("data", {}) for out in outputs) == 1
