"""All that is known of primitives: what they do to keys, or how they move them about."""

from __future__ import annotations

from keystream._audit.reading import calls, draws, loops, meshes
from keystream._audit.reading.moves import MOVES
from keystream._audit.reading.reader import Reader

RULES = {**draws.RULES, **calls.RULES, **loops.RULES, **meshes.RULES}


def reader() -> Reader:
    """Return a reader that knows all of them."""
    return Reader(RULES, MOVES)
