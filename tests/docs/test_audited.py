"""The how-to pages and the examples pass the audit.

Each block of a page is recorded by itself, down to the section on what people write instead.
Where a block or an example draws something again on purpose, to compare, the functions that draw
are recorded in its place.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from tests.docs.test_docs import blocks
from tests.docs.test_howto import PAGES

Names = dict[str, Any]


def right_blocks(page: pathlib.Path) -> list[tuple[int, str]]:
    """Return the blocks of a page before it tells what people write or do instead."""
    right, head, _ = page.read_text().partition("\n## What people ")
    assert head or page.stem == "index"
    return blocks(right)


def in_parts(page: Names) -> None:
    step = jax.jit(page["step_gradient"], static_argnums=4)
    step(page["weights"], page["key"], page["x"], page["y"], 4)


def on_one_mesh(page: Names) -> None:
    page["on_mesh"]((2, 4))(page["key"], page["x"])


def masks_in_parts(page: Names) -> None:
    jax.jit(page["in_parts"], static_argnums=1)(page["key"], 4)


def two_epochs(page: Names) -> None:
    page["everything"](3, size=16)
    page["everything"](4, size=16)


def stopped_and_resumed(page: Names) -> None:
    page["order"].cache_clear()
    page["save"](page["path"], page["run"](page["begin"](7), 6, devices=8))
    page["run"](page["load"](page["path"]), 6, devices=1)


def noise_of_a_step(page: Names) -> None:
    page["batch_noise"](ks.derive(page["root"], "noise", 4))


def fixed(page: Names) -> None:
    page["module"]("new").main()


def nothing(_: Names) -> None:
    """Record nothing: the block runs the program as it came, with its mistakes."""


IN_ITS_PLACE: dict[tuple[str, int], Callable[[Names], None]] = {
    ("accumulation", 1): in_parts,
    ("augmentation", 1): two_epochs,
    ("multi-host", 2): noise_of_a_step,
    ("pieces", 0): on_one_mesh,
    ("pieces", 1): masks_in_parts,
    ("resume", 3): stopped_and_resumed,
    ("inherited", 2): nothing,
    ("inherited", 3): fixed,
    ("inherited", 4): nothing,
}
"""By page and block: what is recorded in the place of a block that draws twice on purpose."""


def errors(page: str, numbered: list[tuple[int, str]], name: str) -> list[str]:
    """Run the blocks of a page in order, and return the errors that are found."""
    names: Names = {"__name__": "page"}
    found: list[str] = []
    for at, (line, block) in enumerate(numbered):
        code = compile("\n" * line + block, name, "exec")
        record = functools.partial(exec, code)
        if (page, at) in IN_ITS_PLACE:
            record(names)
            record = IN_ITS_PLACE[page, at]
        with ks.recording() as report:
            record(names)
        found += [f"{each.rule} {each.places}" for each in report.findings if is_error(each)]
    return found


def is_error(finding: Any) -> bool:
    return finding.severity == "error"


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_howto(page: pathlib.Path) -> None:
    """No error is found in what a page tells people to write."""
    assert errors(page.stem, right_blocks(page), str(page)) == []


@pytest.mark.slow
def test_a_mistake_is_noticed() -> None:
    """What a page shows as a mistake is found."""
    page = PAGES / "rollouts.md"
    every, right = blocks(page.read_text()), right_blocks(page)
    found = errors("rollouts", [every[0], every[len(right)]], str(page))
    assert [each[:4] for each in found] == ["KS01"]
    assert "careless" in found[0]


def options(module: Any, key: jax.Array) -> None:
    tally = module.extend(module.Tally(), key, 64, devices=8)
    module.extend(tally, key, 64, devices=1)


def bootstrap(module: Any, key: jax.Array) -> None:
    ks.sample(module.resample, key, 100, module.load(), batch_size=10)


def particle_filter(module: Any, key: jax.Array) -> None:
    module.many(key, 0, 3, 20)
    module.many(key, 3, 3, 20)


def rollouts(module: Any, key: jax.Array) -> None:
    counts = np.zeros((module.SIZE**2, 4, module.SIZE**2), np.int64)
    for number, random_moves in enumerate((1.0, module.RANDOM_MOVES)):
        explore = ks.derive(key, "explore", number)
        seen = module.play_all(explore, 8, module.plan_on(counts), random_moves)
        np.add.at(counts, seen, 1)
        module.play_all(ks.derive(key, "try", number), 8, module.plan_on(counts), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "draw", [options, bootstrap, particle_filter, rollouts], ids=lambda draw: draw.__name__
)
def test_example(draw: Callable[[Any, jax.Array], None]) -> None:
    """No error is found in what an example does before it draws some of that again."""
    from tests.docs.test_examples import example  # not without the extra `demo`

    module = example(draw.__name__)
    with ks.recording() as report:
        draw(module, ks.derive(ks.key(42), "audited"))
    assert [each for each in report.findings if is_error(each)] == []
