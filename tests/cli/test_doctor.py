"""The doctor passes a sound installation, fails a broken one, and names odd settings."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p

import keystream as ks
from keystream.__main__ import main
from keystream._saving import settings
from keystream.cli import doctor
from keystream.cli._doctor import selftest

ODD = {
    "jax_default_prng_impl": "rbg",
    "jax_random_seed_offset": "3",
    "jax_threefry_partitionable": "0",
    "jax_enable_x64": "1",
    "jax_explicit_x64_dtypes": "allow",
    "jax_high_dynamic_range_gumbel": "1",
    "jax_accurate_erf_inv": "1",
    "jax_default_matmul_precision": "highest",
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_legacy_prng_key": "error",
    "jax_enable_custom_prng": "1",
    "jax_debug_key_reuse": "1",
}


def test_sound_installation(capsys: pytest.CaptureFixture[str]) -> None:
    """Here every law holds, on eight devices, and the versions are told."""
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert told.count("  ok  ") == len(selftest.LAWS)
    assert "8 x cpu" in told
    assert f"  jax         {jax.__version__}\n" in told
    assert "All laws hold, and every setting is usual." in told


def test_odd_settings() -> None:
    """With every setting odd at once the laws still hold, and each setting is named."""
    environment = {name.upper(): value for name, value in ODD.items()}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONHASHSEED": "7"}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_cpu_max_isa=AVX"
    done = subprocess.run(
        [sys.executable, "-m", "keystream", "doctor"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = [name for name in ODD if hasattr(jax.config, name)]
    last = done.stdout.splitlines()[-1]
    assert last.startswith("All laws hold. Unusual settings, see above: ")
    assert set(last.rpartition(": ")[2].rstrip(".").split(", ")) == {*names, "XLA_FLAGS"}
    assert "2 x cpu" in done.stdout


@pytest.mark.parametrize("name", settings.SETTINGS | settings.UNRECORDED)
def test_settings_exist_and_are_usual(name: str) -> None:
    """Each setting is one that JAX or XLA reads, and here it has its usual value."""
    newer = {"jax_accurate_erf_inv"}  # from jax 0.12 on
    found = [reading for reading in settings.read_settings() if reading.name == name]
    assert found or name in newer
    assert not any(reading.odd for reading in found)


def test_an_odd_setting_says_what_to_do() -> None:
    """An unusual value is marked, explained and followed by a cure, and is no failure."""
    jax.config.update("jax_random_seed_offset", 2)
    try:
        told = "\n".join(doctor.settings())
        last = doctor.verdict([selftest.Outcome("fine", "")])
    finally:
        jax.config.update("jax_random_seed_offset", 0)
    assert (
        "  UNUSUAL  jax_random_seed_offset = 2\n"
        "           jax.random.key(n) gives the key of n plus this offset: other numbers.\n"
        "           ks.key ignores it. For another run choose another seed: ks.key(seed + 1).\n"
    ) in told
    assert last == "All laws hold. Unusual settings, see above: jax_random_seed_offset."


# --- planted faults -------------------------------------------------------------------------


def first(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the function another key than it was given, in the first place."""
    return lambda key, *args, **kwargs: fun(jax.random.fold_in(key, 1), *args, **kwargs)


