"""What was run, a line of JSON for each test, so that a run which was stopped goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.soak.plan import Unit, failed, worst


@dataclass(frozen=True)
class Entry:
    """What came of one test, and of its repetitions on fresh keys if there were any."""

    battery: str
    layout: str
    reverse: bool
    seed: int
    test: str
    bytes: int
    """In all, the repetitions too."""
    found: list[tuple[str, float]]
    again: list[list[tuple[str, float]]]
    date: str
    versions: str

    @property
    def unit(self) -> Unit:
        """What it is an outcome of."""
        return Unit(self.battery, self.layout, self.reverse, self.seed, self.test)

    @property
    def worst(self) -> float:
        """The rarest p-value of the first key."""
        return worst(self.found)

    @property
    def failed(self) -> list[str]:
        """The statistics that failed on three keys."""
        return failed(self.found, self.again)


def append(path: Path, entry: Entry) -> None:
    """Write one line."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(entry)) + "\n")


def load(path: Path) -> list[Entry]:
    """Return the entries; a last line that a kill cut short is taken away."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [_entry(json.loads(line)) for line in whole.splitlines()]


def _entry(line: dict) -> Entry:
    pairs = lambda rows: [(name, p) for name, p in rows]
    again = [pairs(rows) for rows in line.pop("again")]
    return Entry(found=pairs(line.pop("found")), again=again, **line)
