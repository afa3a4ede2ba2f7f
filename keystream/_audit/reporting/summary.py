"""What is done with keys, line by line."""

from __future__ import annotations

from collections.abc import Iterator

from keystream._audit.reporting import words
from keystream._audit.values import Count

_HEAD = ("place", "draws", "bits", "splits", "folds")


class Summary(tuple[Count, ...]):
    """The counts of each source line, in the order of the source; printed as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = [_HEAD, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in rows
        )

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for count in self:
            yield words.clean(str(count.place)), *(f"{number:,}" for number in count[1:])
        yield "in all", *(f"{number:,}" for number in words.sums(self))
