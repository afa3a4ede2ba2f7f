"""What JAX versions lack, each with the reason that a test which is left out for it gives.

`docs/versions.md` lists the same; pytest's summary (`-ra`) shows what was left out.
"""

from __future__ import annotations

try:
    from jax.extend.core import jaxprs_in_params
except ImportError:  # before jax 0.10
    from jax.core import jaxprs_in_params

__all__ = ["jaxprs_in_params"]
