"""What keys are followed through: mapped bodies, long scans, moves; and what is said where not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import keystream as ks
from keystream._audit.jaxprs import trace
from keystream._audit.reading.equal_values import Binding
from keystream._audit.reading.lineage import CHILD, Lineage, Origin, stand_for
from keystream._audit.reading.meshes import Shards
from keystream._audit.reading.program import read

pytestmark = pytest.mark.fast

P = jax.P
bits, split = jax.random.bits, jax.random.split


def rules(fun: Callable[..., Any], *args: Any, run: bool = False) -> set[str]:
    """Return what is found, without notes."""
    found = ks.audit(fun, *args, run=run).findings
    return {each.rule for each in found if each.severity != "note"}


def notes(fun: Callable[..., Any], *args: Any) -> list[str]:
    return [each.message for each in ks.audit(fun, *args).findings if each.rule == "KS15"]


# --- moves ------------------------------------------------------------------------------------


LINE = jnp.arange(24, dtype=jnp.int32)
GRID = LINE.reshape(4, 6)
MOVES: dict[str, Callable[[], Any]] = {
    "rows": lambda: GRID[jnp.array([2, -1, 0])],
    "columns": lambda: GRID[:, jnp.array([[2], [5]])],
    "points": lambda: GRID[jnp.array([1, 3]), jnp.array([0, 5])],
    "far": lambda: GRID.at[jnp.array([1, 9])].get(mode="clip"),
    "along": lambda: jnp.take_along_axis(GRID, jnp.array([[1], [0], [5], [2]]), axis=1),
    "batched": lambda: jax.vmap(lambda row, i: row[i])(GRID, jnp.array([3, 1, 0, 5])),
    "set": lambda: GRID.at[jnp.array([3, 0])].set(-GRID[:2]),
    "set_points": lambda: GRID.at[jnp.array([0, 2]), jnp.array([1, 5])].set(-1),
    "set_outside": lambda: LINE.at[jnp.array([30, 2])].set(-1),
    "set_batched": lambda: jax.vmap(lambda row, i: row.at[i].set(-1))(GRID, jnp.arange(4)),
    "add": lambda: LINE.at[jnp.array([1, 1, 2])].add(5),
    "insert": lambda: jnp.insert(LINE, jnp.array([3, 1]), -LINE[:2]),
    "delete": lambda: jnp.delete(GRID, 2, axis=1),
    "edge": lambda: jnp.pad(GRID, ((1, 2), (0, 3)), mode="edge"),
    "pad": lambda: lax.pad(GRID, jnp.int32(-1), ((1, 2, 1), (-2, -1, 0))),
    "tile": lambda: jnp.tile(GRID, (2, 3)),
    "order": lambda: jnp.argsort(jnp.array([3, 1, 2, 1])),
    "sort": lambda: lax.sort((GRID % 5, GRID), dimension=0, num_keys=1)[1],
    "sum": lambda: lax.cumsum(GRID, axis=1, reverse=True),
    "division": lambda: (lax.div(LINE - 9, jnp.int32(4)), lax.rem(LINE - 9, jnp.int32(-4))),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_moves_are_what_jax_does(move: Callable[[], Any]) -> None:
    """What moves elements by numbers that are known does with NumPy what JAX does."""
    closed = jax.make_jaxpr(move)()
    binding = Binding(closed.jaxpr, consts=closed.consts)
    for var, real in zip(closed.jaxpr.outvars, jax.tree.leaves(jax.jit(move)()), strict=True):
        known = binding.constant(var)
        assert known is not None
        np.testing.assert_array_equal(known, real)


def test_the_second_result_of_a_call_is_known() -> None:
    """Of a jitted function that returns several constants each is itself."""
    both = jax.jit(lambda: (jnp.int32(1), jnp.int32(2)))

    def fun(key: jax.Array) -> Any:
        _, number = both()
        return bits(split(key, 3)[2]), bits(jax.random.fold_in(key, number))

    assert rules(fun, ks.key(0)) == {"KS04"}


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_what_is_lost_and_drawn_from(make: Callable[[int], jax.Array]) -> None:
    """A key that is put where nobody knows is named where it is drawn from, and only there."""

    def kept(key: jax.Array, place: jax.Array) -> jax.Array:
        keys = split(key, 3)
        return keys.at[place].set(split(keys[0])[1])

    def drawn(key: jax.Array, place: jax.Array) -> jax.Array:
        return bits(kept(key, place)[1])

    args = make(0), jnp.int32(1)
    report = ks.audit(drawn, *args)
    assert report.ok
    assert not report.complete
    assert [said.startswith("what else draws from a key ") for said in report.unseen] == [True]
    report = ks.audit(kept, *args)
    assert report.ok
    assert report.complete
    assert ks.audit(drawn, *args, run=True).complete


def test_any_element_may_be_used() -> None:
    """Where an element is picked by a number that isn't known, no other one is called unused."""
    assert not notes(lambda key, i: bits(split(key, 3)[i]), ks.key(0), jnp.int32(1))


