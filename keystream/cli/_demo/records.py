"""Save where a simulation is, whole or not at all, and write down what its devices drew."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo.pricing import Drawn, count_distinct, interval

CHECKPOINT = "checkpoint.json"


class CheckpointError(Exception):
    """A checkpoint that can't be read, or that is of another simulation."""


class State(NamedTuple):
    """All that a simulation goes on from."""

    paths: ks.Stream
    """Its items are the paths' keys: its position is that of the next path."""
    counted: int = 0
    """How many paths were added up."""
    total: float = 0.0
    squares: float = 0.0

    def add(self, drawn: Drawn) -> State:
        """Return the state after some more paths."""
        new, (total, squares) = len(drawn.payoffs), np.asarray(drawn.sums).tolist()
        paths = self.paths.skip(new)
        return State(paths, self.counted + new, self.total + total, self.squares + squares)


def save(path: Path, state: State, manifest: dict[str, Any]) -> None:
    """Write a checkpoint in the place of the one before.

    Whenever the process is killed, there is a whole checkpoint at `path`: the new file gets
    that name when all of it is on the disk, in one act of the operating system.
    """
    content = state._asdict() | {"paths": ks.dumps(state.paths), "manifest": manifest}
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, key: jax.Array) -> tuple[State, dict[str, ks.Difference]]:
    """Return the state in a checkpoint, and what is different here and changes no number.

    Raises:
        CheckpointError: It isn't whole, or its paths don't have the keys below `key`.
        ks.ManifestError: Here other numbers would be drawn than before.
    """
    try:
        content = json.loads(path.read_text())
        manifest = content.pop("manifest")
        state = State(**content | {"paths": ks.loads(content["paths"])})
        wanted = ks.Stream(key).skip(state.paths.position)
        if ks.dumps(state.paths) != ks.dumps(wanted):
            raise ValueError("its paths have other keys")
    except (AttributeError, KeyError, TypeError, ValueError) as cause:
        raise CheckpointError(
            f"{path.name} must be a whole checkpoint of this simulation, got another "
            f"({type(cause).__name__}: {cause}). To begin at path 0: delete it."
        ) from cause
    return state, ks.check_manifest(manifest)


def write_batch(folder: Path, process: int, before: State, after: State, drawn: Drawn) -> None:
    """Write what this process's devices drew: not the keys that they should have used."""
    places = np.arange(len(drawn.words))
    positions = [places[shard.index[0]] for shard in drawn.words.addressable_shards]
    words, payoffs = (
        np.concatenate([np.asarray(shard.data) for shard in values.addressable_shards])
        for values in (drawn.words, drawn.payoffs)
    )
    np.savez(
        folder / f"batch-{after.counted:07}-{process}.npz",
        positions=before.paths.position + np.concatenate(positions),
        words=words,
        payoffs=payoffs,
        owners=np.full(len(words), process),
        sums=[after[1:]],
    )


@dataclass(frozen=True)
class Outcome:
    """What one simulation came to, of however many processes it was."""

    name: str
    positions: np.ndarray
    """Of each path, in the order of the batches and within one by process."""
    words: np.ndarray
    """The key that each path used."""
    payoffs: np.ndarray
    owners: np.ndarray
    """The process that drew each path."""
    sums: np.ndarray
    """(processes, batches, 3): count, sum and sum of squares, as each process has them."""

    @property
    def counts(self) -> np.ndarray:
        """Return how many paths were counted after each batch."""
        found: np.ndarray = self.sums[0, :, 0]
        return found

    @property
    def intervals(self) -> np.ndarray:
        """Return (batches, 2): the estimate, and half the width of its interval."""
        return np.array([interval(*sums) for sums in self.sums[0].tolist()])

    @property
    def distinct(self) -> list[int]:
        """Return how many different paths were drawn up to the end of each batch."""
        ends = np.linspace(0, len(self.words), len(self.counts) + 1, dtype=int)[1:]
        return [count_distinct(self.words[:end]) for end in ends.tolist()]


def gather(name: str, folder: Path, processes: int = 1) -> Outcome:
    """Return what a simulation came to; of a batch that was drawn again, the later one."""
    parts = []
    for path in sorted(folder.glob("batch-*.npz")):
        with np.load(path) as file:
            parts.append(dict(file))
    columns = {each: np.concatenate([part[each] for part in parts]) for each in parts[0]}
    columns["sums"] = columns["sums"].reshape(-1, processes, 3).swapaxes(0, 1)
    return Outcome(name, **columns)
