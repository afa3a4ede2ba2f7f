"""Accelerated draws are those of JAX, bit for bit."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.extend.random import threefry2x32_p

import keystream as ks
from keystream import _compat
from keystream._keys import cipher as _cipher
from keystream._speed import forms as _forms
from keystream._speed import lowering as _lowering
from tests import reference
from tests.keys.test_random123 import MAIN
from tests.speed.forms import MARK, differences, forms, lowered, switched

pytestmark = pytest.mark.fast

P = jax.P
SEEDS = st.integers(0, 2**64 - 1)
FLOAT = re.compile(r"@_make_float_bits|stablehlo.case")
"""What bits that are handed over as floats have in that text."""

SAMPLERS: dict[str, Any] = {
    "bits": lambda key: jax.random.bits(key, (7, 3)),
    "bits of 8": lambda key: jax.random.bits(key, (33,), "uint8"),
    "bits of 16": lambda key: jax.random.bits(key, (5,), "uint16"),
    "bits, none": lambda key: jax.random.bits(key, (0, 3)),
    "bits, one": lambda key: jax.random.bits(key, ()),
    "uniform": lambda key: jax.random.uniform(key, (65,)),
    "uniform of 16": lambda key: jax.random.uniform(key, (9,), "float16"),
    "normal": lambda key: jax.random.normal(key, (4099,)),
    "normal of bfloat16": lambda key: jax.random.normal(key, (9, 2), "bfloat16"),
    "complex normal": lambda key: jax.random.normal(key, (9,), "complex64"),
    "gumbel": lambda key: jax.random.gumbel(key, (4099,)),
    "exponential": lambda key: jax.random.exponential(key, (4099,)),
    "logistic": lambda key: jax.random.logistic(key, (4099,)),
    "laplace": lambda key: jax.random.laplace(key, (65,)),
    "randint": lambda key: jax.random.randint(key, (33,), -5, 1000),
    "randint of 8": lambda key: jax.random.randint(key, (33,), 0, 7, "int8"),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (65,)),
    "rademacher": lambda key: jax.random.rademacher(key, (65,)),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(5.0), shape=(33,)),
    "permutation": lambda key: jax.random.permutation(key, 65),
    "choice": lambda key: jax.random.choice(key, 65, (5,), replace=False),
    "truncated normal": lambda key: jax.random.truncated_normal(key, -1.0, 2.0, (65,)),
    "gamma": lambda key: jax.random.gamma(key, 2.5, (9,)),
    "poisson": lambda key: jax.random.poisson(key, 3.0, (9,)),
    "dirichlet": lambda key: jax.random.dirichlet(key, jnp.ones(3), (5,)),
    "split": lambda key: jax.random.split(key, (5, 2)),
    "split, one": lambda key: jax.random.split(key, ()),
    "fold_in": lambda key: jax.random.fold_in(key, 2**32 - 1),
    "folds": lambda key: jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(-3, 6)),
    "keys, then draws": lambda key: jax.vmap(lambda k: jax.random.normal(k, (2,)))(
        jax.random.split(key, 33)
    ),
    "keys of keys": lambda key: jax.vmap(jax.vmap(jax.random.bits))(
        jax.vmap(lambda k: jax.random.split(k, 3))(jax.random.split(key, 5))
    ),
    "names": lambda key: [ks.derive(key, "a", 3), ks.derive(key, np.arange(5), "b", -1)],
    "far positions": lambda key: ks.keys(key, 5, start=2**32 - 2),
    "a scan": lambda key: lax.scan(_step, key, length=5),
    "a gradient": lambda key: jax.grad(_loss)(0.5, key),
    "rematerialized": lambda key: jax.grad(jax.checkpoint(_loss))(0.5, key),
    "ten splits": lambda key: functools.reduce(lambda k, _: jax.random.split(k)[0], range(10), key),
}


def _step(key: jax.Array, _: None) -> tuple[jax.Array, Any]:
    carry, use = jax.random.split(key)
    return carry, (jax.random.bernoulli(use, 0.5, (3,)), jax.random.normal(use, (2,)))


def _loss(x: Any, key: jax.Array) -> Any:
    mask = jax.random.bernoulli(key, 0.5, (5,))
    return (x * mask + x**2 * jax.random.normal(key, (5,))).sum()


@functools.cache
def _sampled(name: str) -> Any:
    return forms(SAMPLERS[name], ks.key(0))


@pytest.mark.parametrize("name", SAMPLERS)
@given(seed=SEEDS)
def test_same(name: str, seed: int) -> None:
    """Every sampler gives the same bits in both forms, its floats included."""
    assert not _sampled(name).differ(ks.key(seed))


FLOATS = ("uniform", "normal", "gumbel", "a scan", "a gradient", "keys, then draws", "gamma")


def test_chains_grow_linearly() -> None:
    """Splits of splits are programs of their number's size, not of two to its power."""

    def chain(times: int) -> int:
        def draw(keys: jax.Array) -> Any:
            for _ in range(times):
                keys = jax.vmap(lambda key: jax.random.split(key)[1])(keys)
            return jax.vmap(jax.random.normal)(keys)

        with switched(True):
            return len(jax.jit(draw).lower(ks.keys(ks.key(0), 99)).compile().as_text())

    assert chain(10) < 2.2 * chain(5)


