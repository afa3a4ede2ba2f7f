"""Draw samples of any shape, each with its own key, in batches and on a mesh."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keystream._checks.calls import bind_sampler, check_few_dims, map_over_keys
from keystream._checks.key import (
    check_draws_in_lanes,
    check_key,
    check_key_in_context,
    check_maps_over_devices,
)
from keystream._checks.numbers import check_batch_size, check_shape, check_size, check_start
from keystream._checks.static import size_of
from keystream._checks.values import is_symbolic
from keystream._errors import public
from keystream._keys import batches, children, placement, program
from keystream._keys.placement import Placement
from keystream._keys.program import Function, Leaves
from keystream._keys.scheme import Counter, advance
from keystream._types import Position, R, Shape

if TYPE_CHECKING:
    from keystream._types import P  # the site shows `P.args` as it is, unless it can evaluate it


MANY, AT_ONCE = 2**21, 2**18
"""Above how many draws batches are chosen where nobody says, and of how many draws: what stays in
a processor's cache is drawn faster, and the keys of all draws take more memory than they do. At
2**22 batches halve the time of JAX's own lowering and cost an accelerated program nothing."""


@overload
def sample(
    sampler: Callable[Concatenate[jax.Array, P], R],
    key: jax.Array,
    shape: Shape,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R: ...
@overload
def sample(
    sampler: Callable[..., R],
    key: jax.Array,
    shape: Shape,
    /,
    *args: Any,
    start: Position,
    batch_size: int | None = ...,
    out_sharding: Any = ...,
    **kwargs: Any,
) -> R: ...
@overload
def sample(
    sampler: Callable[..., R],
    key: jax.Array,
    shape: Shape,
    /,
    *args: Any,
    batch_size: int | None,
    out_sharding: Any = ...,
    **kwargs: Any,
) -> R: ...
@overload
def sample(
    sampler: Callable[..., R],
    key: jax.Array,
    shape: Shape,
    /,
    *args: Any,
    out_sharding: Any,
    **kwargs: Any,
) -> R: ...
@public  # type: ignore[misc] # a sampler's own `start=` isn't ours
def sample(
    sampler: Callable[..., Any],
    key: jax.Array,
    shape: Shape,
    /,
    *args: Any,
    start: Position = 0,
    batch_size: int | None = None,
    out_sharding: Any = None,
    **kwargs: Any,
) -> Any:
    """Draw samples of a shape, sample i with the key `ks.derive(key, i)`.

    Reach for it where each draw should stand on its own: the same number for item i
    however many are drawn, in whatever batches, on whatever mesh. For keys rather than
    draws use `keys`.

    `ks.sample(sampler, key, n)[i] == sampler(ks.derive(key, i))`, and under JAX's default
    settings `ks.sample(sampler, key, n)` is `jax.vmap(sampler)(jax.random.split(key, n))`.

    Args:
        sampler: Any function of one key and further arguments that returns a pytree of
            arrays: a `jax.random` sampler or your own.
        key: One typed key.
        shape: An int or a tuple of sizes of zero or more; `()` is one draw, from child
            `start`.
        *args: Further arguments of the sampler, shared by all draws. Arrays may be traced;
            anything else stays what it is.
        start: Position of the first draw, an integer scalar, static or traced.
        batch_size: How many draws are made at once; bounds the memory to the result and
            the work space of one batch. None for all of them, and for 2**18 of more than
            2**21 draws on a device; the number of draws for all of them even so.
        out_sharding: Where to put the draws on a mesh: a NamedSharding, or a PartitionSpec
            for the mesh in context, over the dimensions of `shape`. Each device then makes
            its own part, without communication.
        **kwargs: Keyword arguments of the sampler, its own `shape=` among them.

    Returns:
        What the sampler returns, each array with `shape` in front.

    Key use:
        Consumes `key`: use it again only for ranges of positions that don't overlap.

    Guarantees:
        Neither `shape`, `batch_size`, the mesh nor the number of processes changes a key
        or a raw bit of a draw: exact for bits and what is made of bits alone (uniform on
        [0, 1), randint, bernoulli, permutation). Float functions, and uniform with another
        range, agree to last digits, and a sampler that rejects may rarely give another value;
        the documentation has a table.

        In batches or with `out_sharding` the sampler is traced in each call, so that it sees
        what has changed, and compiled once for equal programs: new seeds, starts, numbers and
        lambdas compile nothing. Where batches don't divide the number of draws, the last
        batch overlaps the one before, and a callback runs twice for the draws in both. A NumPy
        array among the arguments stays one, unless the sampler indexes it by what it draws.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, or an implementation that is refused
            or draws otherwise under `vmap` (rbg).
        ArgumentTypeError, ArgumentValueError: A bad `shape`, `start` or `batch_size`; a mesh
            that doesn't divide `shape`, or isn't the one in context.
        BodyError: `sampler` returns no arrays.
        MeshAxisError: The sharding names an axis that the mesh doesn't have.

    Example:
        >>> import jax, keystream as ks
        >>> ks.sample(jax.random.normal, ks.key(42), 10).shape
        (10,)
        >>> ks.sample(jax.random.normal, ks.key(42), (2, 3), shape=(4,)).shape
        (2, 3, 4)
    """
    several = "For a key per draw that is there already: ks.batched(sampler)(keys)."
    right = "ks.sample(sampler, key, n)"
    impl = check_key(key, sampler, shape, call=right, several=several)
    check_draws_in_lanes(impl, key)
    sizes = check_shape(shape)
    check_few_dims("shape", sizes)
    total = size_of(sizes)
    first = children.start_counter(check_start(start, total, impl), total, impl)
    asked = None if batch_size is None else check_batch_size(batch_size)
    call = _bound(sampler, args, kwargs)
    if out_sharding is not None:
        check_maps_over_devices(impl, key)
        place = placement.resolve(sizes, out_sharding)
        check_size(place.local)
        batch = _choose(asked, size_of(place.local))
        return _draw_on_mesh(sampler, key, first, args, kwargs, place=place, batch=batch)
    check_key_in_context(impl, key)
    check_size(sizes)
    batch = _choose(asked, total)
    if batch >= total:
        return map_over_keys(call, children.eager_row(key, sizes, first))
    draw = Leaves(call)
    first = children.two_words(key, first)
    leaves = program.run(_make_batches, [draw], key, first, shape=sizes, batch=batch)
    return jax.tree.unflatten(draw.structure, leaves)


def _choose(asked: int | None, total: int) -> int:
    """Return how many draws are made at once."""
    return asked or (total if is_symbolic(total) or total <= MANY else AT_ONCE)


def _bound(
    sampler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[jax.Array], Any]:
    """Return a sampler that still wants its key, and sees NumPy arrays as they are if it can."""
    call = bind_sampler(sampler, args, kwargs)

    def draw(key: jax.Array) -> Any:
        try:
            return call(key)
        except jax.errors.TracerArrayConversionError:
            # What is drawn can't be an index into an array of NumPy's, but into one of JAX's.
            given, named = jax.tree.map(_as_jax, (args, kwargs))
            return bind_sampler(sampler, given, named)(key)

    return draw


def _as_jax(leaf: Any) -> Any:
    # JAX would cut integers of 64 bits.
    whole = isinstance(leaf, np.ndarray) and not (leaf.dtype.kind in "iu" and leaf.itemsize == 8)
    return jnp.asarray(leaf) if whole and leaf.dtype.kind in "biufcV" else leaf


def _make_batches(
    functions: list[Function],
    key: jax.Array,
    start: Counter | None,
    *,
    shape: tuple[int, ...],
    batch: int,
) -> list[jax.Array]:
    def counter(index: jax.Array) -> Counter:
        offset = Counter(None, index)
        return offset if start is None else advance(start, offset)

    return _draw_all(functions[0], key, counter, shape, batch)


def _draw_on_mesh(
    sampler: Callable[..., Any],
    key: jax.Array,
    start: Counter | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    place: Placement,
    batch: int,
) -> Any:
    # Arrays among the arguments are handed to the mapped body: what a body closes over can't
    # lie on Explicit axes.
    leaves, structure = jax.tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

    def one(key: jax.Array, arrays: list[Any]) -> Any:
        given = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            given[i] = array
        args, kwargs = jax.tree.unflatten(structure, given)
        return _bound(sampler, args, kwargs)(key)

    draw = Leaves(one)
    arrays = [leaves[i] for i in places]
    key = placement.replicate_over(place, key)
    made = program.run(_make_on_mesh, [draw], key, start, arrays, place=place, batch=batch)
    return jax.tree.unflatten(draw.structure, made)


def _make_on_mesh(
    functions: list[Function],
    key: jax.Array,
    start: Counter | None,
    arrays: list[Any],
    *,
    place: Placement,
    batch: int,
) -> list[jax.Array]:
    def shard(key: jax.Array, start: Counter | None, arrays: list[Any], operands: Any) -> Any:
        one = functions[0].over(operands)
        counter = functools.partial(placement.positions, place, start)
        return _draw_all(lambda key: one(key, arrays), key, counter, place.local, batch)

    made: list[jax.Array] = placement.map_over(
        place, shard, key, start, arrays, functions[0].operands
    )
    return made


def _draw_all(
    fun: Callable[..., Any],
    key: jax.Array,
    counter: Callable[[jax.Array], Counter],
    shape: tuple[int, ...],
    batch: int,
) -> list[jax.Array]:
    """Draw for every place of a shape, `batch` places at a time."""
    total = size_of(shape)

    def draw(first: Any, size: int) -> list[jax.Array]:
        index = lax.iota(np.uint32, size) + first
        made: list[jax.Array] = map_over_keys(fun, children.children(key, counter(index)))
        return made

    if batch >= total:
        index = lax.iota(np.uint32, total).reshape(shape)
        drawn: list[jax.Array] = map_over_keys(fun, children.children(key, counter(index)))
        return drawn
    made = batches.fill(draw, total, batch)
    return [leaf.reshape(*shape, *leaf.shape[1:]) for leaf in made]
