"""The keys of a training run: from its seed down to the noise of single examples."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

import keystream as ks
import look

SEED = 0
LAYERS = ("first", "second", "last")
EXAMPLES = (17, 1203)
"""Two of the data set's, by their index there."""


def tree(path: tuple[Any, ...], *children: Any) -> Any:
    """Return a node: its path, its key's fingerprint, and the nodes below it."""
    key = ks.derive(ks.key(SEED), *path)
    return {"path": list(path), "key": ks.fingerprint(key), "children": list(children)}


def data() -> Any:
    """Derive keys by name, epoch and example."""
    rows = [
        tree((name,), tree((name, 0), *(tree((name, 0, i)) for i in EXAMPLES)), tree((name, 1)))
        for name in ("noise", "dropout")
    ]
    layers = (tree(("params", name)) for name in LAYERS)
    shuffles = (tree(("shuffle", epoch)) for epoch in (0, 1))
    return tree((), tree(("params",), *layers), tree(("shuffle",), *shuffles), *rows)


BEGINS = (0.02, 2.27, 4.52, 6.77)
"""Where the nodes of each depth begin."""
BOX = (1.72, 0.72)


def label(node: Any) -> str:
    """Return what a node is called: its last part, with what an integer counts."""
    path = node["path"]
    if not path:
        return f"ks.key({SEED})"
    last = path[-1]
    if isinstance(last, str):
        return f'"{last}"'
    return f"epoch {last}" if len(path) == 2 else f"example {last:,}"


def place(node: Any, row: float, placed: list[Any]) -> tuple[float, float]:
    """Give each node a row: a leaf the next free one, the others the middle of their children."""
    if not node["children"]:
        placed.append((node, row))
        return row, row + 1
    middles = []
    for child in node["children"]:
        middle, row = place(child, row, placed)
        middles.append(middle)
    middle = (middles[0] + middles[-1]) / 2
    placed.append((node, middle))
    return middle, row


def draw(root: Any, theme: look.Theme) -> Figure:
    """Draw the tree from left to right, each node with the end of its key's fingerprint."""
    placed: list[Any] = []
    _, rows = place(root, 0.0, placed)
    rows_of = {tuple(node["path"]): row for node, row in placed}
    figure, (axes,) = look.canvas(6.4)
    look.blank(axes, 8.52, rows + 0.2)
    fills = dict(zip(("params", "shuffle", "noise", "dropout"), theme.series, strict=False))
    for node, row in placed:
        path = tuple(node["path"])
        tone = fills[path[0]] if path else theme.text
        x = BEGINS[len(path)]
        if path:
            start = BEGINS[len(path) - 1] + BOX[0], rows_of[path[:-1]] + 0.5
            bend = x - 0.28
            axes.plot(
                [start[0], bend, bend, x],
                [start[1], start[1], row + 0.5, row + 0.5],
                color=theme.faint,
                linewidth=1,
                solid_joinstyle="round",
            )
        look.cell(
            axes,
            (x, row + 0.14),
            f"{label(node)}\n{node['key'][-6:]}",
            ("none", theme.text),
            size=BOX,
            gap=0,
            edge=tone,
            fontsize=9,
            linespacing=1.35,
        )
    return figure


PICTURE = look.Picture("key-tree", data, draw)
