"""What JAX versions lack, each with the reason that a test which is left out for it gives.

`docs/versions.md` says the same in a table; pytest's summary (`-ra`) shows what was left out.
"""

from __future__ import annotations

import pytest

from keystream._compat import JAX, has_impl

try:
    from jax.extend.core import jaxprs_in_params
except ImportError:  # before jax 0.10
    from jax.core import jaxprs_in_params

IMPLS = [impl for impl in ("threefry4x32", "philox4x32", "philox2x32") if not has_impl(impl)]
"""Implementations of keys that this JAX lacks."""

WITHOUT_IMPLS = pytest.mark.skipif(
    bool(IMPLS), reason="threefry4x32, philox4x32 and philox2x32 came with jax 0.10.1"
)


def leave_out(items: list[pytest.Item]) -> None:
    """Mark the cases of tests that are named after an implementation that this JAX lacks."""
    for item in items:
        if any(impl in item.name for impl in IMPLS):
            item.add_marker(WITHOUT_IMPLS)


__all__ = ["IMPLS", "JAX", "WITHOUT_IMPLS", "jaxprs_in_params", "leave_out"]
