"""Format results as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keystream.cli._bench import helpers, samplers
from keystream.cli._bench.build import ACCELERATED, MODES, STOCK
from keystream.cli._bench.contest import Spread
from keystream.cli._bench.reach import FASTER, UNKNOWN, Row
from keystream.cli._bench.result import Fact, Result


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with their columns below each other, the first one's to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def seconds(value: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value * 1e9)} ns"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def ratio(found: Spread) -> str:
    """Return a ratio with its quartiles, if there was more than one."""
    if found.number == 1:
        return f"{found.median:.2f}"
    return f"{found.median:.2f} ({found.low:.2f}-{found.high:.2f})"


def time(found: Spread) -> str:
    """Return a time with its quartiles, if there was more than one."""
    if found.number == 1:
        return seconds(found.median)
    return f"{seconds(found.median)} ({seconds(found.low)}-{seconds(found.high)})"


def lines(case: str, found: Sequence[Result]) -> list[str]:
    """Return what is told of one case."""
    if case == samplers.CASE:
        return sampler_lines(found)
    if case == helpers.CASE:
        return helper_lines(found)
    return [line for each in merged(found) for line in any_lines(each)]


def merged(found: Iterable[Result]) -> list[Result]:
    """Put together results that speak of the same, as the first key by everybody."""
    together: dict[tuple[str, int], Result] = {}
    for each in found:
        before = together.setdefault((each.what, each.size), each)
        if before is not each:
            together[each.what, each.size] = before._replace(
                times={**before.times, **each.times},
                ratios={**before.ratios, **each.ratios},
                facts={**before.facts, **each.facts},
            )
    return list(together.values())


def any_lines(each: Result) -> list[str]:
    """Return the times, ratios and facts of one result."""
    rows = [(name, time(spread)) for name, spread in each.times.items()]
    rows += [(name, ratio(spread)) for name, spread in each.ratios.items()]
    rows += [(name, fact(name, value)) for name, value in each.facts.items()]
    return [f"{each.what}, {each.size:,}", *aligned(rows)]


def fact(name: str, value: Fact) -> str:
    """Return what was found, in its unit."""
    if isinstance(value, float):
        return seconds(value)
    return f"{value:,}" if "bytes" in name and isinstance(value, int) else str(value)


def sampler_lines(found: Sequence[Result]) -> list[str]:
    """Return a line for each sampler and size."""
    head = ("sampler", "size", STOCK, ACCELERATED, FASTER)
    built = [f"compile: {mode}, s" for mode in MODES]
    rows = [
        (
            each.what,
            f"{each.size:,}",
            *(seconds(each.times[mode].median) for mode in MODES),
            ratio(each.ratios[FASTER]),
            *(compile_time(each, mode) for mode in MODES),
            f"{each.facts[f'compile: {FASTER}']:.2f}",
            str(each.facts["attempts"]),
        )
        for each in found
    ]
    rows.insert(0, (*head, *built, "ratio", "tries"))
    return ["lowering + compiling, the best of all; ratios with quartiles", *aligned(rows)]


def compile_time(each: Result, mode: str) -> str:
    """Return how long lowering and compiling took."""
    return f"{each.facts[f'{mode}: lowering']:.3f} + {each.facts[f'{mode}: compiling']:.3f}"


def helper_lines(found: Sequence[Result]) -> list[str]:
    """Return a line for each helper: the same program, or the ratio of run times."""
    rows = [("helper", "helper / by hand")]
    for each in found:
        same = each.facts[helpers.SAME]
        rows.append((each.what, "the same HLO" if same else ratio(*each.ratios.values())))
    return aligned(rows)


def reach_lines(rows: Sequence[Row]) -> list[str]:
    """Return two lines for each row that was measured: what is needed, and what there is."""
    told = []
    for row in rows:
        if row.measured is None or row.verdict == UNKNOWN:
            continue
        note = f" [{row.note}]" if row.note else ""
        told.append(f"  {row.verdict:13} {row.need}")
        told.append(f"  {'':13} {row.bound}, measured {ratio(row.measured)}{note}")
    return told
