"""Draw how much faster each sampler is at each size, and what a key costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from keystream.cli._bench import eager, samplers
from keystream.cli._bench.reach import FASTER
from keystream.cli._bench.result import Result
from keystream.cli._style import COLORS, STYLE

FARTHEST = 16.0
"""The ratio at which the colors end, either way."""

OURS = ("ks.", "Stream")


def draw(path: Path, results: Sequence[Result], caption: str) -> None:
    """Write the picture to a file, in the format that its name ends in."""
    drawn = [each for each in results if each.case == samplers.CASE]
    makers = [each for each in results if (each.case, each.what) == (eager.CASE, eager.EACH)]
    parts = [(part, found) for part, found in ((grid, drawn), (costs, makers)) if found]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5 * len(parts), 7), layout="constrained")
        places = np.atleast_1d(np.array(figure.subplots(1, len(parts))))
        for axes, (part, found) in zip(places, parts, strict=True):
            part(axes, found)
        figure.supxlabel(caption, fontsize=9, color="#555555")
        figure.savefig(path, dpi=120)


def grid(axes: Any, found: Sequence[Result]) -> None:
    """Draw a field for each sampler and size, colored and labeled by its ratio."""
    names = list(dict.fromkeys(each.what for each in found))
    sizes = sorted({each.size for each in found})
    field = np.full((len(names), len(sizes)), np.nan)
    for each in found:
        field[names.index(each.what), sizes.index(each.size)] = each.ratios[FASTER].median
    axes.imshow(field, cmap="PuOr", norm=LogNorm(1 / FARTHEST, FARTHEST), aspect="auto")
    for (row, column), value in np.ndenumerate(field):
        dark = abs(np.log(value)) > np.log(6)
        color = "white" if dark else "black"
        axes.text(column, row, f"{value:.2g}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(sizes)), map(power, sizes))
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="numbers drawn")
    axes.set_title("Run time, stock / accelerated (above 1: faster)", pad=12)


def power(size: int) -> str:
    """Return a size as a power of ten or of two."""
    for base in (10, 2):
        exponent = round(np.log(size) / np.log(base))
        if base**exponent == size and exponent > 2:
            return f"${base}^{{{exponent}}}$"
    return str(size)


def costs(axes: Any, found: Sequence[Result]) -> None:
    """Draw a point for each way to get a key in eager code, the dearest on top."""
    times = sorted(found[0].times.items(), key=lambda item: item[1].median)
    for place, (name, spread) in enumerate(times):
        middle, low, high = (value * 1e6 for value in spread[:3])
        ours = name.startswith(OURS)
        color = COLORS[0] if ours else "#8a9197"
        axes.errorbar(
            middle, place, xerr=[[middle - low], [high - middle]], fmt="o", color=color, capsize=3
        )
        axes.text(high * 1.2, place, f"{middle:.3g}", va="center", color=color)
    axes.set_yticks(range(len(times)), [name for name, _ in times])
    highest = max(spread.high for _, spread in times) * 1e6
    axes.set(xscale="log", xlabel="microseconds a key, with quartiles", xlim=(None, 2.5 * highest))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3, linewidth=0.5)
    axes.set_title("A key in eager code (keystream in blue)", pad=12)
