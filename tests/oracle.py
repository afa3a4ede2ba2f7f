"""The slow, obvious answer to every law, and the comparisons that hold a helper against it.

An oracle is a Python loop over `jax.random`. Only for counters that `fold_in` can't reach
does it use the cipher, written out below in Python's own integers.

Every comparison returns nothing and raises an AssertionError that shows the first difference.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from hypothesis import example

Draw = Callable[[jax.Array], Any]

IMPLS = ("threefry2x32", "threefry4x32", "philox4x32", "rbg")
LANED = IMPLS[:3]
"""Implementations that draw alike under `vmap` and in a loop."""
MAPPED = ("threefry2x32", "threefry4x32", "rbg")
"""Implementations that JAX can map over several devices."""
CIPHER = IMPLS[:1]
"""Implementations with positions above 2**32."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_NAME_TAG = int.from_bytes(hashlib.sha256(b"keystream:1:name").digest()[:4], "big") | 2**31
_PREFIX = {str: b"keystream:1:str:", bytes: b"keystream:1:bytes:", int: b"keystream:1:int:"}


def examples(cases: Iterable[dict[str, Any]]) -> Any:
    """Have hypothesis try every one of some cases: of a few values it may never draw the last."""
    return lambda test: functools.reduce(lambda test, case: example(**case)(test), cases, test)


def threefry2x32(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Encrypt one block, 20 rounds, as Salmon et al. (SC'11) print it."""
    mask = 0xFFFFFFFF
    schedule = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = (counter[0] + schedule[0]) & mask, (counter[1] + schedule[1]) & mask
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x = (x + y) & mask
            y = (y << turn | y >> (32 - turn)) & mask ^ x
        x = (x + schedule[(group + 1) % 3]) & mask
        y = (y + schedule[(group + 2) % 3] + group + 1) & mask
    return x, y


def block(key: jax.Array, counter: int) -> jax.Array:
    """Return the threefry2x32 key at a 64-bit counter."""
    first, second = (int(word) for word in words(key))
    made = threefry2x32((first, second), (counter >> 32 & 0xFFFFFFFF, counter & 0xFFFFFFFF))
    return jax.random.wrap_key_data(np.array(made, np.uint32), impl=jax.random.key_impl(key))


def child(key: jax.Array, part: int | str | bytes) -> jax.Array:
    """Return the child of a key at a position or a name."""
    if isinstance(part, (str, bytes)):
        return _named(key, part)
    if 0 <= part < 2**32:
        return jax.random.fold_in(key, np.uint32(part))
    assert jax.random.key_impl(key) == "threefry2x32", "no position of this implementation"
    if -(2**62) <= part < 2**63:
        return block(key, part % 2**64)
    return block(key, _hashed(int, str(part).encode()))


def derive(key: jax.Array, *path: int | str | bytes) -> jax.Array:
    """Follow a path, one child after the other."""
    for part in path:
        key = child(key, part)
    return key


def children(key: jax.Array, positions: Iterable[int]) -> list[jax.Array]:
    """Return the children at positions, one after the other."""
    return [child(key, position) for position in positions]


def chain(key: jax.Array, steps: int) -> tuple[jax.Array, list[jax.Array]]:
    """Return the surviving key and the used ones of the loop that people write by hand."""
    uses = []
    for _ in range(steps):
        key, use = jax.random.split(key)
        uses.append(use)
    return key, uses


def draws(draw: Draw, keys: Sequence[jax.Array]) -> np.ndarray:
    """Draw from one key after the other and stack what came."""
    return np.stack([np.asarray(draw(key)) for key in keys])


def words(keys: Any) -> np.ndarray:
    """Return the words of keys, on the host."""
    return np.asarray(jax.random.key_data(keys))


def all_words(keys: Sequence[jax.Array]) -> np.ndarray:
    """Return the words of keys in a Python sequence, stacked."""
    return np.stack([words(key) for key in keys])


def bits(key: jax.Array) -> jax.Array:
    """Draw 96 raw bits: two keys that agree in them are one key."""
    return jax.random.bits(key, (3,), np.uint32)


def assert_same(got: Any, want: Any) -> None:
    """Hold arrays, keys or pytrees of them against each other, bit for bit."""
    got_leaves, got_form = jax.tree_util.tree_flatten_with_path(got)
    want_leaves, want_form = jax.tree_util.tree_flatten_with_path(want)
    assert got_form == want_form, f"another structure: {got_form}, wanted {want_form}"
    for (path, left), (_, right) in zip(got_leaves, want_leaves, strict=True):
        _assert_same_array(left, right, jax.tree_util.keystr(path) or "result")


def assert_same_keys(got: Any, want: Sequence[jax.Array] | jax.Array) -> None:
    """Hold typed keys of any shape against keys in C order, bit for bit."""
    assert jax.dtypes.issubdtype(got.dtype, jax.dtypes.prng_key), f"no keys: {got.dtype}"
    right = words(want) if hasattr(want, "dtype") else all_words(want)
    left = words(got)
    _assert_same_array(left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1]), "keys")


