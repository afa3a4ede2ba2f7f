"""Let pictures follow the site's own switch between light and dark: an extension of Sphinx.

A page shows a picture by HTML that GitHub understands, too:

    <picture>
      <source media="(prefers-color-scheme: dark)" srcset="pictures/shards-dark.svg">
      <img alt="What it shows." src="pictures/shards-light.svg">
    </picture>

That follows the system, not furo's switch, and Sphinx copies no file that HTML names. So on
the site such a picture becomes two images of which furo hides one.
"""

from __future__ import annotations

import re
from typing import Any

PICTURE = re.compile(
    r"<picture>\s*"
    r'<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]+)" src="(?P<light>[^"]+)">\s*'
    r"</picture>"
)


def as_images(page: str) -> str:
    """Return a page with two images for each picture, and as many lines as before."""
    return PICTURE.sub(_images, page)


def _images(match: re.Match[str]) -> str:
    alt = match["alt"].replace("[", r"\[").replace("]", r"\]")
    images = [
        f"![{alt}]({match['light']}){{.only-light}}",
        f"![{alt}]({match['dark']}){{.only-dark}}",
    ]
    return "\n".join(images) + "\n" * (match[0].count("\n") - 1)


def _read(_app: Any, _name: str, source: list[str]) -> None:
    source[0] = as_images(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Take part in the building of the site; it needs MyST's `attrs_inline`."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
