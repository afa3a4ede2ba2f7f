"""What JAX versions lack, each with the reason that a test which is left out for it gives.

`docs/versions.md` says the same in a table; pytest's summary (`-ra`) shows what was left out.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import pytest

from keystream._compat import JAX, has_impl

stateful: Any = None
with contextlib.suppress(ImportError):  # before jax 0.9
    from jax.experimental import random as stateful

try:
    from jax.extend.core import jaxprs_in_params
except ImportError:  # before jax 0.10
    from jax.core import jaxprs_in_params


class Lack(NamedTuple):
    """What versions before one, since another, can't do, and the tests of it."""

    before: tuple[int, ...]
    reason: str
    tests: str
    """A regular expression, found in the identifiers of the tests."""
    since: tuple[int, ...] = ()


FIRST_8, FIRST_9, FIRST_10 = (0, 8), (0, 9), (0, 10)
LACKS = [
    Lack(FIRST_9, "jax.experimental.random.stateful_rng came with jax 0.9", "stateful"),
    Lack(
        FIRST_8,
        "jax 0.7 draws from no rbg key inside of jax.shard_map(check_vma=True)",
        r"test_position\[shard_map-rbg\]",
    ),
    Lack(
        FIRST_10,
        "Explicit axes work inside of jax.set_mesh alone before jax 0.10",
        r"test_shard_map\[.*Explicit.*-False\]|test_same_for_sharded_keys\[.*Explicit",
    ),
    Lack(
        FIRST_10,
        "JAX before 0.10 draws nothing in lanes over Explicit axes of a mesh with Auto ones",
        r"\[(vmap|grad|batched|keys|derive, jax|for_axis|Stream|sample in).*-mixed, over explicit",
    ),
    Lack(
        FIRST_8,
        "jax 0.7 itself takes no spmd_axis_name over Explicit axes",
        r"\[vmap spmd_axis_name-explicit\]",
    ),
    Lack(
        FIRST_8,
        "accelerated normals may have other last digits before jax 0.8, on several devices",
        r"test_same(_in_taken_memory)?\[normal\]",
    ),
    Lack(
        (0, 10, 1),
        "no nested shard_map before jax 0.10.1",
        r"test_shard_map_nests|test_message\[inside\(mesh, ks\.shard_map\(",
    ),
    Lack(
        (0, 10, 1),
        "the program that makes the known answers makes those of threefry4x32, too",
        r"test_known_answers.*test_program_checks",
    ),
    Lack(
        FIRST_8,
        "jax_explicit_x64_dtypes came after jax 0.7",
        r"test_setting\[jax_explicit_x64_dtypes\]|test_old_manifests",
    ),
    Lack(
        FIRST_10,
        "jax.pmap of jax 0.8 and 0.9 refuses an Explicit mesh in context",
        r"\[pmap-(explicit|explicit grid|mixed, over explicit)\]",
        since=FIRST_8,
    ),
    Lack(
        (0, 10, 1),
        "jax.random.key_dtype came with jax 0.10.1",
        r"test_message\[ks\.key\(seed, impl=jax\.random\.key_dtype",
    ),
    Lack(
        (1,),
        "jax 0.12 itself can't update rows of a loop's value in lanes over explicit axes",
        r"test_lanes_of_keys\[(fori|while)_loop\]",
        since=(0, 12),
    ),
    Lack(
        FIRST_9,
        "jax 0.8 pickles no typed keys",
        r"test_(as_python_does|copies)\[<lambda>\]",
        since=FIRST_8,
    ),
]

IMPLS = [impl for impl in ("threefry4x32", "philox4x32", "philox2x32") if not has_impl(impl)]
"""Implementations of keys that this JAX lacks."""

EXPLICIT_IN_SET_MESH = JAX < FIRST_10
"""Do Explicit axes work inside of `jax.set_mesh` alone?"""

WITHOUT_IMPLS = pytest.mark.skipif(
    bool(IMPLS), reason="threefry4x32, philox4x32 and philox2x32 came with jax 0.10.1"
)
AUTO_BY_DEFAULT = pytest.mark.filterwarnings(
    "ignore:The default axis_types will change:DeprecationWarning"  # jax 0.8
)
PMAP_IN_JIT = pytest.mark.filterwarnings(
    "ignore:The function jit.* includes a pmap:UserWarning"  # before jax 0.8
)


def leave_out(items: list[pytest.Item]) -> None:
    """Mark what speaks of an implementation, or does something, that this JAX lacks."""
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {}).values()
        said = [item.name, *(str(getattr(value, "__dict__", "")) for value in values)]
        files = re.search(r"test_files_(load_for_ever|are_written)", item.name)
        lacking = [*IMPLS, *["philox"] * bool(IMPLS)]  # a name of the tests of errors
        if (IMPLS and files) or any(impl in text for impl in lacking for text in said):
            item.add_marker(WITHOUT_IMPLS)
        item.add_marker(AUTO_BY_DEFAULT)
        for lack in LACKS:
            if lack.since <= JAX < lack.before and re.search(lack.tests, item.nodeid):
                item.add_marker(pytest.mark.skip(reason=lack.reason))


__all__ = [
    "EXPLICIT_IN_SET_MESH",
    "IMPLS",
    "PMAP_IN_JIT",
    "WITHOUT_IMPLS",
    "jaxprs_in_params",
    "leave_out",
    "stateful",
]
