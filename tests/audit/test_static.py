"""The audit of a jaxpr: against real key words, against the code that people write, at edges."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import keystream as ks
from keystream import _compat
from keystream._audit import places
from keystream._audit.jaxprs import trace
from keystream._audit.judging.traced import judge
from keystream._audit.reading import equal_values, lineage
from keystream._audit.reading.program import read

pytestmark = pytest.mark.fast

TWICE = frozenset(("KS01", "KS03", "KS04", "KS05", "KS13"))
"""What is said where two draws come from keys of the same words."""


def rules(fun: Callable[..., Any], *args: Any) -> set[tuple[str, str]]:
    """Return what is found, without notes."""
    found = ks.audit(fun, *args).findings
    return {(each.rule, each.severity) for each in found if each.severity != "note"}


# --- against real key words ------------------------------------------------------------------


class Program(NamedTuple):
    """A random program: each step makes keys of earlier ones; then some are drawn from."""

    steps: tuple[tuple[str, int, int], ...]
    draws: tuple[int, ...]

    def __call__(self, key: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        """Return the words of the keys that are drawn from, and the draws."""
        keys = [key]
        for what, place, number in self.steps:
            use = keys[place % len(keys)]
            other = keys[number % len(keys)]
            keys += _MAKE[what](use, other, number)
        used = [keys[place % len(keys)] for place in self.draws]
        words = [jax.random.key_data(use) for use in used]
        return words, [jax.random.bits(use, (2,)) for use in used]


def _there_and_back(key: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(jax.random.key_data(key), impl="threefry2x32")


def _moved(key: jax.Array, other: jax.Array) -> list[jax.Array]:
    grid = jnp.stack([jnp.stack([key, other]), jnp.stack([other, key])])
    return [jnp.flip(grid.T, 0).reshape(-1)[1:][::2][number] for number in range(2)]


_MAKE: dict[str, Callable[[jax.Array, jax.Array, int], list[jax.Array]]] = {
    "split": lambda key, _, number: list(jax.random.split(key, 1 + number % 3)),
    "fold": lambda key, _, number: [jax.random.fold_in(key, number % 3)],
    "derive": lambda key, _, number: [ks.derive(key, number % 3)],
    "name": lambda key, _, number: [ks.derive(key, "abc"[number % 3])],
    "far": lambda key, _, number: [ks.derive(key, 2**32 + number % 2)],
    "index": lambda key, _, number: [jax.random.split(key, (2, 2))[number % 2, number // 2 % 2]],
    "take": lambda key, _, number: [jax.random.split(key, 3)[jnp.array([2, 0, 1])][number % 3]],
    "words": lambda key, _, __: [_there_and_back(key)],
    "move": lambda key, other, _: _moved(key, other),
    "choose": lambda key, other, number: [jnp.where(number % 2 == 0, key, other)],
}


programs = st.builds(
    Program,
    st.lists(
        st.tuples(st.sampled_from(sorted(_MAKE)), st.integers(0, 20), st.integers(0, 20)),
        max_size=5,
    ).map(tuple),
    st.lists(st.integers(0, 20), min_size=2, max_size=3).map(tuple),
)


@settings(max_examples=60)
@given(programs)
def test_one_key_is_found_where_words_are_equal(program: Program) -> None:
    """Two draws are said to be from one key if and only if the words of their keys are equal."""
    words, _ = program(jax.random.key(0))
    rows = {tuple(np.asarray(row).tolist()) for row in words}
    found = {rule for rule, _ in rules(program, jax.random.key(0))}
    assert bool(found & TWICE) == (len(rows) < len(words))


def test_a_fault_is_caught_by_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lineage that takes all children of a key for one finds what isn't there."""
    program = Program((("split", 0, 1),), (1, 2))
    assert not rules(program, jax.random.key(0))
    honest = lineage.mix
    monkeypatch.setattr(
        lineage, "mix", lambda node, kind, number: honest(node, kind, np.zeros_like(number))
    )
    words, _ = program(jax.random.key(0))
    assert (words[0] != words[1]).any()
    assert rules(program, jax.random.key(0))


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=50, unique=True), st.integers(0, 9))
def test_nodes_of_one_parent_differ(children: list[int], kind: int) -> None:
    """Different children of one node are different nodes, whatever the kind."""
    nodes = lineage.mix(np.uint64(7), np.uint64(kind), np.asarray(children, np.uint64))
    assert len(set(nodes.tolist())) == len(children)


