"""Train on real data on 1, 2, 4 and 8 simulated devices, and check who got which key.

A small network learns handwritten digits. Its input noise and dropout masks are keyed by
each example's index in the data set, so every device count trains with the same numbers.
Then the same once more with a mistake: the key replicated, and counted from 0 on each device.

With `--resume`, or with `--processes`, the same training in processes of its own: one that
is killed and started again, or several that are joined.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

import keystream as ks
from keystream.cli._demo import processes, resume
from keystream.cli._demo.checks import Check, Run, all_checks, losses_apart
from keystream.cli._demo.digits import Digits, load
from keystream.cli._demo.launch import WorkerError
from keystream.cli._demo.options import (
    DEVICES,
    EPOCHS,
    conflict,
    device_counts,
    epoch_count,
    process_count,
)
from keystream.cli._demo.training import compile_epoch, simulate_devices, train
from keystream.cli._inputs import output_file, read_seed, write_seed
from keystream.cli._style import FORMATS

EXTRAS = {"scikit-learn": "sklearn", "matplotlib": "matplotlib", "tqdm": "tqdm"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo."""
    parser.add_argument(
        "--devices",
        type=device_counts,
        metavar="1,2,4,8",
        help="numbers of simulated CPU devices to train on, one after the other",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="be killed in the middle of an epoch instead, and go on from the checkpoint",
    )
    parser.add_argument(
        "--processes",
        type=process_count,
        metavar="N",
        help="train in 1, 2 or 4 processes instead, joined by jax.distributed",
    )
    parser.add_argument(
        "--epochs",
        type=epoch_count,
        default=EPOCHS,
        metavar="N",
        help=f"passes over the data (default: {EPOCHS})",
    )
    parser.add_argument(
        "--seed", type=read_seed, default=0, metavar="S", help="an integer or a text (default: 0)"
    )
    parser.add_argument(
        "--out",
        type=output_file("--out demo.png", FORMATS),
        metavar="FILE",
        help="where to write the picture (default: keystream-demo.png, with -resume or -processes)",
    )


def run(options: argparse.Namespace) -> int:
    """Train, check and draw; return 0 if every check holds, 1 if not, 2 if it can't begin."""
    missing = [name for name, module in EXTRAS.items() if not importlib.util.find_spec(module)]
    if missing:
        needs = ", ".join(missing)
        print(f"demo: {needs} must be installed. pip install 'keystream[demo]'", file=sys.stderr)
        return 2
    if wrong := conflict(options):
        print(f"demo: {wrong}", file=sys.stderr)
        return 2
    options.out = options.out or default_picture(options)
    simulate_devices()
    digits = load()
    print(introduction(options, ks.key(options.seed), digits), flush=True)
    mode = resume if options.resume else processes if options.processes else sys.modules[__name__]
    try:
        lines, checks = mode.play(options, digits)
    except WorkerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("\n".join([*lines, "", "checked:", *map(check_line, checks)]))
    print(f"\npicture: {options.out}")
    return int(any(check.holds is False for check in checks))


def default_picture(options: argparse.Namespace) -> Path:
    """Return where the picture goes if nothing is said: each kind of demo has its own file."""
    kind = "-resume" if options.resume else "-processes" if options.processes else ""
    return Path(f"keystream-demo{kind}.png")


def play(options: argparse.Namespace, digits: Digits) -> tuple[list[str], list[Check]]:
    """Train on each device count, draw the picture, and return what is told."""
    runs, mistaken = train_all(
        ks.key(options.seed), digits, options.devices or DEVICES, options.epochs
    )
    draw_picture(options.out, runs, mistaken)
    checks = all_checks(runs, mistaken, full=options.epochs >= EPOCHS)
    return table(runs, mistaken), checks


def introduction(options: argparse.Namespace, key: jax.Array, digits: Digits) -> str:
    """Return what is printed at the start: the data, and all it takes to repeat the run."""
    total, learn, held_out = (len(x) for x in (digits.labels, digits.train, digits.held_out))
    begun = options.seed if isinstance(options.seed, int) else repr(options.seed)
    return (
        f"{total:,} handwritten digits: {learn:,} to learn from, {held_out:,} held out\n"
        f"seed {write_seed(begun)}, epochs {options.epochs}, "
        f"key {ks.fingerprint(key)}, scheme {ks.SCHEME}"
    )


def train_all(
    key: jax.Array, digits: Digits, devices: Sequence[int], epochs: int
) -> tuple[list[Run], list[Run]]:
    """Train on each device count, keyed by example and then by mistake by place."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    runs: list[Run] = []
    mistaken: list[Run] = []
    with tqdm(total=2 * len(devices) * epochs, unit="epoch", leave=False) as bar:
        for count in devices:
            bar.set_description(f"training on {count} device{'s' if count > 1 else ''}")
            program = compile_epoch(digits, count)
            for by_place, done in ((False, runs), (True, mistaken)):
                done.append(
                    train(program, key, digits, epochs=epochs, by_place=by_place, tick=bar.update)
                )
    return runs, mistaken


def table(runs: Sequence[Run], mistaken: Sequence[Run]) -> list[str]:
    """Return a line for each device count, and how far the losses lie apart."""
    lines = ["", "devices   accuracy   with the key replicated by mistake"]
    for right, wrong in zip(runs, mistaken, strict=True):
        shared = f"{wrong.shared:,} rows of noise on several devices"
        lines.append(f"{right.devices:7}   {right.accuracy:8.1%}   {wrong.accuracy:.1%}, {shared}")
    if len(runs) > 1:
        apart, worse = losses_apart(runs), losses_apart(mistaken)
        lines.append(f"losses at most {apart:.1e} apart, by mistake {worse:.1e}")
    return lines


def check_line(check: Check) -> str:
    """Return the line of a check."""
    word = {True: "ok", False: "FAILED", None: "-"}[check.holds]
    return f"  {word:6}  {check.claim} ({check.measured})"


def draw_picture(path: Path, runs: Sequence[Run], mistaken: Sequence[Run]) -> None:
    """Write the picture; matplotlib is only loaded now."""
    from keystream.cli._demo import pictures  # noqa: PLC0415 - an extra, asked for by then

    pictures.draw_noise(path, runs, mistaken)
