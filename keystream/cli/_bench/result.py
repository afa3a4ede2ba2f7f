"""Hold the result of a case as a value, and convert it to JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from keystream.cli._bench.contest import Spread, Times, ratio, spread

Fact = float | int | bool | str | None


class Result(NamedTuple):
    """What one contest, or one look at a compiled program, came to."""

    case: str
    """The letter of the case."""
    what: str
    """Which piece of it, as `normal`."""
    size: int
    """How many numbers, keys or devices."""
    times: Mapping[str, Spread]
    """Seconds a call, or a key, by contender."""
    ratios: Mapping[str, Spread]
    """By what is divided, as `stock / accelerated`."""
    facts: Mapping[str, Fact]
    """Whatever else was found: bytes, compile times, collectives."""


class Task(NamedTuple):
    """A piece of a case that is still to be measured."""

    label: str
    run: Callable[[], Result]


def result(
    case: str,
    what: str,
    size: int,
    times: Times,
    pairs: Iterable[tuple[str, str]] = (),
    facts: Mapping[str, Fact] | None = None,
) -> Result:
    """Sum up a contest; `pairs` are the contenders to compare, the longer time first."""
    return Result(
        case,
        what,
        size,
        {name: spread(seconds) for name, seconds in times.items()},
        {f"{a} / {b}": ratio(times, a, b) for a, b in pairs if a in times and b in times},
        facts or {},
    )


def to_json(found: Result) -> dict[str, Any]:
    """Return a result as what `json.dumps` takes."""
    document = found._asdict()
    for part in ("times", "ratios"):
        document[part] = {name: each._asdict() for name, each in document[part].items()}
    return document | {"facts": dict(found.facts)}


def from_json(document: Mapping[str, Any]) -> Result:
    """Return the result that was made JSON of."""
    spreads = {
        part: {name: Spread(**each) for name, each in document[part].items()}
        for part in ("times", "ratios")
    }
    return Result(**{**document, **spreads})
