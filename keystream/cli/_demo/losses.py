"""The look of every picture, and the curves that both of the demo's pictures have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keystream.cli._demo.digits import STEPS

COLORS = ("#0b3c5d", "#e0a100", "#c4380d", "#39c2a0")
STYLE: dict[Any, Any] = {"font.size": 11, "axes.titlesize": 14, "axes.titleweight": "bold"}


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
