"""Draw the demo's pictures: intervals that hold the price or miss it, and how they settle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from keystream.cli._demo.pricing import PATHS, Run, exact_price
from keystream.cli._demo.records import Outcome
from keystream.cli._style import COLORS, STYLE

MOST = 200
"""Intervals that are drawn, one above the other."""


def draw_intervals(path: Path, runs: Sequence[Run], mistaken: Sequence[Run]) -> None:
    """Write the intervals of the most devices to a file, in the format that its name ends in."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 7.6), layout="constrained")
        pair: Any = figure.subplots(1, 2, sharex=True, sharey=True)
        titles = ("Key by path", "By mistake: one key replicated to all devices")
        for axes, title, all_runs in zip(pair, titles, (runs, mistaken), strict=True):
            draw_hits(axes, title, max(all_runs, key=lambda run: run.devices))
        pair[0].set(ylabel="experiment")
        figure.savefig(path, dpi=120)


def draw_hits(axes: Any, title: str, run: Run) -> None:
    """Draw each experiment's interval, in another color where it misses the exact price."""
    hits, (means, halves) = run.hits[:MOST], run.estimates[:MOST].T
    for held, color, label in ((True, COLORS[0], "holds it"), (False, COLORS[2], "misses it")):
        (rows,) = np.nonzero(hits == held)
        low, high = (means - halves)[rows], (means + halves)[rows]
        axes.hlines(rows, low, high, color=color, linewidth=1.4, label=label)
    axes.axvline(exact_price(), color="black", linewidth=1, label="exact price")
    count = f"{run.devices} device{'s' if run.devices > 1 else ''}"
    axes.set_title(f"{title}\n{run.hits.mean():.0%} of the intervals hold the price", pad=12)
    axes.set(
        xlabel=f"95 % interval from {PATHS:,} paths on {count}",
        ylim=(-0.02 * len(hits), 1.15 * len(hits)),
    )
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def draw_estimates(
    path: Path, title: str, outcomes: Sequence[Outcome], *, killed: int | None = None
) -> None:
    """Write how the estimates settle, and how many different paths they come from."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 8), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.set_title(title, pad=24 if killed else 12)
        for place, (run, color) in enumerate(zip(outcomes, COLORS, strict=False)):
            counts, (means, halves) = run.counts, run.intervals.T
            width = 1.2 + 2.2 * (len(outcomes) - 1 - place)
            label = f"{run.name}: {means[-1]:.3f} ± {halves[-1]:.3f}"
            above.plot(counts, means, color=color, linewidth=width, label=label)
            above.fill_between(counts, means - halves, means + halves, color=color, alpha=0.12)
            below.plot(counts, run.distinct, color=color, linewidth=width)
        above.axhline(exact_price(), color="black", linewidth=1, linestyle=":", label="exact")
        above.set(ylabel="price, 95 % interval")
        below.set(ylabel="different paths", xlabel="paths that the error bar counts")
        above.legend(frameon=False)
        for axes in (above, below):
            axes.grid(alpha=0.3, linewidth=0.5)
            axes.spines[["top", "right"]].set_visible(False)
            if killed:
                axes.axvline(killed, color=COLORS[2], linestyle="--", linewidth=1)
        if killed:
            place_of = above.get_xaxis_transform()
            above.text(killed, 1.01, "SIGKILL", transform=place_of, ha="center", va="bottom")
        figure.savefig(path, dpi=120)