# --- values that are known --------------------------------------------------------------------


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(0, 31))
@settings(max_examples=30)
def test_constants_are_what_jax_computes(one: int, other: int, shift: int) -> None:
    """A value that the program alone decides is found as JAX computes it."""

    def fun() -> list[jax.Array]:
        a, b = jnp.int32(one), jnp.int32(other)
        line = jnp.arange(4, dtype=jnp.int32) * a + b
        parts = [jnp.where(line < b, line, -line), jnp.maximum(a, b) ^ b, line[1:3].reshape(1, 2)]
        parts += [jnp.right_shift(a, shift), jnp.asarray(a, jnp.uint32) >> jnp.uint32(shift)]
        return [*parts, jnp.clip(line, -5, 5), jnp.stack([a, b]), line[jnp.array(2)]]

    closed = jax.make_jaxpr(fun)()
    binding = equal_values.Binding(closed.jaxpr, consts=closed.consts)
    for var, real in zip(closed.jaxpr.outvars, jax.jit(fun)(), strict=True):
        known = binding.constant(var)
        if known is not None:
            np.testing.assert_array_equal(known, real)
            assert known.dtype == real.dtype


def test_most_constants_are_found() -> None:
    """An index that is written into a program is known."""
    even = functools.partial(jax.lax.slice, jnp.arange(6), (0,), (6,), (2,))  # [::2], everywhere
    closed = jax.make_jaxpr(lambda: (even() * 2 + 1, jnp.int32(3) - 5))()
    binding = equal_values.Binding(closed.jaxpr, consts=closed.consts)
    found = [binding.constant(var) for var in closed.jaxpr.outvars]
    assert [np.asarray(each).tolist() for each in found] == [[1, 5, 9], -2]


@given(st.integers(1, 3), st.integers(0, 9), st.integers(4, 6), st.sampled_from([-1, 1, 2]))
@settings(max_examples=20)
def test_a_counter_tells_which_children(factor: int, more: int, first: int, step: int) -> None:
    """A child is said to be drawn from again if and only if a step of the loop folds its number."""

    def numbers() -> Any:
        return jax.lax.scan(lambda i, _: (i + step, i * factor + more), first, length=5)[1]

    def fun(key: jax.Array, child: int) -> Any:
        def body(i: jax.Array, _: None) -> Any:
            return i + step, jax.random.bits(jax.random.fold_in(key, i * factor + more))

        return jax.lax.scan(body, first, length=5)[1], jax.random.bits(ks.derive(key, child))

    folded = set(numbers().tolist())
    for child in (int(min(folded)), first * factor + more + 1, 40):
        found = rules(functools.partial(fun, child=child), ks.key(0))
        assert found == ({("KS05", "error")} if child in folded else set())


# --- what is seen of the code -----------------------------------------------------------------


def helper(key: jax.Array) -> jax.Array:
    return jax.random.normal(key, (3,))


def reused(key: jax.Array) -> jax.Array:
    first = helper(key)
    return first + jax.random.randint(key, (3,), 0, 9)


def test_places_are_the_users() -> None:
    """Both places are lines of the user's, with the call that was made there."""
    (found,) = ks.audit(reused, ks.key(0)).findings
    assert [place.function for place in found.places] == ["helper", "reused"]
    assert [place.text for place in found.places] == [
        "return jax.random.normal(key, (3,))",
        "return first + jax.random.randint(key, (3,), 0, 9)",
    ]
    assert found.labels == (
        "drawn from here, by jax.random.normal",
        "drawn from here again, by jax.random.randint",
    )
    assert found.lineage == ("argument key",)


def test_names_of_arguments() -> None:
    """The path begins with the argument as the user writes it."""

    def fun(state: dict[str, Any], *, noise: jax.Array) -> Any:
        return [jax.random.bits(key) for key in (state["keys"][1], state["keys"][1], noise, noise)]

    found = ks.audit(fun, {"keys": ks.keys(ks.key(0), 2)}, noise=ks.key(1)).findings
    roots = {each.lineage[0] for each in found if each.rule == "KS01"}
    assert roots == {"argument state['keys']", "argument noise"}


