"""Read the operations of `jax.random`: draw, split, fold, make, wrap and unwrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keystream._audit.reading import equal_values
from keystream._audit.reading.lineage import (
    CHILD,
    CUT,
    EACH,
    FOLD,
    FRESH,
    SAME,
    SPLIT,
    Handles,
    Lineage,
    Origin,
    from_words,
    to_words,
)
from keystream._audit.reading.reader import (
    Body,
    EquationRule,
    Reader,
    impl_of,
    is_key,
    on_keys,
    scopes_of,
    sources_of,
)
from keystream._audit.reading.uses import DRAWN, LOST, REBUILT, WORDS_DRAWN, Act
from keystream._checks.values import read_setting
from keystream._impl import IMPLS, is_window_dtype


def _bits(reader: Reader, body: Body, eqn: Any) -> None:
    handles = reader.keys_of(body, eqn, eqn.invars[0])
    reader.use(Act.DRAW, body, eqn, handles, eqn.params["shape"], eqn.params["bit_width"])
    body.masks[eqn.outvars[0]] = body.mask(eqn.invars) | reader.lineage.varies(handles) | DRAWN


def _gamma(reader: Reader, body: Body, eqn: Any) -> None:
    handles = reader.keys_of(body, eqn, eqn.invars[0])
    reader.use(Act.DRAW, body, eqn, handles, eqn.outvars[0].aval.shape, 32)
    body.masks[eqn.outvars[0]] = body.mask(eqn.invars) | reader.lineage.varies(handles) | DRAWN


def _split(reader: Reader, body: Body, eqn: Any) -> None:
    parents = reader.keys_of(body, eqn, eqn.invars[0])
    shape = tuple(eqn.params["shape"])
    reader.use(Act.SPLIT, body, eqn, parents, shape)
    count = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64)
    kind, number = CHILD, count
    if not split_is_fold(reader.lineage.impl(parents)):
        kind, number = SPLIT, count + np.uint64(hash(shape) & (2**62 - 1))
    details = reader.details(body, eqn, parents)
    made = reader.lineage.grow(Origin.SPLIT, parents.reshape(-1, 1), kind, number, **details)
    out = eqn.outvars[0]
    reader.put(body, out, body.mask(eqn.invars), made.reshape(out.aval.shape))


def split_is_fold(impl: str) -> bool:
    """Is child i of a split the fold by i?"""
    if impl == "unsafe_rbg":
        return False
    known = IMPLS.get(impl)
    ambient = known is not None and known.ambient_split
    return not ambient or bool(read_setting("jax_threefry_partitionable"))


def _fold_in(reader: Reader, body: Body, eqn: Any) -> None:
    parents = reader.keys_of(body, eqn, eqn.invars[0])
    data = eqn.invars[1]
    reader.use(Act.FOLD, body, eqn, parents)
    _grow_fold(reader, body, eqn, parents, data, eqn.outvars[0])


def _grow_fold(reader: Reader, body: Body, eqn: Any, parents: Handles, data: Any, out: Any) -> None:
    made = _grow(reader, body, eqn, parents, (data,), Origin.FOLD_IN, tuple(out.aval.shape))
    reader.put(body, out, body.mask(eqn.invars), made)


def _grow(
    reader: Reader,
    body: Body,
    eqn: Any,
    parents: Handles,
    words: Sequence[Any],
    origin: Origin,
    shape: tuple[int, ...],
) -> Handles:
    """Add the children of keys at a number, or at a counter of two words."""
    details = reader.details(body, eqn, parents)
    known = [body.binding.constant(word) for word in words]
    told = [each for each in known if each is not None]
    if len(told) == len(words):
        return reader.lineage.grow(
            origin, parents, CHILD, np.broadcast_to(_join_words(told), shape), **details
        )
    token = equal_values.hash_number(tuple(map(body.binding.number, words)))
    size = words[0].aval.shape
    count = np.arange(np.prod(size, dtype=np.int64), dtype=np.uint64).reshape(size)
    steps = body.binding.steps(words)
    kind = FOLD if steps is None else EACH
    varies = {"varies": details["varies"] | scopes_of(body.mask(words))}
    made = reader.lineage.grow(
        origin, parents, kind, np.broadcast_to(count + token, shape), **details | varies
    )
    if steps is not None:
        number = _join_words(steps.values)
        missing = (1,) * (len(shape) + 1 - number.ndim)
        number = number.reshape(len(number), *missing, *number.shape[1:])
        number = np.broadcast_to(number, (len(number), *shape))
        rows = reader.lineage.grow(origin, parents, CHILD, number, **details)
        reader.tell_steps(made, steps.loop, rows)
    return made


def _join_words(words: Sequence[np.ndarray]) -> np.ndarray:
    *high, low = (word.astype(np.uint32).astype(np.uint64) for word in words)
    return high[0] << np.uint64(32) | low if high else low


def _cipher(reader: Reader, body: Body, eqn: Any) -> None:
    first, second, hi, lo = eqn.invars
    mask = body.mask(eqn.invars)
    handles = _owner(body, first, second)
    if handles is None:
        for out in eqn.outvars:
            body.masks[out] = mask | REBUILT
        return
    shape = tuple(eqn.outvars[0].aval.shape)
    high = body.binding.constant(hi)
    named = high is not None and bool(np.all(high >> np.uint32(30) == 2))
    reader.use(Act.NAME if named else Act.FOLD, body, eqn, handles)
    origin = Origin.NAME if named else Origin.FOLD_IN
    made = _grow(reader, body, eqn, handles, (hi, lo), origin, shape)
    words = to_words(made, 2)
    for place, out in enumerate(eqn.outvars):
        reader.put(body, out, mask, words[..., place])


def _owner(body: Body, first: Any, second: Any) -> Handles | None:
    one, other = body.handles(first), body.handles(second)
    if one is None or other is None:
        return None
    return from_words(np.stack(np.broadcast_arrays(one, other), axis=-1))


def _seed(reader: Reader, body: Body, eqn: Any) -> None:
    out, seeds = eqn.outvars[0], eqn.invars[0]
    mask = body.mask(eqn.invars)
    known = body.binding.constant(seeds)
    impl = impl_of(out.aval.dtype)
    details = {"varies": scopes_of(mask), "impl": impl, "where": body.path(eqn)}
    if known is not None:
        number = known.astype(np.int64).astype(np.uint64).ravel()
        phrase = f"key({known})" if known.ndim == 0 else "keys from seeds"
        token = hash(("seed", impl))
    else:
        number, token = None, hash(("seed", impl, body.binding.number(seeds)))
        phrase = ""
    shape = tuple(out.aval.shape)
    made = reader.lineage.root(Origin.SEED, shape, token, number, phrase=phrase, **details)
    if sources_of(mask):
        reader.use(Act.BUILD, body, eqn, made, sources=sources_of(mask))
    reader.put(body, out, scopes_of(mask), made)


def _wrap(reader: Reader, body: Body, eqn: Any) -> None:
    out, words = eqn.outvars[0], eqn.invars[0]
    held = body.handles(words)
    mask, impl = body.mask(eqn.invars), impl_of(out.aval.dtype)
    if held is not None and is_window_dtype(out.aval.dtype):
        keys = from_words(held[..., :2])
        if keys is not None:
            reader.put(body, out, mask, _cut(reader, body, eqn, keys, impl))
            return
    owners = None if held is None else from_words(held)
    if owners is not None:
        reader.put(body, out, mask, _as_keys_of(reader, body, eqn, owners, impl))
        return
    known = body.binding.constant(words)
    details: dict[str, Any] = {
        "varies": scopes_of(mask),
        "impl": impl,
        "where": body.path(eqn),
    }
    if known is not None:
        body.held[out] = constant_keys(reader.lineage, known, **details)
        return
    if mask & LOST and not sources_of(mask):
        reader.add_unknown(body, eqn, out, "a key of which the words came from elsewhere")
        return
    shape = tuple(out.aval.shape)
    token = hash(("wrap", impl, body.binding.number(words)))
    made = reader.lineage.root(Origin.WORDS, shape, token, **details)
    if sources_of(mask) or held is not None:
        drawn = body.binding.origin(words)
        whole = drawn is not None and drawn.primitive.name == "random_bits"
        whole = whole and impl_of(drawn.invars[0].aval.dtype) != impl
        sources = sources_of(mask) | (WORDS_DRAWN if whole else 0)
        reader.use(Act.BUILD, body, eqn, made, sources=sources)
    reader.put(body, out, scopes_of(mask), made)


def _cut(reader: Reader, body: Body, eqn: Any, keys: Handles, impl: str) -> Handles:
    """Add windows of keys: of one number in C order each, or of one that isn't known."""
    words = eqn.invars[0]
    made = body.binding.origin(words)
    base = None if made is None else body.binding.constant(made.invars[-1])
    details = reader.details(body, eqn, keys, body.mask(eqn.invars)) | {"impl": impl}
    if base is None or base.shape[-1:] != (2,):
        token = equal_values.hash_number((impl, body.binding.number(words)))
        count = np.arange(keys.size, dtype=np.uint64).reshape(keys.shape)
        return reader.lineage.grow(Origin.WINDOW, keys, FOLD, count + token, **details)
    return cut_keys(reader.lineage, keys, _join_words([base[..., 0], base[..., 1]]), **details)