@pytest.mark.parametrize("name", FLOATS)
def test_same_in_taken_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits that are handed over as floats, as those of large draws are, are the same bits."""
    monkeypatch.setattr(_forms, "FLOATS_FROM", 0)
    assert FLOAT.search(lowered(SAMPLERS[name], True, ks.key(0)))
    compiled = forms(SAMPLERS[name], ks.key(0))
    assert not any(compiled.differ(ks.key(seed)) for seed in range(100))


def test_same_when_large() -> None:
    """Large draws are the same, and need no memory besides their result."""
    size = _forms.FLOATS_FROM
    for draw in (jax.random.normal, jax.random.bits):
        compiled = forms(lambda key, draw=draw: draw(key, (size,)), ks.key(0))
        assert not compiled.differ(ks.key(1))
        with switched(True):
            lone = jax.jit(lambda key, draw=draw: draw(key, (size,))).lower(ks.key(0)).compile()
        assert lone.memory_analysis().temp_size_in_bytes < 4096


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 1, 4, 5, 23, 24, 799, 800, 1199, 1200, 1499, 11_999, 12_000])
@pytest.mark.parametrize("lanes", [True, False])
def test_same_in_a_choice(blocks: int, lanes: bool) -> None:
    """Sizes at which JAX's loop is kept, and those beside them, draw the same."""

    def draws(key: jax.Array) -> Any:
        if lanes:
            return jax.vmap(jax.random.bits)(jax.random.split(key, blocks))
        return jax.random.uniform(key, (blocks,)), jax.random.split(key, blocks)

    results = []
    for enabled in (False, True):
        ks.accelerate(enabled)
        results.append(jax.jit(lambda key: draws(key))(ks.key(3)))  # noqa: PLW0108 - anew
    assert not differences(*results)


def _legacy(key: jax.Array) -> Any:
    words = jax.random.key_data(key)
    first, second = jax.random.split(words)
    return first, jax.random.normal(second, (65,)), jax.random.fold_in(words, 3)


def _both_words(key: jax.Array) -> Any:
    first, second = jax.random.key_data(key)
    lo = jnp.arange(6, dtype=jnp.uint32)
    wide = threefry2x32_p.bind(first, second, lo[:3] * 2, lo[3:])
    return wide, threefry2x32_p.bind(jnp.stack([first] * 6), jnp.stack([second] * 6), lo, lo[::-1])


FORMED: dict[str, Any] = {"legacy keys": _legacy, "the primitive": _both_words}


@pytest.mark.parametrize("name", FORMED)
def test_same_without_typed_keys(name: str) -> None:
    """Legacy keys and direct use of the cipher give the same bits in both forms."""
    compiled = forms(FORMED[name], ks.key(0))
    assert not any(compiled.differ(ks.key(seed)) for seed in range(50))


@pytest.mark.parametrize("impl", ["threefry4x32", "rbg", "unsafe_rbg"])
def test_same_for_other_implementations(impl: str) -> None:
    """Keys of other implementations draw what they drew."""

    def draws(key: jax.Array) -> Any:
        return jax.random.normal(key, (9,)), jax.random.split(key, 3), jax.random.fold_in(key, 5)

    key = jax.random.key(7, impl=impl)
    assert not forms(draws, key).differ(key)
    # rbg keys are split and folded by threefry2x32.
    assert (MARK in lowered(draws, True, key)) is (impl == "rbg")


def test_same_without_partitionable() -> None:
    """The older form of splits and draws is the same too, at every width."""
    with jax.threefry_partitionable(False), _compat.enable_x64(True):
        for name in ("bits", "bits of 8", "bits of 16", "normal", "split", "keys, then draws"):
            assert not forms(SAMPLERS[name], ks.key(0)).differ(ks.key(11)), name
        wide = forms(lambda key: jax.random.bits(key, (5,), "uint64"), ks.key(0))
        assert not wide.differ(ks.key(11))


