"""A picture in two themes, written in HTML as GitHub shows it, in Sphinx's words.

<picture> with the dark one as a source and the light one as its img becomes two images, of
which the theme shows one. So does a plain `![](NAME-light.svg)` with a NAME-dark.svg beside it.
"""

import html
import pathlib
import re
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

LIGHT, DARK = "-light.svg", "-dark.svg"
PICTURE = re.compile(r"\s*<picture>.*<img\b([^>]*)>\s*</picture>\s*", re.DOTALL)


class Pairs(SphinxTransform):
    """Put the dark picture behind each light one."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Go through the pictures of one page."""
        for raw in list(self.document.findall(nodes.raw)):
            found = PICTURE.fullmatch(raw.astext())
            if found:
                said = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
                raw.replace_self(
                    nodes.image(uri=said["src"], alt=html.unescape(said.get("alt", "")))
                )
        folder = pathlib.Path(self.env.doc2path(self.env.docname)).parent
        for light in list(self.document.findall(nodes.image)):
            name = light["uri"].replace(LIGHT, DARK)
            if light["uri"].endswith(LIGHT) and (folder / name).is_file():
                dark = light.deepcopy()
                dark["uri"] = name
                light["classes"].append("only-light")
                dark["classes"].append("only-dark")
                light.parent.insert(light.parent.index(light) + 1, dark)


def setup(app: Any) -> dict[str, bool]:
    """Join the build."""
    app.add_transform(Pairs)
    return {"parallel_read_safe": True}