def test_counts_and_tree() -> None:
    """Draws, bits, splits and folds are counted, and stand in a tree under their keys."""

    def fun(key: jax.Array) -> Any:
        key, use = jax.random.split(key)
        return jax.random.bits(use, (4,)), jax.random.bits(jax.random.fold_in(key, 1), (2, 3))

    report = ks.audit(fun, ks.key(0))
    assert report.ok
    counts = report.summary()
    totals = [sum(each[column] for each in counts) for column in range(1, 5)]
    assert totals == [2, 32 * 10, 1, 1]
    (root,) = report.lineage
    assert root.label == "argument key"
    assert {child.label for child in root.children} == {"split[0]", "split[1]"}
    assert report.keys == 4


@pytest.mark.parametrize("count", [10, 3000])
def test_long_chains(count: int) -> None:
    """A Python loop of thousands of splits is no deeper than Python can go, and told shortly."""

    def fun(key: jax.Array) -> jax.Array:
        total = jnp.float32(0)
        for _ in range(count):
            key, use = jax.random.split(key)
            total += jax.random.uniform(use)
        return total + jax.random.normal(use)

    (found,) = ks.audit(fun, ks.key(0)).findings
    assert found.rule == "KS01"
    assert found.lineage == ("argument key", f"split[0] {count - 1:,} times", "split[1]")


def nested(depth: int, uses: int) -> Callable[..., Any]:
    """Return scans inside of each other, all of which carry the key; the innermost draws."""

    def fun(key: jax.Array, x: jax.Array) -> Any:
        if not depth:
            key, use = jax.random.split(key)
            return key, x + sum(jax.random.uniform(use) for _ in range(uses))
        inner = nested(depth - 1, uses)
        return jax.lax.scan(lambda carry, _: (inner(*carry), None), (key, x), None, length=3)[0]

    return fun


def test_deep_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops in loops are read a few times each, not twice as often with each level.

    What their symbols stand for is followed as often in each, however many stand around it.
    """
    shapes = jax.eval_shape(lambda: ks.key(0)), jax.ShapeDtypeStruct((), jnp.float32)
    followed, follow = [0], lineage.Lineage.follow

    def counted(*args: Any) -> Any:
        followed[-1] += 1
        return follow(*args)

    monkeypatch.setattr(lineage.Lineage, "follow", counted)
    once = read(*trace(nested(4, 1), shapes, {})).reader.equations
    followed.append(0)
    deep = read(*trace(nested(12, 1), shapes, {})).reader.equations
    assert deep < 12 / 4 * 2 * once
    assert followed[1] <= 12 / 4 * followed[0]
    (found,) = ks.audit(nested(6, 2), *shapes).findings
    assert found.rule == "KS01"


def test_whose_code_a_file_is() -> None:
    """JAX's files are JAX's, ours are ours; what is only called alike is neither."""
    home = Path(jax.__file__).parent
    assert places.is_jax(str(home / "_src" / "api.py"))
    assert places.is_installed(str(home / "_src" / "api.py"))
    assert not places.is_jax(str(home.with_name("jaxopt") / "loop.py"))
    ours = Path(ks.__file__).parent
    assert places.is_ours(str(ours / "_split.py"))
    assert not places.is_ours(str(ours.with_name("keystream_examples") / "train.py"))
    assert not places.is_installed(__file__)


# --- edges ------------------------------------------------------------------------------------


def test_nothing_is_run() -> None:
    """The function is traced, once, and abstract arguments are enough."""
    calls = []

    def fun(key: jax.Array, x: jax.Array) -> jax.Array:
        calls.append(type(x))
        return x + jax.random.normal(key, x.shape)

    key = jax.eval_shape(lambda: ks.key(0))
    assert ks.audit(fun, key, jax.ShapeDtypeStruct((3,), jnp.float32)).ok
    assert len(calls) == 1
    assert issubclass(calls[0], jax.core.Tracer)


def test_other_arguments_stay_what_they_are() -> None:
    """Python numbers, strings and functions are no arrays."""

    def fun(key: jax.Array, count: int, how: str, act: Callable[..., Any]) -> Any:
        return act(jax.random.normal(key, (count,))), how

    assert ks.audit(fun, ks.key(0), 3, how="x", act=jnp.tanh).ok


def test_values_are_asked_for() -> None:
    """A function that looks at values is refused, with its line and the cure."""

    def fun(key: jax.Array) -> jax.Array:
        return key if float(jax.random.normal(key)) > 0 else jax.random.fold_in(key, 0)

    with pytest.raises(ks.ArgumentTypeError, match=r"audit: fun must be traceable.*test_static"):
        ks.audit(fun, ks.key(0))


def test_no_keys_at_all() -> None:
    """A function without keys has nothing wrong with them."""
    report = ks.audit(lambda x: x + 1, jnp.zeros(3))
    assert report.ok
    assert not report.findings
    assert report.keys == 0


@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3)])
def test_key_arrays(shape: tuple[int, ...]) -> None:
    """Key arrays of any shape, empty ones too, are followed element by element."""
    draw = ks.batched(jax.random.bits)
    assert not rules(draw, ks.keys(ks.key(0), shape))
    twice = rules(lambda keys: (draw(keys), draw(keys)), ks.keys(ks.key(0), shape))
    assert twice == ({("KS01", "error")} if np.prod(shape) else set())


@pytest.mark.parametrize("impl", ["threefry2x32", "threefry4x32", "philox4x32", "rbg"])
def test_implementations(impl: str) -> None:
    """Every implementation's keys are followed; a draw beside a name is a note for one alone."""
    key = ks.key(0, impl=impl)
    assert rules(reused, key) == {("KS01", "error")}
    named = rules(lambda key: (helper(key), helper(ks.derive(key, "a"))), key)
    assert named == (set() if impl == "threefry2x32" else {("KS06", "error")})


