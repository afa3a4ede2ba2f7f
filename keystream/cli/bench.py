"""Time keys and draws: stock JAX, accelerated, NumPy and other libraries, side by side.

Everything is measured in one run, and told as ratios with their spread: first what is gained,
then what should be reached beside what was measured, then each case. Nothing is judged: the
exit status is 0 also where a row isn't reached.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keystream as ks
from keystream.cli._bench import (
    draws,
    eager,
    eagerly,
    floors,
    gains,
    helpers,
    machine,
    meshes,
    orders,
    reach,
    samplers,
    table,
    whole,
)
from keystream.cli._bench.contest import QUICK, Effort
from keystream.cli._bench.result import Result, Task, to_json
from keystream.cli._inputs import bad_value, output_file
from keystream.cli._style import FORMATS

CASES: Mapping[str, tuple[str, Callable[[Effort], list[Task]]]] = {
    "a": ("1,000 normals in eager code", draws.few),
    "b": ("many normals: lanes, one bulk draw, NumPy; with bytes at the peak", draws.many),
    "c": ("samplers, stock against accelerated, with seconds to compile", samplers.tasks),
    "d": ("keys in eager code, and the first key of a process", eager.tasks),
    "e": ("helpers under jit beside the form written by hand", helpers.tasks),
    "f": ("draws on simulated devices", meshes.tasks),
    "g": ("beside the floor, a constant fill, and NumPy", floors.floor),
    "h": ("noise: the same function compiled twice", floors.noise),
    "i": ("places in a random order, and all of them beside a permutation", orders.tasks),
    "j": ("helpers in eager loops beside the form written by hand", eagerly.tasks),
    "k": ("whole processes: a program alone, and under run --accelerate", whole.tasks),
}
DRAWN = "cd"
"""The cases of which there is a picture."""
FORMAT = 1
"""Of the JSON document."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    told = "; ".join(f"{letter}: {title}" for letter, (title, _) in CASES.items())
    parser.epilog = (
        f"Cases: {told}. About ten minutes in all. Exit status 0 also where something "
        "isn't reached: times belong to the machine."
    )
    parser.add_argument(
        "--only",
        type=letters,
        default=tuple(CASES),
        metavar="a,c",
        help="the cases to measure (default: all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few repetitions: for a look"
    )
    parser.add_argument(
        "--json",
        type=output_file("--json bench.json", (".json",)),
        metavar="FILE",
        help="where to write every number",
    )
    parser.add_argument(
        "--plot",
        type=output_file("--plot bench.png", FORMATS),
        metavar="FILE",
        help="where to write a picture",
    )


def letters(text: str) -> tuple[str, ...]:
    """Read `a,c`: cases, in their own order."""
    words = [word.strip() for word in text.split(",")]
    if any(len(word) != 1 or word not in CASES for word in words) or len(set(words)) < len(words):
        rule = f"be different letters out of {', '.join(CASES)}"
        raise bad_value(text, rule, "For example: --only a,c")
    return tuple(sorted(words))


def conflict(options: argparse.Namespace) -> str | None:
    """Say what is wrong with options that are each right, or None."""
    if options.plot and not set(DRAWN) & set(options.only):
        chosen = ",".join(options.only)
        return (
            f"--plot must come with one of the cases {', '.join(DRAWN)}, got --only {chosen}. "
            f"For example: --only {','.join(sorted((*options.only, DRAWN[0])))}"
        )
    return None


