"""Draw the demo's pictures: noise by example and by place, and losses that should agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from keystream.cli._demo.checks import Run, losses_apart
from keystream.cli._demo.digits import NOISE, STEPS
from keystream.cli._demo.journal import Outcome, curve_apart
from keystream.cli._style import COLORS, STYLE

ZERO = 1e-9
"""Where no difference at all is drawn, below the smallest that there can be."""


def draw_noise(path: Path, runs: Sequence[Run], mistaken: Sequence[Run]) -> None:
    """Write the picture to a file, in the format that its name ends in."""
    curves = [smooth(run.losses) for run in (*runs, *mistaken)]
    limits = (0.8 * min(c.min() for c in curves), 1.1 * max(c.max() for c in curves))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 7.6), layout="constrained")
        parts: Any = figure.subfigures(1, 2, wspace=0.05)
        left, right = parts
        draw_column(left, "Keyed by example", runs, limits)
        draw_column(right, "By mistake: one key replicated to all devices", mistaken, limits)
        figure.savefig(path, dpi=120)


def draw_column(part: Any, title: str, runs: Sequence[Run], limits: tuple[float, float]) -> None:
    """Draw the losses of some runs, and below them the first noise of each device."""
    above, below = part.subfigures(2, 1, height_ratios=(4.6, 1))
    axes = above.subplots()
    axes.set_title(title, pad=12)
    draw_devices(axes, runs)
    axes.set_ylim(limits)
    draw_tiles(below, max(runs, key=lambda run: run.devices))


def draw_devices(axes: Any, runs: Sequence[Run]) -> None:
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


def draw_tiles(part: Any, run: Run) -> None:
    """Draw the first noise of each device as an image of 8 x 8 pixels."""
    row = np.atleast_1d(part.subplots(1, run.devices))
    for device, axes in enumerate(row):
        axes.imshow(run.tiles[device], cmap="gray", vmin=-NOISE, vmax=NOISE)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"device {device}", fontsize=9, weight="normal", pad=3)
    part.supxlabel("the first noise that each device draws", fontsize=11)


def draw_curves(
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
        draw_apart(below, first, others)
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


def draw_apart(axes: Any, first: Outcome, others: Sequence[Outcome]) -> None:
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


def smooth(losses: np.ndarray) -> np.ndarray:
    """Return the mean over an epoch up to each step, from the end of the first one on."""
    return np.convolve(losses, np.full(STEPS, 1 / STEPS), mode="valid")


def draw_losses(axes: Any, runs: Iterable[tuple[str, np.ndarray, float]]) -> None:
    """Draw a curve for each run's name, losses and accuracy, wide ones below narrow ones."""
    drawn = list(runs)
    for place, (name, losses, accuracy) in enumerate(drawn):
        curve = smooth(losses)
        axes.plot(
            np.arange(STEPS, STEPS + curve.size) / STEPS,
            curve,
            color=COLORS[place],
            marker="o" if curve.size == 1 else None,
            linewidth=1.2 + 2.2 * (len(drawn) - 1 - place),
            label=f"{name}: {accuracy:.1%}",
        )
    axes.set(ylabel="training loss, mean over an epoch", yscale="log")
    axes.legend(title="held-out digits recognized", frameon=False)
