"""Docstrings as the house writes them, in Sphinx's words; the rest is napoleon's.

`Key use` and `Guarantees` become fields beside the parameters, and so do `Returns` and `Warns`,
whose text may hold a colon. Text in backticks is code, and a link where it names another
public name.
"""

import re
from typing import Any

from sphinx import addnodes
from sphinx.transforms import SphinxTransform

import keystream
from keystream import interop, testing

SECTION = re.compile(r"^(Returns|Warns|Key use|Guarantees):$")
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
JAX_TOO = {"fori_loop", "map", "pmap", "scan", "shard_map", "split", "vmap", "while_loop"}
WORDS = {"key", "keys"} | JAX_TOO
"""Public names that, standing alone, may mean an argument, or what JAX has by that name."""

ALIAS = re.compile(r"[\w.~]*TypeAliasForwardRef\('(\w+)'\)")
"""How autodoc writes a type alias that stands in a union."""

WHOLE = ("attribute", "data", "property")
"""What has one sentence and no sections; napoleon would take a colon in it for a type's."""


def linked(code: str, own: str) -> str:
    """Write one piece of code: a link if it is the name of something else that is public."""
    bare = code.removeprefix("ks.")
    if bare == own or (code == bare and bare in WORDS):
        return f"``{code}``"
    for room in (keystream, interop, testing):
        name = bare.removeprefix(room.__name__.rpartition(".")[2] + ".")
        if name in dir(room):
            return f":py:obj:`{code} <{room.__name__}.{name}>`"
    return f"``{code}``"


def fields(lines: list[str]) -> list[str]:
    """Make fields of the sections that napoleon would take for something else."""
    heads = ((line, SECTION.match(line)) for line in lines)
    return [f":{head[1]}:" if head else line for line, head in heads]


def before(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring before napoleon sees it."""
    del value, options
    own = name.rpartition(".")[2]
    text, example, rest = "\n".join(lines).partition("\nExample:")
    text = CODE.sub(lambda found: linked(found[1], own), text)
    lines[:] = fields((text + example + rest).split("\n"))
    if what in WHOLE:
        app.env.temp_data[name] = list(lines)


def after(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Put back what napoleon has nothing to do with."""
    del value, options
    if what in WHOLE:
        lines[:] = app.env.temp_data.pop(name)
    if lines and lines[0].startswith("Alias for field number"):  # Python's own, of a named tuple
        lines.clear()


def signature(
    app: Any, what: str, name: str, value: Any, options: Any, arguments: str | None, returned: str
) -> tuple[str | None, str]:
    """Write the aliases in a signature as the source does."""
    del app, what, name, value, options
    return arguments and ALIAS.sub(r"\1", arguments), returned


class Private(SphinxTransform):
    """Leave out the module of a value that one is given and doesn't import."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Go through the signatures of one page."""
        for module in list(self.document.findall(addnodes.desc_addname)):
            if "._" in module.astext():
                module.parent.remove(module)


def setup(app: Any) -> dict[str, bool]:
    """Join the build, around napoleon."""
    app.connect("autodoc-process-docstring", before, priority=400)
    app.connect("autodoc-process-docstring", after, priority=600)
    app.connect("autodoc-process-signature", signature)
    app.add_transform(Private)
    return {"parallel_read_safe": True}
