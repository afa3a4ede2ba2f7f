"""Give a new process an environment in which it imports this keystream."""

from __future__ import annotations

import os
from pathlib import Path

import keystream as ks


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that imports this keystream, wherever it runs."""
    root = str(Path(ks.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more