def test_same_with_x64() -> None:
    """64-bit draws, and default dtypes with 64-bit types on, are the same."""
    with _compat.enable_x64(True):
        subject = forms(
            lambda key: (
                jax.random.bits(key, (7,), "uint64"),
                jax.random.normal(key, (65,)),
                jax.random.randint(key, (9,), 0, 2**40),
                jax.random.fold_in(key, jnp.asarray(2**32 + 5)),
            ),
            ks.key(0),
        )
        assert not any(subject.differ(ks.key(seed)) for seed in range(20))


@pytest.mark.parametrize("setting", ["jax_numpy_dtype_promotion", "jax_numpy_rank_promotion"])
def test_same_in_strict_settings(setting: str) -> None:
    """It leans on no promotion of dtypes or ranks."""
    before = getattr(jax.config, setting)
    jax.config.update(setting, "strict" if setting.endswith("dtype_promotion") else "raise")
    try:
        for name in ("bits", "keys of keys", "folds", "names"):
            assert not forms(SAMPLERS[name], ks.key(0)).differ(ks.key(3)), name
    finally:
        jax.config.update(setting, before)


KINDS = (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("devices", [1, 8])
def test_same_over_devices(devices: int, kind: Any) -> None:
    """Sharded draws are the same, without communication, each device making its part."""
    mesh = jax.make_mesh((devices,), ("i",), (kind,), devices=jax.devices()[:devices])
    place = jax.NamedSharding(mesh, P("i"))

    def draws(key: jax.Array) -> Any:
        return jax.random.normal(key, (4096,)), jax.random.split(key, 4096)

    def wrap(fun: Any) -> Any:
        whole = jax.NamedSharding(mesh, P())
        return jax.jit(fun, in_shardings=whole, out_shardings=(place, place))

    assert not forms(draws, ks.key(0), wrap=wrap).differ(ks.key(5))
    with switched(True):
        text = wrap(draws).lower(ks.key(0)).compile().as_text()
    assert f"[{4096 // devices}" in text
    assert devices == 1 or "[4096" not in text
    assert not any(word in text for word in ("all-gather", "all-reduce", "collective"))


@pytest.mark.parametrize("floats_from", [0, 2**60])
@pytest.mark.parametrize("kind", KINDS)
def test_same_for_sharded_keys(
    kind: Any, floats_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draws from keys that are sharded stay where their keys are, each device's with it."""
    monkeypatch.setattr(_forms, "FLOATS_FROM", floats_from)
    mesh = jax.make_mesh((8,), ("i",), (kind,))
    keys = jax.device_put(ks.keys(ks.key(0), 64), jax.NamedSharding(mesh, P("i")))

    def each(key: jax.Array) -> Any:
        far = jax.random.fold_in(key, 7)
        return jax.random.bits(key, (5,)), jax.random.normal(far, (32,)), jax.random.split(key, 100)

    for draw in (jax.vmap(each), jax.vmap(jax.random.normal)):
        compiled = forms(draw, keys)
        assert not compiled.differ(keys)
        assert all(
            leaf.sharding.spec[:1] == ("i",) for leaf in jax.tree.leaves(compiled.fast(keys))
        )
        with switched(True):
            text = jax.jit(lambda keys, draw=draw: draw(keys)).lower(keys).compile().as_text()
        assert "[64" not in text
        assert not any(word in text for word in ("all-gather", "all-reduce", "collective"))


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_same_in_shard_map(kind: Any, check: bool) -> None:
    """Mapped bodies draw the same, whether JAX checks varying axes or not."""
    mesh = jax.make_mesh((8,), ("i",), (kind,))

    def body(key: jax.Array) -> Any:
        own = ks.for_axis(key, "i")
        return jax.random.normal(own, (5,)), jax.random.split(own, 3), ks.derive(own, "a", 2)[None]

    def wrap(fun: Any) -> Any:
        mapped = jax.shard_map(fun, mesh=mesh, in_specs=P(), out_specs=P("i"), check_vma=check)
        return jax.jit(mapped)

    key = jax.device_put(ks.key(0), jax.NamedSharding(mesh, P()))
    assert not forms(body, key, wrap=wrap).differ(key)


def test_same_in_pmap() -> None:
    """Lanes of a pmap draw the same."""
    lanes = ks.keys(ks.key(3), 8)
    compiled = forms(lambda key: jax.random.normal(key, (5,)), lanes, wrap=jax.pmap)
    assert not compiled.differ(lanes)


def test_same_helpers() -> None:
    """Our own samples are the same, in one go, in batches and over a mesh."""
    place = jax.NamedSharding(jax.make_mesh((8,), ("i",)), P("i"))
    results = []
    for enabled in (False, True):
        with switched(enabled):
            jax.clear_caches()
            results.append(
                [
                    ks.sample(jax.random.normal, ks.key(1), 64),
                    ks.sample(jax.random.normal, ks.key(1), 64, batch_size=10),
                    ks.sample(jax.random.normal, ks.key(1), 64, out_sharding=place),
                    ks.keys(ks.key(1), (3, 2)),
                    list(ks.split(ks.key(1), 3)),
                    jax.random.bits(ks.key(1), (5,)),
                    jax.random.split(ks.key(1), 5),
                ]
            )
    jax.clear_caches()
    assert not differences(*results)


@pytest.mark.parametrize(("counter", "key", "known"), MAIN)
def test_published_vectors(counter: Any, key: Any, known: Any) -> None:
    """The vectors of Random123 come out of the accelerated primitive."""
    operands = [np.uint32(word) for word in (*key, *counter)]
    fast = forms(threefry2x32_p.bind, *operands).fast
    assert tuple(int(word) for word in fast(*operands)) == known


@pytest.mark.parametrize(
    ("width", "known"),
    [
        (8, [216, 115, 43]),
        (16, [41682, 1300, 55017]),
        (32, [56197195, 4200222568, 961309823]),
        (64, [3982329540505020460, 16822122385914693683, 7882654074788531506]),
    ],
)
def test_published_draws(width: int, known: list[int]) -> None:
    """The draws that JAX's own tests have frozen, for the setting for which they state them."""
    with jax.threefry_partitionable(False), _compat.enable_x64(True):
        draw = forms(
            lambda key: jax.random.bits(key, (3,), f"uint{width}"), jax.random.key(1701)
        ).fast
        assert draw(jax.random.key(1701)).tolist() == known


@given(key=st.tuples(*[st.integers(0, 2**32 - 1)] * 2), i=st.integers(0, 2**32 - 1))
def test_reference(key: tuple[int, int], i: int) -> None:
    """Children and bits are those of the reference, which shares no code with either form."""
    typed = jax.random.wrap_key_data(np.array(key, np.uint32), impl="threefry2x32")
    made = jax.random.key_data(_folded()(typed, np.uint32(i)))
    assert tuple(made.tolist()) == reference.threefry2x32(key, (0, i))
    first, second = reference.threefry2x32(key, (0, 2))
    assert int(_sampled("bits").fast(typed)[0, 2]) == first ^ second


@functools.cache
def _folded() -> Any:
    return forms(jax.random.fold_in, ks.key(0), np.uint32(0)).fast


def _fault_turn(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_cipher, "ROTATIONS", ((13, 15, 26, 7), (17, 29, 16, 24)))


def _fault_rounds(patch: pytest.MonkeyPatch) -> None:
    honest = _lowering.block

    def short(first: Any, second: Any, hi: Any, lo: Any) -> Any:
        last = first ^ second ^ _cipher.PARITY, first + np.uint32(5)
        x, y = (word - key for word, key in zip(honest(first, second, hi, lo), last, strict=True))
        y = x ^ y
        y = y >> np.uint32(6) | y << np.uint32(26)
        return x - y + last[0], y + last[1]

    patch.setattr(_lowering, "block", short)


def _fault_words(patch: pytest.MonkeyPatch) -> None:
    honest = _lowering.block
    patch.setattr(_lowering, "block", lambda *operands: honest(*operands)[::-1])


@pytest.mark.parametrize("lie", [_fault_turn, _fault_rounds, _fault_words])
def test_faults_are_caught(lie: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong rotation, a round too few, words the wrong way round: each is seen."""

    def all_of_it(key: jax.Array) -> Any:
        both = threefry2x32_p.bind(*jax.random.key_data(key), np.uint32(0), np.uint32(1))
        return jax.random.bits(key, (5,)), jax.random.split(key), jax.random.fold_in(key, 3), both

    lie(monkeypatch)
    jax.clear_caches()
    found = forms(all_of_it, ks.key(0)).differ(ks.key(0))
    monkeypatch.undo()
    jax.clear_caches()
    # Bits are the exclusive or of both words, whichever comes first.
    assert found == [f"leaf {i}" for i in range(5) if not (lie is _fault_words and i == 0)]
    assert not forms(all_of_it, ks.key(0)).differ(ks.key(0))
