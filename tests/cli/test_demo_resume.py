"""A run that is really killed, and started again, is the run that was never killed."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from keystream.__main__ import main
from keystream.cli import demo
from keystream.cli._demo import launch, records, resume, worker
from keystream.cli._demo.pricing import PATHS
from tests.demo_runs import Faulty, environment, failed, needs_extras, shift

SEED = 5
OPTIONS = argparse.Namespace(seed=SEED)
SAVED, END = resume.DEATH * PATHS, worker.BATCHES * PATHS
CLAIMS = 6

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(folder: Path) -> resume.Runs:
    """Five real processes, of which one is killed."""
    return resume.simulate_all(folder, OPTIONS)


# --- what is in the files --------------------------------------------------------------------


def test_killed_and_resumed_equals_never_killed(folder: Path, runs: resume.Runs) -> None:
    """Killed by SIGKILL and started again: every key, payoff and sum, bit for bit."""
    for name in ("positions", "words", "payoffs", "sums"):
        assert getattr(runs.whole, name).tobytes() == getattr(runs.again, name).tobytes()
    whole, again = ((folder / run / records.CHECKPOINT).read_text() for run in ("whole", "again"))
    assert whole == again
    assert runs.whole.positions.tolist() == list(range(END))
    assert ks.loads(json.loads(whole)["paths"]).position == END


def test_the_kill_is_real(folder: Path, runs: resume.Runs) -> None:
    """The killed run drew a batch that no checkpoint has, and that batch comes again."""
    killed, again = (folder / run for run in ("killed", "again"))
    saved = json.loads((killed / records.CHECKPOINT).read_text())
    assert (saved["counted"], ks.loads(saved["paths"]).position) == (SAVED, SAVED)
    assert runs.killed.counts[-1] == SAVED + PATHS < END
    lost = [np.load(run / f"batch-{SAVED + PATHS:07}-0.npz") for run in (killed, again)]
    assert lost[0]["words"].tobytes() == lost[1]["words"].tobytes()
    told = json.loads((again / worker.RESUMED).read_text())
    assert told == {"position": SAVED, "differences": {}}


def test_fewer_devices(runs: resume.Runs) -> None:
    """On two devices instead of eight: the same keys, and payoffs to last digits."""
    assert runs.fewer.words.tobytes() == runs.whole.words.tobytes()
    np.testing.assert_allclose(runs.fewer.payoffs, runs.whole.payoffs, rtol=0, atol=1e-4)
    assert runs.resumed == {"position": SAVED, "differences": {"devices": [8, 2, "nothing"]}}


def test_keys_are_those_of_the_loop(runs: resume.Runs) -> None:
    """Before the kill and after it, path i has child i of the key."""
    key = ks.derive(ks.key(SEED), "paths")
    for i in (0, SAVED - 1, SAVED, END - 1):
        words = jax.random.key_data(jax.random.fold_in(key, i))
        assert np.array_equal(runs.fewer.words[i], words)


def test_a_forgotten_position_counts_paths_twice(runs: resume.Runs) -> None:
    """Nothing fails where the position is not saved; half of the paths are counted twice."""
    assert runs.forgot.counts[-1] == END
    assert runs.forgot.distinct[-1] == SAVED
    assert runs.forgot.words[SAVED:].tobytes() == runs.forgot.words[:SAVED].tobytes()
    assert runs.forgot.intervals[-1, 1] < 1.05 * runs.whole.intervals[-1, 1]


# --- the checks, and what each must find --------------------------------------------------------


def test_true_runs_pass(runs: resume.Runs) -> None:
    """Of true runs every check says yes."""
    assert [check.holds for check in resume.all_checks(runs)] == [True] * CLAIMS


@pytest.mark.parametrize(
    ("name", "faulty", "wrong"),
    [
        ("again", shift("payoffs", 1e-6), [1]),
        ("again", shift("sums", 1e-6), [1]),
        ("again", shift("words", 1), [1]),
        ("fewer", shift("words", 1), [2]),
        ("fewer", shift("positions", 1), [2]),
        ("fewer", shift("payoffs", 2e-3), [3]),
        ("fewer", shift("payoffs", float("nan")), [3]),
        ("fewer", shift("sums", 100 * END), [3]),
    ],
)
def test_each_check_fails_its_fault(
    name: str, faulty: Faulty, wrong: list[int], runs: resume.Runs
) -> None:
    """A run that lies in one respect fails the check of that respect, and no other."""
    lied = runs._replace(**{name: faulty(getattr(runs, name))})
    assert failed(resume.all_checks(lied)) == wrong


def test_a_mistake_in_place_of_another_run_fails(runs: resume.Runs) -> None:
    """A run that forgot, one that wasn't killed and a mistake that doesn't show are found."""
    assert failed(resume.all_checks(runs._replace(again=runs.forgot))) == [1, 4]
    assert failed(resume.all_checks(runs._replace(fewer=runs.forgot))) == [2, 3, 4]
    assert failed(resume.all_checks(runs._replace(killed=runs.whole))) == [0]
    assert failed(resume.all_checks(runs._replace(forgot=runs.whole))) == [5]


# --- checkpoints -------------------------------------------------------------------------------


def simulate(folder: Path, batches: int, seed: int = SEED) -> Path:
    """Simulate in this process until so many batches are counted; return the checkpoint."""
    folder.mkdir(exist_ok=True)
    line = [str(folder), f"--seed={seed}", "--devices=8", f"--batches={batches}"]
    worker.simulate(worker.arguments().parse_args(line))
    return folder / records.CHECKPOINT


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after one batch."""
    return simulate(tmp_path_factory.mktemp("saved") / "run", 1)


