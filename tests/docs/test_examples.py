"""The examples run in a small size, and what they find is right within their error bars.

Their seeds are fixed, so that a test is green or red for good. A sound number is four standard
errors off for about one seed in 16,000.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("sklearn", reason="install keystream[examples]")
pytest.importorskip("tqdm", reason="install keystream[examples]")

FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "examples"
NEEDED = "install keystream[examples]"


def example(name: str, *needs: str) -> types.ModuleType:
    """Load an example, or skip the test where a library that it needs is not installed."""
    for need in needs:
        pytest.importorskip(need, reason=NEEDED)
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks there for its annotations
    spec.loader.exec_module(module)
    return module


def test_index_names_every_example() -> None:
    """The page of the examples has a section for each of them, and for no other."""
    page = (FOLDER / "index.md").read_text()
    sections = {line.split("`")[1] for line in page.splitlines() if line.startswith("## `")}
    assert sections == {path.name for path in FOLDER.glob("*.py")}


def test_options(tmp_path: pathlib.Path) -> None:
    """Simulated prices meet the formula; another layout of the paths moves them by nothing."""
    options = example("options")
    result = options.main(["--small", "--blocks", "4", "--picture", str(tmp_path / "a.png")])
    assert np.abs(result.sigmas).max() < 4
    assert (result.tallies[-1].error < [0.1, 0.01, 0.5]).all()
    assert result.moved < 1e-3
    # Continued from a tally that was kept, a run comes to the same as one that wasn't stopped.
    key = options.ks.derive(options.ks.key(42), "paths")
    later = options.extend(result.tallies[1], key, 2**14, devices=8)
    assert later.paths == result.tallies[2].paths
    assert np.array_equal(later.sums, result.tallies[2].sums)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_bootstrap() -> None:
    """Standard errors meet the ideal bootstrap's; batches and devices change no resample."""
    result = example("bootstrap").main(["--small"])
    assert np.abs(result.sigmas).max() < 4
    assert np.abs(np.subtract(*result.intervals)).max() <= 2  # whole numbers, few resamples
    assert list(result.others) == [1, 8]
    for other in result.others.values():
        assert np.array_equal(other.total, result.drawn.total[:256])
        assert np.array_equal(other.median, result.drawn.median[:256])
    assert len(np.unique(result.drawn.total)) > 1000  # no key was used for all


def test_particle_filter() -> None:
    """Likelihoods and levels meet Kalman's; a filter is the same one without the others."""
    result = example("particle_filter").main(["--small"])
    assert abs(result.likelihood - 1) < 4 * result.likelihood_error < 0.5
    assert np.abs(result.sigmas).max() < 4.5
    assert np.array_equal(result.again.log_likelihood, result.runs.log_likelihood[-10:])
    assert len(np.unique(result.runs.log_likelihood[:, -1])) == 100


def test_rollouts(tmp_path: pathlib.Path) -> None:
    """The share of games won is the plan's exact chance; a run goes on from what it saved."""
    rollouts = example("rollouts")
    state = str(tmp_path / "lake.npz")
    whole = rollouts.main(["--small"])
    assert whole.same
    assert np.abs(whole.sigmas).max() < 4
    assert whole.chances[-1] > 0.9 * rollouts.chance_of(rollouts.plan_on(rollouts.RULES))
    rollouts.main(["--small", "--rounds", "1", "--state", state])
    resumed = rollouts.main(["--small", "--state", state])
    assert np.array_equal(resumed.counts, whole.counts)
    assert resumed.shares == whole.shares[1:]


@pytest.mark.outside
def test_digits_flax(tmp_path: pathlib.Path) -> None:
    """The network learns; keys by example make small batches add up; a killed run goes on."""
    digits = example("digits_flax", "flax", "optax")
    state = str(tmp_path / "digits.state")
    whole = digits.main(["--small"])
    assert whole.accuracy > 0.85
    assert whole.by_example < 1e-4
    assert whole.by_place > 0.1
    digits.main(["--small", "--epochs", "2", "--state", state])
    resumed = digits.main(["--small", "--state", state])
    pairs = zip(*map(digits.jax.tree.leaves, (resumed.state, whole.state)), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.outside
def test_ensemble_equinox() -> None:
    """Members read digits, best where they agree; one is the same without the others."""
    result = example("ensemble_equinox", "equinox", "optax").main(["--small"])
    assert result.alone.min() > 0.9
    assert result.together >= result.alone.mean() - 0.01
    assert result.agreed[0] > result.agreed[1]
    assert np.array_equal(result.later.order, result.members.order[-2:])
    assert np.abs(result.later.chances - result.members.chances[-2:]).max() < 0.05
    assert not np.array_equal(result.members.order[0], result.members.order[1])


@pytest.mark.outside
def test_diffusion() -> None:
    """New digits are what was asked for, and the same ones without the others."""
    result = example("diffusion", "optax").main(["--small"])
    assert result.recognized - 4 * result.error > 0.8
    assert result.moved < 1e-2
    assert np.abs(result.rows[0] - result.rows[1]).max() > 0.1


@pytest.mark.outside
def test_posterior(tmp_path: pathlib.Path) -> None:
    """Sampled weights meet the exact posterior; a killed run goes on bit for bit."""
    posterior = example("posterior", "blackjax")
    state = str(tmp_path / "chains.npz")
    whole = posterior.main(["--small"])
    assert np.abs(whole.sigmas).max() < 4
    assert whole.r_hat < 1.05
    assert np.abs(np.log(whole.spreads)).max() < 4 / np.sqrt(2 * whole.effective.min())
    posterior.main(["--small", "--draws", "100", "--state", state])
    resumed = posterior.main(["--small", "--state", state])
    assert np.array_equal(resumed.draws, whole.draws)
