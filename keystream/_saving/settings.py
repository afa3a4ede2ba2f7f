"""Read what besides keys decides which numbers come: settings, versions, devices."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from keystream._check import setting
from keystream._saving.canaries import Changes
from keystream._scheme import SCHEME

FORMAT = 1
"""Version of the list of entries; a manifest of a newer one is refused."""

REQUIRED = ("manifest", "scheme")
ANY = object()
"""The usual value of a setting of which every value is usual."""


class Setting(NamedTuple):
    """One of JAX's settings, or XLA's flags."""

    usual: Any
    """Its value unless it is changed, and how a JAX that lacks the setting behaves."""
    changes: Changes
    """The most that another value changes."""
    effect: str
    advice: str

    def read(self, name: str) -> Any:
        """Return the setting as it is here; None if this JAX lacks it."""
        if name == "XLA_FLAGS":  # without paths and the number of devices: they change no number
            flags = os.environ.get(name, "").split()
            return " ".join(
                each for each in flags if "/" not in each and "device_count" not in each
            )
        try:
            # Some are no attributes, and those that are can't be read.
            value = setting(name) if hasattr(jax.config, name) else jax.config.read(name)
        except AttributeError:  # a JAX that lacks it
            return None
        return value.name.lower() if isinstance(value, enum.Enum) else value

    def fits(self, value: Any) -> bool:
        """Could `read` have returned this?"""
        kind = str if self.usual is None else type(self.usual)
        return value is None or type(value) is kind

    def change(self, saved: Any, now: Any) -> Changes:
        """Tell the most that it can change that this was one thing and is another."""
        then, here = (self.usual if each is None else each for each in (saved, now))
        return "nothing" if then == here else self.changes


SETTINGS = {
    "jax_default_prng_impl": Setting(
        "threefry2x32",
        "keys",
        "jax.random.key and PRNGKey make keys of this implementation: other numbers.",
        "ks.key stays threefry2x32. For another one on purpose: ks.key(seed, impl=...).",
    ),
    "jax_random_seed_offset": Setting(
        0,
        "keys",
        "jax.random.key(n) gives the key of n plus this offset: other numbers.",
        "ks.key ignores it. For another run choose another seed: ks.key(seed + 1).",
    ),
    "jax_threefry_partitionable": Setting(
        True,
        "keys",
        "Draws from a key are other numbers, and jax.random.split gives other children.",
        "Children from keystream stay. For today's draws, unset it.",
    ),
    "jax_enable_x64": Setting(
        False,
        "keys",  # seeds of more than 32 bits, and the dtype of draws
        "Draws without a dtype are 64 bits wide, made of other bits: other numbers.",
        "To draw the same with both: jax.random.normal(key, shape, dtype='float32').",
    ),
    "jax_explicit_x64_dtypes": Setting(
        "warn",
        "draws",
        "What a dtype of 64 bits means with x64 off: cut with a warning, kept, or an error.",
        "Keys don't depend on it. For the same draws everywhere: dtype='float32'.",
    ),
    "jax_high_dynamic_range_gumbel": Setting(
        False,
        "draws",
        "gumbel and categorical draw twice for rare events: other numbers.",
        "For today's numbers unset it, or say so: jax.random.gumbel(key, mode='low').",
    ),
    "jax_accurate_erf_inv": Setting(
        False,
        "last digits",
        "normal and what stands on it are rounded otherwise far from zero.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    "jax_default_matmul_precision": Setting(
        None,
        "last digits",
        "Matrix products are rounded otherwise, also in multivariate_normal.",
        "Nothing, unless last digits have to agree with another machine.",
    ),
    "jax_disable_jit": Setting(
        False,
        "last digits",
        "Every operation runs by itself: last digits of floats change, keys and bits don't.",
        "Unset it when you have found your bug; it is slow.",
    ),
    "jax_disable_most_optimizations": Setting(
        False,
        "last digits",
        "XLA emits other float code: last digits change, keys and bits don't.",
        "Unset it when you have found your bug; it is slow.",
    ),
    "XLA_FLAGS": Setting(
        "",
        "last digits",
        "XLA may emit other float code: last digits change, keys and bits don't.",
        "Record them with your results: the same last digits need the same flags.",
    ),
    "jax_legacy_prng_key": Setting(
        "allow",
        "nothing",
        "Raw uint32 keys warn or raise: no other numbers.",
        "To wrap one: ks.key(key).",
    ),
    "jax_enable_custom_prng": Setting(
        False,
        "nothing",
        "jax.random.PRNGKey makes typed keys: the same numbers.",
        "keystream takes typed keys. For the words of one: jax.random.key_data(key).",
    ),
}
"""Those that a manifest of format 1 records."""


UNRECORDED = {
    "jax_numpy_dtype_promotion": Setting(
        "standard",
        "nothing",
        "Arrays of different dtypes don't mix: errors, no other numbers.",
        "keystream works with it. Elsewhere convert: x.astype(y.dtype).",
    ),
    "jax_numpy_rank_promotion": Setting(
        "allow",
        "nothing",
        "Arrays of different ranks don't broadcast: errors or warnings, no other numbers.",
        "keystream works with it. Elsewhere add the axis: x[None, :].",
    ),
    "jax_debug_key_reuse": Setting(
        False,
        "nothing",
        "JAX raises where it sees a key used twice: no other numbers.",
        "Leave it on while you look for such a bug. It misses keys replicated over devices.",
    ),
    "jax_platforms": Setting(
        ANY,
        "last digits",
        "Which kind of device computes: last digits may change, keys and bits don't.",
        "Nothing.",
    ),
    "jax_num_cpu_devices": Setting(
        ANY,
        "nothing",
        "How many devices there are: what is keyed by shard is another program on more of them.",
        "Nothing.",
    ),
}
"""Those that JAX raises by, or that choose devices: no manifest holds them."""


class Reading(NamedTuple):
    """A setting as it is here and now."""

    name: str
    setting: Setting
    value: Any
    odd: bool


def read_settings() -> Iterator[Reading]:
    """Read every setting that this version of JAX has; starts no backend."""
    for name, each in (SETTINGS | UNRECORDED).items():
        value = each.read(name)
        if value is not None or each.usual in (None, ANY):
            yield Reading(name, each, value, each.usual is not ANY and value != each.usual)


class Fact(NamedTuple):
    """Something else about the surroundings: how to read it, and what it can change."""

    find: Callable[[], Any]
    changes: Changes
    kind: type = str

    def read(self, name: str) -> Any:  # noqa: ARG002 - as of a setting
        """Return the fact as it is here; None if it can't be found."""
        return self.find()

    def fits(self, value: Any) -> bool:
        """Could `read` have returned this?"""
        return type(value) is self.kind or (value is None and self.kind is str)

    def change(self, saved: Any, now: Any) -> Changes:
        """Tell the most that it can change that this was one thing and is another."""
        return "nothing" if None in (saved, now) else self.changes


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from its source
        return None


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
    "devices": Fact(jax.device_count, "nothing", int),
    "processes": Fact(jax.process_count, "nothing", int),
}
