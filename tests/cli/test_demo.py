"""The demo runs, and each of its checks fails when its subject is broken."""

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from keystream.__main__ import main, parser
from keystream.cli import demo
from keystream.cli._demo import checks as claims
from keystream.cli._demo import pricing
from keystream.cli._demo.pricing import PATHS, Run
from keystream.cli._inputs import read_seed, write_seed
from tests.commands import assert_refused
from tests.demo_runs import Faulty, environment, failed, field, needs_extras, shift

pytestmark = pytest.mark.slow

SEED = 5
TRIALS = 100
CLAIMS = 9


def command(*arguments: str, timeout: int) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "keystream", "demo", *arguments]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=timeout, check=False, env=environment()
    )


@needs_extras
def test_small_demo(tmp_path: Path) -> None:
    """A small run finds every claim true, shows the mistake, and writes a picture."""
    picture = tmp_path / "small.png"
    size = ("--devices", "1,8", "--experiments", str(TRIALS))
    done = command(*size, "--out", str(picture), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == CLAIMS
    assert "10.4506 by the formula" in done.stdout
    rows = re.findall(r"^ +(\d) .* (\d+\.\d)% .* (\d+\.\d)% +([\d,]+)$", done.stdout, re.MULTILINE)
    assert [(row[0], row[3]) for row in rows] == [("1", "4,096"), ("8", "512")]
    assert rows[0][1] == rows[0][2] == rows[1][1]
    assert float(rows[1][2]) < 80 < float(rows[1][1])
    assert "experiment/s" in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@needs_extras
@pytest.mark.outside
@pytest.mark.parametrize("seed", ["0", "7", "any text"])
def test_full_demo(tmp_path: Path, seed: str) -> None:
    """The whole demo finds every claim true, whatever the seed."""
    done = command("--seed", seed, "--out", str(tmp_path / "full.png"), timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") == CLAIMS


# --- one and eight devices, and the same with the mistake ------------------------------------


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [
        pricing.run_experiments(pricing.compile_right(n), ks.key(SEED), n, TRIALS) for n in (1, 8)
    ]


@pytest.fixture(scope="module")
def mistaken() -> list[Run]:
    return [
        pricing.run_experiments(pricing.compile_mistaken(n), ks.key(SEED), n, TRIALS)
        for n in (1, 8)
    ]


def checks(runs: list[Run], mistaken: list[Run]) -> list[claims.Check]:
    return demo.all_checks(ks.key(SEED), runs, mistaken)


def test_true_runs_pass(runs: list[Run], mistaken: list[Run]) -> None:
    """Of true runs every check says yes."""
    assert [check.holds for check in checks(runs, mistaken)] == [True] * CLAIMS


def test_the_mistake_fails(runs: list[Run], mistaken: list[Run]) -> None:
    """A replicated key fails keys, payoffs, distinctness and coverage, and nothing else."""
    assert failed(checks(mistaken, mistaken)) == [0, 1, 2, 5]
    alone, eight = mistaken
    assert alone.digest == runs[0].digest
    assert eight.distinct == TRIALS * PATHS // 8
    assert failed(checks(runs, runs)) == [6, 7]


@pytest.mark.parametrize("devices", [1, 8])
def test_paths_use_the_keys_of_the_loop(devices: int) -> None:
    """Path i has child i of the key; by mistake the children are counted on each device."""
    key, start = ks.key(SEED), 2 * PATHS
    children = np.array(jax.random.key_data(ks.keys(key, 3 * PATHS)))
    right = jax.device_get(pricing.compile_right(devices)(key, start))
    np.testing.assert_array_equal(right.words, children[start:])
    mine = PATHS // devices
    wrong = pricing.compile_mistaken(devices)(key, 0)
    np.testing.assert_array_equal(wrong.words, np.tile(children[:mine], (devices, 1)))
    for i in (0, mine - 1, PATHS - 1):
        payoff, words = pricing.path(jax.random.fold_in(key, start + i))
        assert np.array_equal(words, right.words[i])
        np.testing.assert_allclose(right.payoffs[i], payoff, atol=1e-4)
    payoffs = right.payoffs.astype(np.float64)
    mean, half = pricing.interval(PATHS, *right.sums.tolist())
    np.testing.assert_allclose(mean, payoffs.mean(), rtol=1e-5)
    np.testing.assert_allclose(half, 1.959964 * payoffs.std(ddof=1) / PATHS**0.5, rtol=1e-4)


def test_exact_price_is_the_integral() -> None:
    """The formula is the mean of the payoffs under the normal distribution."""
    z = np.linspace(-10, 10, 400_001)
    end = 100 * np.exp(0.05 - 0.02 + 0.2 * z)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    price = np.sum(math.exp(-0.05) * np.maximum(end - 100, 0) * density) * (z[1] - z[0])
    assert abs(pricing.exact_price() - price) < 1e-6


# --- planted faults -------------------------------------------------------------------------


def hits(count: int) -> Faulty:
    """Let so many intervals hold the price."""
    price = pricing.exact_price()
    rows = [[price, 1.0]] * count + [[price + 2, 1.0]] * (TRIALS - count)
    return field(estimates=np.array(rows))


@pytest.mark.parametrize(
    ("place", "faulty"),
    [
        (0, field(digest="another")),
        (1, shift("payoffs", 2e-3)),
        (1, shift("payoffs", float("nan"))),
        (1, shift("estimates", 2e-3)),
        (2, field(distinct=TRIALS * PATHS - 1)),
    ],
)
def test_each_check_fails_its_fault(
    place: int, faulty: Faulty, runs: list[Run], mistaken: list[Run]
) -> None:
    """A run that lies in one respect fails the check of that respect, and no other."""
    assert failed(checks([runs[0], faulty(runs[1])], mistaken)) == [place]


def test_other_coverage_fails(runs: list[Run], mistaken: list[Run]) -> None:
    """Too few hits, and by mistake too few or too many, fail; those that come by chance don't."""
    right, wrong = (
        [
            check([hits(count)(each[1])]).holds
            for count in (0, likely[0] - 1, likely[0], likely[-1], min(likely[-1] + 1, TRIALS))
        ]
        for check, each, likely in (
            (claims.check_coverage, runs, claims.likely_counts(TRIALS, 0.95)),
            (
                claims.check_too_narrow,
                mistaken,
                claims.likely_counts(TRIALS, claims.expected_coverage(8)),
            ),
        )
    )
    assert right == [False, False, True, True, True]
    assert wrong == [False, False, True, True, False]


def test_wrong_helpers_fail() -> None:
    """Paths that move with their number, and names that are positions, are found."""
    words = np.arange(8).reshape(4, 2)
    assert claims.check_prefix(words[:2], words[2:], words).holds
    assert claims.check_prefix(words[:2], words[2:], words[::-1]).holds is False
    assert claims.check_prefix(words[:2], words[:2], words).holds is False
    key = ks.key(0)
    by_position = [
        dict(zip(names, ks.split(key, 2), strict=False)) for names in (["call"], ["put", "call"])
    ]
    assert claims.check_names(*by_position).holds is False


@pytest.mark.parametrize(
    ("right", "mistaken", "holds"),
    [([], ["KS12"], True), ([], [], False), (["KS12"], ["KS12"], False), ([], ["KS01"], False)],
)
def test_an_audit_that_finds_other_things_fails(
    right: list[str], mistaken: list[str], holds: bool
) -> None:
    """An audit that misses the mistake, calls it otherwise or finds one more fails."""
    assert claims.check_audit(right, mistaken, 8).holds is holds


def test_one_device_is_not_judged(runs: list[Run], mistaken: list[Run]) -> None:
    """What needs another device count is left open on a single device."""
    found = [check.holds for check in checks(runs[:1], mistaken[:1])]
    assert found == [None, None, True, True, True, True, None, None, None]


def test_few_experiments_are_not_judged(runs: list[Run], mistaken: list[Run]) -> None:
    """Coverage is left open where chance could explain any count."""
    few = lambda run: field(estimates=run.estimates[:3])(run)
    assert claims.check_coverage([few(runs[1])]).holds is None
    assert claims.check_too_narrow([few(mistaken[1])]).holds is None


@pytest.mark.parametrize(("trials", "chance"), [(1, 0.95), (100, 0.95), (200, 0.5116)])
def test_likely_counts(trials: int, chance: float) -> None:
    """Beyond either end lies at most half of the false-alarm rate, and one further more."""
    odds = [
        math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)
    ]
    likely = claims.likely_counts(trials, chance)
    assert sum(odds[: likely[0]]) < claims.ALARM / 2 <= sum(odds[: likely[0] + 1])
    assert sum(odds[likely[-1] + 1 :]) <= claims.ALARM / 2 < sum(odds[likely[-1] :])


def test_expected_coverage() -> None:
    """Error bars too narrow by the root of 1, 4 and 8 hold the truth so often."""
    found = [claims.expected_coverage(devices) for devices in (1, 4, 8)]
    np.testing.assert_allclose(found, [0.95, 0.6729, 0.5117], atol=1e-4)


@needs_extras
@pytest.mark.parametrize(("faulty", "status"), [(field(), 0), (field(distinct=1), 1)])
def test_exit_status(
    faulty: Faulty,
    status: int,
    runs: list[Run],
    mistaken: list[Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command exits with 1 where a check fails and with 0 where none does."""
    simulated = lambda *_: ([runs[0], faulty(runs[1])], mistaken)
    monkeypatch.setattr(demo, "simulate_devices", lambda: None)
    monkeypatch.setattr(demo, "simulate_all", simulated)
    assert main(["demo", "--devices", "1,8", "--out", str(tmp_path / "x.png")]) == status
    assert ("FAILED" in capsys.readouterr().out) == bool(status)


# --- options, extras, picture ----------------------------------------------------------------


DEVICES = "must be different counts out of 1, 2, 4, 8"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *(
            ("--devices", bad, f"{DEVICES}, got {bad!r}. For all of them: --devices 1,2,4,8")
            for bad in ("0", "16", "3", "abc", "", "1,,2", "2,2", "-1", "1.0")
        ),
        *(
            (
                "--experiments",
                bad,
                f"must be a count of one or more, got {bad!r}. For a quick look: --experiments 50",
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
    """A bad option is told with its cure before anything is simulated, and the cure works."""
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
def test_picture_of_few_experiments(
    kind: str, tmp_path: Path, runs: list[Run], mistaken: list[Run]
) -> None:
    """A single experiment can be drawn, in every format that is offered."""
    from keystream.cli._demo import pictures

    path = tmp_path / f"one.{kind}"
    short: Any = lambda run: field(estimates=run.estimates[:1])(run)
    pictures.draw_intervals(path, [short(runs[0])], [short(mistaken[0])])
    assert path.stat().st_size > 5_000
