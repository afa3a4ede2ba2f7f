"""How keys are used at once, outside of compiled programs, while that is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from keystream import _compat
from keystream._audit.recorder import state, uses

Impl = Callable[..., Any]


def recording_impl(what: str, stock: Impl) -> Impl:
    """Return what a primitive does when it is called with values."""

    def impl(*operands: Any, **params: Any) -> Any:
        if not state.is_on():
            return stock(*operands, **params)
        # JAX computes it by compiled functions of its own, which are no further uses.
        with _compat.recording_set_aside():
            result = stock(*operands, **params)
            try:
                _record(what, operands, result, params)
            except Exception as problem:  # such as keys of another process
                state.unseen(f"{what}: not recorded where it ran at once ({problem!r})")
        return result

    return impl


def _record(what: str, operands: Any, result: Any, params: dict[str, Any]) -> None:
    keys = result if what == "seed" else operands[0]
    site = uses.site_of(what, operands, [result], params, path=())
    data = {"seed": operands[0], "fold_in": operands[-1]}.get(what)
    values = (jax.random.key_data(keys), *(() if data is None else (data,)))
    uses.take(site, None, tuple(np.asarray(value) for value in values))
