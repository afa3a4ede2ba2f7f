"""The guide leads to all of its pages, and past every public helper."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.docs.test_docs import HELPERS, blocks, links

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "guide"
INDEX = (GUIDE / "index.md").read_text()
PAGES = re.findall(r"^(\w+)$", INDEX.partition("```{toctree}")[2], re.MULTILINE)


def code(page: Path) -> str:
    """Return the Python blocks of a page."""
    return "".join(block for _, block in blocks(page.read_text()))


@pytest.mark.fast
def test_every_page_is_in_the_index() -> None:
    """The pages of the folder are those of the toctree and of the table, in one order."""
    assert sorted(PAGES) == sorted(page.stem for page in GUIDE.glob("*.md") if page.stem != "index")
    assert [link for link in links(INDEX) if "/" not in link] == [f"{page}.md" for page in PAGES]


@pytest.mark.fast
def test_each_page_leads_to_the_next() -> None:
    """The last paragraph of a page links to the page after it."""
    for page, after in itertools.pairwise(PAGES):
        last = (GUIDE / f"{page}.md").read_text().strip().rpartition("\n\n")[2]
        assert f"({after}.md)" in last, page


@pytest.mark.fast
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page: str) -> None:
    """A page of the guide is one that is read in a few minutes."""
    assert len((GUIDE / f"{page}.md").read_text().splitlines()) <= 160


@pytest.mark.fast
def test_guide_uses_every_helper() -> None:
    """The guide uses every public helper in a block that runs."""
    used = "".join(code(GUIDE / f"{page}.md") for page in PAGES)
    assert [name for name in HELPERS if not re.search(rf"\bks\.{name}\b", used)] == []


@pytest.mark.fast
def test_every_page_has_programs() -> None:
    """No page is prose alone, and the quickstart isn't either."""
    for page in (DOCS / "quickstart.md", *(GUIDE / f"{page}.md" for page in PAGES)):
        assert code(page).count("assert ") >= 3, page
