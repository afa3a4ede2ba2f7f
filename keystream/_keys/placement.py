"""Compute which positions each shard of a mesh makes, and place keys and arrays on it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from keystream import _compat, _impl
from keystream._checks.mesh import axis_names, check_axes, check_mesh_in_context
from keystream._checks.numbers import check_size
from keystream._checks.static import size_of
from keystream._checks.values import is_traced
from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, error, summary
from keystream._keys import children
from keystream._keys.scheme import Counter, advance
from keystream._known import NARROW_END


class Placement(NamedTuple):
    """A shape laid out over a mesh: what each dimension is cut by, and what is left."""

    mesh: Any
    """As `jax.shard_map` takes it: None for the one in context."""
    manual: frozenset[Any]
    """The axes that the mapped body takes over: all that aren't manual already."""
    axes: tuple[tuple[Any, ...], ...]
    """Mesh axes by dimension."""
    shape: tuple[int, ...]
    local: tuple[int, ...]
    argument: str


def resolve(shape: tuple[int, ...], out_sharding: Any, argument: str = "out_sharding") -> Placement:
    """Hold a sharding against a shape and the mesh, and refuse what doesn't fit."""
    mesh, spec, concrete = _mesh_and_spec(out_sharding)
    if concrete is not None:
        check_mesh_in_context(argument, concrete)
    if len(spec) > len(shape):
        wanted = f"a spec of at most {len(shape)} dimensions, one for each of shape"
        raise error(ArgumentValueError, argument, wanted, Phrase(str(spec)))
    taken = set() if concrete is not None else set(getattr(mesh, "manual_axes", ()))
    free = [name for name in mesh.axis_names if name not in taken]
    axes = spec_axes(argument, spec, free)
    axes += [()] * (len(shape) - len(axes))
    counts = tuple(size_of([mesh.shape[name] for name in names]) for names in axes)
    for dim, (size, shards) in enumerate(zip(shape, counts, strict=True)):
        if size % shards:
            padded = (*shape[:dim], -(-size // shards) * shards, *shape[dim + 1 :])
            raise error(
                ArgumentValueError,
                "shape",
                f"divisible by the mesh ({shards} shards along dimension {dim})",
                shape,
                f"To round it up and drop what is too much: shape = {summary(padded)}.",
            )
    local = tuple(size // shards for size, shards in zip(shape, counts, strict=True))
    return Placement(concrete, frozenset(free), tuple(axes), shape, local, argument)


def spec_axes(argument: str, spec: PartitionSpec, known: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the mesh axes of each dimension of a spec, each of them known."""
    if PartitionSpec.UNCONSTRAINED in spec:
        wanted = "a spec without UNCONSTRAINED"
        raise error(ArgumentValueError, argument, wanted, Phrase(str(spec)))
    axes = [() if entry is None else axis_names(entry) for entry in spec]
    check_axes(argument, tuple(itertools.chain(*axes)), known)
    return axes


def _mesh_and_spec(out_sharding: Any) -> tuple[Any, PartitionSpec, Any]:
    context = jax.sharding.get_abstract_mesh()
    if isinstance(out_sharding, NamedSharding):
        mesh = out_sharding.mesh
        # Inside a mapped body only the mesh in context can be mapped over further.
        known = context if context.manual_axes and context.axis_names == mesh.axis_names else mesh
        return known, out_sharding.spec, None if known is context else mesh
    if isinstance(out_sharding, PartitionSpec):
        if context.empty:
            cure = "To put one in context: with jax.set_mesh(mesh): ..."
            wanted = "a NamedSharding where no mesh is in context"
            raise error(ArgumentTypeError, "out_sharding", wanted, Phrase(str(out_sharding)), cure)
        return context, out_sharding, None
    cure = "For a mesh: jax.sharding.NamedSharding(mesh, jax.P('data'))."
    wanted = "a NamedSharding or a PartitionSpec"
    raise error(ArgumentTypeError, "out_sharding", wanted, out_sharding, cure)


def positions(place: Placement, start: Counter | None, index: Any) -> Counter:
    """Return the positions of items of this shard, given their place in it in C order.

    For use inside the mapped body: it asks for the shard's own index along each axis.
    """
    strides = [size_of(place.shape[d + 1 :]) for d in range(len(place.shape))]
    narrow = size_of(place.shape) <= NARROW_END
    total = Counter(None if narrow else np.uint32(0) * index, np.uint32(0) * index)
    rest = index
    for dim in reversed(range(len(place.shape))):
        size, names = place.local[dim], place.axes[dim]
        within = rest % np.uint32(max(size, 1)) if dim else rest
        rest = rest // np.uint32(max(size, 1)) if dim else rest
        first = lax.axis_index(names).astype(np.uint32) * np.uint32(size) if names else np.uint32(0)
        total = advance(total, multiply(within + first, strides[dim], narrow=narrow))
    return total if start is None else advance(start, total)


def multiply(index: Any, stride: int, *, narrow: bool) -> Counter:
    """Multiply uint32 indices by a static stride, exactly, modulo 2**64."""
    lo, hi = np.uint32(stride & 0xFFFFFFFF), np.uint32(stride >> 32 & 0xFFFFFFFF)
    if narrow:
        return Counter(None, index * lo)
    half = np.uint32(0xFFFF)
    a, b = index & half, index >> 16
    c, d = lo & half, lo >> 16
    low, mid, other, high = a * c, a * d, b * c, b * d
    carry = (low >> 16) + (mid & half) + (other & half)
    high = high + (mid >> 16) + (other >> 16) + (carry >> 16)
    return Counter(high + index * hi, index * lo)


def map_over(place: Placement, body: Callable[..., Any], *operands: Any) -> Any:
    """Map a body over the shards of a placement; it makes the local part of each output.

    The operands are the same on every shard. The output's dimensions are those of the
    placement, with others behind.
    """
    names = [axes or None for axes in place.axes]
    # The body hands out what differs by design, and samplers that loop don't pass JAX's
    # check of varying axes (jax-ml/jax 0.10.2 and 0.12.0: poisson, binomial).
    mapped = jax.shard_map(
        body,
        mesh=place.mesh,
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(*names),
        axis_names=place.manual,
        check_vma=False,
    )
    return mapped(*gather_whole(operands))


def gather_whole(operands: Any) -> Any:
    """Return a pytree with what lies on Explicit axes in one piece, as a body has to get it."""
    return jax.tree.map(_gathered, operands)


def _gathered(value: Any) -> Any:
    if not isinstance(value, jax.Array):
        return value
    sharding = jax.typeof(value).sharding
    if sharding.mesh.empty or not any(sharding.spec):
        return value
    return jax.sharding.reshard(value, NamedSharding(sharding.mesh, PartitionSpec()))


def replicate_over(place: Placement, key: jax.Array) -> jax.Array:
    """Return a key on every device of a placement, from wherever it lies now."""
    return key if is_traced(key) else replicate_key(place.argument, key, place.mesh)


def make_placed_keys(
    key: jax.Array,
    shape: tuple[int, ...],
    start: Counter | None,
    out_sharding: Any,
    argument: str = "out_sharding",
) -> jax.Array:
    """Return consecutive children of one key laid out over a mesh."""
    place = resolve(shape, out_sharding, argument)
    check_size(place.local)
    return _keys_on_mesh(replicate_over(place, key), start, place=place)


def _make_keys(key: jax.Array, start: Counter | None, *, place: Placement) -> jax.Array:
    def shard(key: jax.Array, start: Counter | None) -> jax.Array:
        index = lax.iota(np.uint32, size_of(place.local)).reshape(place.local)
        return children.children(key, positions(place, start, index))

    keys: jax.Array = map_over(place, shard, key, start)
    return keys


_keys_on_mesh = children.one_dispatch(_make_keys, static="place")


def make_keys_beside(
    key: jax.Array, lanes: int, start: Counter | None, mapped: Iterable[tuple[int, Any]]
) -> jax.Array:
    """Return a child for each lane, laid out as the arrays that are mapped beside them.

    Those come each with the axis that is mapped. Explicit axes are part of an array's type, and
    `jax.vmap` wants the same ones along all that it maps; Auto ones are XLA's to choose.
    """
    for axis, leaf in mapped:
        if _along(leaf, axis):
            keys: jax.Array = _beside(key, leaf, lanes, children.two_words(key, start), axis)
            return keys
    return children.eager_row(key, (lanes,), start)


def _along(leaf: Any, axis: int) -> NamedSharding | None:
    """Return over which Explicit axes one axis of an array is laid out, if over any."""
    sharding: Any = getattr(jax.typeof(leaf), "sharding", None)
    if sharding is None or sharding.spec[axis] is None:
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[axis]))


# Always a call of its own, which the array goes into: outside of `jax.set_mesh` nothing else
# says which devices the mesh has.
@functools.partial(jax.jit, static_argnums=(2, 4), keep_unused=True)
def _beside(key: jax.Array, leaf: Any, lanes: int, start: Counter | None, axis: int) -> Any:
    return children.row(key, (lanes,), start, _along(leaf, axis))


def replicate_key(argument: str, key: jax.Array, mesh: Any) -> jax.Array:
    """Place a concrete key on every device of a mesh, from wherever it lies now.

    Each process fills its own devices from its own copy, so that nothing is sent. Without
    a mesh it is the one in context.
    """
    mesh = _compat.mesh_in_context() if mesh is None else mesh
    if not isinstance(mesh, jax.sharding.Mesh):
        if mesh is not None and not is_traced(jax.random.key_data(key)):
            wanted, got = "over a mesh of devices outside of jit", Phrase("an abstract mesh")
            cure = 'To make one: jax.make_mesh((8,), ("data",)).'
            raise error(ArgumentTypeError, argument, wanted, got, cure)
        return key
    target = NamedSharding(mesh, PartitionSpec())
    if key.sharding == target:
        return key
    local = host_words(key)
    if is_traced(jax.random.key_data(key)):
        # A program is being traced around us: a constant goes wherever it is needed.
        return _impl.wrap(local, key.dtype)
    placed = jax.make_array_from_callback(local.shape, target, lambda index: local[index])
    return _impl.wrap(placed, key.dtype)


def host_words(key: jax.Array) -> np.ndarray:
    """Return the words of a concrete key, from whichever device holds them."""
    words = _impl.concrete_words(key)
    return np.asarray(words if words.is_fully_addressable else words.addressable_data(0))
