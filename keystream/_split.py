"""Derive keys from one key: by number, by name, by leaf of a pytree, by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np

from keystream import _check, _check_key, _check_tree, _children, _placement, _scheme, _tree
from keystream._called import predicate
from keystream._errors import ArgumentTypeError, ArgumentValueError, Words, error, summary
from keystream._impl import Impl
from keystream._types import K, L, Leaf, Part, Position, Shape


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
    impl = _check_key.one_key(
        "split", key, num, call="ks.split(key, n)", each="jax.vmap(ks.split)(keys)"
    )
    _check_key.here("split", impl, key)
    if type(num) is int and 0 <= num <= _children.UNPACK_LIMIT:
        return _children.eager_tuple(key, num)
    if isinstance(num, (str, bytes)):
        name = repr(num) if len(num) <= 40 else "name"
        cure = f"For one named child: ks.derive(key, {name})."
        raise error(ArgumentTypeError, "split", "num", "a count or a tuple of names", num, cure)
    if isinstance(num, (tuple, list)):
        return _split_names(key, num, impl)
    many = _check.static_int(num) or 0
    cure = (
        f"For a key array: ks.keys(key, {many})." if _children.UNPACK_LIMIT < many <= 2**32 else ""
    )
    count = _check.count("split", "num", num, most=_children.UNPACK_LIMIT, cure=cure)
    return _children.eager_tuple(key, count)


def _split_names(
    key: jax.Array, names: tuple[Any, ...] | list[Any], impl: Impl
) -> dict[str | bytes, jax.Array]:
    if names and all(_check.static_int(n) is not None for n in names):
        shape = tuple(int(n) for n in names)
        cure = f"For a key array of that shape: ks.keys(key, {summary(shape)})."
        raise error(ArgumentTypeError, "split", "num", "a count or a tuple of names", names, cure)
    distinct = _check.distinct_names("split", names, argument="names")
    tree = _tree.plan("split", tuple((n,) for n in distinct), impl)
    return dict(zip(distinct, _tree.tree_keys(key, tree), strict=True))


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
    impl = _check_key.one_key("keys", key, shape, call="ks.keys(key, n)")
    sizes = _check.shape("keys", shape)
    total = _check.size_of(sizes)
    first = _children.base(_check.start("keys", start, total, impl), total, impl)
    if out_sharding is None:
        _check_key.here("keys", impl, key)
        _check.items("keys", sizes)
        return _children.eager_row(key, sizes, first)
    _check_key.shards("keys", impl, key)
    return _placement.placed_keys("keys", key, sizes, first, out_sharding)


def derive(key: jax.Array, /, *path: Part) -> jax.Array:
    """Derive the child of a key at a path of names, positions and arrays of positions.

    Reach for it to key something by what it is rather than by when it runs: a layer, an
    epoch, an example's index. For the next few keys in order use `split` or `keys`.

    `ks.derive(key, a, b) == ks.derive(ks.derive(key, a), b)`, and for an int in
    [0, 2**32) `ks.derive(key, i) == jax.random.fold_in(key, i)`.

    Args:
        key: One typed key.
        *path: Parts, each of them a name (non-empty str or bytes), an int of any size,
            or an integer array, concrete or traced, of any dtype but uint64. Arrays
            broadcast against each other as in NumPy. No part at all gives the key itself.

    Returns:
        A typed key, or a key array of the broadcast shape where a part is an array.

    Key use:
        Uses up one child, not the key: derive again with another part, but never also
        draw from that key, split it or hand it on.

    Guarantees:
        Different paths give different keys. For threefry2x32 no name ever meets a
        position, a draw or a split of the same key, and different hashes never meet: n
        names under one key collide with probability of about n*n/2**63 at most. Positions
        are -2**62 ... 2**63 - 1 there, static and traced alike; other ints are hashed.
        Other implementations have no public cipher: there positions are 0 ... 2**32 - 1,
        and a name is three folds, a tag and the hash, disjoint from positions as long as
        the tag (2,228,589,036) isn't used as one. Names are not normalized: "é" as one
        code point and as two are different names. A traced int64 below -2**62 can't be
        seen and falls among the names; what `jit` cuts at its boundary neither (pass ids
        above 2**31 as NumPy int64 to `derive` outside of it, or with 64-bit types on).
        Eagerly one dispatch, compiled once for each number of parts and each shape and
        dtype of an array: new names, positions and ids compile nothing.

    Raises:
        KeyTypeError: `key` isn't one typed key.
        KeyImplError: An implementation that keystream refuses.
        ArgumentTypeError: A part is a float, a bool, a uint64 array, or another type.
        ArgumentValueError: An empty name, a position that the implementation doesn't
            have, or arrays whose shapes don't broadcast.

    Example:
        >>> import numpy as np, keystream as ks
        >>> key = ks.key(42)
        >>> ks.derive(key, "noise", 3, np.arange(5)).shape
        (5,)
        >>> bool(ks.derive(key, "a", 1) == ks.derive(ks.derive(key, "a"), 1))
        True

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random
        numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
    """
    impl = _check_key.one_key("derive", key, *path, call="ks.derive(key, 'name')")
    steps: list[Any] = []
    shape: tuple[int, ...] = ()
    for given in path:
        part = jnp.asarray(given) if _check.is_symbolic(given) else given
        if hasattr(part, "shape") and not isinstance(part, np.generic):
            steps.append(_scheme.array("derive", part, impl))
            shape = _broadcast(shape, part.shape)
        else:
            steps.extend(_scheme.counters("derive", part, impl))
    if not steps:
        return key
    _check_key.here("derive", impl, key)
    return _children.eager_walk(key, tuple(steps))


@overload
def split_tree(
    key: jax.Array, /, tree: Leaf, *, is_leaf: Callable[[Any], bool] | None = None
) -> jax.Array: ...
@overload
def split_tree(key: jax.Array, /, tree: dict[K, L]) -> dict[K, jax.Array]: ...
@overload
def split_tree(
    key: jax.Array, /, tree: Any, *, is_leaf: Callable[[Any], bool] | None = None
) -> Any: ...
def split_tree(
    key: jax.Array, /, tree: Any, *, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Return the same pytree with one key per leaf, derived from the leaf's path.

    Reach for it to initialize parameters: adding a layer changes no other layer's key.

    `ks.split_tree(key, tree)["b"][1] == ks.derive(key, "b", 1)`.

    Args:
        key: One typed key.
        tree: Any pytree. Its leaves are not looked at.
        is_leaf: As in `jax.tree.map`: where it says True the path ends.

    Returns:
        A pytree of the same structure with keys of shape () as leaves. A bare leaf gives
        the key itself, as its path is empty; a tree without leaves comes back empty.

    Key use:
        Consumes `key`: don't use it again.

    Guarantees:
        A leaf's key depends on its path alone: dict keys and attribute names are names,
        places in a list or tuple positions. Every key is made once, in one vectorized
        step for each level of the tree. Eagerly they are made on the host and handed out 16
        at a time, and no structure is compiled: 1,000 leaves take about 20 ms the first
        time. A structure of up to 32 leaves, whatever their names, that was asked for 100
        times gets one compiled dispatch.

    Raises:
        KeyTypeError: `key` isn't one typed key.
        KeyImplError: An implementation that keystream refuses.
        ArgumentTypeError: A dict key that is neither str, bytes nor int.
        ArgumentValueError: An empty dict key, two leaves with one path, or a tree that JAX
            can't take apart.
        BodyError: `is_leaf` returns no bool.

    Example:
        >>> import keystream as ks
        >>> key = ks.key(42)
        >>> keys = ks.split_tree(key, {"a": 0.0, "b": [0.0, 0.0]})
        >>> bool(keys["b"][1] == ks.derive(key, "b", 1))
        True
    """
    impl = _check_key.one_key("split_tree", key, tree, call="ks.split_tree(key, tree)")
    _check_key.here("split_tree", impl, key)
    asked = None if is_leaf is None else predicate("split_tree", is_leaf)
    leaves, structure = _check_tree.flatten_with_path("split_tree", "tree", tree, asked)
    plan = _tree.plan("split_tree", tuple(_tree.parts(path) for path, _ in leaves), impl)
    if len(set(plan.ends)) < len(plan.ends):
        ends = plan.ends
        twice = next(leaves[i][0] for i, end in enumerate(ends) if end in ends[:i])
        where = Words(f"two at {jax.tree_util.keystr(twice)}")
        raise error(
            ArgumentValueError, "split_tree", "tree", "of leaves with distinct paths", where
        )
    return jax.tree.unflatten(structure, _tree.tree_keys(key, plan))


def _broadcast(shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return jnp.broadcast_shapes(shape, other)
    except ValueError:
        got = Words(f"{shape} and {other}")
        cure = "For every pair: ks.derive(key, a[:, None], b[None, :])."
        wanted = "of arrays whose shapes broadcast"
        raise error(ArgumentValueError, "derive", "path", wanted, got, cure) from None
