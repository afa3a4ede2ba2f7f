"""Law 6: no setting of JAX's changes a key, and every helper works under each of them.

The words are frozen under JAX's defaults first; the setting comes after.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from tests import catalogue, oracle
from tests.catalogue import ROWS, Row
from tests.oracle import bits

SETTINGS: dict[str, Any] = {
    "jax_default_prng_impl": "rbg",
    "jax_enable_x64": True,
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 17,
    "jax_debug_key_reuse": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_check_tracer_leaks": True,
    "jax_legacy_prng_key": "error",
}
SEEDS: tuple[Any, ...] = (0, 42, 2**32 + 1, 2**64 - 1, 2**64, -1, -(2**300), "run 7", b"7", [1, 2])
STARTS = (0, 2**32 - 1)
TOGETHER: dict[str, tuple[str, ...]] = {
    "numbers": (
        "jax_default_prng_impl", "jax_enable_x64", "jax_random_seed_offset",
        "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion", "jax_legacy_prng_key",
    ),
    "jax_threefry_partitionable": ("jax_threefry_partitionable", "jax_check_tracer_leaks"),
    "jax_debug_key_reuse": ("jax_debug_key_reuse",),
}  # fmt: skip
"""All settings, as few at a time as can be on together; each alone stands outside the gate."""
BY_TURNS = [
    *(
        pytest.param(names, marks=[pytest.mark.slow] * (len(names) == 1))
        for names in TOGETHER.values()
    ),
    *(pytest.param((name,), marks=pytest.mark.outside) for name in SETTINGS),
]


@contextlib.contextmanager
def setting(name: str, value: Any) -> Iterator[None]:
    """Change one of JAX's settings for a while."""
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def key_words(key: jax.Array) -> jax.Array:
    """Show which key an item got."""
    return jax.random.key_data(key)


def key_and_bits(key: jax.Array) -> jax.Array:
    """Show which key an item got, and consume it."""
    return jnp.concatenate([key_words(key), bits(key)])


def shown(names: tuple[str, ...]) -> Any:
    """Return what is compared: what JAX lets a setting change in draws is JAX's affair."""
    return key_words if "jax_threefry_partitionable" in names else key_and_bits


@functools.cache
def frozen(name: str, impl: str, start: int, draw: Any) -> Any:
    """Return what a row gives under JAX's defaults, by its oracle."""
    row = catalogue.BY_NAME[name]
    return row.want(ks.key(7, impl=impl), row.sizes[0], start, draw)


def starts(row: Row, impl: str) -> tuple[int, ...]:
    return STARTS if row.start and impl == "threefry2x32" and row.name != "fori_loop" else (0,)


def check_settings(row: Row, run: Any, impl: str, names: tuple[str, ...]) -> None:
    """Hold a helper, or a faulty one, under settings against the words frozen before."""
    draw = shown(names)
    wanted = [frozen(row.name, impl, start, draw) for start in starts(row, impl)]
    for start, want in zip(starts(row, impl), wanted, strict=True):
        with contextlib.ExitStack() as on:
            for name in names:
                on.enter_context(setting(name, SETTINGS[name]))
            got = run(ks.key(7, impl=impl), row.sizes[0], start, draw)
        oracle.assert_same(jax.tree.map(np.asarray, got), want)


def test_every_setting_is_tried() -> None:
    """The settings that are tried together are all settings."""
    assert sorted(sum(TOGETHER.values(), ())) == sorted(SETTINGS)


@pytest.mark.parametrize("names", BY_TURNS, ids="+".join)
@pytest.mark.parametrize("row", ROWS, ids=catalogue.label)
def test_keys_under_setting(row: Row, names: tuple[str, ...]) -> None:
    """Every helper works under the setting and gives the keys, and so the bits, of the defaults."""
    if row.name == "window" and "jax_threefry_partitionable" in names:
        # A draw has other bits then, of which there are no pieces.
        with pytest.raises(ks.KeyImplError, match="jax_threefry_partitionable"):
            check_settings(row, row.run, "threefry2x32", names)
        return
    check_settings(row, row.run, "threefry2x32", names)


@pytest.mark.slow
@pytest.mark.parametrize("names", BY_TURNS, ids="+".join)
@pytest.mark.parametrize("impl", ["threefry4x32", "rbg"])
def test_keys_of_other_implementations_under_setting(impl: str, names: tuple[str, ...]) -> None:
    """The keys of other implementations don't depend on the setting either."""
    for which in ("split", "keys", "derive array", "split names", "scan"):
        row = catalogue.BY_NAME[which]
        check_settings(row, row.run, impl, names)


