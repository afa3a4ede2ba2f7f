"""KS10: keys that are handed back although their numbers were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from keystream._audit.files import installed
from keystream._audit.judging.taken import Seen, Taken, View
from keystream._audit.judging.wording import Findings
from keystream._audit.reading.lineage import CHILD, SAME, SPLIT, Lineage
from keystream._audit.reading.whole import Whole


def look(whole: Whole, view: View, findings: Findings) -> None:
    """Find draws that whoever gets a returned key would make again."""
    lineage = whole.reader.lineage
    handed = [*whole.returned.tolist(), *_legacy(whole, view)]
    nodes = set(lineage.nodes(np.asarray(handed, np.int64)).tolist())
    if not nodes:
        return
    for use in whole.reader.uses:
        if use.what != "draw":
            continue
        for handles in use.everywhere():
            taken = view.taken(Seen(use, int(handles[0])))
            at = _again(lineage, taken, nodes)
            if at is not None:
                _tell(lineage, view, findings, taken, at)
                break


def _again(lineage: Lineage, taken: Taken, nodes: set[Any]) -> int | None:
    """Return where on the way a returned key stands, from which on all steps are constant."""
    for place in range(len(taken.way) - 1, -1, -1):
        handle = taken.way[place]
        if int(lineage.nodes(np.asarray([handle]))[0]) in nodes:
            return place
        if lineage.step(handle).kind not in (CHILD, SPLIT, SAME):
            return None
    return None


def _tell(lineage: Lineage, view: View, findings: Findings, taken: Taken, at: int) -> None:
    steps = [lineage.step(each) for each in taken.way[at + 1 :]]
    # Who folds a key may want other children of it next time; a library that was handed it
    # will fold the same again.
    folded = bool(steps) and steps[0].what != "split"
    if folded:
        frames = view.call(steps[0].where).frames
        folded = not (frames and installed(frames[-1][0]))
    findings.add(
        "KS10",
        [taken],
        taken.way[: at + 1],
        steps=tuple(steps[:1]),
        severity="warning" if folded else None,
    )


def _legacy(whole: Whole, view: View) -> list[int]:
    """Return the keys of which words are returned because the whole program has no others."""
    lineage = whole.reader.lineage
    found = []
    for handle in whole.shown.tolist():
        root = lineage.step(lineage.way(handle)[0])
        made = view.call(root.where).function if root.where is not None else ""
        if made.endswith("PRNGKey") or root.what.endswith(", if it is a key"):
            found.append(handle)
    return found
