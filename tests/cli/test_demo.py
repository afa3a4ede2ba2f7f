"""The demo runs, and each of its checks fails when its subject is broken."""

import dataclasses
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding

import keystream as ks
from keystream.__main__ import main, parser
from keystream.cli import demo
from keystream.cli._demo import checks as claims
from keystream.cli._demo.checks import Evidence, Run, shared_rows
from keystream.cli._demo.digits import BATCH, KEEP, NOISE, STEPS, Digits, Drawn, draw, load
from keystream.cli._demo.training import compile_epoch, train
from keystream.cli._inputs import read_seed, write_seed
from tests.commands import assert_refused
from tests.demo_runs import MISSING, needs_extras

pytestmark = pytest.mark.slow

SEED = 5
CLAIMS = [
    "initial parameters: the same bits on every device count",
    "shuffles: the same bits on every device count",
    "noise: the same bits on every device count",
    "masks: the same bits on every device count",
    "trained weights: the same to 0.0001",
    "noise: no two devices drew the same",
    "the mistake is found: a replicated key, the same noise on all devices",
]


def command(*arguments: str, timeout: int) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "keystream", "demo", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout, check=False)


@needs_extras
def test_small_demo(tmp_path: Path) -> None:
    """A small run trains on real data, finds every claim true, and writes a picture."""
    picture = tmp_path / "small.png"
    done = command("--devices", "1,2", "--epochs", "2", "--out", str(picture), timeout=300)
    assert done.returncode == 0, done.stderr
    told = re.findall(r"^  ok      (.*) \(.*\)$", done.stdout, re.MULTILINE)
    assert told[: len(CLAIMS)] == CLAIMS
    assert "FAILED" not in done.stdout
    assert "1,408 to learn from, 389 held out" in done.stdout
    assert "epoch/s" in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@needs_extras
