"""Check that a function gives the same numbers on one device and on many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType

from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._compare import first_difference, is_key, snapshot
from keystream.testing._failures import DifferenceError

__tracebackhide__ = True  # pytest shows the line that calls the check

CHECK = "check_device_invariant"
_CURE = 'Before JAX starts: os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count={}".'


@public
def check_device_invariant(
    fun: Callable[[jax.Array, jax.sharding.Mesh], Any],
    key: jax.Array,
    /,
    device_counts: Sequence[int | Sequence[int]] = (1, 2, 4, 8),
    *,
    axis_names: Sequence[str] = ("data",),
    axis_type: AxisType = AxisType.Auto,
    ulps: float = _arguments.ULPS,
    atol: float = 0.0,
    exact: bool = False,
) -> None:
    """Raise unless a function of a key and a mesh gives the same on every mesh.

    Reach for it with what places its work on devices: sharded initializers, data loaders,
    training steps. It finds devices that repeat each other's noise, keys that are made from
    the number of a device, and results that are said to be replicated and aren't. A program
    whose item *is* the shard (`ks.for_axis`, `ks.pmap`) gives other numbers on other
    meshes by intention, and doesn't pass.

    `fun(key, mesh)` is one value for all meshes.

    Args:
        fun: Takes the key and a `jax.sharding.Mesh`, and returns any pytree, such as
            `lambda key, mesh: ks.sample(draw, key, 16, out_sharding=NamedSharding(mesh,
            P("data")))` or the parameters after a few training steps. Only the values
            count, not how they are placed.
        key: One typed key, not traced, handed over as it is.
        device_counts: The meshes to try, two or more: a number of devices along the first
            axis, or the mesh's whole shape. The first one is what the others are held
            against, so let it be 1.
        axis_names: The names of the mesh's axes.
        axis_type: The type of its axes.
        ulps: How many floats may lie between a float and its equal on another mesh.
        atol: Floats that are as near as this also pass: training sums over devices in
            another order, and wants about 1e-6 for parameters of size one.
        exact: Floats must be equal bit for bit on all meshes.

    Key use:
        Hands the key itself to `fun` once for each mesh, which is what it is about.

    Guarantees:
        Keys, bits, integers and bools must be equal, floats within `ulps` or `atol`. Meshes
        are made of the first devices there are. Where devices hold copies of one part, all
        copies must be equal bit for bit, also on a single mesh. Simulated devices find the
        same mistakes as real ones, other float code aside.

    Raises:
        DifferenceError: The first difference, with the two meshes, its place, both values,
            and which device repeats which, where one does.
        KeyTypeError: Not one typed key, or a traced one.
        ArgumentTypeError: `fun` can't be called, or counts or names are no sequences.
        ArgumentValueError: Fewer than two meshes, or more devices than there are.

    Example:
        >>> import jax, keystream as ks
        >>> from keystream import testing
        >>> def rows(key, mesh):
        ...     where = jax.sharding.NamedSharding(mesh, jax.P("data"))
        ...     return ks.sample(jax.random.uniform, key, 8, out_sharding=where)
        >>> counts = [n for n in (1, 1, 2, 4, 8) if n <= jax.device_count()]
        >>> testing.check_device_invariant(rows, ks.key(0), counts)
    """
    _arguments.check_function("fun", fun)
    _arguments.check_key(key)
    near = _arguments.tolerance(ulps, atol, exact)
    shapes = _shapes(device_counts, axis_names)
    first: Any = None
    for at, shape in enumerate(shapes):
        size = math.prod(shape)
        devices = jax.devices()[:size]
        types = (axis_type,) * len(shape)
        made = fun(key, jax.make_mesh(shape, tuple(axis_names), types, devices=devices))
        name = f"on {_words(shape)}"
        _replicas(made, name)
        if at == 0:
            first, first_name = snapshot(made), name
            continue
        told = first_difference(first, made, near, (first_name, name))
        if told:
            told += _repeated(made, first)
            wanted = "the same on every mesh"
            raise error(DifferenceError, "fun", wanted, Phrase(told), must="give")


def _shapes(counts: Any, names: Any) -> list[tuple[int, ...]]:
    wanted = "a sequence of two or more numbers of devices, or shapes of meshes"
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        cure = 'For one axis: axis_names=("data",).'
        raise error(ArgumentTypeError, "axis_names", "a tuple of str", names, cure)
    if not isinstance(counts, Sequence) or isinstance(counts, str):
        raise error(ArgumentTypeError, "device_counts", wanted, counts)
    shapes = []
    for count in counts:
        whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
        shape = (count, *[1] * (len(names) - 1)) if whole else count
        sizes = _arguments.counts("device_counts", shape)
        if len(sizes) != len(names):
            cure = f"A name for each axis: axis_names={_names(len(sizes))}."
            fits = f"shapes of {len(names)} axes, as axis_names has"
            raise error(ArgumentValueError, "device_counts", fits, count, cure)
        shapes.append(sizes)
    if len(shapes) < 2:
        raise error(ArgumentValueError, "device_counts", wanted, counts)
    most = max(map(math.prod, shapes))
    if most > jax.device_count():
        there = jax.device_count()
        wanted = f"at most {there}, the number of devices there {'is' if there == 1 else 'are'}"
        cure = _CURE.format(most)
        raise error(ArgumentValueError, "device_counts", wanted, most, cure)
    return shapes


def _names(count: int) -> str:
    return repr(tuple(f"axis{i}" for i in range(count)))


def _words(shape: tuple[int, ...]) -> str:
    if len(shape) > 1:
        return f"a {'x'.join(map(str, shape))} mesh"
    return f"{shape[0]} device{'' if shape[0] == 1 else 's'}"


def _content(leaf: jax.Array) -> bytes:
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes()


def _parts(leaf: Any) -> list[tuple[int, str, bytes]]:
    """Return of each device what part of an array it holds, and its content."""
    if not isinstance(leaf, jax.Array):
        return []
    return [
        (shard.device.id, str(shard.index), _content(shard.data))
        for shard in leaf.addressable_shards
    ]


def _replicas(made: Any, name: str) -> None:
    """Refuse copies of one part that differ: a result that isn't replicated, but says so."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(made):
        seen: dict[str, tuple[int, bytes]] = {}
        for device, index, content in _parts(leaf):
            first, known = seen.setdefault(index, (device, content))
            if known != content:
                where = f"result{jax.tree_util.keystr(path)}"
                got = Phrase(f"others on device {first} than on device {device} at {where}, {name}")
                cure = "An out_spec of P() says that all shards hold the same."
                wanted = "equal copies where devices hold the same part"
                raise error(DifferenceError, "fun", wanted, got, cure, must="give")


def _repeated(made: Any, first: Any) -> str:
    """Say which device repeats another's part, where those parts differ on the first mesh."""
    for leaf, right in zip(jax.tree.leaves(made), jax.tree.leaves(first), strict=False):
        if not isinstance(leaf, jax.Array) or np.shape(leaf) != np.shape(right):
            continue
        seen: dict[bytes, tuple[int, Any]] = {}
        for shard in leaf.addressable_shards:
            device, index = seen.setdefault(_content(shard.data), (shard.device.id, shard.index))
            apart = str(index) != str(shard.index)
            if apart and _content(right[index]) != _content(right[shard.index]):
                return f"; device {shard.device.id} repeats device {device}"
    return ""
