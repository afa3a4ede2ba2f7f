"""Eager calls, again and again: what changed is seen, nothing is kept or compiled twice."""

from __future__ import annotations

import collections
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import keystream as ks
from keystream import _compat
from keystream._keys import equations as _equations
from keystream._keys import program as _program
from tests import catalogue, oracle
from tests.speed.test_reach import programs

Draw = Callable[[jax.Array], Any]
N = 4
MESH = catalogue.mesh(2)
PLACE = jax.sharding.NamedSharding(MESH, jax.P("data"))


def scan(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    step = lambda key, carry, _: (carry, draw(key))
    return ks.scan(step, 0.0, key=key, length=N, start=start)[1]


def scan_carry(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    step = lambda key, carry, x: (carry + x * draw(key), None)
    return ks.scan(step, jnp.zeros(2), jnp.ones(N), key=key, start=start)[0]


def scan_carried(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    del start
    return ks.scan_carried(lambda key, carry, _: (carry, draw(key)), (), key=key, length=N)[2]


def fori_loop(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    turn = lambda key, i, val: val + draw(key) + 0 * i
    return ks.fori_loop(start, start + N, turn, jnp.zeros(2), key=key)


def while_loop(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    turn = lambda key, val: (val[0] + 1, val[1] + draw(key))
    init = (jnp.int32(0), jnp.zeros(2))
    return ks.while_loop(lambda val: val[0] < N, turn, init, key=key, start=start)[1]


def mapped(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.map(lambda key, x: draw(key) + x, jnp.zeros(N), key=key, start=start)


def mapped_batches(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    one = lambda key, x: draw(key) + x
    return ks.map(one, jnp.zeros(N), key=key, start=start, batch_size=3)


def sample(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.sample(draw, key, N, start=start)


def sample_batches(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.sample(draw, key, N, start=start, batch_size=3)


def sample_placed(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.sample(draw, key, N, start=start, out_sharding=PLACE)


def sample_placed_batches(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.sample(draw, key, 2 * N, start=start, out_sharding=PLACE, batch_size=3)


def vmap(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.vmap(lambda key, x: draw(key) + x, start=start)(key, jnp.zeros(N))


def batched(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    return ks.batched(draw)(ks.keys(key, N, start=start))


def shard_map(draw: Draw, key: jax.Array, start: Any = 0) -> Any:
    del start
    body = lambda key: draw(key)[None]
    call = ks.shard_map(body, mesh=MESH, in_specs=(), out_specs=jax.P("data"), vary="data")
    return call(key)


LOOPS = (scan, scan_carry, scan_carried, fori_loop, while_loop, mapped, mapped_batches)
BATCHES = (sample_batches, sample_placed, sample_placed_batches)
FORMS = (*LOOPS, *BATCHES, sample, vmap, batched, shard_map)
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
each_loop = pytest.mark.parametrize("form", LOOPS + BATCHES, ids=lambda form: form.__name__)


def uniform(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (2,))


# What changed is seen


class Model:
    """A mutable object, as those of flax's nnx are; it has no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def __call__(self, key: jax.Array) -> jax.Array:
        return self.weight * uniform(key)

    def decode(self, key: jax.Array) -> jax.Array:
        return self.weight * uniform(key)


def changing() -> dict[str, tuple[Draw, Callable[[float], None]]]:
    """Return draws that read something, each with what changes it."""
    model, cell = Model(1.0), [1.0]
    array = np.ones(2, np.float32)
    short = np.ones(2, jnp.bfloat16)
    placed = Model(jnp.ones(2))

    def fill(array: np.ndarray, value: float) -> None:
        array[:] = value

    def place(value: float) -> None:
        placed.weight = jnp.full(2, value)

    def branch(key: jax.Array) -> jax.Array:
        return uniform(key) * 100 if cell[0] > 1 else uniform(key)

    def rebind(value: float) -> None:
        globals()["WEIGHT"] = value

    rebind(1.0)
    return {
        "an attribute": (model.__call__, lambda value: setattr(model, "weight", value)),
        "an object": (model, lambda value: setattr(model, "weight", value)),
        "a method": (model.decode, lambda value: setattr(model, "weight", value)),
        "a cell": (lambda key: cell[0] * uniform(key), lambda value: cell.__setitem__(0, value)),
        "a global": (lambda key: WEIGHT * uniform(key), rebind),
        "an array": (lambda key: placed.weight * uniform(key), place),
        "NumPy": (lambda key: array * uniform(key), functools.partial(fill, array)),
        "bfloat16": (lambda key: short * uniform(key), functools.partial(fill, short)),
        "a branch": (branch, lambda value: cell.__setitem__(0, value)),
    }


WEIGHT = 1.0


def check_seen(form: Callable[..., Any], draw: Draw, change: Callable[[float], None]) -> None:
    """Change what a draw reads between two calls, and look whether the second one sees it."""
    key = ks.key(3)
    change(1.0)
    before = np.asarray(form(draw, key), np.float32)
    change(100.0)
    np.testing.assert_allclose(np.asarray(form(draw, key), np.float32), 100 * before, rtol=1e-5)


FEW = (scan, sample_batches, sample_placed)
"""A form of each way in which a function is traced."""


@pytest.mark.parametrize(
    ("form", "what"),
    [
        *((form, "a cell") for form in FORMS),
        *((form, what) for form in FEW for what in changing() if what != "a cell"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_changes_are_seen(form: Callable[..., Any], what: str) -> None:
    """What a function reads has the value of now in each call, as in a Python loop."""
    check_seen(form, *changing()[what])


def test_check_of_changes_finds_a_fault() -> None:
    """JAX's own loop, and a call that is jitted once, show what was there at first."""
    jitted = jax.jit(lambda draw, key: draw(key), static_argnums=0)
    steps: dict[int, Any] = {}

    def with_lax(draw: Draw, key: jax.Array) -> Any:
        step = steps.setdefault(id(draw), lambda _, key: (0, draw(key)))
        return lax.scan(step, 0, jax.random.split(key, N))[1]

    for faulty in (jitted, with_lax):
        with pytest.raises(AssertionError):
            check_seen(faulty, *changing()["a cell"])


# Tracers, gradients


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[pytest.mark.slow] * (form not in FEW))
        for form in FORMS
        if form is not while_loop
    ],
    ids=lambda form: form.__name__,
)
def test_gradients(form: Callable[..., Any]) -> None:
    """A tracer that an object holds while it is differentiated is forgotten with the call."""
    model, key = Model(0.0), ks.key(4)

    def loss(weight: Any) -> Any:
        model.weight = weight
        return form(model, key).sum()

    want = float(form(uniform, key).sum())
    for weight in (2.0, 3.0):
        assert float(jax.grad(loss)(weight)) == pytest.approx(want, rel=1e-5)
        assert float(jax.jit(jax.grad(loss))(weight)) == pytest.approx(want, rel=1e-5)
        model.weight = weight
        assert float(form(model, key).sum()) == pytest.approx(weight * want, rel=1e-5)


@each_loop
def test_what_is_traced_again(form: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call traces the function and not the loop, and sees another type returned."""
    traced, loops, trace = [], [], jax.eval_shape

    def draw(key: jax.Array) -> jax.Array:
        traced.append(key)
        return uniform(key)

    def counted(*args: Any, **kwargs: Any) -> Any:
        loops.append(args)
        return trace(*args, **kwargs)

    key = ks.key(5)
    want = form(draw, key)
    traced.clear()
    monkeypatch.setattr(jax, "eval_shape", counted)
    assert np.array_equal(form(draw, key), want)
    if "placed" not in form.__name__:  # Types on a mesh depend on more.
        assert (len(traced), len(loops)) == (1, 0)
    if form in (sample_batches, scan_carried):
        halves = form(lambda key: uniform(key).astype(jnp.bfloat16), key)
        assert loops
        assert halves.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(halves, float), want, atol=1e-2)


def test_types_are_those_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes of a carry that is a Python number depends on its own body alone."""
    monkeypatch.setattr(_program, "_seen", collections.OrderedDict())
    for number in (np.float32(1), 1, np.float32(1)):
        turn = lambda _key, _i, val, number=number: val + number
        got = ks.fori_loop(0, 3, turn, 0, key=ks.key(5))
        assert (got.dtype, float(got)) == (jnp.asarray(number).dtype, 3.0)


@each_loop
def test_no_tracer_leaks(form: Callable[..., Any]) -> None:
    """JAX's own search for leaked tracers finds none."""
    key = ks.key(5)
    with jax.check_tracer_leaks():
        jax.jit(lambda w: form(lambda key: w * uniform(key), key).sum())(2.0)
        jax.jvp(lambda w: form(lambda key: w * uniform(key), key).sum(), (2.0,), (1.0,))


def scaled_slope(rule: float) -> Callable[[jax.Array], jax.Array]:
    """Return the identity with a rule of its own for its derivative."""

    @jax.custom_jvp
    def same(x: jax.Array) -> jax.Array:
        return x * 1

    same.defjvp(lambda primals, tangents: (same(*primals), rule * tangents[0]))
    return same


def scaled_slope_backward(rule: float) -> Callable[[jax.Array], jax.Array]:
    """Return the same with a rule for the backward pass."""

    @jax.custom_vjp
    def same(x: jax.Array) -> jax.Array:
        return x * 1

    same.defvjp(lambda x: (x * 1, None), lambda _, g: (rule * g,))
    return same


@pytest.mark.parametrize(
    "make", [scaled_slope, scaled_slope_backward], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("form", [scan, sample_batches, sample_placed], ids=lambda f: f.__name__)
def test_rules_of_differentiation(form: Callable[..., Any], make: Callable[..., Any]) -> None:
    """Two functions that differ in a rule alone have equal numbers, and each its own gradient."""
    key = ks.key(6)
    found = {}
    for rule in (1.0, 0.5, 1.0):
        fun = make(rule)
        loss = lambda w, fun=fun: form(lambda key: fun(w * uniform(key)), key).sum()
        value, slope = jax.value_and_grad(loss)(1.0)
        assert float(loss(1.0)) == pytest.approx(float(value), rel=1e-5)
        found[rule] = float(slope) / float(value)
    assert found == {1.0: pytest.approx(1.0), 0.5: pytest.approx(0.5)}


# Nothing is kept


@each_form
def test_nothing_is_kept(form: Callable[..., Any]) -> None:
    """Neither arrays that a function closed over, nor what owns them, outlive the call."""
    key = ks.key(7)
    form(uniform, key)

    def call() -> weakref.ref[Any]:
        model = Model(jnp.ones((512, 2)))
        body = lambda key: model.weight[3] * jax.nn.relu(uniform(key))
        jax.block_until_ready(form(body, key))
        return weakref.ref(model)

    gc.collect()
    before = sum(array.size >= 1024 for array in jax.live_arrays())
    models = [call() for _ in range(3)]
    gc.collect()
    assert [model() for model in models] == [None] * 3
    assert sum(array.size >= 1024 for array in jax.live_arrays()) == before


# Nothing compiles twice


def check_compiles_once(call: Callable[[int], Any]) -> None:
    """Count the programs that are compiled by a second to fifth call."""
    for first in (0, 1):  # zero, where nothing has to be added, is a program of its own
        jax.block_until_ready(call(first))
    assert programs(lambda: [call(i) for i in range(2, 6)]) == 0


ARGUMENTS: dict[str, Callable[[int], Any]] = {
    "a float": lambda i: 0.1 * i,
    "a NumPy float": lambda i: np.float32(0.1 * i),
    "an int": lambda i: i,
    "int64": lambda i: np.arange(2) + i,
    "bfloat16": lambda i: np.full(2, i, jnp.bfloat16),
    "float8": lambda i: np.full(2, i, jnp.float8_e4m3fn).astype(np.float32),
    "an array": lambda i: jnp.full(2, i),
}


@pytest.mark.parametrize("form", FEW, ids=lambda form: form.__name__)
@pytest.mark.parametrize("what", ARGUMENTS)
def test_compiles_once(form: Callable[..., Any], what: str) -> None:
    """A new seed, start, number or function that traces to the same program compiles nothing."""

    def call(i: int) -> Any:
        value = ARGUMENTS[what](i)
        return form(lambda key: uniform(key) * value, ks.key(i), start=i)

    check_compiles_once(call)


@pytest.mark.parametrize("name", [name for name in catalogue.BY_NAME if name != "pmap"])
def test_every_helper_compiles_once(name: str) -> None:
    """Each helper of the catalogue, called again with another seed, start and number.

    But for pmap: as jax.pmap itself, it is compiled for each function that it is given.
    """
    row = catalogue.BY_NAME[name]
    scale = 1.0

    def draw(key: jax.Array) -> Any:
        return scale * uniform(key)

    def call(i: int) -> Any:
        nonlocal scale
        scale = 1.0 + i
        return row.run(ks.key(i), row.sizes[-1], i if row.start else 0, draw)

    check_compiles_once(call)


def test_sampler_arguments_compile_once() -> None:
    """So do the arguments of a sampler: a new probability is no new program."""
    for options in ({"batch_size": 4}, {"out_sharding": PLACE}):
        call = lambda i, options=options: ks.sample(
            jax.random.bernoulli, ks.key(i), 6, 0.1 * i, **options
        )
        check_compiles_once(call)


def test_check_of_compilations_finds_a_fault() -> None:
    """JAX's own loop is compiled again for each new body."""
    with pytest.raises(AssertionError):
        check_compiles_once(lambda i: lax.scan(lambda c, x: (c + x * i, c), 0.0, jnp.ones(3)))


# What can't be compared


WORD = jax.ShapeDtypeStruct((), np.uint32)


def test_callbacks_and_effects() -> None:
    """A callback is called with each item, that of this call and not of the one before."""
    for tag in (1, 2):
        seen: list[int] = []

        def note(bits: Any, seen: list[int] = seen, tag: int = tag) -> Any:
            seen.append(tag)
            return np.asarray(bits) + np.uint32(tag)

        pure = lambda key, note=note: jax.pure_callback(
            note, WORD, jax.random.bits(key), vmap_method="sequential"
        )
        want = np.asarray(ks.sample(jax.random.bits, ks.key(8), N)) + np.uint32(tag)
        np.testing.assert_array_equal(sample_batches(pure, ks.key(8)), want)
        np.testing.assert_array_equal(scan(pure, ks.key(8)), want)
        assert set(seen) == {tag}
        del seen[:]

        def tell(key: jax.Array, note: Any = note) -> jax.Array:
            jax.debug.callback(note, 0)
            return jax.random.bits(key)

        np.testing.assert_array_equal(scan(tell, ks.key(8)) + np.uint32(tag), want)
        jax.effects_barrier()
        assert seen == [tag] * N


@each_loop
def test_without_descriptions(form: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another JAX has other equations, each call compiles anew and gives the same."""
    want = form(uniform, ks.key(8))
    monkeypatch.setattr(_equations, "open_up", lambda *_: 1 / 0)
    oracle.assert_same(np.asarray(form(uniform, ks.key(8))), np.asarray(want))


def test_refs() -> None:
    """A body may write to a Ref that it closes over."""
    ref = jax.new_ref(jnp.zeros(()))

    def step(key: jax.Array, carry: Any, x: Any) -> Any:
        del key
        ref[...] += x
        return carry, None

    for _ in range(2):
        ks.scan(step, 0, jnp.arange(4.0), key=ks.key(9))
    assert float(ref[...]) == 12


def test_without_jit() -> None:
    """Without jit every form gives the same numbers."""
    key = ks.key(10)
    for form in LOOPS:
        with jax.disable_jit():
            got = form(uniform, key)
        np.testing.assert_allclose(got, form(uniform, key), rtol=1e-6)


def test_transfer_guard() -> None:
    """Numbers in a body are no transfers that a guard would stop, at the first call or later."""
    key, init = ks.key(1), jnp.zeros(2)
    for scale in (0.5, 0.25):
        draw = lambda key, scale=scale: uniform(key) * scale
        step = lambda key, carry, _, draw=draw: (carry + draw(key), None)
        with jax.transfer_guard("disallow"):
            sample_batches(draw, key)
            ks.scan(step, init, key=key, length=N)


WEAK: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "it stays": (lambda c, x: (c + 1, c * 2.0 + x), 0, jnp.arange(3)),
    "strong": (lambda c, x: (c + x, c * jnp.bfloat16(2)), 0.0, jnp.arange(3.0)),
    "another dtype": (lambda c, x: (c + x, c * jnp.bfloat16(2)), 0, jnp.arange(3.0)),
    "a narrow one": (lambda c, x: (c + x, c * 0.5), 0.0, jnp.arange(3, dtype=jnp.bfloat16)),
    "a number beside": (lambda c, x: (c + x, x * 0.3), 0.0, jnp.arange(3, dtype=jnp.bfloat16)),
}


@pytest.mark.parametrize("kind", WEAK)
def test_weak_types(kind: str) -> None:
    """A weakly typed first value gets the type that it gets in JAX's own loop, eager and jitted."""
    body, init, xs = WEAK[kind]
    step = lambda _, carry, x: body(carry, x)
    want = lax.scan(body, init, xs)
    eager = functools.partial(ks.scan, step, init, key=ks.key(1))
    for got in (eager(xs), jax.jit(eager)(xs)):
        for ours, theirs in zip(got, want, strict=True):
            assert (ours.dtype, ours.weak_type) == (theirs.dtype, theirs.weak_type)
            oracle.assert_same(np.asarray(ours), np.asarray(theirs))


# Programs that differ in one thing

X = jax.ShapeDtypeStruct((3,), np.float32)
COMMANDS: dict[str, Callable[[jax.Array, float], Any]] = {
    "add": lambda x, value: x + value,
    "mul": lambda x, value: x * np.float32(value),
    "max": lambda x, value: jnp.maximum(x, jnp.full(3, value)),
    "tanh": lambda x, value: jnp.tanh(x) if value > 0 else jnp.sin(x),
    "cumsum": lambda x, value: lax.cumsum(x, reverse=value > 0),
    "cast": lambda x, value: x.astype(jnp.bfloat16 if value > 0 else jnp.float16).astype(x.dtype),
    "where": lambda x, value: jnp.where(x > value, x, -x),
    "inner": lambda x, value: jax.jit(lambda x: x * value + x)(x),
    "scan": lambda x, value: lax.scan(lambda c, _: (c * 0.5 + value, None), x, length=2)[0],
    "cond": lambda x, value: lax.cond(x[0] > 0, lambda x: x + value, jnp.negative, x),
    "array": lambda x, value: x + ARRAYS[value],
    "weak": lambda x, value: x * (BFLOAT * (value if value > 0 else np.float32(value))),
    "rule": lambda x, value: scaled_slope(value)(x),
    "callback": lambda x, value: jax.pure_callback(
        lambda x: np.asarray(x) + np.float32(value), X, x
    ),
    "placed": lambda x, value: lax.with_sharding_constraint(x, PLACES[value > 0]),
}
VALUES = (-2.0, -1.0, 0.0, -0.0, 0.5, 1.0, 2.0, 3.0)
ARRAYS = {value: jnp.full(3, value) for value in VALUES}
PLACES = [jax.sharding.NamedSharding(catalogue.mesh(1), s) for s in (jax.P(), jax.P("data"))]
BFLOAT = jnp.bfloat16(1)


def program(commands: list[tuple[str, float]]) -> Callable[[jax.Array], Any]:
    """Return a function that obeys commands one after the other."""

    def fun(x: jax.Array) -> Any:
        for name, value in commands:
            x = COMMANDS[name](x, value)
        return x

    return fun


def described(open_up: Callable[..., Any], fun: Callable[..., Any]) -> Any:
    """Return a function opened up, or None where it can't be compared."""
    try:
        return open_up(*_compat.open_jaxpr(jax.make_jaxpr(fun)(X)))
    except _equations.IncomparableError:
        return None


def check_pair(open_up: Callable[..., Any], one: Any, other: Any, x: jax.Array) -> bool:
    """Hold what the second of two programs would give, and its slope, by the first's equations."""
    first, second = described(open_up, one), described(open_up, other)
    if first is None or second is None or first.description != second.description:
        return False

    def reused(x: jax.Array) -> jax.Array:
        return jax.core.eval_jaxpr(first.jaxpr, second.operands, x)[0]

    with jax.disable_jit():  # which compiles nothing for one pair alone
        oracle.assert_same(np.asarray(reused(x)), np.asarray(other(x)))
        if not first.rules:  # with rules it isn't used where JAX differentiates
            slopes = [jax.jvp(fun, (x,), (jnp.ones(3),))[1] for fun in (reused, other)]
            oracle.assert_same(*map(np.asarray, slopes))
    return True


def check_pairs(count: int, open_up: Callable[..., Any] = _equations.open_up) -> tuple[int, int]:
    """Compare pairs of programs that differ in one value; return how many share equations."""
    draw = np.random.default_rng(15)
    shared = 0
    for _ in range(count):
        x = jnp.asarray(draw.normal(size=3), np.float32)
        names = draw.choice(list(COMMANDS), 3)
        commands = [(str(name), float(draw.choice(VALUES))) for name in names]
        changed = list(commands)
        place = int(draw.integers(3))
        changed[place] = (changed[place][0], float(draw.choice(VALUES)))
        shared += check_pair(open_up, program(commands), program(changed), x)
    return shared, count - shared


def test_programs_that_differ() -> None:
    """Of two programs that differ in one thing neither gets the other's numbers."""
    shared, apart = check_pairs(150)
    assert shared > 20
    assert apart > 20


@pytest.mark.outside
def test_many_programs_that_differ() -> None:
    """Nor do 10,000 pairs."""
    shared, apart = check_pairs(10_000)
    assert shared > 1000
    assert apart > 1000


def without_params(*args: Any) -> Any:
    opened = _equations.open_up(*args)
    inputs, lines, outputs = opened.description
    less = tuple(line[:2] + line[3:] for line in lines)
    return opened._replace(description=(inputs, less, outputs))


def without_primitives(*args: Any) -> Any:
    opened = _equations.open_up(*args)
    inputs, lines, outputs = opened.description
    return opened._replace(description=(inputs, tuple(line[1:] for line in lines), outputs))


@pytest.mark.parametrize("faulty", [without_params, without_primitives], ids=lambda f: f.__name__)
def test_check_of_pairs_finds_a_fault(faulty: Callable[..., Any]) -> None:
    """Descriptions that leave out parameters, or which primitives there are, are noticed."""
    with pytest.raises(AssertionError):
        check_pairs(150, faulty)


SHARED, OTHER = jnp.array([1.0, 2.0, 3.0]), jnp.array([-1.0, 5.0, 0.5])


def signed(zero: float) -> Callable[[jax.Array], Any]:
    return lambda x: jnp.copysign(x, jax.jit(lambda x: x * 0 + zero)(jnp.ones(3)))


def scaled(by: jax.Array) -> Callable[[jax.Array], Any]:
    return lambda x: jax.jit(lambda x: x * by)(x) + 1


def drawn(impl: str) -> Callable[[jax.Array], Any]:
    return lambda x: x * jax.random.bits(jax.random.key(1, impl=impl))


KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "a weak type": (lambda x: x * (np.float32(2) * BFLOAT), lambda x: x * (2.0 * BFLOAT)),
    "a dtype": (lambda x: x * jnp.arange(3), lambda x: x * jnp.arange(3.0)),
    "an operand twice": (lambda x: x + SHARED + SHARED, lambda x: x + SHARED + OTHER),
    "an axis": (lambda x: x[None].sum(0), lambda x: x[None].max(0)),
    "true and one": (lambda x: x * True, lambda x: x * 1),
    "zeros": (signed(0.0), signed(-0.0)),
    "a closed-over array": (scaled(SHARED), scaled(OTHER)),
    "precision": (lambda x: jnp.dot(x, x, precision="highest"), lambda x: jnp.dot(x, x)),
    "an implementation": (drawn("threefry2x32"), drawn("rbg")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_difference(kind: str) -> None:
    """Each kind of difference by name, both ways round, and against the programs in use."""
    one, other = KINDS[kind]
    x = jnp.array([0.5, -1.0, 2.0])
    for first, second in ((one, other), (other, one)):
        check_pair(_equations.open_up, first, second, x)
        for fun in (first, second):
            draw = lambda key, fun=fun: fun(x) * uniform(key)[0].astype(bool)
            got = ks.sample(draw, ks.key(1), N, batch_size=3)
            want = np.broadcast_to(np.asarray(fun(x)), got.shape)
            np.testing.assert_allclose(got, want, rtol=1e-6)
            assert (np.signbit(got) == np.signbit(want)).all()


def test_what_is_never_compared() -> None:
    """A function among the parameters, an effect and a Ref have no description."""
    word = jax.ShapeDtypeStruct((3,), np.float32)
    ref = jax.new_ref(jnp.zeros(3))

    def print_it(x: jax.Array) -> jax.Array:
        jax.debug.print("{}", x)
        return x

    for fun in (lambda x: jax.pure_callback(np.sin, word, x), print_it, lambda x: x + ref[...]):
        with pytest.raises(_equations.IncomparableError):
            _equations.open_up(*_compat.open_jaxpr(jax.make_jaxpr(fun)(X)))