@pytest.mark.slow
@pytest.mark.fast
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("which", ["scan", "vmap", "sample batches", "shard_map", "derive path"])
def test_keys_under_setting_and_jit(which: str, name: str) -> None:
    """Under jit, too, the setting changes no key."""
    row = catalogue.BY_NAME[which]

    def jitted(key: jax.Array, n: int, start: int, draw: Any) -> Any:
        return jax.jit(lambda key: row.run(key, n, start, draw))(key)

    check_settings(row, jitted, "threefry2x32", (name,))


@functools.cache
def seeded(impl: str) -> list[np.ndarray]:
    return [oracle.words(ks.key(seed, impl=impl)) for seed in SEEDS]


@pytest.mark.fast
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("impl", oracle.IMPLS)
def test_seeds_under_setting(impl: str, name: str) -> None:
    """No setting changes the key of a seed, whatever the seed and the implementation."""
    wanted = seeded(impl)
    with setting(name, SETTINGS[name]):
        made = [oracle.words(ks.key(seed, impl=impl)) for seed in SEEDS]
        sequence = ks.key(np.random.SeedSequence(5), impl=impl)
        default = jax.random.key_impl(ks.key(1))
        text = ks.fingerprint(ks.key(1))
    oracle.assert_same(made, wanted)
    oracle.assert_same_keys(sequence, ks.key(np.random.SeedSequence(5), impl=impl))
    assert default == "threefry2x32"
    assert text == ks.fingerprint(ks.key(1))


@pytest.mark.parametrize("name", SETTINGS)
def test_ids_under_setting(name: str) -> None:
    """Ids of 64 bits, names and positions in one path are the same keys under the setting."""
    ids = np.array([[1], [2**40], [-7]])
    want = [oracle.derive(ks.key(7), "noise", int(i), j) for i in ids.ravel() for j in (0, 2)]
    wanted = oracle.all_words(want)
    for jitted in (False, True):
        with setting(name, SETTINGS[name]):
            call = lambda key: ks.derive(key, "noise", ids, np.array([[0, 2]], np.int32))
            got = oracle.words((jax.jit(call) if jitted else call)(ks.key(7)))
        oracle.assert_same(got.reshape(wanted.shape), wanted)


# The check finds what it is there to find.


def asks_the_default(key: jax.Array, n: int, start: Any, draw: Any) -> Any:
    """Lie: take the implementation from the setting."""
    del key, start, draw
    return jax.random.key_data(jax.random.split(jax.random.key(7), n))


def splits(key: jax.Array, n: int, start: Any, draw: Any) -> Any:
    """Lie: split as jax.random does, which jax_threefry_partitionable changes."""
    del draw
    return jax.random.key_data(jax.random.split(key, start + n)[start:])


@pytest.mark.parametrize(
    ("name", "faulty"),
    [
        ("jax_default_prng_impl", asks_the_default),
        ("jax_random_seed_offset", asks_the_default),
        ("jax_threefry_partitionable", splits),
    ],
)
def test_check_finds_faults(name: str, faulty: Any) -> None:
    """The check of a setting fails on helpers that let it decide."""
    row = catalogue.BY_NAME["split"]
    with pytest.raises(AssertionError, match="wanted"):
        check_settings(row, faulty, "threefry2x32", (name,))


def test_reuse_is_heard() -> None:
    """Under jax_debug_key_reuse helpers consume their key: the second use raises."""
    consumers = {
        "split": ks.split,
        "keys": lambda key: ks.keys(key, 3),
        "scan": lambda key: ks.scan(lambda k, c, _: (c, bits(k)), 0, key=key, length=3),
        "sample": lambda key: ks.sample(bits, key, 3),
        "vmap": ks.vmap(bits, axis_size=3),
        "map": lambda key: ks.map(lambda k, _: bits(k), jnp.arange(3), key=key),
    }
    with setting("jax_debug_key_reuse", True):
        for consume in consumers.values():
            key = ks.key(3)
            consume(key)
            with pytest.raises(jax.errors.KeyReuseError):
                jax.random.bits(key)


PROGRAM = """
import jax
jax.config.update("jax_platforms", "cpu")
import keystream as ks
key = ks.key("run 7")
tree = ks.split_tree(key, {"b": [0, 0], "a": 0})
print([ks.fingerprint(k) for k in (key, *ks.split(key, ("x", "y")).values(), tree["b"][1])])
"""


def test_hash_seed() -> None:
    """Keys of names and seeds are the same whatever PYTHONHASHSEED is, in every process."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    key = ks.key("run 7")
    here = [key, *(oracle.derive(key, *p) for p in (("x",), ("y",), ("b", 1)))]
    assert said == {f"{[ks.fingerprint(k) for k in here]}\n"}
