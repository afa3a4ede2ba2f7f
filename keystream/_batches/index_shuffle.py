"""Find places in a random order without making it: `index_shuffle`, `index_unshuffle`."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from keystream._checks.key import check_cipher, check_key, check_key_in_context
from keystream._checks.numbers import check_count, check_index
from keystream._checks.values import read_setting
from keystream._errors import ArgumentValueError, error, public
from keystream._keys import children, cipher, scheme, shuffle
from keystream._types import Position


@public
def index_shuffle(key: jax.Array, /, n: int, index: Position) -> jax.Array:
    """Return the place of each index in a random order of 0 .. n-1, without making it.

    Reach for it to go through a data set in random order, an epoch at a time:
    `order = ks.derive(key, "order", epoch)`, and at step t of a batch of b examples
    `ks.index_shuffle(order, n, t * b + jnp.arange(b))`. No process holds the order, and each
    asks for its own positions. Where all n are wanted at once and fit into memory
    `jax.random.permutation(key, n)` is an exact shuffle.

    On the host, as in a data loader, `host.index_shuffle` gives the same places.

    `ks.index_shuffle(key, n, jnp.arange(n))` is a permutation of `jnp.arange(n)`, and
    `ks.index_unshuffle(key, n, ks.index_shuffle(key, n, i)) == i`.

    Args:
        key: One typed key, of threefry2x32.
        n: How many numbers are ordered: a static int up to 2**62, and up to 2**31 with
            64-bit types off.
        index: An integer from 0 to n - 1, static or traced, or an array of them of any
            shape and integer dtype.

    Returns:
        Of the shape of `index`, int32 for n up to 2**31, above it int64. Laid out as
        `index` is; nothing is sent between devices.

    Key use:
        Uses up one child, another one for each n, and not the key: ask again for other
        indices, derive from it, but never also draw from that key, split it or hand it on.

    Guarantees:
        One to one, for every key and n. The same places under every setting, on every
        device and in every version within one `ks.SCHEME`, eager and under `jit`, `vmap`,
        `scan` and `shard_map`. Up to n = 4,096 the order is a sort of 64-bit blocks, all
        orders being alike; above it is a Feistel network of 8 rounds, statistically like a
        random order for a key that nobody chose with a purpose. It is not for cryptography,
        and 2**64 keys don't reach each of n! orders. A place costs the same whatever n is,
        above 4,096, and no memory. Eagerly one dispatch, compiled once for each n and each
        shape and dtype of an array: other keys and indices compile nothing. An array that
        is no tracer is looked at on the host, to refuse what is out of range. A traced
        index out of range can't be seen: what comes back for it means nothing.

    Raises:
        KeyTypeError: `key` isn't one typed key.
        KeyImplError: A key of another implementation than threefry2x32, of which the order
            is made by its public cipher.
        ArgumentTypeError: `n` isn't a static int, or `index` no integer.
        ArgumentValueError: `n` is below 0 or too large, or an index is out of range.

    Example:
        >>> import jax.numpy as jnp, keystream as ks
        >>> order = ks.derive(ks.key(42), "order", 0)
        >>> places = ks.index_shuffle(order, 10**9, jnp.arange(4))
        >>> bool((ks.index_unshuffle(order, 10**9, places) == jnp.arange(4)).all())
        True

    References:
        M. Luby, C. Rackoff (1988), "How to construct pseudorandom permutations from
        pseudorandom functions", SIAM J. Comput. 17(2), doi:10.1137/0217022.
        J. Black, P. Rogaway (2002), "Ciphers with arbitrary finite domains", CT-RSA 2002,
        doi:10.1007/3-540-45760-7_9, section 5.
        J. Patarin (2004), "Security of random Feistel schemes with 5 or more rounds",
        CRYPTO 2004, doi:10.1007/978-3-540-28628-8_7.
    """
    return _checked(key, n, index, "index", inverse=False)


@public
def index_unshuffle(key: jax.Array, /, n: int, place: Position) -> jax.Array:
    """Return which index is at each place: the inverse of `index_shuffle`.

    Reach for it to ask when an example comes: in an epoch in which step t reads
    `ks.index_shuffle(order, n, t)`, example e is read at step
    `ks.index_unshuffle(order, n, e)`.

    `ks.index_unshuffle(key, n, ks.index_shuffle(key, n, i)) == i`.

    Args:
        key: One typed key, of threefry2x32.
        n: As in `index_shuffle`.
        place: An integer from 0 to n - 1, static or traced, or an array of them.

    Returns:
        Of the shape of `place`, int32 for n up to 2**31, above it int64.

    Key use:
        Uses up the child that `index_shuffle` with the same n does, and not the key.

    Guarantees:
        As `index_shuffle`.

    Raises:
        KeyTypeError, KeyImplError, ArgumentTypeError, ArgumentValueError: As
            `index_shuffle`.

    Example:
        >>> import keystream as ks
        >>> order = ks.derive(ks.key(42), "order", 0)
        >>> int(ks.index_unshuffle(order, 1000, ks.index_shuffle(order, 1000, 17)))
        17
    """
    return _checked(key, n, place, "place", inverse=True)


def _checked(key: Any, n: Any, index: Any, argument: str, *, inverse: bool) -> jax.Array:
    impl = check_key(key, n, index, call=f"ks.{{caller}}(key, n, {argument})")
    check_cipher(impl, key)
    check_key_in_context(impl, key)
    length = _check_length(n)
    given = check_index(argument, index, length, shuffle.result_dtype(length))
    found: jax.Array = _find(key, given, n=length, inverse=inverse)
    return found


def _check_length(n: Any) -> int:
    length = check_count("n", n, most=shuffle.MOST)
    if length > shuffle.NARROW and not read_setting("jax_enable_x64"):
        wanted = "at most 2**31 with 64-bit types off"
        cure = 'To turn them on: jax.config.update("jax_enable_x64", True).'
        raise error(ArgumentValueError, "n", wanted, length, cure)
    return length


# A call of its own in a trace too: so it is traced once, however often it stands there, and in
# a mapped body that runs as it is traced it is one program.
@functools.partial(jax.jit, static_argnames=("n", "inverse"))
def _find(key: jax.Array, index: Any, *, n: int, inverse: bool) -> jax.Array:
    child = children.child(key, scheme.widen(scheme.shuffle_counter(n)))
    first, second = jax.random.key_data(child)
    found: jax.Array = shuffle.find((first, second), n, index, inverse=inverse, arrays=_IN_JAX)
    return found


def _take(table: jax.Array, places: jax.Array) -> jax.Array:
    """Look up each place, laid out as the places are: each device holds the whole table."""
    sharding = jax.typeof(places).sharding
    out = None if sharding.mesh.empty else sharding
    taken: jax.Array = table.at[places].get(mode="promise_in_bounds", out_sharding=out)
    return taken


_IN_JAX = shuffle.Arrays(jnp, lax.fori_loop, _take, cipher.rounds)
