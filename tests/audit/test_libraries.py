"""Findings inside of libraries show the library's line, and say whose names clash."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import keystream as ks
from tests.audit.test_callers import Find, find

__all__ = ["find"]


def test_inside_a_library(find: Find) -> None:
    """The line of a library stands beside the user's, which is the last one."""
    zero = jnp.zeros(())

    def once_each(key):
        first = optax.tree.random_like(key, zero)
        return first + optax.tree.random_like(key, zero)

    finding = find(once_each)
    assert finding.rule == "KS03"
    assert finding.places[-1].text == "return first + optax.tree.random_like(key, zero)"
    inside = [
        p.file for p, label in zip(finding.places, finding.labels, strict=True) if "ins" in label
    ]
    assert inside
    assert all(file.endswith("optax/tree_utils/_random.py") for file in inside)
    assert "tree_random_like(first), tree_random_like(second)" in finding.cure


def test_names_that_clash_inside_a_framework(find: Find) -> None:
    """Where a framework folds for two of its streams, the report says whose folds they are."""

    def streams(key):
        rngs = nnx.Rngs(params=key, dropout=key)
        return jax.random.normal(rngs.params()) + jax.random.normal(rngs.dropout())

    finding = find(streams)
    assert finding.rule == "KS05"
    assert finding.message == "flax folds the same name or counter into a key twice"
    assert "inside flax" in finding.labels
    assert finding.cure.endswith("# give flax one for each call, and for each stream")


def test_modules_that_flax_keeps() -> None:
    """Flax refuses to change a module of outside; the cure is the same."""
    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    with pytest.raises(ks.ArgumentTypeError, match="run=True"):
        ks.audit(layer, jnp.ones(3))
    assert ks.audit(layer, jnp.ones(3), run=True).ok
