"""Draws beside children, drawn words, clones and paired shuffles: right by a hair, or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import keystream as ks

pytestmark = pytest.mark.fast

KEY = ks.key(0)


def rules(fun: Callable[..., Any], *args: Any, **options: Any) -> set[tuple[str, str]]:
    """Return what is found, without keys that nobody uses."""
    found = ks.audit(fun, *args, **options).findings
    return {(each.rule, each.severity) for each in found if each.rule != "KS15"}


NOTE, ERROR = {("KS06", "note")}, {("KS06", "error")}


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (1001,)])
def test_a_number_is_made_of_one_block(shape: tuple[int, ...]) -> None:
    """Number j of a draw is made of the words of child j, whatever its width."""
    children = np.asarray(random.key_data(random.split(KEY, 1001))).astype(np.uint64)
    for width in (8, 16, 32):
        drawn = np.asarray(random.bits(KEY, shape, f"uint{width}")).ravel()
        high, low = children[: drawn.size].T
        assert (drawn == (high ^ low) % 2**width).all()
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        drawn = np.asarray(random.bits(KEY, shape, "uint64")).ravel()
    high, low = children[: drawn.size].T
    assert (drawn == (high << np.uint64(32) | low)).all()


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("width", [8, 16, 32])
def test_a_draw_beside_a_child(width: int, run: bool) -> None:
    """A draw of n numbers meets child n - 1, and not child n."""
    for shape, size in (((), 1), ((3,), 3), ((2, 5), 10)):
        for number, found in ((size - 1, ERROR), (size, NOTE), (1000, NOTE)):

            def both(key: jax.Array, shape: Any = shape, number: int = number) -> Any:
                drawn = random.bits(key, shape, f"uint{width}")
                return drawn, random.normal(random.fold_in(key, number))

            assert rules(both, KEY, run=run) == found


def _range(key: jax.Array, start: int) -> Any:
    return random.normal(key, (3,)), jax.vmap(random.normal)(ks.keys(key, 4, start=start))


@pytest.mark.parametrize(
    ("fun", "found"),
    [
        (lambda key: _range(key, 3), NOTE),
        (lambda key: _range(key, 2), ERROR),
        (lambda key: (random.gamma(key, 2.0, (3,)), random.normal(random.fold_in(key, 3))), NOTE),
        (lambda key: (random.gamma(key, 2.0, (3,)), random.normal(random.fold_in(key, 2))), ERROR),
        (lambda key: (random.normal(key, (3,)), random.normal(ks.derive(key, 2**40))), NOTE),
        (lambda key: [random.normal(key, (3,))] + [
            random.normal(random.fold_in(key, number)) for number in (1000, 2)], ERROR),
    ],
)  # fmt: skip
def test_ranges_and_samplers(fun: Callable[..., Any], found: set[tuple[str, str]]) -> None:
    """The blocks of ranges, far positions and gamma samplers are followed; the worst is told."""
    assert rules(fun, KEY) == found


def test_blocks_that_are_not_known() -> None:
    """Without JAX's default settings, and with another implementation, it stays an error."""

    def both(key: jax.Array) -> Any:
        return random.normal(key, (3,)), random.normal(random.fold_in(key, 1000))

    assert rules(both, ks.key(0, impl="rbg")) == ERROR
    with jax.threefry_partitionable(False):
        assert rules(both, KEY) == ERROR


# --- drawn words ------------------------------------------------------------------------------


def _wrapped(words: jax.Array) -> jax.Array:
    return random.normal(random.wrap_key_data(words, impl="rbg"))


def _words(key: jax.Array, *shape: int) -> jax.Array:
    return random.bits(key, shape, "uint32")


