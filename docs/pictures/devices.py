"""Which key each example of a batch gets on 1, 2, 4 and 8 devices: by its id, or by its place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import keystream as ks
import look

BATCH = 16
COUNTS = (1, 2, 4, 8)


def by_example(key: jax.Array, ids: jax.Array) -> jax.Array:
    """Key each example by its own id."""
    return ks.derive(key, "noise", ids)


def by_place(key: jax.Array, ids: jax.Array) -> jax.Array:
    """Key each example by its place on its device: the mistake, since the key is replicated."""
    return ks.derive(key, "noise", jnp.arange(len(ids)))


WAYS = {
    'keyed by example: ks.derive(key, "noise", ids)': by_example,
    "by mistake: one key replicated, counted from 0 on each device": by_place,
}


def data() -> Any:
    """Make the keys on meshes of each size, and read them back."""
    shown = []
    for way, keyed in WAYS.items():
        rows = []
        for count in COUNTS:
            mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
            spec = jax.P("data")
            ids = jax.device_put(np.arange(BATCH), jax.sharding.NamedSharding(mesh, spec))
            made = ks.shard_map(keyed, mesh=mesh, in_specs=(spec,), out_specs=spec, vary=())
            held = jax.device_get(jax.jit(made)(ks.key(0), ids))
            rows.append([ks.fingerprint(key) for key in held])
        shown.append({"way": way, "rows": rows})
    return shown


def draw(shown: Any, theme: look.Theme) -> Figure:
    """Draw a row of cells for each number of devices, colored and labeled by their keys."""
    figure = look.Figure(figsize=(look.WIDTH, 4.9), layout="constrained")
    panels = figure.subplots(2, 1)
    names = list(dict.fromkeys(name for each in shown for row in each["rows"] for name in row))
    colors = dict(zip(names, look.key_colors(len(names)), strict=True))
    tones = (theme.right, theme.wrong)
    for axes, each, tone in zip(panels, shown, tones, strict=True):
        look.blank(axes, BATCH, len(COUNTS))
        for place, (count, row) in enumerate(zip(COUNTS, each["rows"], strict=True)):
            for column, name in enumerate(row):
                look.cell(axes, (column, place), name[-3:], colors[name], fontsize=8.5)
            for edge in range(BATCH // count, BATCH, BATCH // count):
                axes.plot([edge, edge], [place, place + 1], color=theme.text, linewidth=2.4)
        labels = [f"{count} device{'s' if count > 1 else ''}" for count in COUNTS]
        axes.set_yticks(np.arange(len(COUNTS)) + 0.5, labels)
        axes.set_xticks(np.arange(BATCH) + 0.5, map(str, range(BATCH)))
        axes.tick_params(length=0)
        number = [len(set(row)) for row in each["rows"]]
        told = f"{number[0]}" if len(set(number)) == 1 else ", ".join(map(str, number))
        axes.set_title(
            f"{each['way']}  ({told} keys)", color=tone, loc="left", fontsize=10.5, pad=8
        )
    panels[-1].set_xlabel("example of the batch; a bar is where one device's part ends")
    return figure


PICTURE = look.Picture("devices", data, draw)
