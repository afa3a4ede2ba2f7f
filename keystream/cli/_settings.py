"""Settings of the surroundings that change numbers: what each does, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from keystream._saving.settings import SETTINGS as KNOWN
from keystream._saving.settings import current


class Setting(NamedTuple):
    """One setting, and what there is to say when it isn't what it usually is."""

    name: str
    effect: str
    advice: str
    own: Any = None
    """For what a manifest doesn't hold: the value that changes nothing, or a function that
    tells such values."""

    def is_usual(self, value: Any) -> bool:
        """Is this the value that changes nothing?"""
        usual = KNOWN[self.name].usual if self.name in KNOWN else self.own
        return bool(usual(value)) if callable(usual) else value == usual


def _only_device_count(flags: Any) -> bool:
    return all("device_count" in flag for flag in str(flags or "").split())


def _any(_value: Any) -> bool:
    return True


SETTINGS = (
    Setting(
        "jax_default_prng_impl",
        "jax.random.key and PRNGKey make keys of this implementation: other numbers.",
        "ks.key stays threefry2x32. For another one on purpose: ks.key(seed, impl=...).",
    ),
    Setting(
        "jax_random_seed_offset",
        "jax.random.key(n) gives the key of n plus this offset: other numbers.",
        "ks.key ignores it. For another run choose another seed: ks.key(seed + 1).",
    ),
    Setting(
        "jax_threefry_partitionable",
        "Draws from a key are other numbers, and jax.random.split gives other children.",
        "Children from keystream stay. For today's draws, unset it.",
    ),
    Setting(
        "jax_enable_x64",
        "Draws without a dtype are 64 bits wide, made of other bits: other numbers.",
        "To draw the same with both: jax.random.normal(key, shape, dtype='float32').",
    ),
    Setting(
        "jax_explicit_x64_dtypes",
        "What a dtype of 64 bits means with x64 off: cut with a warning, kept, or an error.",
        "Keys don't depend on it. For the same draws everywhere: dtype='float32'.",
    ),
    Setting(
        "jax_high_dynamic_range_gumbel",
        "gumbel and categorical draw twice for rare events: other numbers.",
        "For today's numbers unset it, or say so: jax.random.gumbel(key, mode='low').",
    ),
    Setting(
        "jax_accurate_erf_inv",
        "normal and what stands on it are rounded otherwise far from zero.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    Setting(
        "jax_default_matmul_precision",
        "Matrix products are rounded otherwise, also in multivariate_normal.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    Setting(
        "jax_disable_jit",
        "Every operation runs by itself: last digits of floats change, keys and bits don't.",
        "Unset it when you have found your bug; it is slow.",
    ),
    Setting(
        "XLA_FLAGS",
        "XLA may emit other float code: last digits change, keys and bits don't.",
        "Record them with your results: the same last digits need the same flags.",
        _only_device_count,
    ),
    Setting(
        "jax_numpy_dtype_promotion",
        "Arrays of different dtypes don't mix: errors, no other numbers.",
        "keystream works with it. Elsewhere convert: x.astype(y.dtype).",
        "standard",
    ),
    Setting(
        "jax_numpy_rank_promotion",
        "Arrays of different ranks don't broadcast: errors or warnings, no other numbers.",
        "keystream works with it. Elsewhere add the axis: x[None, :].",
        "allow",
    ),
    Setting(
        "jax_legacy_prng_key",
        "Raw uint32 keys warn or raise: no other numbers.",
        "To wrap one: ks.key(key).",
    ),
    Setting(
        "jax_enable_custom_prng",
        "jax.random.PRNGKey makes typed keys: the same numbers.",
        "keystream takes typed keys. For the words of one: jax.random.key_data(key).",
    ),
    Setting(
        "jax_debug_key_reuse",
        "JAX raises where it sees a key used twice: no other numbers.",
        "Leave it on while you look for such a bug. It misses keys replicated over devices.",
        False,
    ),
    Setting(
        "jax_platforms",
        "Which kind of device computes: last digits may change, keys and bits don't.",
        "Nothing.",
        _any,
    ),
    Setting(
        "jax_num_cpu_devices",
        "How many devices there are: what is keyed by shard is another program on more of them.",
        "Nothing.",
        _any,
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
        value = current(setting.name) if setting.name.startswith("jax_") else _environment(setting)
        yield Reading(setting, value, not setting.is_usual(value))


def _environment(setting: Setting) -> str | None:
    return os.environ.get(setting.name)
