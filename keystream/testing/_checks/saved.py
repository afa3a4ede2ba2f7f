"""Serialize a state and read it back: keys and streams as text, arrays as bytes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream import ArgumentTypeError
from keystream._errors import error
from keystream.testing._compare import is_key

__tracebackhide__ = True  # pytest shows the line that calls the check

PLAIN = (bool, int, float, complex, str, bytes)


def save_state(state: Any) -> tuple[Any, ...]:
    """Write a state down: nothing of it is shared with what is read back."""
    leaves, treedef = jax.tree.flatten(state, is_leaf=_is_stream)
    drawn = [leaf for leaf in leaves if _is_random(leaf)]
    rest = [
        leaf if isinstance(leaf, PLAIN) else _bytes(leaf) for leaf in leaves if not _is_random(leaf)
    ]
    return treedef, [_is_random(leaf) for leaf in leaves], ks.dumps(drawn), rest


def load_state(saved: tuple[Any, ...]) -> Any:
    """Read a state that was written down."""
    treedef, which, text, rest = saved
    drawn, others = iter(ks.loads(text)), iter(rest)
    leaves = [next(drawn) if random else _read(next(others)) for random in which]
    return jax.tree.unflatten(treedef, leaves)


def make_copier(check: str, state: Any, *, needed: bool) -> Callable[[], Any]:
    """Return a function that makes a state anew, which may then be donated or changed.

    Leaves of other types than can be written down stay as they are, unless they need to be.
    """
    for leaf in jax.tree.leaves(state, is_leaf=_is_stream):
        if needed and not _is_random(leaf) and not isinstance(leaf, PLAIN) and not _is_array(leaf):
            wanted = "arrays, keys, streams, numbers and str"
            cure = "For other states, both of: save=lambda state: ..., load=lambda saved: ..."
            raise error(ArgumentTypeError, check, "state", wanted, leaf, cure, must="hold")
    leaves, treedef = jax.tree.flatten(state, is_leaf=_is_stream)
    saved = [
        (True, save_state(leaf)) if _is_random(leaf) or _is_array(leaf) else (False, leaf)
        for leaf in leaves
    ]
    return lambda: jax.tree.unflatten(
        treedef, [load_state(leaf) if written else leaf for written, leaf in saved]
    )


def holds_objects(tree: Any) -> bool:
    """Whether a pytree has leaves that can be neither copied nor compared: plain objects."""
    return any(_is_object(leaf) for leaf in jax.tree.leaves(tree, is_leaf=_is_stream))


def _is_object(leaf: Any) -> bool:
    if _is_random(leaf) or _is_array(leaf) or isinstance(leaf, PLAIN):
        return False
    if inspect.isroutine(leaf) or inspect.isclass(leaf):
        return False
    by: Any = type(leaf).__hash__
    return by is None or by is object.__hash__  # one that changes, or is equal to itself alone


def _is_stream(leaf: Any) -> bool:
    return isinstance(leaf, (ks.Stream, ks.Streams))


def _is_random(leaf: Any) -> bool:
    return is_key(leaf) or _is_stream(leaf)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic))


def _bytes(leaf: Any) -> tuple[Any, ...]:
    held = np.asarray(leaf)
    # What was put on a device by name goes back there, everything else stays free to move.
    place = leaf.sharding if isinstance(leaf, jax.Array) and leaf.committed else None
    kind = "jax" if isinstance(leaf, jax.Array) else "numpy"
    return kind, held.dtype, held.shape, held.tobytes(), place


def _read(saved: Any) -> Any:
    if isinstance(saved, PLAIN):
        return saved
    kind, dtype, shape, content, place = saved
    held = np.frombuffer(content, dtype).reshape(shape).copy()
    if kind == "numpy":
        return held if shape else held[()]
    return jnp.array(held) if place is None else jax.device_put(held, place)
