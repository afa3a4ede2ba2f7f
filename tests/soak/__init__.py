"""Batteries of others, over every layout, for hours: `python -m tests.soak --help`.

Not in the gate. What was run stands in a journal, a line for each test, and a run that was
stopped goes on where it was. `docs/quality.md` holds the table that is made of it.
"""
