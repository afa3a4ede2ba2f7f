"""Run the simulation that is killed and starts again, beside one that is never killed."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keystream.cli._demo.checks import TOLERANCE, Check
from keystream.cli._demo.launch import job, run_together
from keystream.cli._demo.options import MOST_DEVICES
from keystream.cli._demo.pricing import PATHS
from keystream.cli._demo.records import Outcome, gather
from keystream.cli._demo.worker import BATCHES, RESUMED

FEWER = 2
"""On how many devices the killed run goes on where there are no longer as many as before."""

DEATH = BATCHES // 2
"""The batch in which the run is killed, drawn but not yet saved."""


class Runs(NamedTuple):
    """A run that was never killed, and what became of the one that was."""

    whole: Outcome
    killed: Outcome
    """Up to its death."""
    again: Outcome
    """Killed, and started again on as many devices."""
    fewer: Outcome
    """Killed, and started again on fewer devices."""
    forgot: Outcome
    """The mistake: started again with the sums of the checkpoint, but at path 0."""
    resumed: dict[str, Any]
    """Where the run on fewer devices went on, and what the manifest said."""


def simulate_all(
    folder: Path, options: argparse.Namespace, *, tick: Callable[[int], Any] = lambda _: None
) -> Runs:
    """Simulate in real processes: two from the start, one of them killed, and then three more."""
    whole = job("the run never killed", folder / "whole", options, devices=MOST_DEVICES)
    killed = job(
        "the run to be killed", folder / "killed", options, devices=MOST_DEVICES, kill_in=DEATH
    )
    run_together([whole, killed], tick=tick)
    again, fewer, forgot = (folder / name for name in ("again", "fewer", "forgot"))
    for each in (again, fewer, forgot):
        shutil.copytree(killed.folder, each)
    run_together(
        [
            job("the resumed run", again, options, devices=MOST_DEVICES),
            job(f"the run on {FEWER} devices", fewer, options, devices=FEWER),
            job("the mistaken run", forgot, options, devices=MOST_DEVICES, forget=True),
        ],
        tick=tick,
    )
    return Runs(
        gather("never killed", whole.folder),
        gather("killed", killed.folder),
        gather(f"killed, resumed on {MOST_DEVICES}", again),
        gather(f"killed, resumed on {FEWER}", fewer),
        gather("by mistake: position not saved", forgot),
        json.loads((fewer / RESUMED).read_text()),
    )


def all_checks(runs: Runs) -> list[Check]:
    """Return every check, in the order in which they are told."""
    whole, killed, again, fewer, forgot, resumed = runs
    lost = int(killed.counts[-1]) - resumed["position"]
    where = f"in batch {len(killed.counts)} of {BATCHES}, {lost:,} paths lost"
    died = lost == PATHS and len(killed.counts) < len(whole.counts)
    return [
        Check("killed by SIGKILL after a batch was drawn and before it was saved", died, where),
        check_same_bits(whole, again),
        check_same_keys(whole, fewer, claim="fewer devices: the same key for each path"),
        check_near(whole, fewer, claim="fewer devices: payoffs and estimates"),
        check_none_twice([whole, again, fewer]),
        check_mistake_found(forgot),
    ]


def check_same_bits(whole: Outcome, again: Outcome) -> Check:
    """Check that the run on as many devices is that which was never killed, bit for bit."""
    names = ("positions", "words", "payoffs", "sums")
    unlike = [n for n in names if not np.array_equal(getattr(whole, n), getattr(again, n))]
    found = f"{', '.join(unlike)} differ" if unlike else f"{', '.join(names)} equal"
    claim = "as many devices: bit-identical with never killed"
    return Check(claim, not unlike, found)


def check_same_keys(first: Outcome, other: Outcome, *, claim: str) -> Check:
    """Check that every path of a run has the key that it has in the other."""
    same = np.array_equal(first.positions, other.positions)
    unlike = int((first.words != other.words).any(axis=1).sum()) if same else len(first.words)
    return Check(claim, not unlike, f"{unlike:,} of {len(first.words):,} are others")


def check_near(first: Outcome, other: Outcome, *, claim: str) -> Check:
    """Check that two runs paid the same, to last digits."""
    claim = f"{claim}: the same to {TOLERANCE:g}"
    pairs = [(first.payoffs, other.payoffs), (first.intervals, other.intervals)]
    if any(one.shape != two.shape for one, two in pairs):
        return Check(claim, False, "not as many")
    apart = max(float(np.max(np.abs(one - two))) for one, two in pairs)
    return Check(claim, apart <= TOLERANCE, f"at most {apart:.1e} apart")


def check_none_twice(runs: list[Outcome]) -> Check:
    """Check that no run counts a path twice."""
    twice = sum(len(run.words) - run.distinct[-1] for run in runs)
    return Check("no path is counted twice", twice == 0, f"{twice:,} are")


def check_mistake_found(forgot: Outcome) -> Check:
    """Check that paths which are counted twice show in the keys, where the position is lost."""
    twice = len(forgot.words) - forgot.distinct[-1]
    claim = "the mistake: without its position the run counts the first paths again"
    found = f"{twice:,} of {len(forgot.words):,} are counted twice"
    return Check(claim, twice == DEATH * PATHS, found)


def play(options: argparse.Namespace) -> tuple[list[str], list[Check]]:
    """Simulate, draw the picture, and return what is told."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    from keystream.cli._demo import pictures  # noqa: PLC0415 - likewise

    total = BATCHES + DEATH + 1 + 3 * (BATCHES - DEATH - 1)
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=total, unit="batch", leave=False, desc="simulating in five processes") as bar,
    ):
        runs = simulate_all(Path(folder), options, tick=bar.update)
    shown = [runs.whole, runs.again, runs.fewer, runs.forgot]
    pictures.draw_estimates(options.out, "Killed and resumed", shown, killed=DEATH * PATHS)
    return table(runs), all_checks(runs)


def table(runs: Runs) -> list[str]:
    """Return a line for each run, and what the manifest said."""
    lines = [f"{'run':32}devices     paths   different   estimate"]
    devices = (MOST_DEVICES, MOST_DEVICES, MOST_DEVICES, FEWER, MOST_DEVICES)
    for run, count in zip(runs[:5], devices, strict=True):
        mean, half = run.intervals[-1]
        paths = f"{len(run.words):7,}   {run.distinct[-1]:9,}"
        lines.append(f"{run.name:32}{count:7}   {paths}   {mean:.4f} ± {half:.4f}")
    lines.append("")
    for name, (saved, now, changes) in runs.resumed["differences"].items():
        lines.append(f"ks.check_manifest: {name} {saved} then, {now} now, changes {changes}")
    return lines