def cut_keys(lineage: Lineage, keys: Handles, base: np.ndarray, **details: Any) -> Handles:
    """Add windows of keys, each of the number in C order with which it begins."""
    return lineage.grow(Origin.WINDOW, keys, CUT, base, **details)


def _as_keys_of(reader: Reader, body: Body, eqn: Any, keys: Handles, impl: str) -> Handles:
    """Return keys of the same words that are of an implementation."""
    lineage = reader.lineage
    if lineage.impl(keys) == impl:
        return keys
    roots = (lineage.step(lineage.way(handle)[0]).origin for handle in keys.flat[:1].tolist())
    guessed = any(root in (Origin.WORDS_ARGUMENT, Origin.CONSTANT) for root in roots)
    kind, number = (SAME, 0) if guessed else (FRESH, hash(impl) & (2**64 - 1))
    details = reader.details(body, eqn, keys) | {"impl": impl}
    return lineage.grow(Origin.SAME, keys, kind, np.uint64(number), **details)


def constant_keys(lineage: Lineage, words: np.ndarray, *, impl: str, **details: Any) -> Handles:
    """Add keys of which the words are known."""
    rows = words.reshape(-1, words.shape[-1]).astype(np.uint64)
    number = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        number = number << np.uint64(32) ^ number >> np.uint64(32) ^ column
    token = hash(("words", impl))
    return lineage.root(Origin.CONSTANT, words.shape[:-1], token, number, impl=impl, **details)


