"""The demo's picture: noise keyed by example beside noise from a replicated key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from keystream.cli._demo.checks import losses_apart
from keystream.cli._demo.digits import NOISE
from keystream.cli._demo.evidence import Run
from keystream.cli._demo.losses import STYLE, draw_losses, smooth


def draw(path: Path, runs: Sequence[Run], mistaken: Sequence[Run]) -> None:
    """Write the picture to a file, in the format that its name ends in."""
    curves = [smooth(run.losses) for run in (*runs, *mistaken)]
    limits = (0.8 * min(c.min() for c in curves), 1.1 * max(c.max() for c in curves))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 7.6), layout="constrained")
        parts: Any = figure.subfigures(1, 2, wspace=0.05)
        left, right = parts
        column(left, "Keyed by example", runs, limits)
        column(right, "By mistake: one key replicated to all devices", mistaken, limits)
        figure.savefig(path, dpi=120)


def column(part: Any, title: str, runs: Sequence[Run], limits: tuple[float, float]) -> None:
    """Draw the losses of some runs, and below them the first noise of each device."""
    above, below = part.subfigures(2, 1, height_ratios=(4.6, 1))
    axes = above.subplots()
    axes.set_title(title, pad=12)
    losses(axes, runs)
    axes.set_ylim(limits)
    tiles(below, max(runs, key=lambda run: run.devices))


def losses(axes: Any, runs: Sequence[Run]) -> None:
    """Draw one curve for each device count, and how far they lie apart."""
    names = [f"{run.devices} device{'s' if run.devices > 1 else ''}" for run in runs]
    draw_losses(axes, [(n, run.losses, run.accuracy) for n, run in zip(names, runs, strict=True)])
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if len(runs) > 1:
        apart = f"at most {losses_apart(runs):.1g} apart at any step"
        axes.text(0.02, 0.03, apart, transform=axes.transAxes, weight="bold")


def tiles(part: Any, run: Run) -> None:
    """Draw the first noise of each device as an image of 8 x 8 pixels."""
    row = np.atleast_1d(part.subplots(1, run.devices))
    for device, axes in enumerate(row):
        axes.imshow(run.tiles[device], cmap="gray", vmin=-NOISE, vmax=NOISE)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"device {device}", fontsize=9, weight="normal", pad=3)
    part.supxlabel("the first noise that each device draws", fontsize=11)
