"""A stream <-> `jax.experimental.random.stateful_rng`: both count, so the keys are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from keystream._checks.key import check_key
from keystream._checks.neighbor import instance, neighbor
from keystream._errors import ArgumentValueError, Phrase, error, public
from keystream._streams.stream import Stream
from keystream.interop._nnx import narrow

if TYPE_CHECKING:
    from jax.experimental.random import StatefulPRNG

_END = 2**31
"""Its counter is an int32, or an int64 where 64-bit types are on: as wide as JAX's own."""


@public
def to_stateful(stream: Stream, /) -> StatefulPRNG:
    """Return JAX's stateful generator that goes on with the keys of a stream.

    For code written in the style of NumPy, `rng.normal(size=3)`, inside and outside of
    `jit`. `jax.experimental.random.stateful_rng` itself takes an int alone, and cuts it to
    32 bits where 64-bit types are off.

    `interop.to_stateful(ks.Stream(key)).key() == ks.derive(key, 0)`, and so on.

    Args:
        stream: One stream at a position below 2**31.

    Returns:
        A `jax.experimental.random.StatefulPRNG`, which changes as it is drawn from.

    Key use:
        Hands the stream on: who goes on with both gets the same keys twice. The way back
        is `from_stateful`.

    Guarantees:
        The keys are those of the stream for every accepted implementation, eagerly and
        under `jit`, where a position of 2**31 or above can't be seen. JAX calls the class
        experimental: it may change or go.

    Raises:
        ArgumentTypeError: No `Stream`.
        ArgumentValueError: A position of 2**31 or above; in a `shard_map` that isn't compiled.
        KeyTypeError, KeyImplError: Several streams at once, or keys that are refused.
        NeighborMissingError: This JAX has no `jax.experimental.random`.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> rng = interop.to_stateful(ks.Stream(ks.key(42)))
        >>> bool(rng.key() == ks.derive(ks.key(42), 0))
        True
    """
    cure = "For a fresh one: interop.to_stateful(ks.Stream(key))."
    instance("stream", stream, Stream, "a ks.Stream", cure)
    cure = "For a stream of its own: ks.Stream(ks.derive(key, 'more'))."
    key, count = narrow("stream", stream, _END, cure)
    module = neighbor("jax.experimental.random", "jax>=0.10")
    try:
        counter = jax.new_ref(count.astype(jnp.result_type(int)))
    except ValueError as cause:  # A shard_map that runs at once has no place for one.
        wanted, got = "where a Ref can be made", Phrase("a shard_map that isn't compiled")
        cure = "To compile it: jax.jit(fun)(key)."
        raise error(ArgumentValueError, "stream", wanted, got, cure, must="be converted") from cause
    rng: StatefulPRNG = module.StatefulPRNG(key, counter)
    return rng


@public
def from_stateful(rng: StatefulPRNG, /) -> Stream:
    """Return the stream that goes on with the keys of JAX's stateful generator.

    To save it by `ks.dumps`, which takes no references, or to carry it through a loop,
    which JAX's generator can't.

    `interop.from_stateful(stateful_rng(seed)).next()[0] == stateful_rng(seed).key()`.

    Args:
        rng: A `jax.experimental.random.StatefulPRNG` that isn't split over lanes.

    Returns:
        A stream at the generator's position.

    Key use:
        Hands the generator on: who goes on with both gets the same keys twice. `rng` isn't
        changed.

    Guarantees:
        The keys are those of the generator, eagerly and under `jit`. JAX calls the class
        experimental: it may change or go.

    Raises:
        ArgumentTypeError: No `StatefulPRNG`.
        KeyTypeError, KeyImplError: One that was split, or keys that are refused.
        NeighborMissingError: This JAX has no `jax.experimental.random`.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> rng = interop.to_stateful(ks.Stream(ks.key(42)).skip(5))
        >>> _ = rng.key()
        >>> interop.from_stateful(rng).position
        6
    """
    module = neighbor("jax.experimental.random", "jax>=0.10")
    cure = "For a fresh one: interop.to_stateful(ks.Stream(key))."
    instance("rng", rng, module.StatefulPRNG, "a StatefulPRNG", cure)
    key, counter = jax.tree.leaves(rng)
    check_key(key, argument="rng", each="jax.vmap(interop.from_stateful)(rng)")
    return Stream(key).skip(counter[...].astype(np.uint32))
