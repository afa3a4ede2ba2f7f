"""What a recording holds: which key words were really used, where, and in which program."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Frame(NamedTuple):
    """One line of a call path, in the user's code or in a library's."""

    file: str
    line: int
    function: str


class Record(NamedTuple):
    """One use of a key, or of an array of keys at once, as it happened."""

    kind: str
    """bits, split, fold_in, seed, gamma, or block: the cipher called directly."""
    impl: str
    """The implementation's name, such as threefry2x32."""
    words: np.ndarray
    """uint32 of shape (n, W): the words of each key, in C order; of a seed, those that it
    became."""
    key_shape: tuple[int, ...]
    shape: tuple[int, ...]
    """What was drawn with each key, or how many children were split off; of a block that
    has one key, the shape of its counters."""
    bit_width: int
    """Of bits; else 0."""
    data: np.ndarray | None
    """What was folded in, with the shape of the keys; the seeds; the counters of blocks,
    high word and low word in the last axis."""
    path: tuple[Frame, ...]
    """The call path, outermost first: the frames of the caller as they stood when it
    happened, then those that were traced. Frames of JAX's machinery are left out."""
    program: int
    """Which execution of a compiled program it belongs to, as far as can be told, from 1 on;
    0 for what wasn't compiled."""
    shard: int | None
    """Which partition, inside a body that is mapped over all axes of a mesh."""
    thread: int
    """The identifier of the Python thread that launched it, as far as can be told."""


REPLAY = Frame("<jax>", 0, "checkpoint: the replay in a backward pass")
LANES_WAIT = Frame("<jax>", 0, "while: a loop whose lanes wait for each other")
BACKWARD = Frame("<jax>", 0, "gradient: its backward pass")
"""Marks in a path, where JAX runs a user's line in a way that its position can't tell: what
a rematerialized function draws again, and loops in which lanes that are done go on with what
they had."""