def assert_close(got: Any, want: Any, *, rtol: float = 1e-4) -> None:
    """Hold float draws against each other, loosely: another key is noticed, another ulp isn't."""
    left, right = np.asarray(got), np.asarray(want)
    assert left.shape == right.shape, f"shape {left.shape}, wanted {right.shape}"
    away = ~np.isclose(left, right, rtol=rtol, atol=rtol)
    if away.any():
        where = tuple(int(i) for i in np.argwhere(away)[0])
        raise AssertionError(
            f"at {where}: {left[where]}, wanted {right[where]}; {away.sum()} differ"
        )


def assert_distinct(keys: Any) -> None:
    """Hold the keys of an array, or rows of words, against each other: no two are equal."""
    rows = words(keys) if jax.dtypes.issubdtype(keys.dtype, jax.dtypes.prng_key) else keys
    rows = np.asarray(rows).reshape(-1, np.shape(rows)[-1])
    seen: dict[bytes, int] = {}
    for place, row in enumerate(rows):
        first = seen.setdefault(row.tobytes(), place)
        assert first == place, f"equal rows at {first} and {place} of {len(rows)}"


def _assert_same_array(got: Any, want: Any, name: str) -> None:
    for array in (got, want):
        assert hasattr(array, "shape"), f"{name}: a {type(array).__name__}, no array"
    if jax.dtypes.issubdtype(want.dtype, jax.dtypes.prng_key):
        assert got.dtype == want.dtype, f"{name}: dtype {got.dtype}, wanted {want.dtype}"
        got, want = words(got), words(want)
    left, right = np.asarray(got), np.asarray(want)
    assert left.dtype == right.dtype, f"{name}: dtype {left.dtype}, wanted {right.dtype}"
    assert left.shape == right.shape, f"{name}: shape {left.shape}, wanted {right.shape}"
    differ = left != right
    if differ.any():
        where = tuple(int(i) for i in np.argwhere(differ)[0])
        raise AssertionError(
            f"{name} at {where}: {left[where]}, wanted {right[where]}; "
            f"{differ.sum()} of {differ.size} differ"
        )


def _named(key: jax.Array, name: str | bytes) -> jax.Array:
    text = name.encode() if isinstance(name, str) else name
    counter = _hashed(type(name), text)
    if jax.random.key_impl(key) == "threefry2x32":
        return block(key, counter)
    for word in (_NAME_TAG, counter >> 32, counter & 0xFFFFFFFF):
        key = jax.random.fold_in(key, np.uint32(word))
    return key


def _hashed(kind: type, text: bytes) -> int:
    digest = hashlib.sha256(_PREFIX[kind] + text).digest()
    return 2**63 | int.from_bytes(digest[:8], "big") % 2**62
