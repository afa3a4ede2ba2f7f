"""A run that is really killed, and started again, is the run that was never killed."""

import argparse
import dataclasses
import hashlib
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
from keystream.cli._demo import launch, resume, steps, worker
from keystream.cli._demo.digits import NOISE, STEPS, load
from tests.demo_runs import (
    DIED,
    END,
    EPOCHS,
    SAVED,
    Liar,
    arrays,
    end,
    environment,
    journal,
    lines,
    moved,
    needs_extras,
    read_steps,
    redrawn,
)

SEED = 5
OPTIONS = argparse.Namespace(seed=SEED, epochs=EPOCHS)

pytestmark = [needs_extras, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(folder: Path) -> resume.Runs:
    """Five real processes, of which one is killed."""
    return resume.train_all(folder, OPTIONS, load())


# --- what is in the files --------------------------------------------------------------------


@pytest.mark.usefixtures("runs")
def test_killed_and_resumed_equals_never_killed(folder: Path) -> None:
    """Killed by SIGKILL and started again: every array of the last checkpoint, bit for bit."""
    whole, again = (arrays(folder / run / worker.CHECKPOINT) for run in ("whole", "again"))
    assert whole.keys() == again.keys()
    assert len([name for name in whole if name.startswith(("params/", "velocity/"))]) == 12
    for name, array in whole.items():
        assert array.dtype == again[name].dtype
        assert array.tobytes() == again[name].tobytes(), name
    assert int(whole["step"]) == END
    assert ks.from_words(again)["streams"]["step"].position == END
    # The files are no copies of each other's beginning: it was trained in between.
    killed = arrays(folder / "killed" / worker.CHECKPOINT)
    assert int(killed["step"]) == SAVED
    assert killed["params/last/bias"].tobytes() != whole["params/last/bias"].tobytes()


@pytest.mark.usefixtures("runs")
def test_the_kill_is_real(folder: Path) -> None:
    """The killed run ends within an epoch, after steps that no checkpoint has; they come again."""
    killed, again = (read_steps(folder / run / "journal-0.jsonl") for run in ("killed", "again"))
    assert sorted(killed) == list(range(DIED))
    assert SAVED % STEPS != 0
    assert DIED % STEPS != 0
    assert SAVED < DIED
    assert sorted(again) == list(range(SAVED, END))
    assert [killed[step] for step in range(SAVED, DIED)] == [
        again[step] for step in range(SAVED, DIED)
    ]
    last = lines(folder / "killed" / "journal-0.jsonl")[-1]
    assert last["step"] == DIED - 1


def test_the_losses_are_those_of_the_run_never_killed(runs: resume.Runs) -> None:
    """Every loss, before the kill and after it, is the same number."""
    assert runs.again.journal.curve().tolist() == runs.whole.journal.curve().tolist()
    assert len(runs.whole.journal.losses) == END


@pytest.mark.usefixtures("runs")
def test_fewer_devices(folder: Path) -> None:
    """On two devices instead of eight: the same noise and masks, and weights to 1e-4."""
    whole, killed, fewer = (
        read_steps(folder / run / "journal-0.jsonl") for run in ("whole", "killed", "fewer")
    )
    for step in range(END):
        assert (fewer if step >= SAVED else killed)[step]["rows"] == whole[step]["rows"]
    ends = [arrays(folder / run / worker.CHECKPOINT) for run in ("whole", "fewer")]
    for name in ends[0]:
        if name.startswith(("params/", "velocity/")):
            np.testing.assert_allclose(ends[1][name], ends[0][name], rtol=0, atol=1e-4)
    told = next(
        line for line in lines(folder / "fewer" / "journal-0.jsonl") if "resumed_at" in line
    )
    assert told == {"resumed_at": SAVED, "differences": {"devices": [8, 2, "nothing"]}}


def test_what_was_used_is_what_the_keys_give(runs: resume.Runs) -> None:
    """The noise of an example after the kill is that of a loop over `jax.random`."""
    key = ks.key(SEED)
    rows = runs.fewer.journal.rows["noise"]
    for step in (0, SAVED - 1, SAVED, END - 1):
        epoch, turn = divmod(step, STEPS)
        order = jax.random.permutation(ks.derive(key, "shuffle", epoch), load().train)
        example = int(order[turn * 128 + 77])
        used = ks.derive(key, "step", step, "noise", example)
        noise = jax.random.uniform(used, (64,), minval=-NOISE, maxval=NOISE)
        digest = hashlib.sha256(np.asarray(noise).tobytes()).hexdigest()[:16]
        assert rows[epoch, example] == {digest}


# --- the checks, and their liars ---------------------------------------------------------------


def verdicts(runs: resume.Runs) -> list[bool | None]:
    return [check.holds for check in resume.all_checks(runs, OPTIONS)]


def test_true_runs_pass(runs: resume.Runs) -> None:
    """Of true runs every check but the one that wants a full training says yes."""
    assert verdicts(runs) == [True] * 8 + [None]


def test_forgotten_streams_fail(runs: resume.Runs) -> None:
    """The run that started its streams over is unlike the others in all but its beginning."""
    liar = runs._replace(again=runs.forgot, fewer=runs.forgot)
    assert verdicts(liar) == [True, *[False] * 6, True, None]
    assert runs.forgot.journal.notes["resumed_at"] == SAVED


def other_loss(known: Any) -> Any:
    last = float(np.nextafter(known.losses[END - 1], 1))
    return dataclasses.replace(known, losses=known.losses | {END - 1: last})


def unkilled(known: Any) -> Any:
    first = {step: known.losses[step] for step in range(STEPS)}
    return dataclasses.replace(known, losses=first)


@pytest.mark.parametrize(
    ("name", "liar", "failed"),
    [
        ("killed", journal(unkilled), [0]),
        ("killed", end(step=DIED), [0]),
        ("again", moved(1e-9), [1]),
        ("again", end(streams=ks.Streams(ks.key(SEED), steps.NAMES)), [1]),
        ("again", end(step=END - 1), [1]),
        ("again", journal(other_loss), [2]),
        ("fewer", redrawn("noise", frozenset({"another"})), [3]),
        ("again", redrawn("masks", frozenset({"another"})), [4]),
        ("again", redrawn("masks", frozenset("ab")), [4]),
        ("fewer", moved(2e-4), [5]),
        ("fewer", moved(float("nan")), [5]),
    ],
)
def test_each_check_fails_its_liar(
    name: str, liar: Liar, failed: list[int], runs: resume.Runs
) -> None:
    """A run that lies in one respect fails the check of that respect, and no other."""
    lied = runs._replace(**{name: liar(getattr(runs, name))})
    assert [i for i, holds in enumerate(verdicts(lied)) if holds is False] == failed


def test_noise_drawn_twice_and_an_unseen_mistake_fail(runs: resume.Runs) -> None:
    """A row that two examples share fails, and so does a mistake that nothing shows."""
    (shared,) = runs.again.journal.rows["noise"][min(runs.again.journal.rows["noise"])]
    twice = redrawn("noise", frozenset({shared}))
    every = runs._replace(whole=twice(runs.whole), again=twice(runs.again), fewer=twice(runs.fewer))
    assert [i for i, holds in enumerate(verdicts(every)) if holds is False] == [6]
    unseen = runs._replace(forgot=runs.again)
    assert [i for i, holds in enumerate(verdicts(unseen)) if holds is False] == [7]


# --- the command ------------------------------------------------------------------------------


def command(monkeypatch: pytest.MonkeyPatch, train_all: Callable[..., Any], *arguments: str) -> int:
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(resume, "train_all", train_all)
    return main(["demo", "--resume", f"--epochs={EPOCHS}", *arguments])


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
    status = command(monkeypatch, lambda *_, **__: told, f"--out={picture}")
    printed = capsys.readouterr().out
    assert status == (0 if honest else 1)
    assert ("FAILED" in printed) is not honest
    assert printed.count("  ok  ") == (8 if honest else 3)
    assert "ks.check_manifest: devices 8 then, 2 now, changes nothing" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_worker_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last words of a worker that fails are the demo's, in one line, and its status is 1."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / worker.CHECKPOINT).write_bytes(b"PK\x03\x04 cut off")

    def train_all(*_: Any, **__: Any) -> None:
        launch.run_together([launch.job("the run", folder, OPTIONS, devices=2)])

    assert command(monkeypatch, train_all, f"--out={tmp_path / 'x.png'}") == 1
    said = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert said.startswith("demo: the run ended with status 1: checkpoint.npz must be a whole")


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 20, 21])
def test_death_comes_in_the_middle(epochs: int) -> None:
    """However many epochs: within an epoch, steps after a checkpoint of that same epoch."""
    died = resume.death(epochs)
    saved = died // worker.EVERY * worker.EVERY
    assert saved < died < epochs * STEPS
    assert 0 < saved % STEPS < died % STEPS
    assert saved // STEPS == died // STEPS == epochs // 2


@pytest.mark.outside
def test_full_demo(tmp_path: Path) -> None:
    """The whole demo is told true in under three minutes."""
    line = [sys.executable, "-m", "keystream", "demo", "--resume", f"--out={tmp_path / 'x.png'}"]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=180, check=False, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == 9
