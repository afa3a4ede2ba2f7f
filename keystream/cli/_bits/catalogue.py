"""The table of layouts: a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax

from keystream.cli._bits import blocks


class Layout(NamedTuple):
    """One order in which programs use keys."""

    name: str
    told: str
    """What it is, in one line."""
    block: Callable[[jax.Array, int], jax.Array]
    """From a key and the number of a turn, the turn's words."""


LAYOUTS = {
    row.name: row
    for row in (
        Layout("children", "8,192 positional children at a time, in turn", blocks.children),
        Layout("named", "128 named children at a time, in turn", blocks.named),
        Layout("tree", "leaves at depths 1 to 64 of 128 trees, in turn", blocks.tree),
        Layout("carried", "key, use = split(key), 8,192 steps at a time", blocks.carried),
        Layout("stream", "the items of one stream, one after the other", blocks.stream),
        Layout("shards", "8 device shards in turn, step by step", blocks.shards),
        Layout("epochs", "epoch x step x example, as a training run goes", blocks.epochs),
        Layout("seeds", "the seeds 0, 1, 2, ..., 128 at a time, in turn", blocks.seeds),
        Layout("sparse", "seeds with at most 5 of 32 bits set, in turn", blocks.sparse),
        Layout("first", "the first draw of each of many keys", blocks.first),
        Layout("keys", "the words of keys themselves", blocks.keys),
        Layout("family", "a parent, two children, a grandchild, in turn", blocks.family),
    )
}