def _carried(key: jax.Array, first: jax.Array) -> Any:
    def body(key: jax.Array, i: jax.Array) -> Any:
        following = jax.random.fold_in(key, 5)
        return following, (_folded(key, i + 1000), _child(following))

    return jax.lax.scan(body, key, first + jnp.arange(3))[1]


MAY_MEET, BESIDE = {("KS04", "warning")}, {("KS06", "warning")}


@pytest.mark.parametrize(
    ("fun", "found"),
    [
        (lambda key, i: (_child(key), _folded(key, i)), MAY_MEET),
        (
            lambda key, i: (_child(key), jax.vmap(jax.random.bits)(ks.derive(key, i[None]))),
            MAY_MEET,
        ),
        (lambda key, i: (_rows(ks.keys(key, 4)), _rows(ks.keys(key, 4, start=i))), MAY_MEET),
        (lambda key, i: (_child(ks.derive(key, "x")), _folded(ks.derive(key, "x"), i)), MAY_MEET),
        (lambda _, i: (_child(jax.random.key(0)), _folded(jax.random.key(0), i)), MAY_MEET),
        (lambda key, i: (_child(jax.random.split(key)[1]), _folded(_other(key), i)), MAY_MEET),
        (_carried, MAY_MEET),
        (lambda key, i: (_of_nine(key, 0), _folded(key, i)), MAY_MEET),
        (lambda key, i: (_of_nine(key, 8), _folded(key, i)), MAY_MEET),
        (lambda key, i: (jax.random.randint(key, (3,), 0, 9), _folded(key, i)), BESIDE),
        (lambda key, i: (jax.random.permutation(key, 9), _folded(key, i)), BESIDE),
        (lambda key, i: (jax.random.normal(key), _folded(key, i)), {("KS06", "error")}),
        (lambda key, i: (_child(key), _dropped(ks.derive(key, i))), set()),
        (lambda key, i: (_dropped(ks.split(key)), _folded(key, i)), set()),
        (lambda key, i: (_child(key), _folded(ks.derive(key, "steps"), i)), set()),
        (lambda key, _: (_child(key), _folded(key, 5)), set()),
        (lambda key, _: (_child(key), _folded(key, 1)), {("KS04", "error")}),
    ],
)
def test_a_number_that_is_not_known(fun: Callable[..., Any], found: set[tuple[str, str]]) -> None:
    """Beside a split, a fold of a number that the program doesn't tell is a warning."""
    number = jnp.int32(7)
    assert rules(fun, ks.key(0), number) == found
    if ("KS06", "error") not in found:
        with jax.threefry_partitionable(False):  # a split's children are no folds
            assert not rules(fun, ks.key(0), number)


