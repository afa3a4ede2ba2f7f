"""What is run, in which order, and when a low p-value is a failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tests.soak.batteries import Battery, Found, Test

ALARM, AGAIN = 1e-4, 1e-3
"""Below the first, a test is run again on two fresh keys; it fails if the same statistic lies
below the second on both. A sound statistic fails with 1e-4 * 1e-3**2 = 1e-10."""
FRESH = (1_000_003, 2_000_003)
"""Added to a seed: the fresh keys."""


class Unit(NamedTuple):
    """One test of one battery on one stream."""

    battery: str
    layout: str
    reverse: bool
    seed: int
    test: str

    @property
    def direction(self) -> str:
        """How the bits of a word go."""
        return "reversed" if self.reverse else "forward"


def units(
    batteries: Sequence[Battery], layouts: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[Battery, int, Test, Unit]]:
    """Yield every test with its number, in an order in which each layout soon has its turn."""
    for seed in seeds:
        for battery in batteries:
            for reverse in (False, True):
                for layout in layouts:
                    for number, test in enumerate(battery.tests):
                        unit = Unit(battery.name, layout, reverse, seed, test.name)
                        yield battery, number, test, unit


def two_sided(p: float) -> float:
    """Return how rare a p-value is that lies near 0 or near 1."""
    return min(1.0, 2 * min(p, 1 - p))


def worst(found: Iterable[tuple[str, float]]) -> float:
    """Return the rarest of several p-values."""
    return min(two_sided(p) for _, p in found)


def alarmed(found: Found) -> list[str]:
    """Return the statistics that are to be computed again on fresh keys."""
    return [name for name, p in found if two_sided(p) < ALARM]


def failed(found: Found, again: Sequence[Found]) -> list[str]:
    """Return the statistics that are low on the first key and on both fresh ones."""
    low = [{name for name, p in fresh if two_sided(p) < AGAIN} for fresh in again]
    return [name for name in alarmed(found) if all(name in each for each in low)]