@pytest.mark.parametrize(
    ("fun", "found"),
    [
        (lambda key: _wrapped(_words(key, 4)), {("KS14", "note")}),
        (lambda key: _wrapped(_words(key, 2, 2).reshape(4)), {("KS14", "note")}),
        (lambda key: jax.jit(_wrapped)(_words(key, 4)), {("KS14", "note")}),
        (lambda key: jax.vmap(lambda key: _wrapped(_words(key, 4)))(random.split(key, 3)),
         {("KS14", "note"), ("KS16", "warning")}),
        (lambda key: _wrapped(_words(key, 4) + 1), {("KS14", "error")}),
        (lambda key: random.normal(random.wrap_key_data(_words(key, 2))), {("KS14", "error")}),
        (lambda key: _wrapped(jnp.tile(_words(key, 2), 2)), {("KS14", "error")}),
        (lambda key: _wrapped(jnp.broadcast_to(_words(key), (4,))), {("KS14", "error")}),
        (lambda key: random.normal(random.key(_words(key))), {("KS14", "error")}),
        (lambda key: (_wrapped(_words(key, 4)), random.normal(key)),
         {("KS14", "note"), ("KS01", "error")}),
    ],
)  # fmt: skip
def test_words_that_are_drawn(fun: Callable[..., Any], found: set[tuple[str, str]]) -> None:
    """A key of drawn words is a note, where they are whole and as they were drawn."""
    assert rules(fun, KEY) == found


# --- clones -----------------------------------------------------------------------------------


def _clone(key: jax.Array) -> Any:
    return random.normal(key), random.normal(random.clone(key))


def _clone_of_children(key: jax.Array) -> Any:
    return [[random.normal(use) for use in random.split(each)] for each in (key, random.clone(key))]


def _clone_twice(key: jax.Array) -> Any:
    again = random.clone(key)
    return random.normal(key), random.normal(again), random.uniform(again)


def _clone_beside(key: jax.Array) -> Any:
    return random.normal(key), random.uniform(key), random.normal(random.clone(key))


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("around", [lambda fun: fun, jax.jit])
@pytest.mark.parametrize("key", [KEY, jax.random.PRNGKey(0)])
def test_clones(key: jax.Array, around: Callable[..., Any], run: bool) -> None:
    """A clone is another key, in a jaxpr and in a run, and what it is split into as well."""
    for fun, found in (
        (_clone, set()),
        (_clone_of_children, set()),
        (_clone_twice, {("KS01", "error")}),
        (_clone_beside, {("KS01", "error")}),
    ):
        assert rules(around(fun), key, run=run) == found


def test_clones_in_lanes_and_loops() -> None:
    """So it is in lanes, and in a Python loop that clones in each turn."""

    def turns(key: jax.Array) -> Any:
        return [random.normal(random.clone(key)) for _ in range(5)]

    assert rules(jax.vmap(_clone), random.split(KEY, 3), run=True) == set()
    assert rules(turns, KEY, run=True) == set()
    uncloned = rules(lambda key: [random.normal(key) for _ in range(5)], KEY, run=True)
    assert uncloned == {("KS07", "error")}


# --- shuffles ---------------------------------------------------------------------------------


def _shuffled(*lengths: int) -> Callable[..., Any]:
    def shuffle(key: jax.Array) -> Any:
        return jax.tree.map(
            lambda rows: random.permutation(key, rows), [jnp.arange(n) for n in lengths]
        )

    return shuffle


@pytest.mark.parametrize("run", [False, True])
def test_paired_shuffles(run: bool) -> None:
    """Shuffles of one length by one key are a warning, which doesn't propose to split the key."""
    for lengths in ((6, 6), (6, 6, 6)):
        [finding] = ks.audit(_shuffled(*lengths), KEY, run=run).findings
        assert (finding.rule, finding.severity) == ("KS01", "warning")
        assert "right where they belong together" in finding.why
        assert "split" not in finding.cure
    assert rules(_shuffled(6, 4), KEY, run=run) == {("KS01", "error")}
    mixed = rules(lambda key: (random.permutation(key, 6), random.normal(key)), KEY, run=run)
    assert mixed == {("KS01", "error")}