def keyword(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Hand a loop another key than it was given, by keyword."""
    return lambda *args, key, **kwargs: fun(*args, key=jax.random.fold_in(key, 1), **kwargs)


def second(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the function another key than it was given, after its own function."""
    return lambda f, key, *args, **kwargs: fun(f, jax.random.fold_in(key, 1), *args, **kwargs)


def later(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the mapped function another key than it was given."""
    return lambda *args, **kwargs: first(fun(*args, **kwargs))


def child_0_twice(keys: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(key: jax.Array, shape: Any, **kwargs: Any) -> jax.Array:
        made = keys(key, shape, **kwargs)
        return made[jnp.maximum(jnp.arange(made.size), 1) - 1]

    return faulty


def no_start(fun: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: fun(*args, **kwargs | {"start": 0})


def names_by_order(split: Callable[..., Any]) -> Callable[..., Any]:
    """Name the children by their place in the tuple of names."""

    def faulty(key: jax.Array, num: Any = 2) -> Any:
        if isinstance(num, int):
            return split(key, num)
        return dict(zip(num, split(key, len(num)), strict=True))

    return faulty


def joined(derive: Callable[..., Any]) -> Callable[..., Any]:
    """Join the names of a path, so that ("ab", "c") is ("a", "bc")."""

    def faulty(key: jax.Array, *path: Any) -> jax.Array:
        if all(isinstance(part, str) for part in path):
            return derive(key, "".join(path))
        return derive(key, *path)

    return faulty


def untyped(derive: Callable[..., Any]) -> Callable[..., Any]:
    """Take "1", b"1" and 1 for the same."""

    def faulty(key: jax.Array, *path: Any) -> jax.Array:
        return derive(key, *(1 if part in ("1", b"1") else part for part in path))

    return faulty


def cut_to_32_bits(derive: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(key: jax.Array, *path: Any) -> jax.Array:
        cut = (part.astype(np.int32) if isinstance(part, np.ndarray) else part for part in path)
        return derive(key, *cut)

    return faulty


def other_when_traced(derive: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(key: jax.Array, *path: Any) -> jax.Array:
        traced = isinstance(path[-1], jax.core.Tracer)
        return derive(key, *path, 0) if traced else derive(key, *path)

    return faulty


def used_survives(scan_carried: Callable[..., Any]) -> Callable[..., Any]:
    """Hand back the key that the loop began with."""

    def faulty(*args: Any, key: jax.Array, **kwargs: Any) -> Any:
        return (key, *scan_carried(*args, key=key, **kwargs)[1:])

    return faulty


def replicated(shard_map: Callable[..., Any]) -> Callable[..., Any]:
    return lambda fun, **kwargs: shard_map(fun, **kwargs | {"vary": ()})


def backwards(batched: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sampler: lambda keys: batched(sampler)(keys[::-1])


FAULTY = [
    ("frozen", "key", lambda key: lambda seed: key(seed if seed == selftest.SEED else 0)),
    ("frozen", "derive", first),
    ("position", "split", first),
    ("position", "keys", child_0_twice),
    ("position", "derive", first),
    ("position", "scan", keyword),
    ("position", "map", keyword),
    ("position", "fori_loop", keyword),
    ("position", "while_loop", keyword),
    ("position", "vmap", later),
    ("position", "sample", second),
    ("position", "batched", backwards),
    ("prefix", "keys", no_start),
    ("prefix", "sample", no_start),
    ("name", "split", names_by_order),
    ("name", "derive", joined),
    ("name", "derive", untyped),
    ("composition", "derive", cut_to_32_bits),
    ("composition", "derive", other_when_traced),
    ("composition", "split_tree", first),
    ("once", "scan_carried", keyword),
    ("once", "scan_carried", used_survives),
    ("devices", "shard_map", replicated),
    ("devices", "for_axis", first),
    ("devices", "shard_keys", first),
]


@pytest.mark.slow
@pytest.mark.parametrize(("law", "subject", "faulty"), FAULTY)
def test_each_law_fails_its_fault(
    law: str, subject: str, faulty: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subject that breaks a law is found wrong by the test of that law."""
    monkeypatch.setattr(ks, subject, faulty(getattr(ks, subject)))
    assert getattr(selftest, law)()


def test_another_cipher_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cipher of which one word is wrong doesn't pass for threefry2x32."""

    class Faulty:
        @staticmethod
        def bind(*words: jax.Array) -> list[jax.Array]:
            left, right = threefry2x32_p.bind(*words)
            return [left, right.at[2].add(1)]

    monkeypatch.setattr(selftest, "threefry2x32_p", Faulty)
    assert selftest.cipher() == ["threefry2x32"]


def test_a_broken_subject_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong or raises is named, the other laws are still tried, and the status is 1."""

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("no such loop\nand more")

    monkeypatch.setattr(ks, "map", broken)
    monkeypatch.setattr(ks, "shard_keys", first(ks.shard_keys))
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "i gets child i (RuntimeError: no such loop)\n" in told
    assert "on all devices here (wrong: shard_keys)\n" in told
    assert told.count("  ok  ") == len(selftest.LAWS) - 2
    assert f"2 of {len(selftest.LAWS)} laws don't hold here: don't trust keys" in told


# --- the frozen fingerprints, from the written scheme ----------------------------------------


def block(key: tuple[int, int], counter: int) -> tuple[int, int]:
    arguments = np.array([[*key, counter >> 32 & 0xFFFFFFFF, counter & 0xFFFFFFFF]], np.uint32).T
    left, right = threefry2x32_p.bind(*map(jnp.asarray, arguments))
    return int(left[0]), int(right[0])


def named(prefix: bytes, content: bytes) -> int:
    digest = hashlib.sha256(b"keystream:1:" + prefix + b":" + content).digest()
    return 2**63 + int.from_bytes(digest[:8], "big") % 2**62


@pytest.mark.parametrize(
    ("name", "counters"),
    [
        ("derive(key(42), 'dropout')", [named(b"str", b"dropout")]),
        ("derive(key(42), 'noise', 3, 7)", [named(b"str", b"noise"), 3, 7]),
        ("derive(key(42), -1)", [-1]),
        ("derive(key(42), 2**40)", [2**40]),
        ("derive(key(42), 2**64)", [named(b"int", b"%d" % 2**64)]),
    ],
)
def test_frozen_fingerprints_follow_the_scheme(name: str, counters: list[int]) -> None:
    """The frozen fingerprints come out of SHA-256 and the cipher alone, without keystream."""
    key = (0, 42)
    for counter in counters:
        key = block(key, counter)
    words = np.array(key, "<u4").tobytes()
    digest = hashlib.sha256(b"keystream:fingerprint:threefry2x32:" + words).hexdigest()
    assert selftest.FROZEN[name][1] == f"threefry2x32:{digest[:16]}"


def test_laws_without_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `python -OO` has left out what a law claims, its name is told."""

    def position() -> list[str]:
        return []

    monkeypatch.setattr(selftest, "LAWS", (position,))
    assert list(selftest.outcomes()) == [selftest.Outcome("position", "")]
