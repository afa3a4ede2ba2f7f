"""Any checkpoint will do, and one that is stale, damaged or from elsewhere is found."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import keystream as ks
from keystream.cli._demo import checkpoint, steps, worker
from keystream.cli._demo.digits import LAYERS, STEPS, load
from tests.demo_runs import END, EPOCHS, SAVED, arrays, environment, needs_extras, read_steps

SEED = 5

pytestmark = [needs_extras, pytest.mark.slow]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A checkpoint after each step of a run that isn't interrupted."""
    folder = tmp_path_factory.mktemp("saved")
    program, manifest = steps.compile_step(load()), ks.manifest()
    state, paths = steps.begin(program, ks.key(SEED)), {}
    while state.step < END:
        state, _ = steps.advance(program, state)
        paths[state.step] = folder / f"{state.step}.npz"
        checkpoint.save(paths[state.step], state, manifest)
    return paths


def finished(state: steps.State) -> steps.State:
    program = steps.compile_step(load())
    state = steps.place_state(program, state)
    while state.step < END:
        state, _ = steps.advance(program, state)
    return state


def bits(state: steps.State) -> list[bytes]:
    leaves = jax.tree.leaves((state.params, state.velocity))
    return [*(np.asarray(leaf).tobytes() for leaf in leaves), ks.dumps(state[3:]).encode()]


@pytest.mark.parametrize("step", [1, STEPS, SAVED, END])
def test_any_checkpoint_will_do(step: int, saved: dict[int, Path]) -> None:
    """From the first step, an epoch's end or an old checkpoint: the same end, nothing is lost."""
    state, differences = checkpoint.resume(saved[step])
    assert (state.step, differences) == (step, {})
    assert bits(finished(state)) == bits(checkpoint.load(saved[END])[0])


def test_stale_streams_are_found(saved: dict[int, Path]) -> None:
    """Weights of one checkpoint with the streams of an older one end elsewhere."""
    state, stale = (checkpoint.load(saved[step])[0] for step in (SAVED, SAVED - 4))
    mixed = finished(state._replace(streams=stale.streams, shuffle=stale.shuffle))
    whole, _ = checkpoint.load(saved[END])
    assert [a == b for a, b in zip(bits(mixed), bits(whole), strict=True)] == [False] * 13


def test_weights_without_streams_are_refused(saved: dict[int, Path], tmp_path: Path) -> None:
    """A checkpoint that lacks the streams, a weight, the step or the manifest is an error."""
    path = tmp_path / "less.npz"
    whole = arrays(saved[SAVED])
    for lacking in ("keystream", "keystream_1", "params/last/bias", "step", "manifest"):
        np.savez(path, **{name: array for name, array in whole.items() if name != lacking})
        with pytest.raises(checkpoint.CheckpointError) as caught:
            checkpoint.resume(path)
        assert str(caught.value).startswith("less.npz must be a whole checkpoint, got one that ")
        assert lacking in str(caught.value)
        assert str(caught.value).endswith("To begin at step 0: delete it.")


def test_a_checkpoint_cut_anywhere_is_refused(saved: dict[int, Path], tmp_path: Path) -> None:
    """A file that ends too early is an error that says so, wherever it was cut."""
    whole = saved[SAVED].read_bytes()
    path = tmp_path / "cut.npz"
    for size in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(checkpoint.CheckpointError, match=r"^cut\.npz must be a whole"):
            checkpoint.resume(path)


def test_a_flipped_byte_in_the_streams_is_refused(saved: dict[int, Path], tmp_path: Path) -> None:
    """A position that isn't the one that was saved doesn't pass for it."""
    words = arrays(saved[SAVED])
    for name in [name for name in words if re.fullmatch(r"keystream_\d+", name)]:
        liar = words[name].copy()
        liar.flat[-1] ^= 1
        np.savez(tmp_path / "flipped.npz", **words | {name: liar})
        with pytest.raises(checkpoint.CheckpointError, match="checksum"):
            checkpoint.resume(tmp_path / "flipped.npz")


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
import jax
jax.config.update("jax_platforms", "cpu")
from keystream.cli._demo import checkpoint

path, how = Path(sys.argv[1]), sys.argv[2]
state, manifest = checkpoint.load(path)
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if how == "within":
    write = checkpoint.np.savez
    def cut(file, **arrays):
        write(file, **dict(list(arrays.items())[:4]))
        file.flush()
        die()
    checkpoint.np.savez = cut
else:
    Path.replace = die
checkpoint.save(path, state._replace(step=99), manifest)
"""


@pytest.mark.parametrize("how", ["within", "before it has its name"])
def test_killed_while_saving(how: str, saved: dict[int, Path], tmp_path: Path) -> None:
    """A kill in the middle of a checkpoint leaves the one before, whole."""
    path = tmp_path / worker.CHECKPOINT
    shutil.copy(saved[SAVED], path)
    before = path.read_bytes()
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(path), how]
    done = subprocess.run(command, timeout=120, check=False, env=environment())
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert path.with_suffix(".partial").stat().st_size > 0
    assert checkpoint.resume(path)[0].step == SAVED


# --- started again where other numbers would come ---------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("JAX_THREEFRY_PARTITIONABLE", "0", "jax_threefry_partitionable"),
        ("JAX_DEFAULT_PRNG_IMPL", "rbg", "jax_default_prng_impl"),
    ],
)
def test_other_settings_at_resume(
    setting: str, value: str, told: str, saved: dict[int, Path], tmp_path: Path
) -> None:
    """A run that would go on with other numbers ends in one line that says why, and status 1."""
    path = tmp_path / worker.CHECKPOINT
    shutil.copy(saved[SAVED], path)
    before = path.read_bytes()
    command = [sys.executable, "-m", "keystream.cli._demo.worker", str(tmp_path)]
    done = subprocess.run(
        [*command, f"--seed={SEED}", f"--epochs={EPOCHS}", "--devices=8"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(**{setting: value}),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("check_manifest: manifest must describe")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert read_steps(tmp_path / "journal-0.jsonl") == {}
    assert path.read_bytes() == before


def test_layers_are_what_is_saved() -> None:
    """Every parameter has its place in a checkpoint."""
    params = jax.eval_shape(steps.initial, ks.key(0))
    assert {layer: set(leaves) for layer, leaves in params.items()} == {
        layer: set(checkpoint.LEAVES) for layer in LAYERS
    }
