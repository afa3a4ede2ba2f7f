"""Settings of the surroundings that change numbers: what each does, and what to do about it."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax


class Setting(NamedTuple):
    """One setting, and what there is to say when it isn't what it usually is."""

    name: str
    usual: Any
    """The value that changes nothing, or a function that tells such values."""
    effect: str
    advice: str


def _only_device_count(flags: Any) -> bool:
    return all("device_count" in flag for flag in str(flags or "").split())


def _any(_value: Any) -> bool:
    return True


SETTINGS = (
    Setting(
        "jax_default_prng_impl",
        "threefry2x32",
        "jax.random.key and PRNGKey make keys of this implementation: other numbers.",
        "ks.key stays threefry2x32. For another one on purpose: ks.key(seed, impl=...).",
    ),
    Setting(
        "jax_random_seed_offset",
        0,
        "jax.random.key(n) gives the key of n plus this offset: other numbers.",
        "ks.key ignores it. For another run choose another seed: ks.key(seed + 1).",
    ),
    Setting(
        "jax_threefry_partitionable",
        True,
        "Draws from a key are other numbers, and jax.random.split gives other children.",
        "Children from keystream stay. For today's draws, unset it.",
    ),
    Setting(
        "jax_enable_x64",
        False,
        "Draws without a dtype are 64 bits wide, made of other bits: other numbers.",
        "To draw the same with both: jax.random.normal(key, shape, dtype='float32').",
    ),
    Setting(
        "jax_explicit_x64_dtypes",
        "warn",
        "What a dtype of 64 bits means with x64 off: cut with a warning, kept, or an error.",
        "Keys don't depend on it. For the same draws everywhere: dtype='float32'.",
    ),
    Setting(
        "jax_high_dynamic_range_gumbel",
        False,
        "gumbel and categorical draw twice for rare events: other numbers.",
        "For today's numbers unset it, or say so: jax.random.gumbel(key, mode='low').",
    ),
    Setting(
        "jax_accurate_erf_inv",
        False,
        "normal and what stands on it are rounded otherwise far from zero.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    Setting(
        "jax_default_matmul_precision",
        None,
        "Matrix products are rounded otherwise, also in multivariate_normal.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    Setting(
        "jax_disable_jit",
        False,
        "Every operation runs by itself: last digits of floats change, keys and bits don't.",
        "Unset it when you have found your bug; it is slow.",
    ),
    Setting(
        "XLA_FLAGS",
        _only_device_count,
        "XLA may emit other float code: last digits change, keys and bits don't.",
        "Record them with your results: the same last digits need the same flags.",
    ),
    Setting(
        "jax_numpy_dtype_promotion",
        "standard",
        "Arrays of different dtypes don't mix: errors, no other numbers.",
        "keystream works with it. Elsewhere convert: x.astype(y.dtype).",
    ),
    Setting(
        "jax_numpy_rank_promotion",
        "allow",
        "Arrays of different ranks don't broadcast: errors or warnings, no other numbers.",
        "keystream works with it. Elsewhere add the axis: x[None, :].",
    ),
    Setting(
        "jax_legacy_prng_key",
        "allow",
        "Raw uint32 keys warn or raise: no other numbers.",
        "To wrap one: ks.key(key).",
    ),
    Setting(
        "jax_enable_custom_prng",
        False,
        "jax.random.PRNGKey makes typed keys: the same numbers.",
        "keystream takes typed keys. For the words of one: jax.random.key_data(key).",
    ),
    Setting(
        "jax_debug_key_reuse",
        False,
        "JAX raises where it sees a key used twice: no other numbers.",
        "Leave it on while you look for such a bug. It misses keys replicated over devices.",
    ),
    Setting(
        "jax_platforms",
        _any,
        "Which kind of device computes: last digits may change, keys and bits don't.",
        "Nothing.",
    ),
    Setting(
        "jax_num_cpu_devices",
        _any,
        "How many devices there are: what is keyed by shard is another program on more of them.",
        "Nothing.",
    ),
)


class Reading(NamedTuple):
    """A setting as it is here and now."""

    setting: Setting
    value: Any
    odd: bool


def readings() -> Iterator[Reading]:
    """Read every setting that this version of JAX has; starts no backend."""
    for setting in SETTINGS:
        if setting.name.startswith("jax_") and not hasattr(jax.config, setting.name):
            continue
        value = _read(setting.name)
        known: Callable[[Any], bool] | Any = setting.usual
        usual = known(value) if callable(known) else value == known
        yield Reading(setting, value, not usual)


def _read(name: str) -> Any:
    if not name.startswith("jax_"):
        return os.environ.get(name)
    value = getattr(jax.config, name)
    return value.name.lower() if isinstance(value, enum.Enum) else value
