"""Run the simulation in several processes joined by jax.distributed, beside a single one."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keystream.cli._demo.checks import Check
from keystream.cli._demo.launch import free_port, job, run_together
from keystream.cli._demo.options import MOST_DEVICES
from keystream.cli._demo.records import Outcome, gather
from keystream.cli._demo.resume import check_near, check_none_twice, check_same_keys
from keystream.cli._demo.worker import BATCHES


class Runs(NamedTuple):
    """The same program on the same number of devices, of one process and of several."""

    alone: Outcome
    joined: Outcome


def simulate_all(
    folder: Path, options: argparse.Namespace, *, tick: Callable[[int], Any] = lambda _: None
) -> Runs:
    """Simulate in one process, and then in several that are joined on loopback."""
    count = options.processes
    alone = job("the run in one process", folder / "alone", options, devices=MOST_DEVICES)
    port = free_port()
    joined = [
        job(
            f"process {index} of {count}",
            folder / "joined",
            options,
            devices=MOST_DEVICES // count,
            processes=count,
            process=index,
            port=port,
        )
        for index in range(count)
    ]
    run_together([alone], tick=tick)
    run_together(joined, tick=tick)
    many = f"{count} process{'es' * (count > 1)} of {MOST_DEVICES // count} devices"
    return Runs(
        gather(f"1 process of {MOST_DEVICES} devices", alone.folder),
        gather(many, folder / "joined", count),
    )


def all_checks(runs: Runs) -> list[Check]:
    """Return every check, in the order in which they are told."""
    alone, joined = runs
    return [
        check_same_keys(alone, joined, claim="ks.sample(out_sharding): the same key for each path"),
        check_own_part(joined),
        check_none_twice([joined]),
        check_near(alone, joined, claim="payoffs and estimates"),
        check_agree(joined),
    ]


def check_own_part(joined: Outcome) -> Check:
    """Check that each process drew as many paths as the others: its own, and no more."""
    drawn = np.bincount(joined.owners, minlength=len(joined.sums))
    claim = "each process draws its own part of the paths"
    return Check(claim, len(set(drawn.tolist())) == 1, " + ".join(f"{n:,}" for n in drawn))


def check_agree(joined: Outcome) -> Check:
    """Check that all processes have the same estimate after each batch, bit for bit."""
    versions = len(np.unique(joined.sums, axis=0))
    found = f"{versions} version{'s' * (versions > 1)}"
    return Check("estimates: the same bits in all processes", versions == 1, found)


def play(options: argparse.Namespace) -> tuple[list[str], list[Check]]:
    """Simulate, draw the picture, and return what is told."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    from keystream.cli._demo import pictures  # noqa: PLC0415 - likewise

    total = BATCHES * (1 + options.processes)
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=total, unit="batch", leave=False, desc="in one process, in several") as bar,
    ):
        runs = simulate_all(Path(folder), options, tick=bar.update)
    pictures.draw_estimates(options.out, "One process and several", runs)
    lines = [f"{'run':32}  paths   estimate"]
    for run in runs:
        mean, half = run.intervals[-1]
        lines.append(f"{run.name:32}{len(run.words):7,}   {mean:.4f} ± {half:.4f}")
    return lines, all_checks(runs)
