"""A picture `NAME-light.svg` with a `NAME-dark.svg` beside it is shown in both themes."""

import pathlib
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

LIGHT, DARK = "-light.svg", "-dark.svg"


class Pairs(SphinxTransform):
    """Put the dark picture behind each light one; the theme shows one of the two."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Go through the pictures of one page."""
        folder = pathlib.Path(self.env.doc2path(self.env.docname)).parent
        for light in list(self.document.findall(nodes.image)):
            dark_uri = light["uri"].replace(LIGHT, DARK)
            paired = light["uri"].endswith(LIGHT) and (folder / dark_uri).is_file()
            if not paired or "only-light" in light["classes"]:
                continue
            dark = light.deepcopy()
            dark["uri"] = dark_uri
            light["classes"].append("only-light")
            dark["classes"].append("only-dark")
            light.parent.insert(light.parent.index(light) + 1, dark)


def setup(app: Any) -> dict[str, bool]:
    """Join the build."""
    app.add_transform(Pairs)
    return {"parallel_read_safe": True}
