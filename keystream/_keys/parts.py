"""Check the array parts of a path: JAX's, concrete or traced, and NumPy's."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from keystream._checks.values import check_not_donated, pieces_of
from keystream._impl import is_typed_key
from keystream._keys import scheme
from keystream._known import Impl


def check_array(part: Any, impl: Impl) -> Any:
    """Return an array part checked: as it is if JAX holds it, else as counters.

    NumPy arrays become words here, before JAX could cut int64 to int32.
    """
    if is_typed_key(part) or not isinstance(part, (jax.Array, np.ndarray)):
        raise scheme.bad_part(part)
    kind = scheme.check_ids(part)
    check_not_donated("path", part)
    # Only types that can leave the range are looked at, so that int32 ids are never
    # copied to the host.
    lowest, end = scheme.ends(impl)
    if kind.least < lowest or kind.end > end:
        scheme.check_range(part, pieces_of(part), impl)
    counter = scheme.array_counter(part)
    if not impl.cipher:
        return scheme.narrow(counter)
    return counter if isinstance(part, np.ndarray) else part
