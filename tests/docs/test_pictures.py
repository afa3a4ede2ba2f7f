"""The pictures of the documents show what is so: they are what their scripts make now."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.demo_runs import MISSING, needs_extras

DOCS = pathlib.Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "pictures"
NAMES = ("key-tree", "shards", "devices", "layers", "correlation", "speed")
THEMES = ("light", "dark")
NEAR = 2e-3
"""Numbers are written to three digits, of which floats may turn the last one."""

DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


def load(name: str) -> Any:
    """Load a script as it is when the folder is run, where the others are beside it."""
    spec = importlib.util.spec_from_file_location(f"pictures_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


PICTURE = re.compile(
    r"<picture>\s*"
    r'<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]+)" src="(?P<light>[^"]+)">\s*'
    r"</picture>"
)
"""The one form that GitHub shows and the site's extension, `docs/_site/pictures.py`, knows."""
pictures = None if MISSING else load("__main__")


def described(path: pathlib.Path) -> Any:
    """Return what a picture says that it shows."""
    (text,) = (element.text for element in ElementTree.parse(path).iter(DESCRIPTION))
    return json.loads(str(text))


def differs(one: Any, other: Any) -> bool:
    """Do two JSON documents differ, in more than the last digit of a number?"""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(differs(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(differs, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > NEAR
    return bool(one != other)


@pytest.mark.slow
@needs_extras
@pytest.mark.parametrize("name", NAMES)
def test_pictures_show_what_is_so(name: str) -> None:
    """Both forms of a picture were drawn from what its script finds now."""
    found = json.loads(json.dumps(pictures.PICTURES[name].data()))
    for theme in THEMES:
        assert not differs(described(FOLDER / f"{name}-{theme}.svg"), found)


@pytest.mark.slow
@needs_extras
def test_same_file_each_time(tmp_path: pathlib.Path) -> None:
    """Drawing a picture again gives the same files, without a date, in two themes."""
    drawn = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        paths = pictures.look.write(pictures.PICTURES["layers"], folder)
        drawn.append([path.read_bytes() for path in paths])
    assert drawn[0] == drawn[1]
    light, dark = drawn[0]
    assert light != dark
    assert b"dc:date" not in light


@pytest.mark.slow
@needs_extras
def test_all_are_known() -> None:
    """Every picture in the folder is made by a script, and every script's picture is there."""
    assert tuple(pictures.PICTURES) == NAMES
    files = {f"{name}-{theme}.svg" for name in NAMES for theme in THEMES}
    assert {path.name for path in FOLDER.glob("*.svg")} == files


@pytest.mark.slow
@needs_extras
def test_an_unknown_picture_is_refused() -> None:
    """A misspelt name is refused with the names that there are."""
    with pytest.raises(SystemExit, match="no picture shard; there are key-tree, shards"):
        pictures.main(["shard"])


@pytest.mark.fast
def test_a_changed_picture_is_noticed() -> None:
    """Another key, a number beyond rounding or one cell less is a difference."""
    shown = [{"key": "0a", "at": [0.5, 1.0]}]
    assert not differs(shown, [{"key": "0a", "at": [0.501, 1.0]}])
    for other in ([{"key": "0b", "at": [0.5, 1.0]}], [{"key": "0a", "at": [0.51, 1.0]}], [], [{}]):
        assert differs(shown, other)


@pytest.mark.fast
def test_pages_show_pictures_that_exist() -> None:
    """Each picture stands on a page in one form, light and dark, and is described in words."""
    seen = set()
    for page in (DOCS.parent / "README.md", *DOCS.rglob("*.md")):
        text = page.read_text()
        found = list(PICTURE.finditer(text))
        assert text.count("<picture>") == len(found), page
        for match in found:
            light, dark = page.parent / match["light"], page.parent / match["dark"]
            assert light.exists()
            assert dark.exists()
            assert dark.name == light.name.replace("-light.", "-dark.")
            assert len(match["alt"]) > 40
            seen.add(light.name.removesuffix("-light.svg"))
    assert seen <= set(NAMES)
