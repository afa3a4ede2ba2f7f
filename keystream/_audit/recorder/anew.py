"""Which primitives JAX lowers at each place anew, rather than once in a program.

Uses of keys must be, to know their places. JAX has a public way to that alone
(`register_lowering(cacheable=False)`), and what it can't lower then is threefry2x32 for several
platforms at once: it joins a list and a tuple (jax 0.10.2 and 0.12.0). So it is taken back when
nothing is recorded any more; where another version keeps it elsewhere, it stays.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any

from jax.extend.random import threefry2x32_p

from keystream import _compat


@functools.cache
def always() -> frozenset[Any]:
    """Return what JAX itself lowers at each place anew; asked before anything is marked."""
    return frozenset(_compat.lowered_each_time())


def mark(primitives: Iterable[Any]) -> None:
    """Have primitives be lowered at each place anew."""
    _compat.lowered_each_time().update(primitives)


def unmark(primitives: Iterable[Any]) -> None:
    """Have them be lowered as JAX does it by itself."""
    _compat.lowered_each_time().difference_update({*primitives} - always())


@contextlib.contextmanager
def unless(several: bool) -> Iterator[None]:
    """Lower the cipher as JAX does it by itself where a program is for several platforms."""
    anew = several and threefry2x32_p in _compat.lowered_each_time()
    if anew:
        unmark((threefry2x32_p,))
    try:
        yield
    finally:
        if anew:
            mark((threefry2x32_p,))
