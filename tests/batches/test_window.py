"""A piece of one dense draw: what a window draws is a slice of what its key draws."""

from __future__ import annotations

import functools
import inspect
import math
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax.extend.random import threefry2x32_p

import keystream as ks
from keystream import _compat
from keystream._batches import window as _window
from keystream._keys import one_pass
from tests import oracle

P = jax.P
slow = pytest.mark.slow
SEEDS = st.integers(0, 2**64 - 1)
KEY = ks.key("window")
random = jax.random

Shape = tuple[int, ...]
Sampler = Callable[[jax.Array, Shape], Any]


def bits(dtype: Any) -> Sampler:
    return lambda key, shape: random.bits(key, shape, dtype)


def slices(start: Sequence[int], piece: Shape) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start, piece, strict=True))


@functools.cache
def pieces(sampler: Sampler, shape: Shape, piece: Shape) -> Callable[..., Any]:
    """Return a compiled draw of a piece from a traced start on, of words that are traced."""

    def draw(words: Any, start: Any) -> Any:
        key = random.wrap_key_data(words)
        return sampler(ks.window(key, shape, tuple(start)), piece)

    return jax.jit(draw)


@functools.cache
def wholes(sampler: Sampler, shape: Shape) -> Callable[..., Any]:
    return jax.jit(lambda words: sampler(random.wrap_key_data(words), shape))


def words_of(key: jax.Array) -> np.ndarray:
    return np.asarray(random.key_data(key))


CASES: list[tuple[Shape, Shape]] = [
    ((37,), (9,)),
    ((6, 8), (2, 3)),
    ((6, 8), (3, 8)),
    ((4, 3, 5), (2, 3, 4)),
    ((4, 1, 5, 3), (1, 1, 2, 3)),
    ((2, 3, 1, 2, 2, 1, 3, 2), (1, 2, 1, 2, 1, 1, 2, 2)),
]
"""Rows and parts of rows, sizes of one, up to eight dimensions."""


def check_slices(sampler: Sampler, shape: Shape, piece: Shape, examples: int) -> None:
    draw, whole = pieces(sampler, shape, piece), wholes(sampler, shape)
    starts = st.tuples(*[st.integers(0, n - k) for n, k in zip(shape, piece, strict=True)])

    @settings(max_examples=examples, phases=[Phase.generate])
    @given(seed=SEEDS, start=starts)
    def holds(seed: int, start: tuple[int, ...]) -> None:
        words = words_of(ks.key(seed))
        got = draw(words, np.array(start, np.int32))
        oracle.assert_same(got, np.asarray(whole(words))[slices(start, piece)])

    holds()


@pytest.fixture(
    params=[pytest.param(True, id="one_pass"), pytest.param(False, id="loop", marks=slow)]
)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Have windows drawn in one form of the cipher, whatever their size."""
    monkeypatch.setattr(one_pass, "pays", lambda *_, **__: request.param)
    _forget()
    return bool(request.param)


def _forget() -> None:
    jax.clear_caches()
    for made in (pieces, wholes):
        made.cache_clear()


@pytest.mark.fast
@pytest.mark.usefixtures("form")
def test_slice() -> None:
    """A window draws the slice from its start on, in both forms of the cipher."""
    for shape, piece in CASES:
        check_slices(bits("uint32"), shape, piece, 25)


@pytest.mark.fast
@pytest.mark.parametrize("width", [8, 16])
def test_narrow(width: int) -> None:
    """So it does for integers of fewer bits."""
    check_slices(bits(f"uint{width}"), (6, 8), (3, 8), 10)


def at(key: jax.Array, numbers: np.ndarray) -> np.ndarray:
    """Return the bits that stand at some numbers of a draw of any size, by the cipher itself."""
    hi = np.array([n >> 32 & 0xFFFFFFFF for n in numbers.ravel()], np.uint32)
    lo = np.array([n & 0xFFFFFFFF for n in numbers.ravel()], np.uint32)
    first, second = words_of(key)
    x, y = threefry2x32_p.bind(first, second, hi, lo)
    return np.asarray(x ^ y).reshape(numbers.shape)


def numbers_of(shape: Shape, start: Sequence[int], piece: Shape) -> np.ndarray:
    """Return the number of each element of a piece in C order, in Python's integers."""
    made: Any = np.zeros((), object)
    for dim in range(len(shape)):
        stride = math.prod(shape[dim + 1 :])
        along = [(start[dim] + i) * stride for i in range(piece[dim])]
        made = np.add.outer(made, np.array(along, object))
    return made


