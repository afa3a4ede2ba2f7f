"""Programs at the edges of what the audit follows, by their jaxprs and by runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import keystream as ks

pytestmark = pytest.mark.fast

TYPED, LEGACY = jax.random.key(0), jax.random.PRNGKey(1)
bits, split = jax.random.bits, jax.random.split


def in_scan(key: jax.Array) -> Any:
    def body(total: Any, key: jax.Array) -> Any:
        first = jax.random.normal(key)
        second = jax.random.uniform(key)
        return total, first + second

    return lax.scan(body, 0.0, split(key, 3))[1]


def in_gradient(key: jax.Array) -> Any:
    def loss(weight: Any) -> Any:
        first = jax.random.normal(key)
        second = jax.random.uniform(key)
        return weight * first * second

    return jax.jit(jax.value_and_grad(loss))(1.0)


def one_branch(key: jax.Array) -> jax.Array:
    return bits(key)


def other_branch(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key).astype(jnp.uint32)


def branches_in_lanes(key: jax.Array) -> jax.Array:
    def choose(i: jax.Array, key: jax.Array) -> jax.Array:
        return lax.cond(i > 2, one_branch, other_branch, key)

    return jax.vmap(choose)(jnp.arange(4), split(key, 4))


def two_in_lanes(key: jax.Array) -> jax.Array:
    def lane(key: jax.Array) -> jax.Array:
        return one_branch(key) + other_branch(key)

    return jax.vmap(lane)(split(key, 4))


@jax.jit
def two_in_one_branch(key: jax.Array) -> jax.Array:
    def both(key: jax.Array) -> jax.Array:
        first = one_branch(key)
        return first + other_branch(key)

    def choose(i: jax.Array, key: jax.Array) -> jax.Array:
        return lax.cond(i > 2, both, lambda _: jnp.uint32(0), key)

    return jax.vmap(choose)(jnp.arange(4), split(key, 4))


@jax.jit
def branch_and_after(key: jax.Array) -> jax.Array:
    def choose(i: jax.Array, key: jax.Array) -> jax.Array:
        inside = lax.cond(i > 2, one_branch, lambda _: jnp.uint32(0), key)
        return inside + other_branch(key)

    return jax.vmap(choose)(jnp.arange(4), split(key, 4))


@jax.jit
def two_choices(key: jax.Array) -> jax.Array:
    def choose(i: jax.Array, key: jax.Array) -> jax.Array:
        first = lax.cond(i > 2, one_branch, lambda _: jnp.uint32(0), key)
        return first + lax.cond(i > 2, lambda _: jnp.uint32(0), other_branch, key)

    return jax.vmap(choose)(jnp.arange(4), split(key, 4))


def replayed(key: jax.Array) -> jax.Array:
    def layer(x: jax.Array, key: jax.Array) -> jax.Array:
        first, second = split(key)
        return x * jax.random.normal(first) + jnp.sin(x) * jax.random.normal(second)

    return jax.grad(jax.checkpoint(layer))(1.0, key)


def some_axes(key: jax.Array) -> jax.Array:
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)

    def shard(key: jax.Array, x: jax.Array) -> jax.Array:
        return x + jax.random.normal(jax.random.fold_in(key, lax.axis_index("a")), x.shape)

    mapped = jax.shard_map(
        shard, mesh=mesh, in_specs=(P(), P("a")), out_specs=P("a"), axis_names={"a"}
    )
    return jax.jit(mapped)(key, jnp.zeros((4, 2)))


def no_keys_in_it(key: jax.Array) -> jax.Array:
    return jax.vmap(bits)(split(key, 0))


def one_replaced(key: jax.Array) -> jax.Array:
    return bits(split(key, 3).at[1].set(key)[1])


def in_a_ref(key: jax.Array) -> jax.Array:
    return bits(jax.new_ref(key)[...])


def cast(through: str) -> Callable[[jax.Array], jax.Array]:
    """Return a program that hands the words of a key on as another dtype."""

    def fun(key: jax.Array) -> jax.Array:
        words = jax.random.key_data(key)
        if through == "bits":
            signed = lax.bitcast_convert_type(words, jnp.int32)
            words = lax.bitcast_convert_type(signed, jnp.uint32)
        else:
            words = words.astype(through).astype(jnp.uint32)
        return bits(jax.random.wrap_key_data(words)) ^ bits(key)

    return fun


def copies(key: jax.Array) -> jax.Array:
    return jax.vmap(bits)(jnp.stack([key] * 4))


def audited_inside(key: jax.Array) -> jax.Array:
    ks.audit(one_branch, jax.random.fold_in(key, 1), run=True)
    return jnp.zeros(())


class Edge(NamedTuple):
    """A program, and what is to be said of it."""

    fun: Callable[[jax.Array], Any]
    key: jax.Array
    static: set[tuple[str, str]]
    run: set[tuple[str, str]]


TWICE = {("KS01", "error")}
DOUBT = {("KS01", "warning")}
LANES = {("KS11", "warning")}
EDGES = {
    "in a scan": Edge(in_scan, TYPED, TWICE, TWICE),
    "in a gradient": Edge(in_gradient, TYPED, TWICE, TWICE),
    "branches in lanes": Edge(branches_in_lanes, TYPED, set(), DOUBT),
    "branches in lanes, legacy": Edge(branches_in_lanes, LEGACY, set(), DOUBT),
    "branches in lanes, compiled": Edge(jax.jit(branches_in_lanes), TYPED, set(), set()),
    "two in lanes": Edge(two_in_lanes, TYPED, TWICE, TWICE),
    "two in lanes, compiled": Edge(jax.jit(two_in_lanes), TYPED, TWICE, TWICE),
    "two in one branch": Edge(two_in_one_branch, TYPED, TWICE, TWICE),
    "branch and after": Edge(branch_and_after, TYPED, TWICE, TWICE),
    "two choices": Edge(two_choices, TYPED, set(), DOUBT),
    "replayed": Edge(replayed, TYPED, set(), set()),
    "some axes": Edge(some_axes, TYPED, set(), set()),
    "no keys": Edge(no_keys_in_it, TYPED, set(), set()),
    "one replaced": Edge(one_replaced, LEGACY, set(), set()),
    "in a ref": Edge(in_a_ref, LEGACY, set(), set()),
    "cast bits": Edge(cast("bits"), TYPED, TWICE, TWICE),
    "cast": Edge(cast("int32"), TYPED, TWICE, TWICE),
    "cast, cut": Edge(cast("uint16"), jax.random.key(2**20), {("KS14", "error")}, set()),
    "copies": Edge(copies, TYPED, LANES, set()),
    "audited inside": Edge(audited_inside, TYPED, set(), set()),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("run", [False, True])
def test_edge(name: str, run: bool) -> None:
    """What is said is neither more nor less than what is wrong."""
    edge = EDGES[name]
    report = ks.audit(edge.fun, edge.key, run=run)
    found = {(each.rule, each.severity) for each in report.findings if each.severity != "note"}
    if name == "some axes" and run:
        assert found <= {("KS12", "warning")}  # the compiler chooses who draws along "b"
    else:
        assert found == (edge.run if run else edge.static)


def test_compiled_ahead() -> None:
    """What was compiled ahead of time can't be traced; a run is proposed."""
    compiled = jax.jit(one_branch).lower(TYPED).compile()
    with pytest.raises(ks.ArgumentTypeError, match="run=True"):
        ks.audit(lambda key: compiled(key), TYPED)  # noqa: PLW0108 - a function, not that object


