"""The site: what its own two extensions make of a page, and that a warning fails the build."""

from __future__ import annotations

import importlib
import pathlib
import shutil
import subprocess
import sys
import zlib
from typing import Any

import pytest

from tests.docs.test_docs import DOCS, ROOT

pytest.importorskip("myst_nb", reason="needs pip install 'keystream[docs]'")


@pytest.fixture
def docstrings(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS / "_site"))
    return importlib.import_module("docstrings")


@pytest.mark.fast
def test_sections_of_the_house_become_fields(docstrings: Any) -> None:
    """Returns, Key use and Guarantees become fields, with their text as it is; Args doesn't."""
    written = ["Do.", "", "Args:", "    n: One.", "", "Key use:", "    Uses: it.", "", "    More."]
    expected = [*written[:5], ":Key use:", *written[6:]]
    assert docstrings.fields(written) == expected


@pytest.mark.fast
def test_code_links_to_what_it_names(docstrings: Any) -> None:
    """Code is a link where it can only mean a public name, and never to its own entry."""
    linked = docstrings.linked
    assert linked("scan_carried", "scan") == ":py:obj:`scan_carried <keystream.scan_carried>`"
    assert linked("ks.scan", "map") == ":py:obj:`ks.scan <keystream.scan>`"
    for plain in ("scan", "key", "vmap", "jit", "ks.derive(key, i)", "_forms"):
        assert linked(plain, "split") == f"``{plain}``"
    assert linked("derive", "derive") == "``derive``"


def build(docs: pathlib.Path, out: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Build a folder of pages as the gate builds ours."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    words = [*command, "-d", str(out / "trees"), str(docs), str(out / "html")]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def small(docs: pathlib.Path, page: str) -> pathlib.Path:
    """Make a folder of one page, with a picture in two themes beside it."""
    docs.mkdir()
    shutil.copytree(DOCS / "_site", docs / "_site")
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.md").write_text(page)
    for theme in ("light", "dark"):
        (docs / f"a-{theme}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return docs


PICTURE = """# A page

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="a-dark.svg">
  <img alt="What it &amp; shows" src="a-light.svg">
</picture>
"""


@pytest.mark.outside
def test_pictures_follow_the_theme(tmp_path: pathlib.Path) -> None:
    """A picture in two themes becomes two images, each shown in its theme, with its words."""
    built = build(small(tmp_path / "docs", PICTURE), tmp_path)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "html" / "index.html").read_text()
    for theme in ("light", "dark"):
        assert f'class="only-{theme}" src="_images/a-{theme}.svg"' in page
        assert (tmp_path / "html" / "_images" / f"a-{theme}.svg").is_file()
    assert page.count('alt="What it &amp; shows"') == 2


@pytest.mark.outside
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[a](b.md)", "b.md"),
        ("```{eval-rst}\n.. autofunction:: keystream.scann\n```", "scann"),
        ("```{toctree}\nnot/here\n```", "not/here"),
    ],
)
def test_a_wrong_page_fails_the_build(tmp_path: pathlib.Path, wrong: str, said: str) -> None:
    """A link, a name or a page that isn't there is a warning, and that is an error."""
    built = build(small(tmp_path / "docs", f"# A page\n\n{wrong}\n"), tmp_path)
    assert built.returncode == 1
    assert said in built.stderr


@pytest.mark.outside
def test_a_wrong_cell_fails_the_build(tmp_path: pathlib.Path) -> None:
    """A cell of a notebook that raises is an error of the build."""
    form = "  text_representation:\n    extension: .md\n    format_name: myst\n"
    head = f"---\njupytext:\n{form}kernelspec:\n  name: python3\n---\n"
    page = f"{head}\n# A page\n\n```{{code-cell}}\nassert 1 == 2\n```\n"
    built = build(small(tmp_path / "docs", page), tmp_path)
    assert built.returncode != 0
    assert "ExecutionError" in built.stderr


@pytest.mark.outside
def test_the_site_builds(tmp_path: pathlib.Path) -> None:
    """The site is built, notebooks and all, without a warning."""
    built = build(DOCS, tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html" / "index.html").is_file()


INVENTORY = b"""# Sphinx inventory version 2
# Project: jax
# Version: 0
# The remainder of this file is compressed using zlib.
"""


@pytest.mark.outside
def test_names_of_jax_are_links(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the build may reach the network, a name of JAX is a link to its page."""
    inventory = tmp_path / "objects.inv"
    names = b"jax.Array py:class 1 _autosummary/jax.Array.html#$ -\n"
    inventory.write_bytes(INVENTORY + zlib.compress(names))
    docs = small(tmp_path / "docs", "# A page\n\n{py:class}`jax.Array`\n")
    with (docs / "conf.py").open("a") as conf:
        conf.write(
            f"intersphinx_mapping = dict(jax=(intersphinx_mapping['jax'][0], {str(inventory)!r}))"
        )
    monkeypatch.setenv("READTHEDOCS", "True")
    built = build(docs, tmp_path)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "html" / "index.html").read_text()
    assert 'href="https://docs.jax.dev/en/latest/_autosummary/jax.Array.html#jax.Array"' in page