def refused(path: Path) -> str:
    with pytest.raises(records.CheckpointError) as caught:
        records.load(path, ks.derive(ks.key(SEED), "paths"))
    told = str(caught.value)
    assert told.startswith(f"{path.name} must be a whole checkpoint of this simulation, got ")
    assert told.endswith("To begin at path 0: delete it.")
    return told


def test_any_checkpoint_will_do(saved: Path, tmp_path: Path) -> None:
    """From an old checkpoint, the last one or none: the same end."""
    shutil.copytree(saved.parent, tmp_path / "old")
    ends = [simulate(tmp_path / name, 3).read_text() for name in ("old", "none", "old")]
    assert ends[0] == ends[1] == ends[2]
    assert (tmp_path / "old" / worker.RESUMED).exists()
    assert not (tmp_path / "none" / worker.RESUMED).exists()


def test_a_checkpoint_that_lacks_something_is_refused(saved: Path, tmp_path: Path) -> None:
    """Without its position or its manifest a checkpoint is an error that names it."""
    content = json.loads(saved.read_text())
    for lacking in ("paths", "manifest"):
        path = tmp_path / "less.json"
        path.write_text(json.dumps({k: v for k, v in content.items() if k != lacking}))
        assert lacking in refused(path)


def test_a_checkpoint_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    """A file that ends too early is an error that says so, wherever it was cut."""
    whole = saved.read_text()
    for size in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        (tmp_path / "cut.json").write_text(whole[:size])
        refused(tmp_path / "cut.json")


def test_another_position_is_refused(saved: Path, tmp_path: Path) -> None:
    """A digit of the position or the key that isn't the saved one doesn't pass for it."""
    content = json.loads(saved.read_text())
    text = content["paths"]
    for place in [i for i, letter in enumerate(text) if letter.isdigit()]:
        other = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
        (tmp_path / "other.json").write_text(json.dumps(content | {"paths": other}))
        refused(tmp_path / "other.json")


def test_a_checkpoint_of_another_seed_is_refused(tmp_path: Path) -> None:
    """A run that is started again with another seed doesn't go on with other paths."""
    assert "its paths have other keys" in refused(simulate(tmp_path / "run", 1, seed=SEED + 1))


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
import jax
jax.config.update("jax_platforms", "cpu")
import keystream as ks
from keystream.cli._demo import records

path, how = Path(sys.argv[1]), sys.argv[2]
state, _ = records.load(path, ks.derive(ks.key(int(sys.argv[3])), "paths"))
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if how == "within":
    def cut(content, file):
        file.write("{")
        file.flush()
        die()
    records.json.dump = cut
else:
    Path.replace = die
records.save(path, state._replace(counted=99), ks.manifest())
"""


@pytest.mark.parametrize("how", ["within", "before it has its name"])
def test_killed_while_saving(how: str, saved: Path, tmp_path: Path) -> None:
    """A kill in the middle of a checkpoint leaves the one before, whole."""
    path = Path(shutil.copy(saved, tmp_path))
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(path), how, str(SEED)]
    done = subprocess.run(command, timeout=120, check=False, env=environment())
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == saved.read_text()
    assert path.with_suffix(".partial").stat().st_size > 0


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("JAX_THREEFRY_PARTITIONABLE", "0", "jax_threefry_partitionable"),
        ("JAX_DEFAULT_PRNG_IMPL", "rbg", "jax_default_prng_impl"),
    ],
)
def test_other_settings_at_resume(
    setting: str, value: str, told: str, saved: Path, tmp_path: Path
) -> None:
    """A run that would go on with other numbers ends in one line that says why, and status 1."""
    path = Path(shutil.copy(saved, tmp_path))
    command = [sys.executable, "-m", "keystream.cli._demo.worker", str(tmp_path)]
    done = subprocess.run(
        [*command, f"--seed={SEED}", "--devices=8"],
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
    assert os.listdir(tmp_path) == [records.CHECKPOINT]  # noqa: PTH208 - names alone
    assert path.read_text() == saved.read_text()


# --- the command ------------------------------------------------------------------------------


def command(
    monkeypatch: pytest.MonkeyPatch, simulate_all: Callable[..., Any], picture: Path
) -> int:
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(resume, "simulate_all", simulate_all)
    return main(["demo", "--resume", f"--out={picture}"])


@needs_extras
@pytest.mark.parametrize("honest", [True, False])
def test_exit_status(
    honest: bool,
    runs: resume.Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command tells of every run, draws them, and exits with 1 where a check fails."""
    told = runs if honest else runs._replace(again=runs.forgot)
    picture = tmp_path / "x.png"
    assert command(monkeypatch, lambda *_, **__: told, picture) == (0 if honest else 1)
    printed = capsys.readouterr().out
    assert printed.count("  ok  ") == (CLAIMS if honest else CLAIMS - 2)
    assert "ks.check_manifest: devices 8 then, 2 now, changes nothing" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


@needs_extras
def test_a_worker_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last words of a worker that fails are the demo's, in one line, and its status is 1."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / records.CHECKPOINT).write_text('{"paths": ')

    def simulate_all(*_: Any, **__: Any) -> None:
        launch.run_together([launch.job("the run", folder, OPTIONS, devices=2)])

    assert command(monkeypatch, simulate_all, tmp_path / "x.png") == 1
    said = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert said.startswith("demo: the run ended with status 1: checkpoint.json must be a whole")


@needs_extras
@pytest.mark.outside
def test_full_demo(tmp_path: Path) -> None:
    """The whole demo is told true in under three minutes."""
    line = [sys.executable, "-m", "keystream", "demo", "--resume", f"--out={tmp_path / 'x.png'}"]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=180, check=False, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == CLAIMS
