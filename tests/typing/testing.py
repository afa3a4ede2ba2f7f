"""What the signatures of keystream.testing promise a type checker. Checked, never run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import jax
from hypothesis import given
from hypothesis import strategies as st

import keystream as ks
from keystream import testing

key = ks.key(42)


def draw(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Draw."""
    return jax.random.normal(key, shape)


def over(key: jax.Array, mesh: jax.sharding.Mesh) -> jax.Array:
    """Draw over a mesh."""
    del mesh
    return draw(key)


def step(state: Any) -> Any:
    """Go on."""
    return state


# Checks that return nothing, and raise.
assert_type(testing.check_reproducible(draw, key, (3,), forms=("jit",), exact=True), None)
assert_type(testing.check_device_invariant(over, key, (1, 2), axis_names=("data",)), None)
assert_type(testing.check_prefix_stable(draw, key, (1, 4), starts=(0, 2)), None)
assert_type(testing.check_resumable(step, key, num_steps=3, save_at=[1]), None)
assert_type(testing.check_golden("noise", draw(key), path=Path("golden.json")), None)

# Statistical ones, which return what they saw.
evidence = testing.check_distribution(draw, key, "norm", num=1000)
assert_type(testing.check_distribution(draw, key, "norm"), testing.Evidence)
assert_type(testing.check_same_distribution(draw, draw, key), testing.Evidence)
assert_type(testing.check_independent(draw, key, 3, num=100), testing.Evidence)
assert_type(testing.check_uniform_bits(jax.random.bits, key), testing.Evidence)
assert_type(evidence.check, str)
assert_type(evidence.p_value, float)
assert_type(evidence.draws, tuple[int, ...])

# Strategies.
assert_type(testing.samplers("real"), st.SearchStrategy[Callable[..., jax.Array]])
assert_type(testing.key_arrays((3,), impl="rbg"), st.SearchStrategy[Any])
assert_type(testing.keys(impl="rbg"), st.SearchStrategy[Any])
assert_type(testing.meshes(("data",), max_devices=4), st.SearchStrategy[Any])
assert_type(testing.names(), st.SearchStrategy[Any])
assert_type(testing.paths(max_size=3), st.SearchStrategy[Any])
assert_type(testing.seeds(), st.SearchStrategy[Any])


@given(testing.keys(), testing.seeds())
def test_it(key: Any, seed: Any) -> None:
    """Strategies are hypothesis's own."""
    del key, seed


# Errors: of ours, and of the builtin that pytest shows.
failures: tuple[type[testing.CheckError], ...] = (
    testing.DifferenceError,
    testing.GoldenError,
    testing.DependenceError,
    testing.DistributionError,
)
assertion: AssertionError = testing.CheckError("it")
ours: ks.KeystreamError = testing.GoldenError("it")

# What is wrong at run time is wrong here too; an unused ignore is an error under `strict`.
testing.check_reproducible(key, draw)  # type: ignore[arg-type]
testing.check_reproducible(draw)  # type: ignore[call-arg]
testing.check_reproducible(draw, key, form="jit")  # type: ignore[call-arg]
testing.check_golden(draw(key), "noise")  # type: ignore[arg-type]
testing.check_golden("noise")  # type: ignore[call-arg]
testing.check_device_invariant(draw, key)  # type: ignore[arg-type]
testing.check_distribution(draw, key)  # type: ignore[call-arg]
testing.keys("rbg")  # type: ignore[call-arg, misc, unused-ignore]
testing.seeds(3)  # type: ignore[call-arg]
testing.check_goldn  # type: ignore[attr-defined]  # noqa: B018
evidence.pvalue  # type: ignore[attr-defined]  # noqa: B018
