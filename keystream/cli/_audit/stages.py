"""Show on the terminal what the audit is doing, and for how long."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator

DELAY = 1.0
"""Seconds that nobody has to be told about."""


@contextlib.contextmanager
def show_stages(first: str) -> Iterator[Callable[[str], None]]:
    """Show a stage and its seconds on the terminal; call what is yielded with the next one.

    Nobody knows beforehand how much there is to trace or to run, so there is a clock and no
    share of a whole. It is shown on standard error, if that is a terminal and tqdm is there.
    """
    if not sys.stderr.isatty() or not importlib.util.find_spec("tqdm"):
        yield lambda _: None
        return
    from tqdm import tqdm  # noqa: PLC0415 - an extra

    ended = threading.Event()
    form = "{desc}: {elapsed}"
    with tqdm(desc=first, bar_format=form, leave=False, delay=DELAY, file=sys.stderr) as bar:

        def tick() -> None:
            while not ended.wait(DELAY / 2):
                bar.update(1)

        ticking = threading.Thread(target=tick, daemon=True)
        ticking.start()
        try:
            yield lambda stage: bar.set_description_str(stage, refresh=False)
        finally:
            ended.set()
            ticking.join()