def _unwrap(reader: Reader, body: Body, eqn: Any) -> None:
    out = eqn.outvars[0]
    handles = reader.keys_of(body, eqn, eqn.invars[0])
    count = out.aval.shape[-1]
    reader.put(body, out, body.mask(eqn.invars), to_words(handles, count) if count <= 4 else None)


def _clone(reader: Reader, body: Body, eqn: Any) -> None:
    # A clone is how people say that the same numbers are wanted again.
    [atom], [out] = eqn.invars, eqn.outvars
    typed = is_key(atom.aval)

    def clone(keys: Handles) -> Handles:
        details, number = reader.details(body, eqn, keys), np.uint64(equal_values.new_token())
        return reader.lineage.grow(Origin.CLONE, keys, FRESH, number, **details)

    handles = reader.keys_of(body, eqn, atom) if typed else body.handles(atom)
    made = None if handles is None else on_keys(clone, typed, handles)
    reader.put(body, out, body.mask(eqn.invars), made)


RULES: dict[str, EquationRule] = {
    "random_bits": _bits,
    "random_gamma": _gamma,
    "random_split": _split,
    "random_fold_in": _fold_in,
    "threefry2x32": _cipher,
    "random_seed": _seed,
    "random_wrap": _wrap,
    "random_unwrap": _unwrap,
    "random_clone": _clone,
}