@pytest.mark.parametrize("count", [300])
def test_long_bodies(count: int) -> None:
    """A chain of keys in the body of a loop is repeated link by link, not key by key."""

    def chain(key: jax.Array) -> Any:
        def body(key: jax.Array, _: None) -> Any:
            for _ in range(count):
                key, use = split(key)
            return key, bits(use)

        return lax.scan(body, key, None, length=3)[1]

    from keystream._audit.jaxprs import trace
    from keystream._audit.reading.program import read

    whole = read(*trace(chain, (TYPED,), {}))
    assert len(whole.reader.lineage.steps) < 10 * count


def beyond_the_end(key: jax.Array) -> Any:
    keys = split(key, 3)
    return bits(keys[2]), bits(lax.dynamic_index_in_dim(keys, 7, keepdims=False))


def shifted(key: jax.Array) -> Any:
    number = lax.shift_right_logical(jnp.int32(-8), jnp.int32(28))
    return bits(jax.random.fold_in(key, number)), bits(jax.random.fold_in(key, 15))


def discarded(key: jax.Array) -> jax.Array:
    _, use = split(key)
    return jax.random.normal(use)


@pytest.mark.parametrize(
    ("fun", "found"),
    [(beyond_the_end, {"KS01", "KS15"}), (shifted, {"KS05"}), (discarded, set())],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_which_child(fun: Callable[[jax.Array], Any], found: set[str]) -> None:
    """An index beyond the end is the last one, a shift keeps no sign, and a key may be dropped."""
    assert {each.rule for each in ks.audit(fun, TYPED).findings} == found


@pytest.mark.parametrize("impl", ["philox2x32"])
@pytest.mark.parametrize(("count", "found"), [(999, set()), (1000, {"KS16"})])
def test_many_keys_of_32_bits(impl: str, count: int, found: set[str]) -> None:
    """A thousand keys of 32 bits may well hold equal ones, and fewer are let pass."""
    key = jax.random.key(0, impl=impl)
    report = ks.audit(lambda key: jax.vmap(bits)(split(key, count)), key)
    assert {each.rule for each in report.findings} == found
