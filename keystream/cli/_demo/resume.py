"""Run the demo that is killed and starts again, beside one that is never killed."""

from __future__ import annotations

import argparse
import shutil
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
    check_same_state,
    count_others,
    count_repeated,
    curve_apart,
    gather,
)
from keystream.cli._demo.launch import Job, job, run_together
from keystream.cli._demo.options import EPOCHS, MOST_DEVICES
from keystream.cli._demo.worker import CHECKPOINT, EVERY

FEWER = 2
"""On how many devices the killed run goes on where there are no longer as many as before."""


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
    """The mistake: started again with weights from the checkpoint, but with new streams."""


def death(epochs: int) -> int:
    """Return the step after which the run is killed.

    It lies in the middle of an epoch, and between two checkpoints, so that steps are lost.
    """
    middle = epochs // 2 * STEPS + STEPS // 2
    return next(step for step in range(middle, middle + EVERY) if step % EVERY == EVERY // 2)


def train_all(
    folder: Path,
    options: argparse.Namespace,
    digits: Digits,
    *,
    tick: Callable[[int], Any] = lambda _: None,
) -> Runs:
    """Train in real processes: two from the start, of which one is killed, and then three more."""
    whole = job("the run never killed", folder / "whole", options, devices=MOST_DEVICES)
    killed = job(
        "the run to be killed",
        folder / "killed",
        options,
        devices=MOST_DEVICES,
        kill_after=death(options.epochs),
    )
    run_together([whole, killed], tick=tick)
    resumed = [
        job("the resumed run", folder / "again", options, devices=MOST_DEVICES),
        job(f"the run on {FEWER} devices", folder / "fewer", options, devices=FEWER),
        job("the mistaken run", folder / "forgot", options, devices=MOST_DEVICES, forget=True),
    ]
    for each in resumed:
        shutil.copy(killed.folder / CHECKPOINT, each.folder)
    run_together(resumed, tick=tick)

    def outcome(name: str, last: Job, *before: Job) -> Outcome:
        journals = [each.journal for each in (*before, last)]
        return gather(name, last.folder / CHECKPOINT, journals, digits)

    again, fewer, forgot = resumed
    return Runs(
        outcome("never killed", whole),
        outcome("killed", killed),
        outcome(f"killed, resumed on {MOST_DEVICES}", again, killed),
        outcome(f"killed, resumed on {FEWER}", fewer, killed),
        outcome("by mistake: streams not saved", forgot, killed),
    )


def steps_in_all(epochs: int) -> int:
    """Return how many steps all the runs take together."""
    died = death(epochs)
    return epochs * STEPS + died + 3 * (epochs * STEPS - died // EVERY * EVERY)


def all_checks(runs: Runs, options: argparse.Namespace) -> list[Check]:
    """Return every check, in the order in which they are told."""
    whole, _, again, fewer, forgot = runs
    drawn = [
        check_same_rows(what, whole, [again, fewer], claim="the same for every epoch and example")
        for what in ("noise", "masks")
    ]
    return [
        check_killed(runs.killed, options.epochs),
        check_same_state(
            whole, again, claim="as many devices: state bit-identical with never killed"
        ),
        check_same_curve(whole, again),
        *drawn,
        check_near(whole, fewer, claim="fewer devices: trained weights"),
        check_never_twice(runs[:4]),
        check_mistake_found(whole, forgot),
        check_learned(
            [each.accuracy for each in (whole, again, fewer)], full=options.epochs >= EPOCHS
        ),
    ]


def check_killed(killed: Outcome, epochs: int) -> Check:
    """Check that the kill came in the middle of an epoch, and cost steps."""
    done, saved = len(killed.journal.losses), killed.end.step
    holds = saved < done < epochs * STEPS and saved % STEPS != 0 and done % STEPS != 0
    where = (
        f"step {done % STEPS} of {STEPS} in epoch {done // STEPS + 1}, {done - saved} steps lost"
    )
    return Check("killed by SIGKILL in the middle of an epoch", holds, where)


def check_same_curve(whole: Outcome, again: Outcome) -> Check:
    """Check that the losses go on as if nothing had happened."""
    unlike = int((curve_apart(whole, again) != 0).sum())
    found = f"{unlike} of {len(whole.journal.losses)} differ"
    return Check("as many devices: every loss bit-identical", unlike == 0, found)


def check_mistake_found(whole: Outcome, forgot: Outcome) -> Check:
    """Check that the checks before find streams that start over after the kill."""
    rows, wrong = whole.journal.rows["noise"], forgot.journal.rows["noise"]
    unlike, twice = count_others(wrong, rows), count_repeated(wrong)
    claim = "the mistake is found: streams that weren't saved start over"
    found = f"{unlike:,} of {len(rows):,} rows of noise are others, {twice:,} drawn before"
    return Check(claim, unlike > 0, found)


def play(options: argparse.Namespace, digits: Digits) -> tuple[list[str], list[Check]]:
    """Train, draw the picture, and return what is told."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    total = steps_in_all(options.epochs)
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=total, unit="step", leave=False, desc="training in five processes") as bar,
    ):
        runs = train_all(Path(folder), options, digits, tick=bar.update)
    draw_picture(options.out, runs)
    return table(runs), all_checks(runs, options)


def table(runs: Runs) -> list[str]:
    """Return a line for each run, and what the manifest said."""
    lines = ["", f"{'run':32}devices   from step   to step   accuracy"]
    for each, devices in zip(runs, (MOST_DEVICES,) * 3 + (FEWER, MOST_DEVICES), strict=True):
        start = each.journal.notes.get("resumed_at", 0)
        done = len(each.journal.losses)
        rate = "-" if each is runs.killed else f"{each.accuracy:.1%}"
        lines.append(f"{each.name:32}{devices:7}   {start:9}   {done:7}   {rate:>8}")
    lines.append("")
    for name, (saved, now, changes) in runs.fewer.journal.notes["differences"].items():
        lines.append(f"ks.check_manifest: {name} {saved} then, {now} now, changes {changes}")
    return lines


def draw_picture(path: Path, runs: Runs) -> None:
    """Write the picture; matplotlib is only loaded now."""
    from keystream.cli._demo import pictures  # noqa: PLC0415 - an extra, asked for by then

    pictures.draw_curves(
        path,
        "Killed and resumed",
        runs.whole,
        [runs.again, runs.fewer, runs.forgot],
        lost=(runs.killed.end.step, len(runs.killed.journal.losses)),
    )
