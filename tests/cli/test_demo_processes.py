"""Real processes that are joined draw what a single one does, from the same keys and bits."""

import argparse
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
from keystream.cli._demo.pricing import PATHS
from tests.commands import assert_refused
from tests.demo_runs import Faulty, environment, failed, field, needs_extras, shift

SEED = 2**70
OPTIONS = argparse.Namespace(seed=SEED, processes=2)
END = worker.BATCHES * PATHS
CLAIMS = 5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> processes.Runs:
    """One real process of eight devices, and then two of four that are joined."""
    return processes.simulate_all(tmp_path_factory.mktemp("runs"), OPTIONS)


# --- what the processes drew -------------------------------------------------------------------


def test_two_processes_draw_what_one_does(runs: processes.Runs) -> None:
    """Of each batch either process drew its own half, with the keys of one process alone."""
    alone, joined = runs
    assert joined.words.tobytes() == alone.words.tobytes()
    assert joined.positions.tolist() == alone.positions.tolist() == list(range(END))
    halves = np.repeat([0, 1], PATHS // 2)
    assert joined.owners.tolist() == np.tile(halves, worker.BATCHES).tolist()
    np.testing.assert_allclose(joined.payoffs, alone.payoffs, rtol=0, atol=1e-4)


def test_keys_are_those_of_the_loop(runs: processes.Runs) -> None:
    """Path i has child i of the key, whichever process drew it."""
    key = ks.derive(ks.key(SEED), "paths")
    for i in (0, PATHS // 2, PATHS - 1, END - 1):
        words = jax.random.key_data(jax.random.fold_in(key, i))
        assert np.array_equal(runs.joined.words[i], words)


def test_processes_agree_on_the_estimate(runs: processes.Runs) -> None:
    """Both processes have the sums of all payoffs, the same after each batch."""
    first, second = runs.joined.sums
    assert first.tobytes() == second.tobytes()
    np.testing.assert_allclose(first, runs.alone.sums[0], rtol=1e-5)


# --- the checks, and what each must find --------------------------------------------------------


def test_true_runs_pass(runs: processes.Runs) -> None:
    """Of true runs every check says yes."""
    assert [check.holds for check in processes.all_checks(runs)] == [True] * CLAIMS


@pytest.mark.parametrize(
    ("faulty", "wrong"),
    [
        (shift("words", 1), [0]),
        (shift("positions", 1), [0]),
        (field(owners=np.repeat([0, 1], [END // 2 - 1, END // 2 + 1])), [1]),
        (field(owners=np.zeros(END, int)), [1]),
        (shift("payoffs", 2e-3), [3]),
        (shift("sums", 1e-6), [4]),
    ],
)
def test_each_check_fails_its_fault(faulty: Faulty, wrong: list[int], runs: processes.Runs) -> None:
    """Processes that lie in one respect fail the check of that respect, and no other."""
    assert failed(processes.all_checks(runs._replace(joined=faulty(runs.joined)))) == wrong


def test_the_same_paths_on_two_processes_fail(runs: processes.Runs) -> None:
    """A path that both processes draw is found."""
    words = np.tile(runs.alone.words[: PATHS // 2], (2 * worker.BATCHES, 1))
    lied = processes.Runs(*(field(words=words)(run) for run in runs))
    assert failed(processes.all_checks(lied)) == [2]


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
            argparse.Namespace(seed=seed),
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
        launch.run_together(pair(tmp_path, (1, 1), kill_in=2))
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


@needs_extras
@pytest.mark.parametrize("honest", [True, False])
def test_exit_status(
    honest: bool,
    runs: processes.Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command tells of both runs, draws them, and exits with 1 where a check fails."""
    told = runs if honest else runs._replace(joined=shift("words", 1)(runs.joined))
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(processes, "simulate_all", lambda *_, **__: told)
    picture = tmp_path / "x.svg"
    status = main(["demo", "--processes=2", f"--out={picture}"])
    printed = capsys.readouterr().out
    assert status == (0 if honest else 1)
    assert ("FAILED  ks.sample" in printed) is not honest
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
        (
            ["--resume", "--experiments=9"],
            "--experiments must come without --resume, which has its own. For those: --resume",
        ),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that contradict each other are told with the cure, before anything is drawn."""
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


@needs_extras
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
    assert done.stdout.count("  ok  ") == CLAIMS
