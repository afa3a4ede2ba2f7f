"""State what JAX doesn't tell of its key implementations, without importing JAX."""

from __future__ import annotations

from typing import NamedTuple


class Impl(NamedTuple):
    """What keystream knows about one of JAX's key implementations."""

    words: int
    """uint32 words in one key."""
    cipher: bool = False
    """Is its block function public, so that 64-bit counters can be reached?"""
    lanes: bool = True
    """Does `vmap` over keys draw what a loop over them draws?"""
    ambient_split: bool = False
    """Is its split another function with jax_threefry_partitionable off?"""
    shards: bool = True
    """Can JAX compile it inside a body that is mapped over several devices?"""
    refused: str = ""
    """Why its keys are not accepted at all."""


KNOWN = {
    "threefry2x32": Impl(words=2, cipher=True, ambient_split=True),
    "threefry4x32": Impl(words=4),
    # lax.mulhi does not lower there ("failed to legalize", jax 0.10.2 and 0.12.0).
    "philox4x32": Impl(words=2, shards=False),
    "rbg": Impl(words=4, lanes=False, ambient_split=True),
    "unsafe_rbg": Impl(words=4, refused="unsafe_rbg folds commute and cancel"),
    "philox2x32": Impl(words=1, refused="philox2x32 keys have 32 bits, 10,000 of them collide"),
}

POSITIONS_END = 2**63
NARROW_END = 2**32
