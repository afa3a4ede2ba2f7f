"""How many times faster draws are after `ks.accelerate()`, over their size.

    python docs/pictures/speed.py    measure here, write speed.json, and draw it anew

The picture is drawn from `speed.json`, so that drawing it again measures nothing.
"""

from __future__ import annotations

import json
from typing import Any

import jax
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

import look
from keystream.cli._bench import machine
from keystream.cli._bench.catalogue import LANES, SIZES
from keystream.cli._bench.contest import Effort
from keystream.cli._bench.reach import FASTER
from keystream.cli._bench.samplers import measure

FILE = look.HERE / "speed.json"
SAMPLERS = ("bits", "uniform", "normal", "bernoulli", "split", LANES)
MARKERS = "osD^vX"
EFFORT = Effort(rounds=15, least=5, budget=2.0, compiles=1, quick=True)
"""Quick: a case that comes out badly isn't measured again."""


def main() -> None:
    """Measure every sampler at every size, and draw."""
    jax.config.update("jax_platforms", "cpu")
    ratios: dict[str, list[Any]] = {}
    for name in SAMPLERS:
        ratios[name] = []
        for size in SIZES:
            found = measure(name, size, EFFORT).ratios[FASTER]
            ratios[name].append([size, *(round(value, 3) for value in found[:3])])
        print(name, *(f"{size:,}: {ratio:.2f}" for size, ratio, _, _ in ratios[name]), flush=True)
    known = machine.versions()
    versions = {name: known[name] for name in ("python", "jax", "jaxlib", "numpy")}
    where = machine.machine()
    told = {name: where[name] for name in ("cpu", "cores for this process", "load at the start")}
    FILE.write_text(json.dumps({"machine": told, "versions": versions, "ratios": ratios}) + "\n")
    print(*look.write(PICTURE), sep="\n")


def data() -> Any:
    """Read what was measured: for each sampler its sizes, each with median and quartiles."""
    return json.loads(FILE.read_text())


def draw(measured: Any, theme: look.Theme) -> Figure:
    """Draw a curve for each sampler, with its quartiles."""
    figure, (axes,) = look.canvas(4.6)
    for place, (name, points) in enumerate(measured["ratios"].items()):
        sizes, medians, lows, highs = zip(*points, strict=True)
        tone = theme.series[place]
        axes.plot(sizes, medians, marker=MARKERS[place], markersize=5, color=tone, label=name)
        axes.fill_between(sizes, lows, highs, color=tone, alpha=0.15, linewidth=0)
    axes.axhline(1, color=theme.faint, linewidth=1, dashes=(4, 3))
    axes.text(
        0.99,
        0.96,
        "as fast as JAX alone",
        color=theme.faint,
        fontsize=9,
        ha="right",
        va="top",
        transform=axes.get_yaxis_transform(),
    )
    middle = [point[1] for points in measured["ratios"].values() for point in points]
    axes.set_ylim(min(0.6, 0.8 * min(middle)), 3 * max(middle))
    axes.set(xscale="log", yscale="log", xlabel="numbers drawn", ylabel="times as fast")
    axes.yaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(color=theme.faint, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper left")
    where, versions = measured["machine"], measured["versions"]
    cores = where["cores for this process"]
    load = where["load at the start"]
    machine_told = f"jax {versions['jax']} on {cores} cores, {where['cpu']}, load {load:g}"
    caption = f"{machine_told}; medians with quartiles"
    figure.supxlabel(caption, fontsize=8.5, color=theme.faint)
    return figure


PICTURE = look.Picture("speed", data, draw)

if __name__ == "__main__":
    main()
