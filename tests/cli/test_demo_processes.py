"""Real processes that are joined train as a single one does, from the same keys and bits."""

import argparse
import dataclasses
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from keystream.__main__ import main, parser
from keystream.cli import demo
from keystream.cli._demo import launch, processes, worker
from keystream.cli._demo.digits import BATCH, load
from tests.commands import assert_refused
from tests.demo_runs import (
    END,
    EPOCHS,
    Liar,
    arrays,
    environment,
    journal,
    lines,
    moved,
    needs_extras,
    read_steps,
    redrawn,
)

SEED = 2**70
OPTIONS = argparse.Namespace(seed=SEED, epochs=EPOCHS, processes=2)

pytestmark = [needs_extras, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(folder: Path) -> processes.Runs:
    """One real process of eight devices, and then two of four that are joined."""
    return processes.train_all(folder, OPTIONS, load())


def journals(folder: Path) -> list[Path]:
    names = ("alone/journal-0.jsonl", "joined/journal-0.jsonl", "joined/journal-1.jsonl")
    return [folder / name for name in names]


# --- what is in the files --------------------------------------------------------------------


@pytest.mark.usefixtures("runs")
def test_two_processes_draw_what_one_does(folder: Path) -> None:
    """For every example and epoch one of the two drew it, and the same as one process alone."""
    alone, *joined = map(read_steps, journals(folder))
    assert [len(part) for part in (alone, *joined)] == [END] * 3
    for step, whole in alone.items():
        for what, rows in whole["rows"].items():
            halves = [part[step]["rows"][what] for part in joined]
            assert [len(half) for half in halves] == [BATCH // 2] * 2
            assert halves[0] | halves[1] == rows
        assert joined[0][step]["loss"] == joined[1][step]["loss"]


@pytest.mark.usefixtures("runs")
def test_keys_and_bits_are_those_of_the_loop(folder: Path) -> None:
    """Each process holds half of the keys and bits that are laid out, and they are right."""
    alone, *joined = (lines(path)[0]["rows"] for path in journals(folder))
    key = ks.key(SEED)
    bits = [jax.random.bits(ks.derive(key, "bits", i)) for i in range(worker.ITEMS)]
    words = [jax.random.key_data(ks.derive(key, "keys", i)) for i in range(worker.ITEMS)]
    for what, values in (("bits", bits), ("keys", words)):
        expected = {
            str(i): hashlib.sha256(np.asarray(value).tobytes()).hexdigest()[:16]
            for i, value in enumerate(values)
        }
        assert alone[what] == expected
        assert joined[0][what] | joined[1][what] == expected
        assert [len(part[what]) for part in joined] == [worker.ITEMS // 2] * 2


@pytest.mark.usefixtures("runs")
def test_trained_weights_agree(folder: Path) -> None:
    """The weights are those of one process to 1e-4, and the streams are the same."""
    alone, joined = (arrays(folder / run / worker.CHECKPOINT) for run in ("alone", "joined"))
    for name in alone:
        if name.startswith("params/"):
            np.testing.assert_allclose(joined[name], alone[name], rtol=0, atol=1e-4)
    assert ks.dumps(ks.from_words(alone)) == ks.dumps(ks.from_words(joined))


# --- the checks, and their liars ---------------------------------------------------------------


def verdicts(runs: processes.Runs) -> list[bool | None]:
    return [check.holds for check in processes.all_checks(runs, OPTIONS)]


def test_true_runs_pass(runs: processes.Runs) -> None:
    """Of true runs every check but the one that wants a full training says yes."""
    assert verdicts(runs) == [True] * 7 + [None]


def noted(**notes: Any) -> Liar:
    return journal(lambda known: dataclasses.replace(known, notes=known.notes | notes))


@pytest.mark.parametrize(
    ("liar", "failed"),
    [
        *((redrawn(what, frozenset("a")), [i]) for i, what in enumerate(processes.DRAWN)),
        *((redrawn(what, frozenset("ab")), [i]) for i, what in enumerate(processes.DRAWN)),
        (moved(2e-4), [5]),
        (noted(**{"copies-1": ["another"]}), [6]),
        (noted(**{"copies-1": []}), [6]),
    ],
)
def test_each_check_fails_its_liar(liar: Liar, failed: list[int], runs: processes.Runs) -> None:
    """Processes that lie in one respect fail the check of that respect, and no other."""
    lied = runs._replace(joined=liar(runs.joined))
    assert [i for i, holds in enumerate(verdicts(lied)) if holds is False] == failed


def test_the_same_noise_on_two_processes_fails(runs: processes.Runs) -> None:
    """A row that two examples share is found."""
    rows = runs.alone.journal.rows["noise"]
    liar = redrawn("noise", rows[min(rows)])
    lied = processes.Runs(liar(runs.alone), liar(runs.joined))
    assert [i for i, holds in enumerate(verdicts(lied)) if holds is False] == [4]


# --- processes that can't go on together -------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Every process that is started from here on."""
    found: list[subprocess.Popen] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return found


def pair(folder: Path, seeds: tuple[int | str, int | str], **more: int) -> list[launch.Job]:
    port = launch.free_port()
    return [
        launch.job(
            f"process {index}",
            folder,
            argparse.Namespace(seed=seed, epochs=1),
            devices=1,
            processes=2,
            process=index,
            port=port,
            **(more if index else {}),
        )._replace(status=0)
        for index, seed in enumerate(seeds)
    ]


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ((1, 2), r"agree_on_seed: seed must be the same everywhere, got 1 on process 0, 2 on "),
        (("a", "b"), r"check_replicated: key must be the same everywhere, got a key on cpu:0 "),
    ],
)
def test_different_seeds(
    seeds: tuple[int | str, int | str],
    told: str,
    tmp_path: Path,
    started: list[subprocess.Popen],
) -> None:
    """Processes with different seeds, numbers or texts, end in our error, and none is left."""
    with pytest.raises(launch.WorkerError, match=rf"^process \d ended with status 1: {told}"):
        launch.run_together(pair(tmp_path, seeds))
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_a_process_that_is_killed(tmp_path: Path, started: list[subprocess.Popen]) -> None:
    """One that is killed ends the others too, long before JAX would."""
    begun = time.monotonic()
    told = r"^process 1 ended with status -9|^process 0 ended with status (1|-6):"
    with pytest.raises(launch.WorkerError, match=told):
        launch.run_together(pair(tmp_path, (1, 1), kill_after=2))
    assert time.monotonic() - begun < 80
    assert all(process.returncode is not None for process in started)


def test_a_process_that_takes_too_long(
    tmp_path: Path, started: list[subprocess.Popen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit all are killed, and it is said which took too long."""
    monkeypatch.setattr(launch, "LIMIT", 0.5)
    with pytest.raises(launch.WorkerError, match=r"^process 0 took longer than 0\.5 s$"):
        launch.run_together(pair(tmp_path, (1, 1)))
    assert [process.returncode for process in started] == [-9, -9]


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize("honest", [True, False])
def test_exit_status(
    honest: bool,
    runs: processes.Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command tells of both runs, draws them, and exits with 1 where a check fails."""
    told = runs if honest else runs._replace(joined=redrawn("bits", frozenset("a"))(runs.joined))
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(processes, "train_all", lambda *_, **__: told)
    picture = tmp_path / "x.svg"
    status = main(["demo", "--processes=2", "--epochs=2", f"--out={picture}"])
    printed = capsys.readouterr().out
    assert status == (0 if honest else 1)
    assert ("FAILED  bits" in printed) is not honest
    assert "2 processes of 4 devices" in printed
    assert picture.stat().st_size > 5_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--resume", "--processes=2"],
            "--resume and --processes must come one at a time. For the kill: --resume",
        ),
        (
            ["--resume", "--devices=1,2"],
            "--devices must come without --resume, which has its own. For those: --resume",
        ),
        (
            ["--processes=4", "--devices=8"],
            "--devices must come without --processes, which has its own. For those: --processes 4",
        ),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that contradict each other are told with the cure, before anything is trained."""
    assert main(["demo", *options]) == 2
    told = capsys.readouterr()
    assert told.err == f"demo: {message}\n"
    assert not told.out
    parser().parse_args(["demo", *message.rpartition(": ")[2].split()])


@pytest.mark.parametrize("bad", ["0", "3", "8", "-1", "two", "1.0", ""])
def test_bad_number_of_processes(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of processes that can't share the devices is told with the cure."""
    wanted = "must be one of 1, 2, 4 (they share 8 devices)"
    message = f"{wanted}, got {bad!r}. For two: --processes 2"
    assert_refused(capsys, "demo", "--processes", bad, message)


@pytest.mark.outside
@pytest.mark.parametrize("count", ["1", "2", "4"])
def test_full_demo(count: str, tmp_path: Path) -> None:
    """The whole demo is told true in under three minutes, with any number of processes."""
    line = [sys.executable, "-m", "keystream", "demo", "--processes", count]
    done = subprocess.run(
        [*line, f"--out={tmp_path / 'x.png'}"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == 8
