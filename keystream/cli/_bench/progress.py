"""A progress bar, where tqdm is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence

from keystream.cli._bench.result import Task


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
