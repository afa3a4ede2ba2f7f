"""Refuse to import the kit where a package of its extra is missing."""

from __future__ import annotations

import importlib.util

NEEDED = ("hypothesis", "pytest", "scipy")

missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if missing:
    raise ImportError(
        f"keystream.testing: the extra 'testing' must be installed, got no {', '.join(missing)}. "
        "In a shell: pip install 'keystream[testing]'."
    )
