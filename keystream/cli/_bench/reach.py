"""Compare what was measured with the bounds that should be reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from keystream.cli._bench import draws, eager, eagerly, floors, helpers, orders, samplers, whole
from keystream.cli._bench.build import ACCELERATED, STOCK
from keystream.cli._bench.catalogue import MANY, MOST, NAMES, SIZES
from keystream.cli._bench.contest import Spread
from keystream.cli._bench.makers import ITERATOR, SPLIT
from keystream.cli._bench.result import Result

REACHED, MISSED, UNKNOWN = "reached", "not reached", "not measured"
ALONE = (*whole.NAMES, "randint", "gumbel", "exponential")
FASTER = f"{STOCK} / {ACCELERATED}"

Found = Mapping[tuple[str, str, int], Result]


class Bound(NamedTuple):
    """Where a number has to lie."""

    least: float = 0.0
    most: float = math.inf

    def __str__(self) -> str:
        if self.most == math.inf:
            return f"at least {self.least:g}"
        return f"{self.least:g} to {self.most:g}" if self.least else f"at most {self.most:g}"


class Row(NamedTuple):
    """One line of the table."""

    need: str
    bound: Bound
    measured: Spread | None
    """None where nothing was measured."""
    note: str = ""
    full: bool = True
    """Was all of it measured?"""

    @property
    def verdict(self) -> str:
        """Return whether it is reached, if all that it speaks of was measured."""
        if self.measured is None or not self.full:
            return UNKNOWN
        inside = self.bound.least <= self.measured.median <= self.bound.most
        return REACHED if inside else MISSED


def rows(results: Iterable[Result]) -> list[Row]:
    """Return every row, measured or not."""
    found = {(each.case, each.what, each.size): each for each in results}
    return [
        together(found, samplers.CASE, FASTER, 4.5),
        *(alone(found, name) for name in ALONE),
        *worst(found),
        *floor(found),
        _one(
            "ks.iter_keys against key, use = split(key), settled",
            Bound(20),
            _at(found, eager.CASE, eager.STEADY, 10_000),
            f"{SPLIT} / {ITERATOR}",
        ),
        _one(
            "ks.split(key, 3) against jax.random.split(key, 3), eager",
            Bound(4),
            _at(found, eager.CASE, eager.THREE, 3),
            f"{eager.BY_JAX} / {eager.BY_KS}",
        ),
        _one(
            f"{orders.PERMUTATION} / {orders.PLACES} of all, 2**20",
            Bound(1),
            _at(found, orders.CASE, orders.WHOLE, orders.ALL),
            f"{orders.PERMUTATION} / {orders.PLACES}",
        ),
        by_hand(found),
        *lanes(found),
        *called_eagerly(found),
        together(found, whole.CASE, whole.FASTER, 8),
        _one(
            f"{whole.FASTER}: bernoulli of 2**24",
            Bound(12),
            _at(found, whole.CASE, "bernoulli", MOST),
            whole.FASTER,
        ),
    ]


def together(found: Found, case: str, pair: str, least: float) -> Row:
    """Return the row of a geometric mean; its quartiles are means of quartiles."""
    keys = [(case, name, size) for name in whole.NAMES for size in (MANY, MOST)]
    ratios = [found[key].ratios[pair] for key in keys if key in found]
    need = f"{pair}: geometric mean over {', '.join(whole.NAMES)} at 10**6 and 2**24"
    full = len(ratios) == len(keys)
    note = "" if full else f"{len(ratios)} of {len(keys)} cases"
    return Row(need, Bound(least), geometric_mean(ratios) if ratios else None, note, full)


def geometric_mean(ratios: Sequence[Spread]) -> Spread:
    """Return the geometric means of medians and of quartiles."""
    middle, low, high = (
        math.exp(sum(math.log(each[place]) for each in ratios) / len(ratios)) for place in range(3)
    )
    return Spread(middle, low, high, min(each.number for each in ratios))


def alone(found: Found, name: str) -> Row:
    """Return the row of one sampler."""
    return _one(
        f"{FASTER}: {name} at 10**6", Bound(2), _at(found, samplers.CASE, name, MANY), FASTER
    )


def worst(found: Found) -> Iterator[Row]:
    """Return the rows of the worst case and size, by run time and by compile time."""
    cases = [each for each in found.values() if each.case == samplers.CASE]
    total = len(NAMES) * len(SIZES)
    looks: list[tuple[str, float, Callable[[Result], Spread]]] = [
        ("run", samplers.LEAST_RUN, lambda each: each.ratios[FASTER]),
        ("compile", samplers.LEAST_COMPILE, compiling),
    ]
    for what, least, look in looks:
        need = f"{FASTER}: the worst {what} time of all cases and sizes from 1 to 2**24"
        if not cases:
            yield Row(need, Bound(least), None)
            continue
        last = min(cases, key=lambda each: look(each).median)
        note = f"{last.what} {last.size:,}, of {len(cases)} cases of {total}"
        yield Row(need, Bound(least), look(last), note, len(cases) == total)


def compiling(each: Result) -> Spread:
    """Return the ratio of compile times: bests of three, which have no spread."""
    value = each.facts[f"compile: {FASTER}"]
    assert isinstance(value, float)
    return Spread(value, value, value, 1)


def floor(found: Found) -> Iterator[Row]:
    """Return the rows beside a constant fill, and beside NumPy."""
    for what, name, least in (
        ("bits", floors.FLOOR, 0.6),
        ("normal", floors.NUMPY, 2),
        ("uniform", floors.NUMPY, 1.2),
    ):
        pair = f"{name} / {ACCELERATED}"
        yield _one(f"2**24 {what}: {pair}", Bound(least), _at(found, "g", what, MOST), pair)


def by_hand(found: Found) -> Row:
    """Return the row of helpers under `jit`: the ratio that is farthest from one."""
    cases = [each for each in found.values() if each.case == helpers.CASE]
    need = "helper under jit / written by hand: the same optimized HLO up to names, else run time"
    bound = Bound(helpers.FEWEST, helpers.MOST)
    if not cases:
        return Row(need, bound, None)
    others = [each for each in cases if not each.facts[helpers.SAME]]
    note = f"{len(cases) - len(others)} of {len(cases)} the same HLO"
    full = len(cases) == helpers.count()
    if not others:
        return Row(need, bound, Spread(1.0, 1.0, 1.0, len(cases)), note, full)
    pair = f"{helpers.HELPER} / {helpers.BY_HAND}"
    last = max(others, key=lambda each: abs(math.log(each.ratios[pair].median)))
    return Row(need, bound, last.ratios[pair], f"{note}; of the others {last.what}", full)


def lanes(found: Found) -> Iterator[Row]:
    """Return the rows of `sample` beside the bulk draw, and of its batches beside itself."""
    many = _at(found, "b", "normals", MANY)
    one, bulk = f"{draws.SAMPLE}, {ACCELERATED}", f"{draws.BULK}, {ACCELERATED}"
    yield _one(f"10**6 normals: {one} / {bulk}", Bound(most=1.4), many, f"{one} / {bulk}")
    for mode in (STOCK, ACCELERATED):
        pair = f"{draws.WINDOW}, {mode} / {draws.BULK}, {mode}"
        yield _one(f"10**6 normals: {pair}", Bound(most=1.15), many, pair)
    most = _at(found, "b", draws.IN_BATCHES, MOST)
    for batch in draws.BATCHES[MOST]:
        pair = f"{draws.batched(batch)}, {ACCELERATED} / {one}"
        yield _one(f"2**24 normals: {pair}", Bound(most=1.1), most, pair)


def called_eagerly(found: Found) -> Iterator[Row]:
    """Return the rows of helpers in eager loops: the worst of each kind."""
    cases = [each for each in found.values() if each.case == eagerly.CASE]
    pair = f"{helpers.HELPER} / {helpers.BY_HAND}"
    looks: list[tuple[str, float, bool, Callable[[Result], Spread]]] = [
        ("later than by hand, ms: of loops and batches", 1e3 * eagerly.LATER, True, _later),
        (f"{pair}: of the others", eagerly.MOST, False, lambda each: each.ratios[pair]),
    ]
    for what, most, traced, look in looks:
        chosen = [each for each in cases if (each.what in eagerly.TRACED) is traced]
        last = max(chosen, key=lambda each: look(each).median, default=None)
        need = f"helpers in eager loops, {what} the worst"
        yield Row(need, Bound(most=most), last and look(last), last.what if last else "")
    counts = [int(each.facts[eagerly.COMPILED] or 0) for each in cases]
    worst = Spread(max(counts), max(counts), max(counts), len(counts)) if counts else None
    yield Row(f"helpers in eager loops: {eagerly.COMPILED}", Bound(most=0), worst)


def _later(each: Result) -> Spread:
    """Return by how many milliseconds a helper is later than the form by hand."""
    one, other = (each.times[name] for name in (helpers.HELPER, helpers.BY_HAND))
    value = 1e3 * (one.median - other.median)
    return Spread(value, value, value, 1)


def _at(found: Found, case: str, what: str, size: int) -> Result | None:
    return found.get((case, what, size))


def _one(need: str, bound: Bound, each: Result | None, pair: str) -> Row:
    return Row(need, bound, each.ratios[pair] if each and pair in each.ratios else None)