def run(options: argparse.Namespace) -> int:
    """Measure and tell; return 0, or 2 if it can't begin."""
    if wrong := conflict(options):
        print(f"bench: {wrong}", file=sys.stderr)
        return 2
    if options.plot and not importlib.util.find_spec("matplotlib"):
        needs = "matplotlib must be installed for --plot. pip install 'keystream[bench]'"
        print(f"bench: {needs}", file=sys.stderr)
        return 2
    begin = time.monotonic()
    belongs = {
        "machine": machine.machine(),
        "versions": machine.versions(),
        "settings": machine.settings(),
    }
    results = list[Result]()
    told = list[str]()
    for letter in options.only:
        found, lines = measure(letter, QUICK if options.quick else Effort())
        results += found
        told += lines
    rows = reach.rows(results)
    print("\n".join([*gained(results, belongs), "", "reach", *table.reach_lines(rows), *told, ""]))
    print("\n".join([*introduction(belongs), "", f"took {time.monotonic() - begin:.0f} s"]))
    if options.json:
        write(options.json, document(belongs, options, results, rows))
    if options.plot:
        draw_picture(options.plot, results, belongs)
    return 0


def introduction(belongs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what the numbers belong to, and what is left out."""
    lines = []
    for part in ("machine", "versions"):
        lines += [part, *(f"  {name:24}{value}" for name, value in belongs[part].items())]
    lines += ["settings", *(f"  {odd}" for odd in machine.unusual() or ["all are usual"])]
    works = ks.accelerate(True)
    ks.accelerate(False)
    if not works:
        lines.append("accelerated is stock here: ks.accelerate can't do its work on this JAX")
    return [*lines, *eager.missing()]


def gained(results: Iterable[Result], belongs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is read first: what is gained here, and whether that can be trusted."""
    machine, load = belongs["machine"], belongs["machine"]["load at the start"]
    cores = machine["cores for this process"] or 1
    lines = [
        f"what you gain over JAX alone, on {cores} cores of {machine['cpu']}",
        *gains.lines(results),
    ]
    if load is not None and load > cores / 2:
        lines.append(f"  spoilt by other work: a load of {load:g} when this began")
    return lines


def measure(letter: str, effort: Effort) -> tuple[list[Result], list[str]]:
    """Measure a case; return what was found, and how that is told."""
    title, tasks = CASES[letter]
    begin = time.monotonic()
    print(f"bench: measuring ({letter}) {title}", file=sys.stderr, flush=True)
    found = [task.run() for task in each_in_turn(tasks(effort), "contest")]
    head = f"({letter}) {title}, in {time.monotonic() - begin:.0f} s"
    return found, ["", head, *table.lines(letter, found)]


def each_in_turn(tasks: Sequence[Task], unit: str) -> Iterator[Task]:
    """Hand out tasks, and show how many are done and which one is running."""
    if not importlib.util.find_spec("tqdm"):
        yield from tasks
        return
    from tqdm import tqdm  # noqa: PLC0415 - an extra

    with tqdm(total=len(tasks), unit=unit, leave=False, disable=None) as bar:
        for task in tasks:
            bar.set_description(task.label)
            yield task
            bar.update()


def document(
    belongs: Mapping[str, Any],
    options: argparse.Namespace,
    results: Iterable[Result],
    rows: Iterable[reach.Row],
) -> dict[str, Any]:
    """Return everything as what `json.dumps` takes."""
    return {
        "format": FORMAT,
        **belongs,
        "options": {"only": list(options.only), "quick": options.quick},
        "results": [to_json(each) for each in results],
        "reach": [row_to_json(row) for row in rows],
    }


def row_to_json(row: reach.Row) -> dict[str, Any]:
    """Return one row as what `json.dumps` takes."""
    return {
        "need": row.need,
        "bound": str(row.bound),
        "measured": row.measured._asdict() if row.measured else None,
        "note": row.note,
        "verdict": row.verdict,
    }


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"numbers: {path}")


def draw_picture(path: Path, results: Sequence[Result], belongs: Mapping[str, Any]) -> None:
    """Write the picture; matplotlib is only loaded now."""
    from keystream.cli._bench import picture  # noqa: PLC0415 - an extra, asked for by then

    jax_version, cpu = belongs["versions"]["jax"], belongs["machine"]["cpu"]
    picture.draw(path, results, f"jax {jax_version}, {cpu}")
    print(f"picture: {path}")
