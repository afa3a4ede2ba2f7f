"""Make the files in `saved/` that must load for ever: format version 1.

    python -m tests.saving.make_saved --check   compare; exit status 1 if they differ
    python -m tests.saving.make_saved --write   write those that aren't there yet

A file never changes once it is there. Another format version gets files of its own beside
these; what its program must still read is here.
"""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path
from typing import Any

import numpy as np

import keystream as ks
from tests.saving.trees import WIDTHS, State, keys, named, stream

FOLDER = Path(__file__).with_name("saved")


def trees() -> dict[str, Any]:
    """Return what the files hold, by name."""
    one = keys("threefry2x32", (), 7)
    return {
        "key": one,
        "implementations": {impl: keys(impl, (2, 3)) for impl in WIDTHS},
        "containers": {
            "list": [one, None, []],
            "tuple": (keys("rbg", ()), (), {}),
            b"\x00\xff": keys("threefry2x32", (0,)),
            "\u9375": keys("threefry2x32", (1, 0, 2)),
            -3: None,
        },
        "streams": {
            "begun": stream(one, 0),
            "far": stream(one, 2**40 + 5),
            "last": stream(one, 2**63 - 1),
            "narrow": stream(keys("rbg", ()), 2**32 - 1),
            "lanes": stream(keys("threefry2x32", (3,)), 1, 2**32, 3),
            "none": stream(keys("threefry2x32", (0,))),
            "named": named(("a", stream(one, 4)), (b"a", stream(keys("philox4x32", ()), 5))),
        },
        "state": State(
            collections.OrderedDict(b=stream(one, 6), a=[one]), State(None, keys("rbg", (2,)))
        ),
    }


def differing() -> list[str]:
    """Return the files that don't hold what they would today, or aren't there."""
    found = []
    for name, tree in trees().items():
        text, arrays = FOLDER / f"v1-{name}.json", FOLDER / f"v1-{name}.npz"
        if not text.exists() or text.read_text() != ks.dumps(tree) + "\n":
            found.append(text.name)
        if not arrays.exists() or not _same(dict(np.load(arrays)), ks.to_words(tree)):
            found.append(arrays.name)
    return found


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return list(one) == list(other) and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def write() -> None:
    """Write the files that aren't there yet."""
    for name, tree in trees().items():
        text, arrays = FOLDER / f"v1-{name}.json", FOLDER / f"v1-{name}.npz"
        if not text.exists():
            text.write_text(ks.dumps(tree) + "\n")
        if not arrays.exists():
            np.savez(arrays, **ks.to_words(tree))


def main() -> int:
    """Write or compare, as asked for."""
    parser = argparse.ArgumentParser(description="the saved files of format version 1")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true")
    choice.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        write()
    found = differing()
    print("\n".join(found) or "as they were made")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
