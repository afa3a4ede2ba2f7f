"""What besides keys decides which numbers come: settings, versions, devices."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from keystream._check import setting
from keystream._saving.canaries import Changes
from keystream._scheme import SCHEME

FORMAT = 1
"""Version of the list of entries; a manifest of a newer one is refused."""


class Setting(NamedTuple):
    """One of JAX's settings: what it is unless it is changed, and what changing it does."""

    usual: Any
    """Also how a JAX that lacks the setting behaves."""
    changes: Changes


SETTINGS = {
    "jax_default_prng_impl": Setting("threefry2x32", "keys"),
    "jax_random_seed_offset": Setting(0, "keys"),
    # Splits and draws.
    "jax_threefry_partitionable": Setting(True, "keys"),
    # Seeds of more than 32 bits, and the dtype of draws.
    "jax_enable_x64": Setting(False, "keys"),
    "jax_explicit_x64_dtypes": Setting("warn", "draws"),
    "jax_high_dynamic_range_gumbel": Setting(False, "draws"),
    "jax_accurate_erf_inv": Setting(False, "last digits"),
    "jax_default_matmul_precision": Setting(None, "last digits"),
    "jax_disable_jit": Setting(False, "last digits"),
    "jax_disable_most_optimizations": Setting(False, "last digits"),
    "jax_legacy_prng_key": Setting("allow", "nothing"),
    "jax_enable_custom_prng": Setting(False, "nothing"),
}


class Fact(NamedTuple):
    """Something else about the surroundings: how to read it, and what it can change."""

    read: Callable[[], Any]
    changes: Changes
    kind: type = str


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from its source
        return None


def _xla_flags() -> str:
    # Neither paths nor the number of devices change a number.
    flags = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(flag for flag in flags if "/" not in flag and "device_count" not in flag)


def _default_dtypes() -> list[str]:
    return [jnp.result_type(kind).name for kind in (int, float, complex)]


FACTS = {
    "manifest": Fact(lambda: FORMAT, "keys", int),
    "scheme": Fact(lambda: SCHEME, "keys", int),
    "default dtypes": Fact(_default_dtypes, "draws", list),
    # What a version changes, it changes by way of what is drawn: the canaries tell.
    "keystream": Fact(lambda: _version("keystream"), "last digits"),
    "jax": Fact(lambda: jax.__version__, "last digits"),
    "jaxlib": Fact(lambda: _version("jaxlib"), "last digits"),
    "numpy": Fact(lambda: _version("numpy"), "nothing"),
    "backend": Fact(jax.default_backend, "last digits"),
    "device kind": Fact(lambda: jax.local_devices()[0].device_kind, "last digits"),
    "XLA_FLAGS": Fact(_xla_flags, "last digits"),
    "devices": Fact(jax.device_count, "nothing", int),
    "processes": Fact(jax.process_count, "nothing", int),
}
REQUIRED = ("manifest", "scheme")


def read() -> dict[str, Any]:
    """Return every fact and every setting as it is here; None for one that isn't there."""
    facts = {name: fact.read() for name, fact in FACTS.items()}
    return {**facts, **{name: current(name) for name in SETTINGS}}


def current(name: str) -> Any:
    """Return one of JAX's settings as it is here; None if this JAX lacks it."""
    try:
        # Some are no attributes, and those that are can't be read.
        value = setting(name) if hasattr(jax.config, name) else jax.config.read(name)
    except AttributeError:  # a JAX that lacks it
        return None
    return value.name.lower() if isinstance(value, enum.Enum) else value


def change(name: str, saved: Any, now: Any) -> Changes:
    """Tell the most that it can change that an entry was one thing and is another."""
    if name in SETTINGS:
        usual, changes = SETTINGS[name]
        same = (usual if saved is None else saved) == (usual if now is None else now)
        return "nothing" if same else changes
    return FACTS[name].changes if name in FACTS and None not in (saved, now) else "nothing"


def fits(name: str, value: Any) -> bool:
    """Could `read` have returned this value for that entry?"""
    if name in FACTS:
        return type(value) is FACTS[name].kind or (value is None and name not in REQUIRED)
    if name in SETTINGS and value is not None:
        usual = SETTINGS[name].usual
        return type(value) is (str if usual is None else type(usual))
    return True
