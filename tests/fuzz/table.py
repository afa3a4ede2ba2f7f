"""One row for each public callable: how it is called, with what, and what must come.

A new public function is fuzzed by adding a row. `{options}` stands for some of the keyword
arguments; a row without contexts of its own is tried everywhere.
"""

from __future__ import annotations

from tests.fuzz import rows_host, rows_interop, rows_items, rows_keys, rows_runs, rows_streams
from tests.fuzz.row import Row

ROWS: tuple[Row, ...] = (
    *rows_keys.ROWS,
    *rows_streams.ROWS,
    *rows_items.ROWS,
    *rows_runs.ROWS,
    *rows_host.ROWS,
    *rows_interop.ROWS,
)
