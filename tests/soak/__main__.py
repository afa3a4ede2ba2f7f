"""Run batteries over the layouts, and write down what they find.

A run that is stopped goes on where it was when it is started again with the same journal.
Exit status 1 if a statistic failed on three keys, 0 if none did.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import jax
from tqdm import tqdm

import keystream as ks
from keystream.cli._bits.layouts import LAYOUTS
from tests.soak import batteries, feed, journal, plan, sources, table, testu01

EPILOG = """\
examples:
  nice -n 19 python -m tests.soak --journal soak.jsonl
  nice -n 19 python -m tests.soak --journal soak.jsonl --batteries dieharder --seeds 1,2,3
  python -m tests.soak --journal faulty.jsonl --faulty
  python -m tests.soak --journal soak.jsonl --table docs/quality.md
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=str(__doc__),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listed = lambda text: text.split(",")
    top.add_argument("--journal", type=Path, required=True, help="a file of JSON lines")
    top.add_argument("--batteries", type=listed, help="such as fips,ent (default: all there are)")
    top.add_argument("--layouts", type=listed, default=list(LAYOUTS), help="default: all")
    top.add_argument("--seeds", type=listed, default=["1"], help="such as 1,2,3 (default: 1)")
    top.add_argument("--psamples", type=int, default=20, help="of dieharder (default: 20)")
    top.add_argument("--faulty", action="store_true", help="bad generators in place of layouts")
    top.add_argument("--table", type=Path, help="write the journal's table into this page, only")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run what isn't in the journal yet, or write its table."""
    options = parser().parse_args(argv)
    if options.table:
        print(f"{table.write(options.table, journal.load(options.journal))} rows")
        return 0
    ks.accelerate()
    layouts = list(sources.FAULTY) if options.faulty else options.layouts
    wanted = [*plan.units(_batteries(options), layouts, [int(seed) for seed in options.seeds])]
    done = {entry.unit for entry in journal.load(options.journal)}
    missing = [row for row in wanted if row[3] not in done]
    with tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit="test") as bar:
        for battery, number, test, unit in missing:
            bar.set_description(f"{unit.battery} {unit.layout} {unit.direction} {unit.test}")
            entry = outcome(battery, number, test, unit)
            journal.append(options.journal, entry)
            bar.update()
            if entry.failed:
                tqdm.write(f"FAILED: {entry.unit} {', '.join(entry.failed)}")
    wrong = [entry for entry in journal.load(options.journal) if entry.failed]
    print(f"{len(wanted)} tests, {len(wrong)} in the journal failed on three keys")
    return int(bool(wrong))


def _batteries(options: argparse.Namespace) -> list[batteries.Battery]:
    """Return the batteries that were asked for, and refuse those that aren't there."""
    known = [
        batteries.fips(),
        batteries.ent(),
        *testu01.batteries(),
        batteries.dieharder(options.psamples),
    ]
    chosen = options.batteries or [each.name for each in known if each.there()]
    by_name = {each.name: each for each in known}
    for name in chosen:
        if name not in by_name or not by_name[name].there():
            there = ", ".join(each.name for each in known if each.there()) or "none"
            sys.exit(f"soak: --batteries must be on this machine, got {name!r}; there: {there}")
    return [by_name[name] for name in chosen]


def outcome(
    battery: batteries.Battery, number: int, test: batteries.Test, unit: plan.Unit
) -> journal.Entry:
    """Run one test, and once more on two fresh keys where it gives the alarm."""
    given = 0

    def found(seed: int) -> batteries.Found:
        nonlocal given
        words = sources.words(unit.layout, seed, number, reverse=unit.reverse)
        read = feed.run(test.command, words, test.most)
        given += read.bytes
        return battery.read(read.out)

    first = found(unit.seed)
    fresh = [unit.seed + more for more in plan.FRESH] if plan.alarmed(first) else []
    again = [found(seed) for seed in fresh]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return journal.Entry(
        **unit._asdict(),
        bytes=given,
        found=first,
        again=again,
        date=now,
        versions=_versions(battery),
    )


def _versions(battery: batteries.Battery) -> str:
    return f"jax {jax.__version__}, keystream {_keystream()}, {battery.version()}"


def _keystream() -> str:
    try:
        return metadata.version("keystream")
    except metadata.PackageNotFoundError:
        return f"from its source, scheme {ks.SCHEME}"


if __name__ == "__main__":
    sys.exit(main())
