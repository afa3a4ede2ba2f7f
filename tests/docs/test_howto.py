"""What the pages of docs/howto promise, held against slow and obvious answers.

The pages' own blocks run in `test_docs.py`. Here their functions are called again, in other
ways than the page does, and compared with a Python loop over `jax.random`, with NumPy, SciPy
or a closed form.
"""

from __future__ import annotations

import functools
import pathlib
import signal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from tests import oracle
from tests.docs.test_docs import blocks

PAGES = pathlib.Path(__file__).parents[2] / "docs" / "howto"
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
AUTO = (jax.sharding.AxisType.Auto,)


@functools.cache
def program(name: str, count: int | None = None) -> dict[str, Any]:
    """Run the first blocks of a page, or all of them, and return what they define."""
    page = PAGES / f"{name}.md"
    namespace: dict[str, Any] = {"__name__": "page"}
    for line, block in blocks(page.read_text())[:count]:
        exec(compile("\n" * line + block, str(page), "exec"), namespace)
    return namespace


def mesh_of(devices: int, axis: str) -> jax.sharding.Mesh:
    return jax.make_mesh((devices,), (axis,), AUTO, devices=jax.devices()[:devices])


def rows_over(devices: int) -> jax.sharding.NamedSharding:
    return jax.sharding.NamedSharding(mesh_of(devices, "rows"), jax.P("rows"))


@pytest.mark.fast
def test_every_page_is_listed() -> None:
    """The index links every page, and its toctree holds each once."""
    index = (PAGES / "index.md").read_text()
    pages = {page.stem for page in PAGES.glob("*.md")} - {"index"}
    assert set(blocks(index, "{toctree}")[0][1].split()) - {":hidden:"} == pages
    assert all(f"({page}.md)" in index for page in pages)


@pytest.mark.fast
@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_pages_have_their_parts(page: pathlib.Path) -> None:
    """A page asks in a user's words, says what it guarantees, shows the wrong way, and is short."""
    text = page.read_text()
    if page.stem != "index":
        assert text.splitlines()[2].startswith("> *")
        for part in ("guarantees", "people", "## Read on"):
            assert part in text
        assert len(text.splitlines()) <= 160


# dropout


def noisy_loss(page: dict[str, Any], weights: Any, key: jax.Array) -> float:
    """Compute a step's loss in NumPy, with masks from a Python loop over `jax.random`."""
    w = {name: np.asarray(leaf, np.float64) for name, leaf in weights.items()}
    errors = []
    for row, (x, y) in enumerate(zip(np.asarray(page["x"]), np.asarray(page["y"]), strict=True)):
        keys = jax.random.split(jax.random.fold_in(key, row))
        masks = [np.asarray(jax.random.bernoulli(k, 0.5, (page["WIDTH"],))) for k in keys]
        hidden = 2 * masks[0] * np.maximum(x @ w["in"], 0)
        hidden = 2 * masks[1] * np.maximum(hidden @ w["mid"], 0)
        errors.append(hidden @ w["out"] - y)
    return float(np.mean(np.square(errors)))


@pytest.mark.slow
def test_dropout_step_is_the_loop() -> None:
    """Step 300 drops what a Python loop over `jax.random` drops, whatever ran before it."""
    page = program("dropout", 3)
    key = oracle.derive(page["root"], "dropout", 300)
    _, losses = page["fifty_steps"](page["start"], 300)
    assert np.isclose(losses[0], noisy_loss(page, page["start"], key), rtol=1e-4)
    other = oracle.derive(page["root"], "dropout", 299)
    assert not np.isclose(losses[0], noisy_loss(page, page["start"], other), rtol=1e-2)


# accumulation


