"""The examples that stand on other libraries pass the audit, in small sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from tests.docs.test_audited import is_error
from tests.docs.test_examples import example

pytestmark = pytest.mark.slow


def digits_flax(module: Any, key: jax.Array) -> None:
    state = module.begin(key)
    for _ in range(2):
        state, _ = module.train(key, state)


def ensemble_equinox(module: Any, key: jax.Array) -> None:
    module.train(key, 0, 2, 1)
    module.train(key, 2, 2, 1)


def diffusion(module: Any, key: jax.Array) -> None:
    module.BLOCK = 4
    keys = ks.split(key, ("params", "steps", "new digits"))
    params = module.begin(keys["params"])
    carry = params, module.optimizer(8).init(params)
    for first in (0, 4):
        carry, _ = module.learn(keys["steps"], carry, first, 8)
    module.new_rows(carry[0], keys["new digits"], 0, 2)


def posterior(module: Any, key: jax.Array) -> None:
    module.BLOCK = 4
    warm, draws = (ks.derive(key, part, np.arange(2)) for part in ("warm up", "draws"))
    chains = module.warm_up(warm)
    for first in (0, 4):
        chains, _ = module.draw_block(draws, chains, first)


@pytest.mark.parametrize(
    "draw",
    [digits_flax, ensemble_equinox, diffusion, posterior],
    ids=lambda draw: draw.__name__,
)
def test_example(draw: Callable[[Any, jax.Array], None]) -> None:
    """No error is found in what an example does before it draws some of that again."""
    module = example(draw.__name__)
    with ks.recording() as report:
        draw(module, ks.derive(ks.key(42), "audited"))
    assert report.keys > 0
    assert [each for each in report.findings if is_error(each)] == []
