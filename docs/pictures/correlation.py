"""What a reused key does to numbers, beside derived keys: two draws, and the lanes of a batch."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import keystream as ks
import look

POINTS, LANES, LENGTH = 200, 8, 1000
DIGITS = 3


def data() -> Any:
    """Draw twice from one key and from two, and in lanes that share a key and that don't."""
    key = ks.key(0)
    one, other = ks.split(key)

    def pair(first: jax.Array, second: jax.Array) -> Any:
        # Two samplers, as for a mask and a noise.
        points = jax.random.uniform(first, (POINTS,)), jax.random.normal(second, (POINTS,))
        return [np.asarray(each, np.float64).round(DIGITS).tolist() for each in points]

    def lanes(draw: Any) -> Any:
        return (np.corrcoef(np.asarray(draw, np.float64)).round(DIGITS) + 0.0).tolist()

    shape = (LENGTH,)
    shared = jax.vmap(lambda x: x + jax.random.uniform(key, shape))(np.zeros(LANES, np.float32))
    apart = ks.vmap(lambda key: jax.random.uniform(key, shape), axis_size=LANES)(key)
    return {
        "reused": {"pair": pair(key, key), "lanes": lanes(shared)},
        "derived": {"pair": pair(one, other), "lanes": lanes(apart)},
    }


def draw(shown: Any, theme: look.Theme) -> Figure:
    """Draw two rows, reused and derived: a cloud of pairs, and the correlations of lanes."""
    figure = Figure(figsize=(look.WIDTH, 6.8), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(1.25, 1))
    reused, derived = shown["reused"], shown["derived"]
    cloud(axes[0][0], reused["pair"], theme.wrong, "one key, drawn from twice", ("key", "key"))
    cloud(axes[1][0], derived["pair"], theme.right, "two keys: ks.split(key)", ("one", "other"))
    matrix(axes[0][1], reused["lanes"], theme, theme.wrong, "lanes that share a key")
    matrix(axes[1][1], derived["lanes"], theme, theme.right, "derived lanes: ks.vmap")
    return figure


def cloud(axes: Any, pair: Any, tone: str, title: str, names: tuple[str, str]) -> None:
    """Draw one draw over another."""
    axes.scatter(*pair, s=14, color=tone, linewidths=0, alpha=0.85)
    axes.set_title(title, color=tone)
    axes.set(xlabel=f"uniform({names[0]})", ylabel=f"normal({names[1]})")
    axes.set(xlim=(0, 1), ylim=(-3.4, 3.4))
    axes.spines[["top", "right"]].set_visible(False)


def matrix(axes: Any, lanes: Any, theme: look.Theme, tone: str, title: str) -> None:
    """Draw the correlation of each lane with each, in words and as a shade."""
    field = np.array(lanes)
    background = "#ffffff" if theme is look.LIGHT else "#14181d"
    low, high = (look.mpl.colors.to_rgb(color) for color in (background, tone))
    ramp = ListedColormap(np.linspace(low, high, 256))
    axes.imshow(np.abs(field), cmap=ramp, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(field):
        text = (
            "1" if value == 1 else f"{value:.2f}".replace("0.", ".").replace("-", "\N{MINUS SIGN}")
        )
        shade = look.ink(ramp(abs(value)))
        axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=7.5)
    axes.set_title(title, color=tone)
    axes.set(xticks=range(len(field)), yticks=range(len(field)), xlabel="lane", ylabel="lane")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


PICTURE = look.Picture("correlation", data, draw)