@pytest.mark.slow
def test_accumulated_gradients_are_the_big_batch() -> None:
    """For every number of parts the masks are the loop's, and the gradient is NumPy's."""
    page = program("accumulation", 2)
    rows, width, key = page["ROWS"], page["WIDTH"], page["key"]
    masks = oracle.draws(
        lambda key: jax.random.bernoulli(key, 0.5, (width,)), oracle.children(key, range(rows))
    )
    weights = np.linspace(-1, 1, width)
    hidden = 2 * masks * np.asarray(page["x"], np.float64)
    expected = 2 * (hidden @ weights - np.asarray(page["y"])) @ hidden / rows
    step = jax.jit(page["step_gradient"], static_argnums=4)
    for parts in (1, 16):
        summed, kept = step(jnp.float32(weights), key, page["x"], page["y"], parts)
        assert (np.asarray(kept) == masks).all()
        assert np.allclose(summed, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_accumulation_in_optax() -> None:
    """`optax.MultiSteps` over the page's parts makes the update of the big batch."""
    optax = pytest.importorskip("optax", reason="install keystream[neighbors]")
    page = program("accumulation", 2)
    gradient, key, x, y = (page[name] for name in ("gradient", "key", "x", "y"))
    size, parts = 8, page["ROWS"] // 8
    optimizer = optax.MultiSteps(optax.sgd(1.0), parts)
    weights = page["weights"]
    state = optimizer.init(weights)
    part_gradient = jax.jit(gradient)
    for part in range(parts):
        rows = slice(part * size, (part + 1) * size)
        slope, _ = part_gradient(weights, key, x[rows], y[rows], part * size)
        update, state = optimizer.update(slope, state)
    assert np.allclose(update, -page["whole"] / parts, rtol=1e-4, atol=1e-4)  # it averages parts


# augmentation


@pytest.mark.slow
def test_augmentation_is_keyed_by_example() -> None:
    """Example 17 of epoch 3 is the loop's, in another order, by 8 and over 2 devices too."""
    page = program("augmentation", 2)
    augment, images = jax.jit(page["augment"]), page["images"]
    for example in (3, 17):
        key = oracle.derive(page["root"], "augment", 3, example)
        assert (np.asarray(augment(key, images[example])) == page["third"][example]).all()
    seen, compiled = np.zeros_like(images), None
    for ids in np.random.default_rng(0).permutation(64).reshape(-1, 8):
        keys = ks.derive(page["root"], "augment", 3, ids)
        batch = jax.device_put((keys, images[ids]), rows_over(2))
        compiled = compiled or page["augment_batch"].lower(*batch).compile()
        seen[ids] = compiled(*batch)
    assert (seen == page["third"]).all()
    assert not [word for word in COLLECTIVES if word in compiled.as_text()]


@pytest.mark.slow
def test_wide_ids() -> None:
    """Ids that agree in their low 32 bits are different examples."""
    root = program("augmentation", 2)["root"]
    keys = ks.derive(root, "augment", 3, np.array([17, 2**40 + 17]))
    oracle.assert_same_keys(keys, [oracle.derive(root, "augment", 3, i) for i in (17, 2**40 + 17)])
    oracle.assert_distinct(keys)


# multi-host


@pytest.fixture(scope="module")
def hosts() -> list[dict]:
    from tests.spawn import spawn

    ended = spawn("docs/howto_worker.py", 2, str(PAGES / "multi-host.md"))
    for one in ended:
        assert one.code == 0, one.printed[-3000:]
    return [one.said[-1] for one in ended]


@pytest.mark.slow
def test_hosts_share_what_they_should(hosts: list[dict]) -> None:
    """Two processes get one seed, the weights and rows of one process, and their own children."""
    first, second = hosts
    assert first["seed"] == second["seed"]
    root = ks.key(first["seed"])
    weights = jax.random.normal(oracle.derive(root, "params"), (4, 2))
    assert first["weights"] == second["weights"]
    oracle.assert_close(first["weights"], weights)
    noise = oracle.draws(
        jax.random.bits, oracle.children(oracle.derive(root, "noise", 3), range(16))
    )
    parts = {int(at): rows for one in hosts for at, rows in one["noise"].items()}
    assert len(first["noise"]) == len(second["noise"]) == 4
    assert np.concatenate([parts[at] for at in sorted(parts)]).tolist() == noise.tolist()
    examples = {int(at): text for one in hosts for at, text in one["examples"].items()}
    for example in range(16):
        key = oracle.derive(root, "augment", 0, example)
        assert examples[example] == ks.fingerprint(key)
    for index, one in enumerate(hosts):
        assert one["mine"] == ks.fingerprint(oracle.derive(root, "buffer", index))


@pytest.mark.slow
def test_hosts_with_the_rank_in_the_seed_are_found(hosts: list[dict]) -> None:
    """Both processes are told of seeds that differ, and of a key that isn't the same everywhere."""
    for one in hosts:
        assert one["ranked"].startswith("KeysDifferError check_replicated: key must be the same")
        assert one["seeds"].startswith("SeedsDifferError agree_on_seed: seed must be the same")
        assert "7 on process 0, 8 on process 1" in one["seeds"]


# data-order


@pytest.mark.slow
def test_processes_read_one_order() -> None:
    """What two processes read in three steps, and one in the next, is what one reads in four."""
    from tests.spawn import spawn

    ended = spawn("docs/howto_worker.py", 2, str(PAGES / "data-order.md"))
    for one in ended:
        assert one.code == 0, one.printed[-3000:]
    parts = [one.said[-1] for one in ended]
    examples = program("data-order", 1)["examples"]
    read = [np.concatenate(rows) for rows in zip(*parts, strict=True)]
    read.append(np.asarray(examples(3, 0, 1)))
    straight = [np.asarray(examples(step, 0, 1)) for step in range(4)]
    assert np.array_equal(read, straight)
    assert len(np.unique(straight)) == np.size(straight)


# resume


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the file of a run that was killed after six steps on four devices."""
    from tests.spawn import spawn

    path = tmp_path_factory.mktemp("howto") / "state.npz"
    (ended,) = spawn("docs/howto_worker.py", 1, str(PAGES / "resume.md"), str(path))
    assert ended.code == -signal.SIGKILL, ended.printed[-3000:]
    return path


@pytest.fixture(scope="module")
def straight() -> Any:
    """Return the state after twelve steps on four devices, never interrupted."""
    page = program("resume", 4)
    return page["run"](page["begin"](42), 12, devices=4)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [4, 2])
def test_resumed_is_uninterrupted(killed: pathlib.Path, straight: Any, devices: int) -> None:
    """A killed run goes on from its file, on 4 devices bit for bit, on others to last digits."""
    page = program("resume", 4)
    resumed = page["run"](page["load"](killed), 6, devices=devices)
    assert resumed.step == straight.step == 12
    if devices == 4:
        oracle.assert_same(jax.device_get(resumed.weights), jax.device_get(straight.weights))
    assert np.allclose(resumed.weights, straight.weights, atol=1e-6)


@pytest.mark.slow
def test_a_run_that_seeds_anew_is_another(killed: pathlib.Path, straight: Any) -> None:
    """The saved weights with steps counted anew end elsewhere: the comparison sees it."""
    page = program("resume", 4)
    restarted = page["begin"](42)._replace(weights=page["load"](killed).weights)
    weights = page["run"](restarted, 6, devices=4).weights
    assert not np.allclose(weights, straight.weights, atol=1e-4)


# rollouts


@pytest.mark.slow
def test_rollout_is_the_loop() -> None:
    """Environment 5 alone, in Python, walks as it does among a thousand."""
    page = program("rollouts", 2)
    policy = np.asarray(page["policy"])
    root = oracle.derive(page["root"], "env", 5)
    cell = int(jax.random.randint(oracle.derive(root, "reset"), (), 0, 3))
    for t in range(24):
        act, move, again = jax.random.split(oracle.derive(root, "steps", t), 3)
        right = bool(jax.random.bernoulli(act, policy[cell]))
        assert (cell, right) == (page["early"][0][5, t], page["early"][1][5, t])
        wind = bool(jax.random.bernoulli(move, 0.3))
        cell = min(max(cell + (1 if right else -1) - wind, 0), 9)
        if cell == 9:
            cell = int(jax.random.randint(again, (), 0, 3))


@pytest.mark.slow
def test_walkers_arrive_as_often_as_the_chain_says() -> None:
    """The arrivals per walk are the Markov chain's; a false alarm of 6e-5 (4 standard errors)."""
    page = program("rollouts", 2)
    cells, policy = page["CELLS"], np.asarray(page["policy"], np.float64)
    moves = np.zeros((cells, cells))
    for cell in range(cells):
        for step, chance in ((1, policy[cell]), (-1, 1 - policy[cell])):
            for wind, often in ((1, 0.3), (0, 0.7)):
                moves[cell, np.clip(cell + step - wind, 0, cells - 1)] += chance * often
    at, arrived = np.zeros(cells), 0.0
    at[:3] = 1 / 3
    for _ in range(64):
        at = at @ moves
        arrived += at[-1]
        at[:3] += at[-1] / 3
        at[-1] = 0
    counts = np.asarray(page["early"][2]).sum(axis=1)
    assert abs(counts.mean() - arrived) < 4 * counts.std() / len(counts) ** 0.5
    assert arrived > 1


# mcmc


@pytest.mark.slow
def test_chains_do_not_depend_on_devices() -> None:
    """Chains on 1 and 8 devices, and eight of them asked for later, are the same."""
    page = program("mcmc", 1)
    key = ks.key("chains")

    def run(devices: int, start: int = 0) -> np.ndarray:
        place = rows_over(devices)
        made = jax.jit(
            lambda key: ks.sample(page["chain"], key, 16 - start, start=start, out_sharding=place)
        )(key)
        assert len(made.sharding.device_set) == devices
        return np.asarray(made)

    one = run(1)
    assert np.allclose(run(8), one, atol=1e-4)
    assert np.allclose(run(2, start=8), one[8:], atol=1e-4)
    assert not np.allclose(one[0], one[1], atol=1e-4)


# bootstrap


@pytest.mark.slow
def test_bootstrap_agrees_with_scipy() -> None:
    """The percentile interval and the bar are SciPy's, to four standard errors of a replicate's."""
    stats = pytest.importorskip("scipy.stats", reason="install keystream[test]")
    page = program("bootstrap", 1)
    pairs = np.asarray(page["schools"], np.float64)
    theirs = stats.bootstrap(
        (pairs[:, 0], pairs[:, 1]),
        _correlations,
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = theirs.confidence_interval
    assert abs(page["low"] - low) < 0.03
    assert abs(page["high"] - high) < 0.005
    assert abs(page["bar"] - theirs.standard_error) < 0.005


def _correlations(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    a = a - a.mean(axis=axis, keepdims=True)
    b = b - b.mean(axis=axis, keepdims=True)
    return (a * b).sum(axis) / np.sqrt((a * a).sum(axis) * (b * b).sum(axis))


@pytest.mark.slow
def test_replicates_are_the_loop() -> None:
    """Replicate i resamples the rows that a Python loop resamples, in batches or not."""
    page = program("bootstrap", 1)
    pairs = np.asarray(page["schools"], np.float64)
    for index in (0, 999, 19_999):
        key = oracle.child(page["key"], index)
        rows = np.asarray(jax.random.randint(key, (15,), 0, 15))
        assert np.isclose(page["replicates"][index], np.corrcoef(pairs[rows].T)[0, 1], atol=1e-4)


@pytest.mark.slow
def test_the_error_bar_covers() -> None:
    """Of 100 blocks 95 % hold the truth within 1.96 bars, give or take four standard errors.

    A bar that is half as large as it should be holds it in 67 %, ten of them away.
    """
    page = program("bootstrap", 3)
    size, block = page["BLOCK"], page["block"]
    sums, squares = ks.vmap(lambda key: block(key, 0), axis_size=100)(ks.key("cover"))
    mean = np.asarray(sums, np.float64) / size
    bars = np.sqrt((np.asarray(squares) / size - (mean - 0.75) ** 2) / size)
    held = (np.abs(mean - 0.75) < 1.96 * bars).mean()
    assert abs(held - 0.95) < 4 * (0.95 * 0.05 / 100) ** 0.5


# ensembles


@pytest.mark.slow
def test_members_do_not_depend_on_the_ensemble() -> None:
    """A member is the same among 16 on 2 devices as among 8 on 8, and has the loop's rows."""
    page = program("ensembles", 2)
    place = rows_over(2)
    train, key, x, y = (page[name] for name in ("train", "ensemble_key", "x", "y"))
    more, rows = jax.device_get(
        jax.jit(lambda key: ks.sample(train, key, 16, x, y, out_sharding=place))(key)
    )
    for member in (0, 3, 15):
        chosen = jax.random.randint(oracle.derive(key, member, "rows"), (32,), 0, 32)
        assert (rows[member] == np.asarray(chosen)).all()
    assert (rows[:8] == page["rows"]).all()
    for name, leaf in page["members"].items():
        assert np.allclose(more[name][:8], leaf, atol=1e-3)
        assert not np.allclose(more[name][8:], leaf, atol=1e-3)


# inherited

PLANTED = {
    "one root, a name for each purpose, a number for each step": {"KS02", "KS07", "KS13"},
    "two draws, two keys": {"KS01"},
    "a key for each lane": {"KS11"},
}


@pytest.mark.slow
def test_every_planted_bug_is_found() -> None:
    """With any one bug left in, the audit finds that one; with none left, nothing."""
    page = program("inherited", 4)
    fixes = page["fixes"]
    assert set(PLANTED) == set(fixes)
    for number, (left, rules) in enumerate(PLANTED.items()):
        page["fix"](f"left{number}", {name: fixes[name] for name in fixes if name != left})
        assert page["rules"](f"left{number}") == rules
    page["fix"]("clean", fixes)
    assert page["rules"]("clean") == set()


@pytest.mark.outside
def test_the_fixed_program_on_the_command_line() -> None:
    """The fixed program passes `run --audit`, which the inherited one doesn't."""
    ended = program("inherited", 4)["audited"]("new.py")
    assert ended.returncode == 0, ended.stderr
