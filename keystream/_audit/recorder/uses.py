"""What there is to record of each primitive that uses keys: compiled, and called at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from keystream._audit.recorder import state
from keystream._audit.recorder.emit import UINT32, Value
from keystream._audit.recorder.state import Site
from keystream._impl import is_key_dtype, kind


def site_of(what: str, avals_in: Any, avals_out: Any, params: dict[str, Any], **way: Any) -> Site:
    """Return the site of one equation."""
    if what == "block":
        return _block(avals_in, way)
    keys = avals_in[0] if what in ("bits", "split", "gamma") else avals_out[0]
    shape = params.get("shape", ())
    if what == "gamma":
        shape = avals_out[0].shape[len(keys.shape) :]
    impl, width = kind(keys.dtype)
    return Site(
        what, str(impl), width, tuple(keys.shape), tuple(shape), params.get("bit_width", 0), **way
    )


def _block(avals: Any, way: dict[str, Any]) -> Site:
    shape = np.broadcast_shapes(*[aval.shape for aval in avals])
    one_key = avals[0].shape == avals[1].shape == ()
    keys, counters = ((), shape) if one_key else (shape, ())
    return Site("block", "threefry2x32", 2, keys, counters, 0, **way)


def loop_site(path: Any, template: Any, most: float) -> Site:
    """Return the site at which a loop begins: no use of keys, but a place to be reached."""
    return Site("loop", "", 0, (), (), 0, path, template, most)


def are_words(aval: Any) -> bool:
    """Are these keys, or words as keys are made of?"""
    return bool(aval.dtype == UINT32 or is_key_dtype(aval.dtype))


def words_of(aval: Any, operand: Any) -> Value:
    """Return a value of the program as words."""
    if aval.dtype == UINT32:
        return Value(operand, aval.shape)
    return Value(operand, (*aval.shape, kind(aval.dtype).words))


def values_of(site: Site, avals_in: Any, operands: Any, results: Any) -> list[Value]:
    """Return the values of a program that make a record: words first."""
    if site.kind == "block":
        return [Value(each, aval.shape) for each, aval in zip(operands, avals_in, strict=True)]
    keys = results[0] if site.kind == "seed" else operands[0]
    shape = avals_in[0].shape if site.kind == "fold_in" else site.key_shape
    words = Value(keys, (*shape, site.width), UINT32)
    if site.kind not in ("seed", "fold_in"):
        return [words]
    at = 0 if site.kind == "seed" else 1
    return [words, Value(operands[at], avals_in[at].shape, avals_in[at].dtype)]


def take(site: Site, shard: int | None, values: tuple[np.ndarray, ...]) -> None:
    """Hand on what a program has called back with; whatever goes wrong, the program goes on."""
    try:
        state.take(site, *_told(site, values), shard)
    except Exception as problem:
        state.unseen(f"{site.kind}: not recorded in one place ({problem!r})")


def _told(site: Site, values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    if site.kind == "block":
        first, second, hi, lo = values
        words = np.stack(_to(site.key_shape, first, second), axis=-1)
        return words, np.stack(_to((*site.key_shape, *site.shape), hi, lo), axis=-1)
    if site.kind == "fold_in":
        words = np.broadcast_to(values[0], (*site.key_shape, site.width))
        return state.copied(words), state.copied(np.broadcast_to(values[1], site.key_shape))
    return state.copied(values[0]), state.copied(values[1]) if site.kind == "seed" else None


def _to(shape: tuple[int, ...], *arrays: np.ndarray) -> list[np.ndarray]:
    return [np.broadcast_to(each, shape) for each in arrays]
