"""The look of every picture: a light and a dark theme, and files that are the same each time."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

HERE = pathlib.Path(__file__).parent
WIDTH = 8.0
"""Inches of 72 points: as wide as a page of the site, so that a point is a point there."""


class Theme(NamedTuple):
    """The colors of a picture on a page that is light or dark."""

    name: str
    text: str
    faint: str
    """For what should be seen last: frames, grids, small print."""
    right: str
    wrong: str
    """Blue and vermilion of Okabe and Ito's palette, told apart by all kinds of color vision."""
    series: tuple[str, ...]
    """For curves that are told apart by their markers, too."""


LIGHT = Theme(
    "light",
    text="#1f2328",
    faint="#636c76",
    right="#0072b2",
    wrong="#c44f00",
    series=("#0072b2", "#c44f00", "#007a59", "#9d4e7f", "#8a6400", "#1f2328"),
)
DARK = Theme(
    "dark",
    text="#e6edf3",
    faint="#9aa4ae",
    right="#56b4e9",
    wrong="#f08a4b",
    series=("#56b4e9", "#f08a4b", "#2ec4a0", "#e29ac4", "#f0c94a", "#e6edf3"),
)
THEMES = (LIGHT, DARK)


class Picture(NamedTuple):
    """A picture: what it shows, and how that is drawn."""

    name: str
    data: Callable[[], Any]
    """Makes or reads what is shown, as what `json.dumps` takes."""
    draw: Callable[[Any, Theme], Figure]


def style(theme: Theme) -> dict[str, Any]:
    """Return matplotlib's settings for a theme."""
    written = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(written, theme.text),
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "figure.constrained_layout.h_pad": 0.1,  # inches
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "svg.fonttype": "path",  # the same text everywhere, whatever fonts there are
        "svg.hashsalt": "keystream",
    }


def write(picture: Picture, folder: pathlib.Path = HERE) -> list[pathlib.Path]:
    """Write a picture in both themes; what it shows stands in its description."""
    data = picture.data()
    written = []
    for theme in THEMES:
        with mpl.rc_context():
            mpl.rcdefaults()  # whatever a user has set
            mpl.rcParams.update(style(theme))
            figure = picture.draw(data, theme)
            path = folder / f"{picture.name}-{theme.name}.svg"
            about = {"Date": None, "Title": picture.name, "Description": json.dumps(data)}
            figure.savefig(path, metadata=about)
        # matplotlib leaves blanks at the ends of lines.
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line.rstrip() for line in lines) + "\n")
        written.append(path)
    return written


def canvas(height: float, ratios: Sequence[float] = (1.0,)) -> tuple[Figure, list[Any]]:
    """Return a figure as wide as a page, and its panels side by side, without axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(1, len(ratios), width_ratios=ratios)))
    return figure, list(panels)


def blank(axes: Any, width: float, height: float) -> None:
    """Make of a panel a sheet that is measured in cells, from the top left corner down."""
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def key_colors(number: int) -> list[tuple[str, str]]:
    """Return a fill and a legible ink for each of some keys.

    Cividis looks the same to all kinds of color vision; its darkest and brightest end are
    left out, so that a cell stands out on a dark page and on a light one.
    """
    shades = mpl.colormaps["cividis"](np.linspace(0.17, 0.96, number))
    return [(mpl.colors.to_hex(shade), ink(shade)) for shade in shades]


def ink(shade: Sequence[float]) -> str:
    """Return black or white, whichever can be read on a shade."""
    channels = np.asarray(shade[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "#000000" if linear @ (0.2126, 0.7152, 0.0722) > 0.18 else "#ffffff"


def cell(
    axes: Any, corner: tuple[float, float], text: str, colors: tuple[str, str], **options: Any
) -> None:
    """Draw a filled cell with a text in its middle."""
    width, height = options.pop("size", (1.0, 1.0))
    gap = options.pop("gap", 0.04)
    x, y = corner
    box = FancyBboxPatch(
        (x + gap, y + gap),
        width - 2 * gap,
        height - 2 * gap,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=colors[0],
        edgecolor=options.pop("edge", "none"),
        linewidth=options.pop("linewidth", 1.5),
    )
    axes.add_patch(box)
    axes.text(
        x + width / 2, y + height / 2, text, color=colors[1], ha="center", va="center", **options
    )