def _of_nine(key: jax.Array, used: int) -> Any:
    return [ks.split(key) for _ in range(9)][used]


def _rows(keys: jax.Array) -> jax.Array:
    return jax.vmap(jax.random.bits)(keys)


def _other(key: jax.Array) -> jax.Array:
    return jax.random.split(key)[1]


def _child(key: jax.Array) -> jax.Array:
    return jax.random.bits(jax.random.split(key)[1])


def _dropped(_: Any) -> None:
    return None


def _folded(key: jax.Array, number: Any) -> jax.Array:
    return jax.random.bits(jax.random.fold_in(key, number))


def test_settings() -> None:
    """Without prefixes the children of two splits are different keys."""

    def fun(key: jax.Array) -> Any:
        return helper(jax.random.split(key, 2)[0]), helper(jax.random.split(key, 3)[0])

    assert rules(fun, ks.key(0)) == {("KS03", "error")}
    with jax.threefry_partitionable(False):
        assert not rules(fun, ks.key(0))


def test_source_that_is_gone() -> None:
    """Code of which the source is gone is audited all the same."""
    space: dict[str, Any] = {"jax": jax}
    exec("def fun(key):\n    return jax.random.bits(key), jax.random.bits(key)\n", space)
    (found,) = ks.audit(space["fun"], ks.key(0)).findings
    assert found.rule == "KS01"
    assert [place.text for place in found.places] == ["", ""]
    assert "KS01" in str(ks.audit(space["fun"], ks.key(0)))


def test_large_programs_are_read_once() -> None:
    """A body without keys is passed over whole, however often it is called."""

    @jax.jit
    def layer(x: jax.Array) -> jax.Array:
        for _ in range(50):
            x = jnp.sin(x) + 1
        return x

    def fun(key: jax.Array, x: jax.Array) -> jax.Array:
        for _ in range(20):
            x = layer(x)
        return x + jax.random.normal(key)

    whole = read(*trace(fun, (ks.key(0), jnp.float32(1)), {}))
    assert whole.reader.equations < 100
    assert not judge(whole).findings


def test_what_cannot_be_read_is_named() -> None:
    """Keys in callbacks, and mutable arrays written in part, are lost, which the report says."""

    def kept(key: jax.Array) -> jax.Array:
        ref = jax.new_ref(jax.random.split(key, 2))
        ref[0] = ref[1]
        return jax.random.bits(ref[0]) + jax.random.bits(ref[1])

    def shown(key: jax.Array) -> jax.Array:
        words = jax.random.key_data(key)
        return jax.pure_callback(lambda words: words, jax.typeof(words), words)

    for fun in (kept, shown):
        report = ks.audit(fun, ks.key(0))
        assert not report.findings
        assert report.unseen
        assert all(said.startswith("what ") for said in report.unseen)


def test_lanes_are_seen() -> None:
    """It can be read on this version of JAX how many lanes stand around a draw."""
    assert _compat.tells_lanes()


def test_lanes_that_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX doesn't tell, the rule is left out, and the report says so."""
    monkeypatch.setattr(_compat, "tells_lanes", lambda: False)
    (said,) = ks.audit(helper, ks.key(0)).unseen
    assert said.startswith("KS11: ")


@pytest.mark.parametrize("vary", ["data", ("data", "model"), ()])
def test_sharing_that_is_said(vary: Any) -> None:
    """What `ks.shard_map` shares over axes out loud is no finding; the same by hand is."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def draw(key: jax.Array, x: jax.Array) -> jax.Array:
        return x + jax.random.uniform(key, x.shape)

    spec = jax.P("data", "model")
    ours = ks.shard_map(draw, mesh=mesh, in_specs=spec, out_specs=spec, vary=vary)
    args = ks.key(0), jnp.zeros((4, 2))
    assert not rules(ours, *args)
    by_hand = jax.shard_map(draw, mesh=mesh, in_specs=(jax.P(), spec), out_specs=spec)
    assert rules(by_hand, *args) == {("KS12", "error")}