# --- long scans -------------------------------------------------------------------------------


def scan_of(count: int, again: int | None = None) -> Callable[[jax.Array], Any]:
    """Return a scan that draws from so many keys, one of which is drawn from again behind it."""

    def fun(key: jax.Array) -> Any:
        keys = split(key, count)
        drawn = lax.scan(lambda c, k: (c, bits(k)), 0, keys)[1]
        return drawn if again is None else (drawn, bits(keys[again]))

    return fun


@pytest.mark.parametrize("count", [100, 5000, 100_000])
def test_every_step_of_a_scan_counts(count: int) -> None:
    """The last key of a long scan is as well known as the first, and none is called unused."""
    key = ks.key(0)
    report = ks.audit(scan_of(count), key)
    assert (report.findings, report.unseen) == ((), ())
    for again in (0, count // 2, count - 1):
        assert rules(scan_of(count, again), key) == {"KS01"}


def test_a_million_keys() -> None:
    """A million keys in lanes or steps take no more memory than a few arrays of them."""
    for fun in (lambda key: jax.vmap(bits)(split(key, 10**6)), scan_of(10**6)):
        tracemalloc.start()
        try:
            assert not ks.audit(fun, ks.key(0)).findings
            assert tracemalloc.get_traced_memory()[1] < 100e6
        finally:
            tracemalloc.stop()


def test_deep_loops_are_cut_aloud() -> None:
    """Where loops stand in more than four others, the report says what isn't followed."""

    def nested(depth: int) -> Callable[[Any, Any], Any]:
        def step(carry: Any, _: Any) -> Any:
            if depth:
                return lax.scan(nested(depth - 1), carry, None, length=2)
            key, use = split(carry)
            return key, bits(use)

        return step

    few, many = (
        ks.audit(lambda key, depth=depth: lax.scan(nested(depth), key, None, length=2), ks.key(0))
        for depth in (3, 6)
    )
    assert few.complete
    assert not many.complete


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_constant_keys_in_loops(make: Callable[[int], jax.Array]) -> None:
    """A key that a compiled function closes over is the same one in every reading of a loop."""
    first, second = make(5), make(6)
    noise = jax.jit(lambda: bits(first))

    def loops(other: jax.Array) -> Callable[[jax.Array], Any]:
        def turn(key: jax.Array, _: Any) -> Any:
            key, use = split(key)
            return key, bits(use)

        def step(key: jax.Array, _: Any) -> Any:
            key, drawn = lax.scan(turn, key, None, length=2)
            return key, (drawn, noise())

        return lambda key: (lax.scan(step, key, None, length=3)[1], bits(other))

    assert rules(loops(first), make(0)) == {"KS01", "KS07"}
    report = ks.audit(loops(second), make(0))
    assert {each.rule for each in report.at_least("warning")} == {"KS07"}
    assert report.complete


# --- mapped bodies ----------------------------------------------------------------------------


def on_shards(body: Callable[..., Any], outputs: int, *specs: Any) -> Callable[..., Any]:
    """Map a body over the keys of eight shards."""
    mesh = jax.make_mesh((8,), ("data",), (jax.sharding.AxisType.Auto,))
    out = (P("data"),) * outputs
    return jax.shard_map(body, mesh=mesh, in_specs=specs or P("data"), out_specs=out)


def _round(axis: Any, size: int) -> Callable[[jax.Array], jax.Array]:
    return lambda keys: lax.ppermute(keys, axis, [(i, (i + 1) % size) for i in range(size)])


def _gather(name: Any, **options: Any) -> Callable[[jax.Array], jax.Array]:
    return lambda keys: lax.all_gather(keys, name, **options)


def _gather_words(name: str) -> Callable[[jax.Array], jax.Array]:
    # JAX lowers no gather of typed keys that adds a dimension.
    return lambda keys: jax.random.wrap_key_data(_gather(name)(jax.random.key_data(keys)))


BODIES: dict[str, tuple[Callable[[jax.Array], jax.Array], Any, Any]] = {
    "same": (lambda keys: keys, P("a", "b"), P("a", "b")),
    "turned": (lambda keys: keys.T, P("a", "b"), P("b", "a")),
    "one axis": (lambda keys: keys, P(None, "b"), P(None, "b")),
    "copies": (lambda keys: keys, P("a"), P("a", "b")),
    "both on one": (lambda keys: keys, P(("a", "b")), P(("a", "b"))),
    "in another order": (lambda keys: keys[:, :4], P(("b", "a")), P(("a", "b"))),
    "children": (lambda keys: jax.vmap(jax.vmap(split))(keys)[..., 1], P("b", "a"), P("b", "a")),
    "round a": (_round("a", 2), P("a", "b"), P("a", "b")),
    "round b": (_round("b", 4), P("a", "b"), P("a", "b")),
    "round both": (_round(("a", "b"), 8), P("a", "b"), P("a", "b")),
    "round and round": (lambda keys: _round("b", 4)(_round("b", 4)(keys)), P("b"), P("b")),
    "gather a": (_gather_words("a"), P("a", "b"), P(None, None, "b")),
    "gather b": (_gather("b", axis=1, tiled=True), P("a", "b"), P("a")),
    "gather both": (_gather(("b", "a"), tiled=True), P("a", "b"), P("a", "b")),
    "gather what goes round": (
        lambda keys: _gather_words("b")(_round("a", 2)(keys)),
        P("a", "b"),
        P("b", "a"),
    ),
}


@pytest.mark.parametrize(("body", "inside", "outside"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("legacy", [False, True])
def test_keys_of_all_shards(
    body: Callable[[jax.Array], jax.Array], inside: Any, outside: Any, legacy: bool
) -> None:
    """Two keys are one in the lineage if and only if their words are equal, wherever they stood."""
    mesh = jax.make_mesh((2, 4), ("a", "b"), (jax.sharding.AxisType.Auto,) * 2)

    def rewrapped(words: jax.Array) -> jax.Array:
        return jax.random.key_data(body(jax.random.wrap_key_data(words)))

    mapped = jax.shard_map(
        rewrapped if legacy else body, mesh=mesh, in_specs=inside, out_specs=outside,
        check_vma=False,
    )  # fmt: skip

    def fun(key: jax.Array) -> Any:
        keys = split(key, (8, 8))
        made = mapped(jax.random.key_data(keys) if legacy else keys)
        return keys, jax.random.wrap_key_data(made) if legacy else made

    whole = read(*trace(fun, (ks.key(0),), {}))
    nodes = whole.reader.lineage.nodes(whole.returned)
    words = [jax.random.key_data(keys).reshape(-1, 2) for keys in jax.jit(fun)(ks.key(0))]
    names = np.unique(np.concatenate(words), axis=0, return_inverse=True)[1].ravel()
    assert len(nodes) == len(names)
    assert len(np.unique(nodes)) == len(np.unique(names))
    assert len({*zip(nodes.tolist(), names.tolist(), strict=True)}) == len(np.unique(names))


def test_the_shards_keys_are_the_callers() -> None:
    """What a shard does to its key is done to that element of the caller's array."""

    def fun(key: jax.Array) -> Any:
        keys = split(key, 8)
        first, left = on_shards(lambda keys: (bits(split(keys[0])[0])[None], keys), 2)(keys)
        return first, bits(split(keys[3])[0]), bits(split(left[4])[1])

    (found,) = (each for each in ks.audit(fun, ks.key(0)).findings if each.severity == "error")
    assert found.rule == "KS03"


def test_an_axis_that_shares_keys() -> None:
    """Along an axis that the keys aren't split over they are shared, and drawn from once."""
    mesh = jax.make_mesh((2, 4), ("a", "b"), (jax.sharding.AxisType.Auto,) * 2)

    def step(keys: jax.Array, x: jax.Array) -> jax.Array:
        own = jax.random.fold_in(keys[0], lax.axis_index("b"))
        return x * jax.random.uniform(own, x.shape)

    specs = {"in_specs": (P("a"), P("a", "b")), "out_specs": P("a", "b")}
    args = split(ks.key(0)), jnp.ones((2, 4))
    assert not rules(jax.shard_map(step, mesh=mesh, **specs), *args)
    alike = jax.shard_map(lambda k, x: x * jax.random.uniform(k[0], x.shape), mesh=mesh, **specs)
    assert rules(alike, *args) == {"KS12"}


def test_no_child_is_called_unused() -> None:
    """A child that leaves a mapped body is used where it is used outside."""

    def step(keys: jax.Array) -> Any:
        use, key = split(keys[0])
        return bits(use)[None], key[None]

    def chain(keys: jax.Array) -> Any:
        first, keys = on_shards(step, 2)(keys)
        return first, on_shards(step, 2)(keys)[0]

    keys = split(ks.key(0), 8)
    assert not ks.audit(on_shards(step, 2), keys).findings
    assert not rules(chain, keys)
    unused = notes(lambda keys: on_shards(step, 2)(keys)[0], keys)
    assert unused == ["1 of 2 children of a split is never used"]


def test_collectives_in_loops() -> None:
    """A key that goes round the shards in each step is another one in each."""

    def step(keys: jax.Array, *, again: bool) -> Any:
        def turn(carry: jax.Array, _: Any) -> Any:
            carry = lax.ppermute(carry, "data", [(i, (i + 1) % 8) for i in range(8)])
            key, use = split(carry[0])
            return key[None], bits(use)

        _, drawn = lax.scan(turn, keys, None, length=3)
        return drawn[None], (bits(split(keys[0])[1])[None] if again else drawn[None])

    keys = split(ks.key(0), 8)
    assert not rules(on_shards(lambda keys: step(keys, again=False), 2), keys)
    assert rules(on_shards(lambda keys: step(keys, again=True), 2), keys)


def test_a_liar_takes_all_shards_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols that stand for the first shard's key alone miss what the others do."""

    def fun(key: jax.Array) -> Any:
        keys = split(key, 8)
        return on_shards(lambda keys: (bits(keys[0])[None],), 1)(keys), bits(keys[7])

    assert rules(fun, ks.key(0)) == {"KS01"}
    honest = Shards._cut

    def cut(self: Shards, *args: Any) -> np.ndarray:
        return np.repeat(honest(self, *args)[..., :1], 8, axis=-1)

    monkeypatch.setattr(Shards, "_cut", cut)
    assert "KS01" not in rules(fun, ks.key(0))


def test_steps_are_repeated_once_for_all() -> None:
    """What symbols stand for is made by the steps that led from them, in the order of the keys."""
    lineage = Lineage()
    details: dict[str, Any] = {"varies": 0, "impl": "", "where": None}
    roots = lineage.root(Origin.ARGUMENT, (2, 3), 1, **details)
    symbols = lineage.root(Origin.ARGUMENT, (2,), 2, **details)
    children = lineage.grow(Origin.SPLIT, symbols[:, None], CHILD, np.arange(4), **details)
    ((which, made),) = lineage.follow([children[::-1, 2]], stand_for(symbols, roots))
    real = lineage.grow(Origin.SPLIT, roots[::-1], CHILD, np.uint64(2), **details)
    assert which.tolist() == [0, 0, 0, 1, 1, 1]
    assert (lineage.nodes(made) == lineage.nodes(real).ravel()).all()


# --- legacy keys of other implementations -----------------------------------------------------


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg", "threefry4x32", "philox4x32", "philox2x32"])
def test_legacy_keys_of_any_default(impl: str) -> None:
    """Words are taken for keys of the default implementation, or of what they are wrapped as."""
    words = jax.random.key_data(jax.random.key(0, impl=impl))

    def twice(words: jax.Array) -> Any:
        return bits(words), jax.random.uniform(words)

    def lanes(words: jax.Array) -> Any:
        return jax.vmap(bits)(split(words, 3))

    with jax.default_prng_impl(impl):
        for closed in (False, True):
            given = () if closed else (words,)
            assert rules(lambda *given: twice(*(given or (words,))), *given) == {"KS01"}
            found = rules(lambda *given: lanes(*(given or (words,))), *given)
            assert found == ({"KS16"} if "rbg" in impl else set())


# --- lanes that don't depend on their keys ----------------------------------------------------


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_lanes_that_overwrite_their_key(make: Callable[[int], jax.Array]) -> None:
    """Where lanes make a key of their own, and use none that they are given, that is said."""

    def run(key: jax.Array, *, own: bool) -> jax.Array:
        return bits(make(0) if own else key)

    def seeds(key: jax.Array, *, own: bool) -> Any:
        return jax.vmap(lambda key: run(key, own=own))(split(key, 4))

    (found,) = ks.audit(lambda key: seeds(key, own=True), make(1)).at_least("warning")
    assert found.rule == "KS11"
    assert found.message.endswith("depends on the key it is given: all draw from key(0)")
    assert not ks.audit(lambda key: seeds(key, own=False), make(1)).findings
    closed = ks.audit(lambda key, xs: jax.vmap(lambda x: x * bits(key))(xs), make(1), jnp.ones(3))
    assert [each.message for each in closed.findings] == ["all lanes of a vmap use one key"]