@pytest.mark.outside
@pytest.mark.parametrize("seed", ["0", "7", "any text"])
def test_full_demo(tmp_path: Path, seed: str) -> None:
    """The whole demo reaches 95 % on all device counts in under three minutes."""
    done = command("--seed", seed, "--out", str(tmp_path / "full.png"), timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == len(CLAIMS) + 1
    rates = re.findall(r"^ +\d   +(\d+\.\d)%", done.stdout, re.MULTILINE)
    assert len(rates) == 4
    assert all(float(rate) >= 95 for rate in rates)


# --- two epochs on one and on two devices, and the same with the mistake -------------------


@pytest.fixture(scope="module")
def digits() -> Digits:
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    return load()


@pytest.fixture(scope="module")
def pairs(digits: Digits) -> tuple[list[Run], list[Run]]:
    programs = [compile_epoch(digits, count) for count in (1, 2)]
    return tuple(
        [train(p, ks.key(SEED), digits, epochs=2, by_place=by_place) for p in programs]
        for by_place in (False, True)
    )


@pytest.fixture
def runs(pairs: tuple[list[Run], list[Run]]) -> list[Run]:
    return pairs[0]


@pytest.fixture
def mistaken(pairs: tuple[list[Run], list[Run]]) -> list[Run]:
    return pairs[1]


def verdicts(runs: Sequence[Run], mistaken: Sequence[Run]) -> list[bool | None]:
    return [check.holds for check in claims.all_checks(runs, mistaken, full=False)]


def test_true_runs_pass(runs: list[Run], mistaken: list[Run]) -> None:
    """Of true runs every check but the one that wants a full training says yes."""
    assert verdicts(runs, mistaken)[:-1] == [True] * len(CLAIMS)


def test_replicated_key_fails(mistaken: list[Run]) -> None:
    """What the mistake breaks is found: noise, masks, weights, sharing; and nothing else is."""
    assert verdicts(mistaken, mistaken)[:-1] == [True, True, False, False, False, False, True]
    alone, pair = mistaken
    assert alone.shared == 0
    # Each row is drawn once on either device.
    assert pair.shared == pair.rows // 2


def test_noise_is_the_examples_own(digits: Digits, runs: list[Run]) -> None:
    """The noise that a device used is what the first example's index gives outside."""
    key = ks.key(SEED)
    order = np.asarray(jax.random.permutation(ks.derive(key, "shuffle", 0), digits.train))
    for run in runs:
        for device, tile in enumerate(run.tiles):
            example = int(order[device * BATCH // run.devices])
            noise = jax.random.uniform(
                ks.derive(key, "noise", 0, example), (64,), minval=-NOISE, maxval=NOISE
            )
            np.testing.assert_array_equal(tile.ravel(), noise)


def test_draw_equals_the_loop() -> None:
    """Row i of a draw is what a loop over the ids makes, whatever their order and number."""
    key, ids = ks.key(1), np.array([1796, 3, 70_000], np.int32)
    rows = draw(key, np.int32(4), ids)
    for row, example in enumerate(ids.tolist()):
        mask = jax.random.bernoulli(ks.derive(key, "dropout", 4, example), KEEP, (384,))
        np.testing.assert_array_equal(rows.masks[row], mask)
        noise = jax.random.uniform(
            ks.derive(key, "noise", 4, example), (64,), minval=-NOISE, maxval=NOISE
        )
        np.testing.assert_array_equal(rows.noise[row], noise)


# --- planted liars -------------------------------------------------------------------------


def used(what: str) -> Callable[[Run], Run]:
    return lambda run: dataclasses.replace(run, used=run.used | {what: frozenset({"another"})})


def moved(by: float) -> Callable[[Run], Run]:
    def move(run: Run) -> Run:
        last = {name: leaf + by * (name == "bias") for name, leaf in run.weights["last"].items()}
        return dataclasses.replace(run, weights=run.weights | {"last": last})

    return move


def field(**values: Any) -> Callable[[Run], Run]:
    return lambda run: dataclasses.replace(run, **values)


@pytest.mark.parametrize(
    ("place", "liar"),
    [
        (0, used("initial parameters")),
        (1, used("shuffles")),
        (2, used("noise")),
        (3, used("masks")),
        (4, moved(2e-4)),
        (4, moved(float("nan"))),
        (5, field(shared=1)),
        (7, field(accuracy=0.949)),
    ],
)
def test_each_check_fails_its_liar(
    place: int, liar: Callable[[Run], Run], runs: list[Run], mistaken: list[Run]
) -> None:
    """A run that lies in one respect fails the check of that respect, and no other."""
    good = [dataclasses.replace(run, accuracy=0.95) for run in runs]
    checks = claims.all_checks([good[0], liar(good[1])], mistaken, full=True)
    assert [i for i, check in enumerate(checks) if check.holds is not True] == [place]
    assert checks[place].holds is False


def test_an_unseen_mistake_fails(runs: list[Run]) -> None:
    """A mistake that doesn't show on the devices fails the check that it is found."""
    assert claims.check_mistake_found(runs).holds is False


def test_a_device_that_disagrees_fails(runs: list[Run]) -> None:
    """Two versions within a single run fail, also where there is nothing else to compare."""
    liar = dataclasses.replace(runs[1], used=runs[1].used | {"noise": frozenset("ab")})
    assert claims.check_same_bits("noise", [liar]).holds is False


def test_one_device_count_is_not_judged(runs: list[Run], mistaken: list[Run]) -> None:
    """A single run on one device is compared with nothing, and nothing is claimed."""
    assert verdicts(runs[:1], mistaken[:1])[:-1] == [None] * len(CLAIMS)


@pytest.mark.parametrize(("liar", "status"), [(field(), 0), (field(shared=1), 1)])
def test_exit_status(
    liar: Callable[[Run], Run],
    status: int,
    pairs: tuple[list[Run], list[Run]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command exits with 1 where a check fails and with 0 where none does."""
    runs, mistaken = pairs
    trained = lambda *_: ([runs[0], liar(runs[1])], mistaken)
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(demo, "train_all", trained)
    out = str(tmp_path / "x.png")
    assert main(["demo", "--devices", "1,2", "--epochs", "2", "--out", out]) == status
    assert ("FAILED" in capsys.readouterr().out) == bool(status)


# --- the evidence is what the devices hold ---------------------------------------------------


def evidence(devices: int, ids: np.ndarray, noise: np.ndarray) -> Evidence:
    mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
    put = lambda array: jax.device_put(array, NamedSharding(mesh, jax.P(None, "data")))
    found = Evidence({})
    found.add(put(ids), Drawn(put(noise), put(noise > 0)))
    return found


IDS = np.arange(8, dtype=np.int32).reshape(2, 4)
ROWS = np.arange(8 * 64, dtype=np.float32).reshape(2, 4, 64)


def test_evidence_sorts_by_example() -> None:
    """Another order and another device count leave the digests by example as they are."""
    whole, turned = evidence(1, IDS, ROWS), evidence(2, IDS[::-1, ::-1], ROWS[::-1, ::-1])
    assert whole.used()["noise"] == turned.used()["noise"]
    assert whole.used()["masks"] == turned.used()["masks"]
    assert whole.used()["shuffles"] != turned.used()["shuffles"]


def test_evidence_sees_a_last_digit_and_a_swap() -> None:
    """One last digit, or two examples that swap their noise, give another digest."""
    digit, swap = ROWS.copy(), ROWS.copy()
    digit[1, 2, 3] = np.nextafter(digit[1, 2, 3], np.float32(np.inf))
    swap[0, [0, 1]] = swap[0, [1, 0]]
    digests = [evidence(2, IDS, rows).used()["noise"] for rows in (ROWS, digit, swap)]
    assert len(set(digests)) == 3


def test_evidence_sees_copies_that_differ() -> None:
    """Initial parameters that differ between two devices leave two digests."""
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    everywhere = NamedSharding(mesh, jax.P())
    for other, digests in ((1.0, 1), (2.0, 2)):
        copies = [
            jax.device_put(np.full(3, value, np.float32), device)
            for value, device in zip((1.0, other), mesh.devices.flat, strict=True)
        ]
        leaf = jax.make_array_from_single_device_arrays((3,), everywhere, copies)
        assert len(Evidence({"layer": {"bias": leaf}}).used()["initial parameters"]) == digests


def test_shared_rows_counts_devices() -> None:
    """A row counts as shared where two parts hold it, not where one holds it twice."""
    first, second = np.zeros((2, 3)), np.ones((1, 3))
    assert shared_rows([first, second]) == 0
    assert shared_rows([first, second, np.zeros((1, 3))]) == 1
    assert evidence(2, IDS, np.concatenate([ROWS[:, :2]] * 2, axis=1)).shared == 4


# --- options, extras, picture ----------------------------------------------------------------

DEVICES = "must be different counts out of 1, 2, 4, 8 (they divide a batch of 128)"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *(
            ("--devices", bad, f"{DEVICES}, got {bad!r}. For all of them: --devices 1,2,4,8")
            for bad in ("0", "16", "3", "abc", "", "1,,2", "2,2", "-1", "1.0")
        ),
        *(
            (
                "--epochs",
                bad,
                f"must be a count of one or more, got {bad!r}. For a quick look: --epochs 2",
            )
            for bad in ("0", "-1", "1.5", "many", "")
        ),
        ("--seed", "", "must not be empty, got ''. For example: --seed 42"),
        (
            "--out",
            "x.txt",
            "must end in one of .png, .svg, .pdf, got 'x.txt'. For example: --out demo.png",
        ),
        (
            "--out",
            "no/such/x.png",
            "must be a file that can be written, got 'no/such/x.png'. For example: --out demo.png",
        ),
    ],
)
def test_bad_options(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad option is told with its cure before anything is trained, and the cure works."""
    assert_refused(capsys, "demo", option, value, message)


@pytest.mark.parametrize(("text", "value"), [("-3", -3), (str(2**70), 2**70), ("run 4", "run 4")])
def test_seeds(text: str, value: int | str) -> None:
    """A seed is an integer of any size or a text."""
    assert parser().parse_args(["demo", f"--seed={text}"]).seed == value


def test_seeds_are_handed_on() -> None:
    """A worker reads the seed that was read, also above the length that Python converts."""
    for seed in (-3, 2**70, -(10**5000) - 7, "run 4"):
        assert read_seed(write_seed(seed)) == seed


def test_missing_extras(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing extras are named in one line, with the cure, before anything else happens."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else name)
    monkeypatch.setattr(demo, "simulate_devices", lambda: pytest.fail("too late"))
    assert main(["demo"]) == 2
    told = capsys.readouterr()
    assert told.err == "demo: tqdm must be installed. pip install 'keystream[demo]'\n"
    assert not told.out


@needs_extras
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_picture_of_few_runs(
    kind: str, tmp_path: Path, runs: list[Run], mistaken: list[Run]
) -> None:
    """One run of a single epoch can be drawn, in every format that is offered."""
    path = tmp_path / f"one.{kind}"
    short = lambda run: dataclasses.replace(run, losses=run.losses[:STEPS])
    demo.draw_picture(path, [short(runs[0])], [short(mistaken[0])])
    assert path.stat().st_size > 5_000
