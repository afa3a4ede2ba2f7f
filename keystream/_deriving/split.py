"""Split a key: `split` into a few keys to unpack, `keys` into an array."""

from __future__ import annotations

from typing import Any, Literal, overload

import jax
import numpy as np

from keystream._checks.key import check_key, check_key_in_context, check_maps_over_devices
from keystream._checks.names import check_names
from keystream._checks.numbers import check_shape, check_size, check_start, check_untraced
from keystream._checks.static import UNPACK_LIMIT, check_num, size_of
from keystream._errors import public
from keystream._keys import children, placement
from keystream._keys import tree as key_tree
from keystream._types import Position, Shape


@overload
def split(key: jax.Array, /, num: Literal[2] = 2) -> tuple[jax.Array, jax.Array]: ...
@overload
def split(key: jax.Array, /, num: Literal[1]) -> tuple[jax.Array]: ...
@overload
def split(key: jax.Array, /, num: Literal[3]) -> tuple[jax.Array, jax.Array, jax.Array]: ...
@overload
def split(
    key: jax.Array, /, num: Literal[4]
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]: ...
@overload
def split(key: jax.Array, /, num: int | np.integer[Any]) -> tuple[jax.Array, ...]: ...
@overload
def split(key: jax.Array, /, num: tuple[str, ...] | list[str]) -> dict[str, jax.Array]: ...
@overload
def split(
    key: jax.Array, /, num: tuple[str | bytes, ...] | list[str | bytes]
) -> dict[str | bytes, jax.Array]: ...
@public
def split(key: jax.Array, /, num: Any = 2) -> Any:
    """Split one key once, into a tuple of keys to unpack or a dict of named children.

    Reach for it where a few keys are needed at once. For a key array use `keys`, for one
    key per leaf of a pytree `split_tree`, for a single named or numbered child `derive`.

    `ks.split(key, n)[i] == ks.derive(key, i)`, which under JAX's default settings is
    `jax.random.split(key, n)[i]`; `ks.split(key, names)[name] == ks.derive(key, name)`.

    Args:
        key: One typed key.
        num: How many keys, from 0 to 64; or names, a tuple or list of distinct non-empty
            str or bytes.

    Returns:
        A tuple of `num` keys, each of shape (), or a dict from name to key in the order
        of the names.

    Key use:
        Consumes `key` when given a count: don't use it again. With names it uses up those
        named children: derive again with other names, but don't draw from it.

    Guarantees:
        A longer split begins with the shorter one; adding, removing or reordering names
        changes no other name's key. Eagerly a count is one dispatch, compiled once for each.
        The keys of names are made on the host and handed out 16 at a time, and nothing is
        compiled for their number; up to 32 names that were asked for 100 times get one
        compiled dispatch, which is quicker and doesn't wait for the key. Works inside every
        transform and for every accepted implementation.

    Raises:
        KeyTypeError: `key` isn't one typed key.
        KeyImplError: An implementation that keystream refuses.
        ArgumentTypeError: `num` is a float, a bool, traced, one name, or a shape.
        ArgumentValueError: `num` is negative or above 64; a name is empty or given twice.

    Example:
        >>> import keystream as ks
        >>> a, b, c = ks.split(ks.key(42), 3)
        >>> a.shape
        ()
        >>> list(ks.split(ks.key(42), ("params", "dropout")))
        ['params', 'dropout']
    """
    impl = check_key(key, num, call="ks.split(key, n)", each="jax.vmap(ks.split)(keys)")
    check_key_in_context(impl, key)
    if type(num) is int and 0 <= num <= UNPACK_LIMIT:
        return children.eager_tuple(key, num)
    check_untraced("num", num, f"a static count of at most {UNPACK_LIMIT}")
    wanted = check_num(num)
    if isinstance(wanted, int):
        return children.eager_tuple(key, wanted)
    distinct = check_names(wanted, argument="names")
    tree = key_tree.plan(tuple((n,) for n in distinct), impl)
    return dict(zip(distinct, key_tree.tree_keys(key, tree), strict=True))


@public
def keys(
    key: jax.Array, /, shape: Shape, *, start: Position = 0, out_sharding: Any = None
) -> jax.Array:
    """Return a key array of any shape: consecutive children of one key, in C order.

    Reach for it where many keys are mapped over or indexed. For a few keys to unpack use
    `split`; for draws rather than keys `sample`.

    `ks.keys(key, n, start=s)[i] == ks.derive(key, s + i)`, and under JAX's default
    settings `ks.keys(key, shape) == jax.random.split(key, shape)`.

    Args:
        key: One typed key.
        shape: An int, or a tuple of sizes of zero or more; `()` gives child `start`.
        start: Position of the first key, an integer scalar, static or traced. From 0 to
            2**63 less the number of keys; implementations without a public cipher end at
            2**32.
        out_sharding: Where to put the keys on a mesh: a NamedSharding, or a PartitionSpec
            for the mesh in context (`jax.set_mesh`). Each device then makes its own part,
            without communication, and each process only the part of its devices.

    Returns:
        A typed key array of that shape and of the implementation of `key`.

    Key use:
        Consumes `key`: use it again only for ranges of positions that don't overlap.

    Guarantees:
        Neither `shape` nor `out_sharding` nor the number of devices or processes changes
        the key at a position. Eagerly one dispatch, compiled once for each shape, and once
        more for starts above zero: a new start compiles nothing.
        A traced start that is negative, or from which the range leaves the positions, can't
        be seen: it goes on modulo 2**64 (2**32).

    Raises:
        KeyTypeError: `key` isn't one typed key.
        KeyImplError: An implementation that keystream refuses.
        ArgumentTypeError: `shape` or `start` of another type, or a uint64 array.
        ArgumentValueError: A negative size or start, a start beyond the positions, or a
            mesh that doesn't divide the shape.
        MeshAxisError: The sharding names an axis that the mesh doesn't have.

    Example:
        >>> import keystream as ks
        >>> batch = ks.keys(ks.key(42), (4, 2))
        >>> batch.shape
        (4, 2)
        >>> bool((ks.keys(ks.key(42), 3, start=5) == ks.keys(ks.key(42), 8)[5:]).all())
        True
    """
    impl = check_key(key, shape, call="ks.keys(key, n)")
    sizes = check_shape(shape)
    total = size_of(sizes)
    first = children.start_counter(check_start(start, total, impl), total, impl)
    if out_sharding is None:
        check_key_in_context(impl, key)
        check_size(sizes)
        return children.eager_row(key, sizes, first)
    check_maps_over_devices(impl, key)
    return placement.make_placed_keys(key, sizes, first, out_sharding)
