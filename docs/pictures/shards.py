"""Which device of a 4 x 2 mesh holds which key, for several specs of `ks.shard_keys`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import keystream as ks
import look

ROWS, COLUMNS = 4, 2
SPECS = {
    'P("data")': jax.P("data"),
    'P("model")': jax.P("model"),
    'P("data", "model")': jax.P("data", "model"),
    'P(("data", "model"))': jax.P(("data", "model")),
}


def data() -> Any:
    """Lay keys out over the mesh, and read back from each device what it holds."""
    devices = jax.devices()[: ROWS * COLUMNS]
    mesh = jax.make_mesh((ROWS, COLUMNS), ("data", "model"), devices=devices)
    places = {device.id: place for place, device in np.ndenumerate(mesh.devices)}
    shown = []
    for text, spec in SPECS.items():
        keys = ks.shard_keys(ks.key(0), mesh, spec)
        held: Any = [[None] * COLUMNS for _ in range(ROWS)]
        for shard in keys.addressable_shards:
            row, column = places[shard.device.id]
            # JAX counts the words of a key as one more dimension.
            index = [part.start or 0 for part in shard.index[: keys.ndim]]
            held[row][column] = {"index": index, "key": ks.fingerprint(shard.data.ravel()[0])}
        shown.append({"spec": text, "shape": list(keys.shape), "held": held})
    return shown


def draw(shown: Any, theme: look.Theme) -> Figure:
    """Draw the mesh once for each spec, a cell for each device."""
    figure, panels = look.canvas(3.6, (1.0,) * len(shown))
    for axes, each in zip(panels, shown, strict=True):
        look.blank(axes, COLUMNS, ROWS)
        names = sorted({at["key"] for row in each["held"] for at in row}, key=order(each).index)
        shades = look.key_colors(ROWS * COLUMNS)[:: ROWS * COLUMNS // len(names)]
        colors = dict(zip(names, shades, strict=True))
        for (row, column), at in np.ndenumerate(np.array(each["held"], dtype=object)):
            index = ", ".join(map(str, at["index"]))
            text = f"keys[{index}]\n{at['key'][-4:]}"
            look.cell(axes, (column, row), text, colors[at["key"]], fontsize=9, linespacing=1.5)
        axes.set_title(each["spec"], fontsize=10, family="DejaVu Sans Mono", pad=8)
        axes.set_xticks(np.arange(COLUMNS) + 0.5, [f"model {i}" for i in range(COLUMNS)])
        axes.set_xlabel(f"{len(names)} keys, shape {tuple(each['shape'])}", labelpad=8)
        axes.tick_params(length=0, labelsize=9, labelcolor=theme.faint)
    panels[0].set_yticks(np.arange(ROWS) + 0.5, [f"data {i}" for i in range(ROWS)])
    return figure


def order(each: Any) -> list[str]:
    """Return the keys of a layout in the order of their place in the array."""
    flat = [at for row in each["held"] for at in row]
    return [at["key"] for at in sorted(flat, key=lambda at: at["index"])]


PICTURE = look.Picture("shards", data, draw)
