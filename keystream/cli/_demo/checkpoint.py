"""Save weights, streams and the manifest in one npz file, whole or not at all, and load it."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo.digits import LAYERS, Params
from keystream.cli._demo.steps import State


class CheckpointError(Exception):
    """A checkpoint that can't be read, or that lacks something."""


def save(path: Path, state: State, manifest: dict[str, Any]) -> None:
    """Write a checkpoint in the place of the one before.

    Whenever the process is killed, there is a whole checkpoint at `path`: the new file gets
    that name when all of it is on the disk, in one act of the operating system.
    """
    arrays: dict[str, Any] = {
        "step": state.step,
        "manifest": json.dumps(manifest),
        **_flat("params", state.params),
        **_flat("velocity", state.velocity),
        **ks.to_words({"streams": state.streams, "shuffle": state.shuffle}),
    }
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> tuple[State, dict[str, Any]]:
    """Return the state and the manifest in a checkpoint."""
    arrays = _read(path)
    try:
        randomness = ks.from_words(arrays)
        state = State(
            step=int(arrays["step"]),
            params=_tree("params", arrays),
            velocity=_tree("velocity", arrays),
            streams=randomness["streams"],
            shuffle=randomness["shuffle"],
        )
        return state, json.loads(str(arrays["manifest"]))
    except (KeyError, TypeError, ValueError) as cause:
        raise _unreadable(path, cause) from cause


def resume(path: Path) -> tuple[State, dict[str, ks.Difference]]:
    """Return the state in a checkpoint, and what is different here and changes no number.

    Raises:
        CheckpointError: It isn't whole.
        ks.ManifestError: Here other numbers would be drawn than before.
    """
    state, manifest = load(path)
    return state, ks.check_manifest(manifest)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        # Where it fails, np.load leaves a file open that it has opened itself.
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as cause:
        raise _unreadable(path, cause) from cause


def _unreadable(path: Path, cause: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path.name} must be a whole checkpoint, got one that can't be read "
        f"({type(cause).__name__}: {cause}). To begin at step 0: delete it."
    )


def _flat(name: str, params: Params) -> dict[str, np.ndarray]:
    leaves = jax.device_get(params)
    return {f"{name}/{layer}/{leaf}": leaves[layer][leaf] for layer in LAYERS for leaf in LEAVES}


def _tree(name: str, arrays: dict[str, np.ndarray]) -> Any:
    return {layer: {leaf: arrays[f"{name}/{layer}/{leaf}"] for leaf in LEAVES} for layer in LAYERS}


LEAVES = ("weights", "bias")
