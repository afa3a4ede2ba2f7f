"""Derive keys by names and positions: `derive`, and `split_tree` for the leaves of a pytree."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from keystream._checks.calls import call_function
from keystream._checks.key import check_key, check_key_in_context
from keystream._checks.tree import flatten_with_path
from keystream._checks.values import is_symbolic
from keystream._errors import ArgumentValueError, Phrase, error, public
from keystream._keys import children, parts, scheme
from keystream._keys import tree as key_tree
from keystream._types import K, L, Leaf, Part


@public
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
    impl = check_key(key, *path, call="ks.derive(key, 'name')")
    steps: list[Any] = []
    shape: tuple[int, ...] = ()
    for given in path:
        part = jnp.asarray(given) if is_symbolic(given) else given
        if hasattr(part, "shape") and not isinstance(part, np.generic):
            steps.append(parts.check_array(part, impl))
            shape = scheme.broadcast(shape, part.shape, jnp.broadcast_shapes)
        else:
            steps.extend(scheme.counters(part, impl))
    if not steps:
        return key
    check_key_in_context(impl, key)
    return children.eager_walk(key, tuple(steps))


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


@public
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
        ArgumentValueError: An empty dict key, two leaves with one path, or a tree that is too
            deep or holds itself.

    Example:
        >>> import keystream as ks
        >>> key = ks.key(42)
        >>> keys = ks.split_tree(key, {"a": 0.0, "b": [0.0, 0.0]})
        >>> bool(keys["b"][1] == ks.derive(key, "b", 1))
        True
    """
    impl = check_key(key, tree, call="ks.split_tree(key, tree)")
    check_key_in_context(impl, key)
    asked = is_leaf and functools.partial(call_function, "is_leaf(node)", is_leaf)
    leaves, structure = flatten_with_path("tree", tree, asked)
    plan = key_tree.plan(
        tuple(key_tree.parts(path) for path, _ in leaves),
        impl,
        "For keys of another type: {str(k): v for k, v in tree.items()}.",
    )
    if len(set(plan.ends)) < len(plan.ends):
        ends = plan.ends
        twice = next(leaves[i][0] for i, end in enumerate(ends) if end in ends[:i])
        where = Phrase(f"two at {jax.tree_util.keystr(twice)}")
        raise error(ArgumentValueError, "tree", "of leaves with distinct paths", where)
    return jax.tree.unflatten(structure, key_tree.tree_keys(key, plan))