WIDE: list[tuple[Shape, Shape]] = [
    ((2**62 + 2**40,), (5,)),
    ((2**20, 2**20), (3, 4)),
    ((2**12 + 1, 2**21 - 9), (2**12 + 1, 2)),
    ((3, 2**33 + 7), (2, 3)),
    ((2**17, 5, 2**18 + 1), (3, 2, 2)),
    ((2**31, 2, 2**30), (2, 2, 2)),
]
"""More than 2**32 elements, and pieces that reach over more than that themselves."""


def check_wide(shape: Shape, piece: Shape, examples: int) -> None:
    """Hold static and, where they fit, traced starts against the cipher."""

    @functools.cache
    def draw(fixed: tuple[int | None, ...]) -> Callable[..., Any]:
        def traced(words: Any, start: Any) -> Any:
            given = [s if f is None else f for s, f in zip(start, fixed, strict=True)]
            return random.bits(ks.window(random.wrap_key_data(words), shape, given), piece)

        return jax.jit(traced)

    ends = [n - k for n, k in zip(shape, piece, strict=True)]
    edges = st.sampled_from((2**32 - 1, 2**32, 2**31 - 1, 2**33 - 2))
    total = math.prod(shape)

    def start_at(number: int) -> tuple[int, ...]:
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        return tuple(
            min(number // stride % n, end)
            for stride, n, end in zip(strides, shape, ends, strict=True)
        )

    numbers = st.one_of(st.integers(0, total - 1), edges.map(lambda n: min(n, total - 1)))

    @settings(max_examples=examples, phases=[Phase.generate])
    @given(seed=SEEDS, number=numbers)
    def holds(seed: int, number: int) -> None:
        key, start = ks.key(seed), start_at(number)
        want = at(key, numbers_of(shape, start, piece))
        oracle.assert_same(random.bits(ks.window(key, shape, start), piece), want)
        if all(end < 2**32 for end in ends):
            got = draw((None,) * len(shape))(words_of(key), np.array(start, np.uint32))
            oracle.assert_same(got, want)

    holds()


@pytest.mark.fast
@pytest.mark.usefixtures("form")
def test_wide() -> None:
    """Above 2**32 elements the counters carry into their high word."""
    for shape, piece in WIDE:
        check_wide(shape, piece, 25)


@pytest.mark.fast
def test_wide_types() -> None:
    """With 64-bit types a traced int64 start keeps its bits, and 64-bit draws are whole blocks."""
    shape, piece, start = (2**34, 3), (2, 3), (2**33 - 1, 0)
    numbers = numbers_of(shape, start, piece)
    with _compat.enable_x64(True):
        draw = lambda sampler, at: sampler(ks.window(KEY, shape, (at, 0)), piece)
        got = jax.jit(functools.partial(draw, bits("uint32")))(np.int64(start[0]))
        oracle.assert_same(got, at(KEY, numbers))
        wide = np.asarray(jax.jit(functools.partial(draw, bits("uint64")))(np.int64(start[0])))
        oracle.assert_same((wide >> 32 ^ wide).astype(np.uint32), at(KEY, numbers))
        small = slices((3, 1), (2, 2))
        window = ks.window(KEY, (6, 4), (3, 1))
        for sampler in (bits("uint64"), lambda key, shape: random.randint(key, shape, 0, 10**12)):
            oracle.assert_same(sampler(window, (2, 2)), np.asarray(sampler(KEY, (6, 4)))[small])


@pytest.mark.fast
def test_starts() -> None:
    """Ints, NumPy's and JAX's integers, static and traced, mean one start."""
    want = words_of(ks.window(KEY, (9, 7), (5, 3)))
    kinds = (int, np.int8, np.uint32, np.int64, jnp.int32, jnp.uint16)
    for first in kinds:
        for second in kinds[:3]:
            oracle.assert_same(words_of(ks.window(KEY, (9, 7), (first(5), second(3)))), want)
    for dtype in (np.int8, np.uint8, np.int32, np.uint32):
        mixed = jax.jit(lambda at: random.key_data(ks.window(KEY, (9, 7), [at, np.int64(3)])))
        oracle.assert_same(mixed(dtype(5)), want)
    oracle.assert_same(words_of(ks.window(KEY, 9, 4)), words_of(ks.window(KEY, (9,), (4,))))
    ends = np.array([*words_of(KEY), 0, 9], np.uint32)
    oracle.assert_same(words_of(ks.window(KEY, [9], np.int64(9))), ends)


@pytest.mark.fast
def test_edges() -> None:
    """Nothing at all, everything, a draw of one number; the empty piece behind the last one."""
    for shape, start, piece in [
        ((6, 4), (0, 0), (6, 4)),
        ((6, 4), (6, 4), (0, 0)),
        ((6, 4), (2, 1), (3, 0)),
        ((0, 3), (0, 0), (0, 3)),
        ((), (), ()),
    ]:
        want = np.asarray(random.bits(KEY, shape))[slices(start, piece)]
        oracle.assert_same(random.bits(ks.window(KEY, shape, start), piece), want)
    # A draw of one number is cut by nothing, so that it may split and loop as it likes.
    oracle.assert_same(random.gamma(ks.window(KEY, (), ()), 2.0), random.gamma(KEY, 2.0))


@pytest.mark.fast
def test_beyond() -> None:
    """Beyond the shape the numbers go on in C order: a traced start isn't clamped."""
    draw = pieces(bits("uint32"), (6, 4), (2, 4))
    words = words_of(KEY)
    oracle.assert_same(
        draw(words, np.array((5, 2), np.int32)), at(KEY, np.arange(22, 30).reshape(2, 4))
    )
    before = at(KEY, np.arange(-8, 0).reshape(2, 4))
    oracle.assert_same(draw(words, np.array((-2, 0), np.int32)), before)


@pytest.mark.fast
def test_children() -> None:
    """Splits and folds of a window are windows of the splits and folds of its key."""
    at, shape = (2, 3), (9, 7)
    window = ks.window(KEY, shape, at)
    as_window = lambda key: words_of(ks.window(key, shape, at))
    for num in (1, 2, 3, 8, (2, 4)):
        made = random.split(window, num)
        want = [as_window(key) for key in random.split(KEY, num).ravel()]
        oracle.assert_same(words_of(made).reshape(-1, 4), np.stack(want))
    for data in (0, 1, 2**32 - 1, jnp.uint32(7)):
        oracle.assert_same(
            words_of(random.fold_in(window, data)), as_window(random.fold_in(KEY, data))
        )


@pytest.mark.fast
def test_many_shapes() -> None:
    """A window of a shape that was forgotten has the type of one that is remembered."""
    before = ks.window(KEY, (5, 3), (0, 0))
    _window._implementation.cache_clear()
    after = ks.window(KEY, (5, 3), (1, 0))
    assert before.dtype == after.dtype != ks.window(KEY, (3, 5), (0, 0)).dtype
    assert jnp.stack([before, after]).shape == (2,)


ELEMENTWISE: dict[str, Sampler] = {
    "bernoulli": lambda key, shape: random.bernoulli(key, 0.3, shape),
    "bits": random.bits,
    "cauchy": random.cauchy,
    "choice, with replacement": lambda key, shape: random.choice(key, 50, shape),
    "normal, bfloat16": lambda key, shape: random.normal(key, shape, jnp.bfloat16),
    "exponential": random.exponential,
    "geometric": lambda key, shape: random.geometric(key, 0.3, shape),
    "gumbel": random.gumbel,
    "laplace": random.laplace,
    "logistic": random.logistic,
    "lognormal": lambda key, shape: random.lognormal(key, 1.0, shape),
    "normal": random.normal,
    "normal, complex": lambda key, shape: random.normal(key, shape, jnp.complex64),
    "pareto": lambda key, shape: random.pareto(key, 3.0, shape),
    "rademacher": random.rademacher,
    "randint": lambda key, shape: random.randint(key, shape, -3, 100),
    "randint, int8": lambda key, shape: random.randint(key, shape, -3, 100, "int8"),
    "rayleigh": lambda key, shape: random.rayleigh(key, 2.0, shape),
    "triangular": lambda key, shape: random.triangular(key, 0.0, 0.5, 1.0, shape),
    "truncated_normal": lambda key, shape: random.truncated_normal(key, -1.0, 2.0, shape),
    "uniform": random.uniform,
    "uniform, in a range": lambda key, shape: random.uniform(key, shape, minval=0.1, maxval=0.7),
    "wald": lambda key, shape: random.wald(key, 1.5, shape),
    "weibull_min": lambda key, shape: random.weibull_min(key, 2.0, 3.0, shape),
}
OF_BITS = frozenset(
    ("bernoulli", "bits", "choice, with replacement", "rademacher", "randint", "randint, int8")
) | {"uniform"}
"""Those that are made of bits alone."""


def assert_piece(got: Any, want: Any, *, exact: bool) -> None:
    """Hold a piece against a slice: bit for bit, or to last digits."""
    if exact or not jnp.issubdtype(want.dtype, np.inexact):
        oracle.assert_same(got, want)
    else:
        eps = float(jnp.finfo(want.dtype).eps)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(
            np.asarray(got, "c16"), np.asarray(want, "c16"), rtol=64 * eps, atol=8 * eps
        )


KEPT = ("uniform", "normal", "randint", "bernoulli", "gumbel")
"""The samplers that the shorter tests look at."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[slow] * (n not in KEPT)) for n in ELEMENTWISE]
)
def test_samplers(name: str) -> None:
    """Samplers that make each element by itself draw a slice, eagerly and compiled."""
    sampler, shape, start, piece = ELEMENTWISE[name], (23, 11), (7, 3), (9, 5)
    want = np.asarray(sampler(KEY, shape))[slices(start, piece)]
    eager = sampler(ks.window(KEY, shape, start), piece)
    compiled = jax.jit(lambda key: sampler(ks.window(key, shape, start), piece))(KEY)
    for got in (eager, compiled):
        assert_piece(got, want, exact=name in OF_BITS)


REFUSED: dict[str, Callable[[jax.Array], Any]] = {
    "ball": lambda key: random.ball(key, 2, 2, (4,)),
    "bernoulli, mode high": lambda key: random.bernoulli(key, 0.3, (4,), mode="high"),
    "beta": lambda key: random.beta(key, 2.0, 3.0, (4,)),
    "binomial": lambda key: random.binomial(key, 100.0, 0.5, (4,)),
    "binomial, n * p below 10": lambda key: random.binomial(key, 5.0, 0.5, (4,)),
    "chisquare": lambda key: random.chisquare(key, 3.0, (4,)),
    "choice, without replacement": lambda key: random.choice(key, 9, (4,), replace=False),
    "choice, without replacement, with p": lambda key: random.choice(
        key, 4, (2,), replace=False, p=jnp.ones(4) / 4
    ),
    "dirichlet": lambda key: random.dirichlet(key, jnp.ones(2), (4,)),
    "double_sided_maxwell": lambda key: random.double_sided_maxwell(key, 0.0, 1.0, (4,)),
    "f": lambda key: random.f(key, 3.0, 4.0, (4,)),
    "gamma": lambda key: random.gamma(key, 2.0, (4,)),
    "gamma, more than 8": lambda key: random.gamma(key, 2.0, (12,)),
    "generalized_normal": lambda key: random.generalized_normal(key, 2.0, (4,)),
    "gumbel, mode high": lambda key: random.gumbel(key, (4,), mode="high"),
    "loggamma": lambda key: random.loggamma(key, 2.0, (4,)),
    "maxwell": lambda key: random.maxwell(key, (4,)),
    "multinomial": lambda key: random.multinomial(key, 10.0, jnp.ones(4) / 4),
    "multivariate_normal": lambda key: random.multivariate_normal(
        key, jnp.zeros(2), jnp.eye(2), (4,)
    ),
    "orthogonal": lambda key: random.orthogonal(key, 3, (4,)),
    "permutation": lambda key: random.permutation(key, 4),
    "permutation, of rows": lambda key: random.permutation(key, jnp.zeros((4, 2))),
    "poisson": lambda key: random.poisson(key, 3.0, (4,)),
    "t": lambda key: random.t(key, 3.0, (4,)),
}
NO_PIECES: dict[str, Callable[[jax.Array], Any]] = {
    "another rank": lambda key: random.bits(key, (4, 1)),
    "too many": lambda key: random.bits(key, (21,)),
    "nine children": lambda key: random.split(key, 9),
}
UNSEEN = ("categorical, along a dimension that is cut",)
WHOLE_ROWS = ("categorical, along a dimension that isn't cut",)


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises((ks.ArgumentValueError, NotImplementedError)) as raised:
        jax.block_until_ready(call())
    if isinstance(raised.value, NotImplementedError):  # JAX's own words
        assert "poisson" in str(raised.value)
    else:
        assert str(raised.value).startswith("window: ")


@pytest.mark.parametrize("name", [*REFUSED, *NO_PIECES])
def test_refused(name: str) -> None:
    """What is no piece is refused where it can be seen, eagerly and in a program."""
    call, window = (REFUSED | NO_PIECES)[name], ks.window(KEY, 20, 3)
    refused(lambda: call(window))
    refused(lambda: jax.jit(call)(window))
    refused(lambda: jax.jit(call).lower(window))


MIXING = (
    *("binomial", "choice, without replacement", "choice, without replacement, with p"),
    *("multinomial", "permutation", "permutation, of rows"),
)


@pytest.mark.parametrize("name", MIXING)
def test_mixing_is_seen(name: str) -> None:
    """What mixes elements is seen behind an equal draw, in lanes, in loops, and not compiled."""
    call = REFUSED[name]

    def behind(key: jax.Array) -> Any:
        equal = random.randint(key, (4,), 0, 9), random.gumbel(key, (4,)), random.uniform(key, (4,))
        return equal, random.split(key), random.split(key, 3), call(key)

    at = lambda i: ks.window(KEY, 20, i)
    lanes = np.arange(2, dtype=np.int32)
    refused(lambda: jax.jit(behind)(at(3)))
    refused(lambda: jax.vmap(lambda i: call(at(i)))(lanes))
    refused(lambda: jax.jit(jax.vmap(lambda i: behind(at(i))))(lanes))
    refused(lambda: jax.lax.map(lambda i: behind(at(i)), lanes))
    refused(lambda: jax.jit(jax.checkpoint(behind))(at(3)))
    with jax.disable_jit():
        refused(lambda: call(at(3)))


PAGE = pathlib.Path(__file__).parents[2] / "docs" / "samplers.md"
KEYS_OF_JAX = frozenset((
    *("Key", "PRNGKey", "key", "key_data", "key_dtype", "key_impl", "wrap_key_data", "clone"),
    *("fold_in", "split"),
))  # fmt: skip


def table() -> str:
    """Return the table of the page: what the tests here hold of each sampler."""
    said = {name: "exact" if name in OF_BITS else "last digits" for name in ELEMENTWISE}
    said |= dict.fromkeys(WHOLE_ROWS, "last digits") | dict.fromkeys(UNSEEN, "not a piece")
    said |= dict.fromkeys(REFUSED, "refused")
    rows = [f"| {name} | {said[name]} |" for name in sorted(said)]
    return "\n".join(["| sampler | of a window |", "|---|---|", *rows, ""])


@pytest.mark.fast
def test_table() -> None:
    """The page says of every sampler of `jax.random` what is tested here."""
    made = table()
    assert made in PAGE.read_text(), f"docs/samplers.md wants this table:\n{made}"
    named = set(re.findall(r"^\| (\w+)", made, re.MULTILINE))
    samplers = {name for name, value in vars(random).items() if callable(value)}
    known = {name for name in samplers if not name.startswith("_")} - KEYS_OF_JAX
    assert {name for name in known if not inspect.isclass(getattr(random, name))} <= named


@pytest.mark.fast
def test_other_draws_are_not_refused() -> None:
    """Beside a window a program may shuffle by other keys, and choose with replacement."""

    @jax.jit
    def program(key: jax.Array) -> Any:
        window = ks.window(key, 20, 3)
        picked = random.choice(window, jnp.arange(50), (4,))
        return random.permutation(random.fold_in(key, 1), 4), picked, random.normal(window, (4,))

    want = random.choice(KEY, jnp.arange(50), (20,))[3:7]
    oracle.assert_same(program(KEY)[1], want)


@pytest.mark.fast
def test_whole_axis() -> None:
    """What mixes elements along a dimension that isn't cut gives whole rows."""
    logits = random.normal(ks.key(1), (12, 5))
    want = random.categorical(KEY, logits)[4:7]
    window = ks.window(KEY, (12, 5), (4, 0))
    oracle.assert_same(random.categorical(window, logits[4:7]), want)
    # Along one that is cut it doesn't, which can't be seen: it's said in the docstring.
    cut = random.categorical(ks.window(KEY, (12, 5), (0, 2)), logits[:, 2:4]) + 2
    assert bool((cut != random.categorical(KEY, logits)).any())


@pytest.mark.fast
def test_arguments() -> None:
    """Bad shapes and starts, keys of other implementations and windows are refused."""
    window = ks.window(KEY, 20, 3)
    for start in (-1, 21, np.int64(-1), jnp.int32(-3)):
        with pytest.raises(ks.ArgumentValueError, match="start"):
            ks.window(KEY, 20, start)
    for start in ((1, 2), (), [1, 2, 3]):
        with pytest.raises(ks.ArgumentValueError, match="start"):
            ks.window(KEY, 20, start)
    for start in (1.0, None, "1", (jnp.zeros(2, int),), True):
        with pytest.raises(ks.ArgumentTypeError, match="start"):
            ks.window(KEY, 20, start)
    for shape in ((1,) * 9, (2**62, 2), (3, -1)):
        with pytest.raises(ks.ArgumentValueError, match="shape"):
            ks.window(KEY, shape, (0,) * len(shape))
    for shape in (2.0, None, (2, "3")):
        with pytest.raises(ks.ArgumentTypeError, match="shape"):
            ks.window(KEY, shape, 0)
    for impl in oracle.IMPLS[1:]:
        if _compat.has_impl(impl):
            with pytest.raises(ks.KeyImplError, match="public cipher"):
                ks.window(ks.key(0, impl=impl), 20, 3)
    for call in (lambda k: ks.window(k, 20, 3), lambda k: ks.derive(k, 1), ks.split, ks.Stream):
        with pytest.raises(ks.KeyImplError, match="To derive before it is cut"):
            call(window)
    with pytest.raises(ks.KeyImplError, match="seed"):
        random.key(0, impl=random.key_impl(window))


@pytest.mark.fast
def test_other_counters() -> None:
    """With jax_threefry_partitionable off there are no windows, and none is drawn from."""
    window = ks.window(KEY, 20, 3)
    with jax.threefry_partitionable(False):
        for call in (
            lambda: ks.window(KEY, 20, 3),
            lambda: random.bits(window, (2,)),
            lambda: random.split(window),
            lambda: random.fold_in(window, 1),
            lambda: jax.jit(lambda key: random.uniform(key, (2,)))(window),
        ):
            with pytest.raises(ks.KeyImplError, match="jax_threefry_partitionable"):
                call()


@pytest.mark.fast
def test_repeated_calls() -> None:
    """New keys, starts and windows of one shape compile nothing."""
    for step in range(2):
        window = ks.window(ks.key(step), (9, 7), (step, 3))
        made = random.bits(window, (2, 3)), random.normal(window, (2, 3)), random.split(window)
        jax.block_until_ready(made)


def lanes_of(key: jax.Array, start: Any) -> Any:
    return random.bits(ks.window(key, (12, 10), (start, 2)), (3, 8))


@pytest.mark.fast
def test_transforms() -> None:
    """Under vmap, scan, grad, remat and jit the piece is the slice, for keys and starts."""
    whole = lambda key, start: np.asarray(random.bits(key, (12, 10)))[slices((start, 2), (3, 8))]
    keys, starts = ks.keys(KEY, 3), np.array([0, 4, 9], np.int32)
    want = np.stack([whole(key, start) for key, start in zip(keys, starts, strict=True)])
    oracle.assert_same(jax.vmap(lanes_of)(keys, starts), want)
    one = np.stack([whole(KEY, start) for start in starts])
    oracle.assert_same(jax.jit(jax.vmap(lanes_of, (None, 0)))(KEY, starts), one)
    each = np.stack([whole(key, 4) for key in keys])
    oracle.assert_same(jax.vmap(lanes_of, (0, None))(keys, 4), each)
    windows = jax.vmap(lambda key, start: ks.window(key, (12, 10), (start, 2)))(keys, starts)
    assert windows.shape == (3,)
    oracle.assert_same(jax.vmap(lambda key: random.bits(key, (3, 8)))(windows), want)
    oracle.assert_same(jax.lax.map(lambda pair: lanes_of(*pair), (keys, starts)), want)
    scanned = ks.scan(lambda key, c, at: (c, lanes_of(key, at)), 0, starts, key=KEY)[1]
    oracle.assert_same(scanned, want)

    def loss(x: Any, key: jax.Array, start: Any) -> Any:
        return (x * random.normal(ks.window(key, (12, 10), (start, 2)), (3, 8))).sum()

    noise = np.asarray(random.normal(KEY, (12, 10)))[slices((4, 2), (3, 8))]
    for fun in (loss, jax.checkpoint(loss), jax.jit(loss)):
        got = jax.grad(fun)(jnp.ones((3, 8)), KEY, 4)
        assert_piece(got, noise, exact=False)


def mesh_of(shape: tuple[int, int], kind: Any) -> jax.sharding.Mesh:
    return jax.make_mesh(shape, ("rows", "cols"), (kind, kind))


AXES = [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit]


@pytest.mark.parametrize("kind", AXES, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "devices",
    [(2, 4), *(pytest.param(each, marks=slow) for each in [(1, 8), (8, 1)])],
    ids=str,
)
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
def test_shards(devices: tuple[int, int], checked: bool, kind: Any) -> None:
    """On any mesh the shards draw one device's array, each its own piece, without a collective."""
    mesh, shape = mesh_of(devices, kind), (16, 24)
    piece = tuple(n // d for n, d in zip(shape, devices, strict=True))

    def shard(key: jax.Array) -> Any:
        at = [jax.lax.axis_index(axis) * n for axis, n in zip(mesh.axis_names, piece, strict=True)]
        window = ks.window(key, shape, at)
        return random.bits(window, piece), random.bernoulli(window, 0.5, piece)

    call = jax.shard_map(
        shard, mesh=mesh, in_specs=P(), out_specs=P("rows", "cols"), check_vma=checked
    )
    with jax.set_mesh(mesh):
        key = jax.device_put(KEY, P())
        compiled = jax.jit(call).lower(key).compile()
        oracle.assert_same(compiled(key)[0], random.bits(KEY, shape))
        oracle.assert_same(compiled(key)[1], random.bernoulli(KEY, 0.5, shape))
    for word in ("all-reduce", "all-gather", "collective", "all-to-all"):
        assert word not in str(compiled.as_text())


@pytest.mark.parametrize("kind", AXES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
def test_varying_keys(checked: bool, kind: Any) -> None:
    """A key that differs from shard to shard gives each the piece of its own draw."""
    mesh, shape, piece = mesh_of((2, 4), kind), (6, 4), (2, 4)

    def shard(key: jax.Array) -> Any:
        own = ks.for_axis(key, "rows")
        return random.bits(ks.window(own, shape, (jax.lax.axis_index("rows"), 0)), piece)[None]

    call = jax.shard_map(shard, mesh=mesh, in_specs=P(), out_specs=P("rows"), check_vma=checked)
    with jax.set_mesh(mesh):
        got = jax.jit(call)(jax.device_put(KEY, P()))
    want = [np.asarray(random.bits(ks.derive(KEY, i), shape))[i : i + 2] for i in range(2)]
    oracle.assert_same(got, np.stack(want))


@pytest.mark.parametrize("kind", AXES, ids=lambda kind: kind.name)
def test_sharded_keys(kind: Any) -> None:
    """Keys that are laid out over a mesh give windows there, and draws there."""
    mesh = mesh_of((8, 1), kind)
    starts = np.arange(8, dtype=np.int32)
    want = np.stack(
        [np.asarray(random.bits(ks.derive(KEY, i), (10,)))[i : i + 2] for i in range(8)]
    )
    with jax.set_mesh(mesh):
        keys = ks.keys(KEY, 8, out_sharding=P("rows"))
        at = jax.device_put(starts, P("rows"))
        windows = jax.jit(jax.vmap(lambda key, start: ks.window(key, 10, start)))(keys, at)
        draw = jax.vmap(lambda key: random.bits(key, (2,)))
        for call in (draw, jax.jit(draw)):
            got = call(windows)
            oracle.assert_same(got, want)
            assert cast("Any", got).sharding.spec[0] == "rows"


@pytest.mark.fast
def test_memory() -> None:
    """A piece of a draw that fills no memory takes memory for itself alone."""
    piece = (2**6, 2**14)
    draw = lambda key, at: random.uniform(ks.window(key, (2**20, 2**14), (at, 0)), piece)
    needed: Any = jax.jit(draw).lower(KEY, 5).compile().memory_analysis()
    size = 4 * math.prod(piece)
    assert needed.output_size_in_bytes == size
    assert needed.temp_size_in_bytes < 1.1 * size + 2**16


def test_recorded() -> None:
    """A recording changes nothing about what a window draws."""

    def draw(key: jax.Array) -> Any:
        window = ks.window(key, (9, 7), (2, 3))
        return random.bits(window, (3, 4)), random.randint(window, (3, 4), 0, 9)

    want = jax.jit(draw)(KEY)
    with ks.recording():
        oracle.assert_same(jax.jit(draw)(KEY), want)
        oracle.assert_same(draw(KEY), want)


@slow
@pytest.mark.parametrize("sampler", ["bits", "uniform", "normal", "randint"])
def test_accelerated(sampler: str) -> None:
    """With accelerate too the piece is the slice of the draw, large and small."""
    call = ELEMENTWISE[sampler]
    want = [np.asarray(call(KEY, shape)) for shape in ((6, 8), (2**11, 2**10))]
    ks.accelerate()
    small = call(ks.window(KEY, (6, 8), (2, 0)), (3, 8))
    large = call(ks.window(KEY, (2**11, 2**10), (2**10, 0)), (2**10, 2**10))
    assert_piece(small, want[0][2:5], exact=sampler in OF_BITS)
    assert_piece(large, want[1][2**10 :], exact=sampler in OF_BITS)


def _fault_strides(patch: pytest.MonkeyPatch) -> None:
    honest = _window._counters
    swapped = lambda base, dense, piece: honest(base, dense[::-1], piece)
    patch.setattr(_window, "_counters", swapped)


def _fault_carry(patch: pytest.MonkeyPatch) -> None:
    honest = _window.advance

    def lose(base: Any, offset: Any) -> Any:
        made = honest(base, offset)
        if made.hi is None:
            return made
        high = base.hi if offset.hi is None else base.hi + offset.hi
        return made._replace(hi=made.lo * 0 + high)

    patch.setattr(_window, "advance", lose)


def _fault_start(patch: pytest.MonkeyPatch) -> None:
    honest = _window._base
    patch.setattr(_window, "_base", lambda starts, shape: honest([0] * len(starts), shape))


def _fault_one_start(patch: pytest.MonkeyPatch) -> None:
    honest = _window._base
    patch.setattr(_window, "_base", lambda starts, shape: honest([0, *starts[1:]], shape))


@pytest.mark.parametrize("lie", [_fault_strides, _fault_carry, _fault_start, _fault_one_start])
def test_faults_are_caught(lie: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strides swapped, a carry lost above 2**32, a start ignored: each is seen."""
    lie(monkeypatch)
    _forget()
    check = check_wide if lie is _fault_carry else check_slices
    args: Any = WIDE[2] if check is check_wide else (bits("uint32"), *CASES[1])
    with pytest.raises(AssertionError):
        check(*args, 20)
    monkeypatch.undo()
    _forget()


@pytest.mark.outside
def test_many_slices() -> None:
    """Of 10**5 windows, of all shapes and starts, each is a slice."""
    for shape, piece in CASES:
        check_slices(bits("uint32"), shape, piece, 12_000)
    for shape, piece in WIDE:
        check_wide(shape, piece, 5_000)
