"""The public face: record what a program does with its keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystream._audit.reporting.report import Report


@contextlib.contextmanager
def recording() -> Iterator[Report]:
    """Find the key bugs of whatever runs inside a `with` block.

    Reach for it where keys meet in ways that no jaxpr shows: a Python loop around a compiled
    step, copies, files, keys that data picks. `audit` finds the others without running.

    It records at run time which key words are really used, eagerly and inside `jit`, loops,
    lanes and shards, and compares them: two uses of one key are found however it got there.

    Returns:
        A context manager. What it yields is the report, which is filled when the block ends
        and can't be asked before.

    Key use:
        None: it looks on.

    Guarantees:
        Keys and raw bits don't change; last digits of floats may. Functions that were
        compiled before are recorded too, by another executable, which is kept for the next
        recording; the first one comes back after the block. Only after the first recording of
        a process JAX compiles once more what it had compiled before. What was compiled ahead
        of time can't be recorded: `report.unseen` names it. The whole process is recorded, all
        of its threads. A draw inside `jit` that nobody needs isn't made, and isn't recorded. A
        branch of a `cond` under `vmap` is run whether it is taken or not.

    Raises:
        RecordingError: The report is asked inside the block, or this version of JAX doesn't
            let itself be recorded.

    Example:
        >>> import jax, keystream as ks
        >>> step = jax.jit(jax.random.normal)
        >>> with ks.recording() as report:
        ...     total = sum(step(ks.key(42)) for _ in range(3))
        >>> [finding.rule for finding in report.findings]
        ['KS07']
    """
    # The audit is half of keystream's modules, and most programs never ask for it.
    from keystream._audit.span import spanned  # noqa: PLC0415

    with spanned("recording") as report:
        yield report
