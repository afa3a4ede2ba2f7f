"""Price an option by simulation on 1, 2, 4 and 8 simulated devices, and check its error bars.

Each path has the key at its own position, so every device count draws the same paths. Then the
same once more with a mistake: the key replicated, and counted from 0 on each device. The paths
are then fewer than they seem, and the error bars too narrow by the root of the device count.

With `--resume`, or with `--processes`, one longer simulation in processes of its own: one that
is killed and started again, or several that are joined.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo import checks as claims
from keystream.cli._demo import processes, resume
from keystream.cli._demo.checks import Check
from keystream.cli._demo.launch import WorkerError
from keystream.cli._demo.options import (
    DEVICES,
    EXPERIMENTS,
    conflict,
    device_counts,
    experiment_count,
    process_count,
)
from keystream.cli._demo.pricing import (
    PATHS,
    STRIKE,
    Run,
    compile_mistaken,
    compile_right,
    exact_price,
    run_experiments,
    simulate_devices,
)
from keystream.cli._inputs import output_file, read_seed, write_seed
from keystream.cli._style import FORMATS

EXTRAS = {"matplotlib": "matplotlib", "tqdm": "tqdm"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo."""
    parser.add_argument(
        "--devices",
        type=device_counts,
        metavar="1,2,4,8",
        help="numbers of simulated CPU devices to run on, one after the other",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="be killed in the middle of a simulation instead, and go on from the checkpoint",
    )
    parser.add_argument(
        "--processes",
        type=process_count,
        metavar="N",
        help="simulate in 1, 2 or 4 processes instead, joined by jax.distributed",
    )
    parser.add_argument(
        "--experiments",
        type=experiment_count,
        metavar="N",
        help=f"how often {PATHS:,} paths are drawn with new keys (default: {EXPERIMENTS})",
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
    """Simulate, check and draw; return 0 if every check holds, 1 if not, 2 if it can't begin."""
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
    print(introduction(options), flush=True)
    mode = resume if options.resume else processes if options.processes else sys.modules[__name__]
    try:
        lines, checks = mode.play(options)
    except WorkerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("\n".join(["", *lines, "", "checked:", *map(check_line, checks)]))
    print(f"\npicture: {options.out}")
    return int(any(check.holds is False for check in checks))


def default_picture(options: argparse.Namespace) -> Path:
    """Return where the picture goes if nothing is said: each kind of demo has its own file."""
    kind = "-resume" if options.resume else "-processes" if options.processes else ""
    return Path(f"keystream-demo{kind}.png")


def introduction(options: argparse.Namespace) -> str:
    """Return what is printed at the start: the task, and all it takes to repeat the run."""
    begun = options.seed if isinstance(options.seed, int) else repr(options.seed)
    return (
        f"a European call, strike {STRIKE:g}: {exact_price():.4f} by the formula of Black and "
        f"Scholes\nseed {write_seed(begun)}, key {ks.fingerprint(ks.key(options.seed))}, "
        f"scheme {ks.SCHEME}"
    )


def play(options: argparse.Namespace) -> tuple[list[str], list[Check]]:
    """Simulate on each device count, draw the picture, and return what is told."""
    from keystream.cli._demo import pictures  # noqa: PLC0415 - an extra, asked for by then

    key = ks.key(options.seed)
    devices = options.devices or DEVICES
    runs, mistaken = simulate_all(key, devices, options.experiments or EXPERIMENTS)
    pictures.draw_intervals(options.out, runs, mistaken)
    return table(runs, mistaken), all_checks(key, runs, mistaken)


def simulate_all(
    key: jax.Array, devices: Sequence[int], experiments: int
) -> tuple[list[Run], list[Run]]:
    """Repeat the experiment on each device count, keyed by path and then by mistake."""
    from tqdm import tqdm  # noqa: PLC0415 - an extra, asked for by then

    runs: list[Run] = []
    mistaken: list[Run] = []
    with tqdm(total=2 * len(devices) * experiments, unit="experiment", leave=False) as bar:
        for count in devices:
            bar.set_description(f"simulating on {count} device{'s' if count > 1 else ''}")
            for compiled, done in ((compile_right, runs), (compile_mistaken, mistaken)):
                done.append(
                    run_experiments(compiled(count), key, count, experiments, tick=bar.update)
                )
    return runs, mistaken


def table(runs: Sequence[Run], mistaken: Sequence[Run]) -> list[str]:
    """Return a line for each device count: an estimate, and how often its interval is right."""
    lines = [
        f"{len(runs[0].estimates)} experiments of {PATHS:,} paths, each with a 95 % interval",
        "",
        f"{'':10}{'key by path':27}by mistake: key replicated, each device counts from 0",
        "devices   the first       hold it   the first       hold it   different paths",
    ]
    for pair in zip(runs, mistaken, strict=True):
        told = [f"{write_estimate(*run.estimates[0])}   {run.hits.mean():7.1%}" for run in pair]
        distinct = pair[1].distinct // len(pair[1].estimates)
        lines.append(f"{pair[0].devices:7}   {'   '.join(told)}   {distinct:15,}")
    return lines


def write_estimate(mean: float, half: float) -> str:
    """Return an estimate with its error bar."""
    return f"{mean:6.3f} ± {half:.3f}"


def all_checks(key: jax.Array, runs: Sequence[Run], mistaken: Sequence[Run]) -> list[Check]:
    """Return every check, in the order in which they are told."""
    devices = max(run.devices for run in runs)
    right = compile_right(devices)
    first, rest = (np.asarray(right(key, start).words) for start in (0, PATHS))
    whole = np.asarray(compile_right(devices, 2 * PATHS)(key, 0).words)
    found, found_by_mistake = (
        [finding.rule for finding in ks.audit(program, key, 0).findings]
        for program in (right, compile_mistaken(devices))
    )
    return [
        claims.check_same_keys(runs),
        claims.check_same_payoffs(runs),
        claims.check_distinct(runs),
        claims.check_prefix(first, rest, whole),
        claims.check_names(ks.split(key, ("call",)), ks.split(key, ("put", "call"))),
        claims.check_coverage(runs),
        claims.check_repeated(mistaken),
        claims.check_too_narrow(mistaken),
        claims.check_audit(found, found_by_mistake, devices),
    ]


def check_line(check: Check) -> str:
    """Return the line of a check."""
    word = {True: "ok", False: "FAILED", None: "-"}[check.holds]
    return f"  {word:6}  {check.claim} ({check.measured})"
