"""The picture of runs that should train alike: their losses, and how far these lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keystream.cli._demo.digits import STEPS
from keystream.cli._demo.losses import COLORS, STYLE, draw_losses
from keystream.cli._demo.outcome import Outcome, curve_apart

ZERO = 1e-9
"""Where no difference at all is drawn, below the smallest that there can be."""


def draw(
    path: Path,
    title: str,
    first: Outcome,
    others: Sequence[Outcome],
    *,
    lost: tuple[int, int] | None = None,
) -> None:
    """Write the picture to a file; `lost` are the steps of the last checkpoint and the kill."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 8), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.set_title(title, pad=24 if lost else 12)
        runs = [first, *others]
        draw_losses(above, [(run.name, run.journal.curve(), run.accuracy) for run in runs])
        apart(below, first, others)
        for axes in (above, below):
            axes.grid(alpha=0.3, linewidth=0.5)
            axes.spines[["top", "right"]].set_visible(False)
            if lost:
                axes.axvspan(*(step / STEPS for step in lost), color="#c4380d", alpha=0.25)
        if lost:
            place = above.get_xaxis_transform()
            said = f"SIGKILL after step {lost[1]}, resumed from step {lost[0]}"
            above.text(lost[1] / STEPS, 1.01, said, transform=place, ha="center", va="bottom")
        figure.savefig(path, dpi=120)


def apart(axes: Any, first: Outcome, others: Sequence[Outcome]) -> None:
    """Draw how far the loss at each step lies from that of the first run."""
    for place, run in enumerate(others, 1):
        curve = np.maximum(curve_apart(first, run), ZERO)
        steps = np.arange(1, 1 + curve.size) / STEPS
        axes.plot(steps, curve, color=COLORS[place], linewidth=1.2, label=run.name)
    axes.set(
        xlabel="epoch", ylabel="loss, distance from the first", yscale="log", ylim=(ZERO / 3, 10)
    )
    axes.set_yticks([ZERO, 1e-7, 1e-5, 1e-3, 1e-1], ["equal", "1e-7", "1e-5", "1e-3", "0.1"])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
