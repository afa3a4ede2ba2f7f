"""Run the demo in several processes joined by jax.distributed, beside a single one."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from keystream.cli._demo.checks import Check, check_learned
from keystream.cli._demo.digits import STEPS, Digits
from keystream.cli._demo.journal import (
    Outcome,
    check_near,
    check_never_twice,
    check_same_rows,
    gather,
)
from keystream.cli._demo.launch import Job, free_port, job, run_together
from keystream.cli._demo.options import EPOCHS, MOST_DEVICES
from keystream.cli._demo.worker import CHECKPOINT

DRAWN = {
    "keys": "ks.keys(out_sharding) the same in every process",
    "bits": "ks.sample(out_sharding) the same in every process",
    "noise": "the same for every epoch and example",
    "masks": "the same for every epoch and example",
}


class Runs(NamedTuple):
    """The same program on the same number of devices, of one process and of several."""

    alone: Outcome
    joined: Outcome


def train_all(
    folder: Path,
    options: argparse.Namespace,
    digits: Digits,
    *,
    tick: Callable[[int], Any] = lambda _: None,
) -> Runs:
    """Train in one process, and then in several that are joined on loopback."""
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

    def outcome(name: str, jobs: list[Job]) -> Outcome:
        journals = [each.journal for each in jobs]
        return gather(name, jobs[0].folder / CHECKPOINT, journals, digits)

    return Runs(
        outcome(f"1 process of {MOST_DEVICES} devices", [alone]),
        outcome(f"{count} process{'es' * (count > 1)} of {MOST_DEVICES // count} devices", joined),
    )


def all_checks(runs: Runs, options: argparse.Namespace) -> list[Check]:
    """Return every check, in the order in which they are told."""
    alone, joined = runs
    return [
        *(check_same_rows(what, alone, [joined], claim=claim) for what, claim in DRAWN.items()),
        check_never_twice([joined]),
        check_near(alone, joined, claim="trained weights"),
        check_one_copy(joined, options.processes),
        check_learned([each.accuracy for each in runs], full=options.epochs >= EPOCHS),
    ]


def check_one_copy(joined: Outcome, processes: int) -> Check:
    """Check that the devices of all processes ended with the same weights."""
    said = [joined.journal.notes.get(f"copies-{index}", []) for index in range(processes)]
    copies = {digest for digests in said for digest in digests}
    found = f"{len(copies)} version{'s' * (len(copies) != 1)}"
    claim = "trained weights: the same bits on all devices"
    return Check(claim, all(said) and len(copies) == 1, found)


def play(options: argparse.Namespace, digits: Digits) -> tuple[list[str], list[Check]]:
    """Train, draw the picture, and return what is told."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    total = options.epochs * STEPS * (1 + options.processes)
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=total, unit="step", leave=False, desc="training in one and in several") as bar,
    ):
        runs = train_all(Path(folder), options, digits, tick=bar.update)
    draw_picture(options.out, runs)
    lines = ["", f"{'run':32}accuracy", *(f"{each.name:32}{each.accuracy:8.1%}" for each in runs)]
    return lines, all_checks(runs, options)


def draw_picture(path: Path, runs: Runs) -> None:
    """Write the picture; matplotlib is only loaded now."""
    from keystream.cli._demo import pictures  # noqa: PLC0415 - an extra, asked for by then

    pictures.draw_curves(path, "One process and several", runs.alone, [runs.joined])
