"""Which keys move when a layer is added: a split chain against named keys."""

from __future__ import annotations

from typing import Any

import jax
from matplotlib.figure import Figure

import keystream as ks
import look

BEFORE = ("embed", "dense", "head")
AFTER = ("embed", "norm", "dense", "head")


def chained(key: jax.Array, names: tuple[str, ...]) -> dict[str, jax.Array]:
    """Take a key for each layer as it comes: `key, use = split(key)`."""
    found = {}
    for name in names:
        key, use = jax.random.split(key)
        found[name] = use
    return found


WAYS = {
    "a split chain\nkey, use = jax.random.split(key)": chained,
    'named keys\nks.split(key, ("embed", ...))': ks.split,
}


def data() -> Any:
    """Make the keys of the layers before and after one is added."""
    return [
        {
            "way": way,
            "models": [
                {name: ks.fingerprint(key) for name, key in make(ks.key(0), names).items()}
                for names in (BEFORE, AFTER)
            ],
        }
        for way, make in WAYS.items()
    ]


def draw(shown: Any, theme: look.Theme) -> Figure:
    """Draw the layers before and after, each with its key; a line joins each layer to itself."""
    figure, panels = look.canvas(3.7, (1.0, 1.0))
    for axes, each in zip(panels, shown, strict=True):
        before, after = each["models"]
        look.blank(axes, 5.2, 4.6)
        names = list(dict.fromkeys([*before.values(), *after.values()]))
        colors = dict(zip(names, look.key_colors(6), strict=False))
        for x, title, model in ((0.0, "before", before), (3.2, "after", after)):
            axes.text(x + 1, 0.28, title, ha="center", color=theme.faint)
            for place, (name, key) in enumerate(model.items()):
                text = f"{name}\n{key[-4:]}"
                size = (2.0, 1.0)
                look.cell(axes, (x, place + 0.5), text, colors[key], size=size, linespacing=1.4)
        for name, key in before.items():
            moved = after[name] != key
            ends = [list(model).index(name) + 1.0 for model in (before, after)]
            tone, dashes = (theme.wrong, (2, 1.5)) if moved else (theme.right, (None, None))
            axes.plot([2.05, 3.15], ends, color=tone, linewidth=2, dashes=dashes)
            said = "moved" if moved else "same"
            middle = sum(ends) / 2
            lower = 0.12 if ends[0] == ends[1] else 0.42
            axes.text(2.6, middle - lower, said, ha="center", va="bottom", fontsize=9, color=tone)
        head, _, code = each["way"].partition("\n")
        axes.set_title(head, pad=22)
        axes.text(2.6, -0.06, code, ha="center", va="bottom", fontsize=9, family="DejaVu Sans Mono")
    return figure


PICTURE = look.Picture("layers", data, draw)
