"""Make hypothesis strategies for what keystream's functions take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st
from jax.sharding import AxisType

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import error

Strategy = st.SearchStrategy[Any]

# The first of them is what is shrunk to, and what people have is tried often.
_USUAL = st.sampled_from(["a", "b", "dropout", "layer_1/dropout", "1", "Ünï côde"])
_WORDS = _USUAL | st.text(min_size=1, max_size=8)
_SMALL = st.integers(0, 7)


def seeds() -> Strategy:
    """Return a strategy for everything that `ks.key` takes for a seed.

    Returns:
        A strategy of ints of any size and sign, str, bytes, lists of ints and
        `numpy.random.SeedSequence`s. It shrinks to 0, and prints as code:
        `np.random.SeedSequence(3)`.

    Key use:
        Uses no key.

    Guarantees:
        The edges are among the ints: 2**32, 2**64 and their neighbors, negative ones and
        ones of hundreds of bits.

    Raises:
        Nothing.

    Example:
        >>> import hypothesis, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.seeds())
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_seed(seed):
        ...     assert ks.key(seed).shape == ()
        >>> test_seed()
    """
    edges = st.sampled_from([2**32, 2**32 - 1, 2**64, 2**64 - 1, -1, -(2**31), -(2**63), 2**128])
    ints = _SMALL | st.integers(0, 2**64 - 1) | edges | st.integers(-(2**300), 2**300)
    lists = st.lists(st.integers(-(2**64), 2**64) | _SMALL, min_size=1, max_size=4)
    entropy = st.integers(0, 2**128 - 1)
    sequences = build_shown("np.random.SeedSequence", np.random.SeedSequence, entropy)
    return ints | _WORDS | st.binary(min_size=1, max_size=12) | lists | sequences


def keys(*, impl: str | None = None) -> Strategy:
    """Return a strategy for single typed keys.

    Args:
        impl: The implementation, as `ks.key` takes it. threefry2x32 if not given.

    Returns:
        A strategy of keys. It shrinks to `ks.key(0)`, and prints as that.

    Key use:
        Makes keys. Two that are drawn may be one key, as a test should find.

    Guarantees:
        Each pair of words of a threefry2x32 key can come. Keys are concrete, uncommitted and
        on the default device.

    Raises:
        KeyImplError: `impl` is unknown or refused.

    Example:
        >>> import hypothesis, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.keys())
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_key(key):
        ...     one, other = ks.split(key)
        ...     assert bool(one != other)
        >>> test_key()
    """
    ks.key(0, impl=impl)  # an unknown one is an error here, and not in an example
    given = {} if impl is None else {"impl": st.just(impl)}
    return build_shown("ks.key", ks.key, _SMALL | st.integers(0, 2**64 - 1), **given)


def key_arrays(
    shape: tuple[int, ...] | Strategy | None = None, *, impl: str | None = None
) -> Strategy:
    """Return a strategy for arrays of different typed keys.

    Args:
        shape: The shape, or a strategy for shapes. If not given, of up to two axes of up
            to four keys.
        impl: The implementation, as `ks.key` takes it. threefry2x32 if not given.

    Returns:
        A strategy of key arrays. It prints as `ks.keys(ks.key(0), (2,))`.

    Key use:
        Makes keys: the children of one key.

    Guarantees:
        Each shape is a compilation for what is tested: give few.

    Raises:
        ArgumentTypeError: The shape is neither a tuple of ints nor a strategy.
        KeyImplError: `impl` is unknown or refused.

    Example:
        >>> import hypothesis, jax, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.key_arrays((3,)))
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_keys(keys):
        ...     assert jax.vmap(jax.random.bits)(keys).shape == (3,)
        >>> test_keys()
    """
    if shape is None:
        shape = st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple)
    elif isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape):
        shape = st.just(shape)
    elif not isinstance(shape, st.SearchStrategy):
        wanted = "a tuple of sizes or a strategy for such tuples"
        raise error(ArgumentTypeError, "key_arrays", "shape", wanted, shape, "For 3: shape=(3,).")
    return build_shown("ks.keys", ks.keys, keys(impl=impl), shape)


def names() -> Strategy:
    """Return a strategy for the names that `ks.derive` and `ks.Streams` take.

    Returns:
        A strategy of str and bytes, none of them empty. It shrinks to `'a'`.

    Key use:
        Uses no key.

    Guarantees:
        Names of several lengths and scripts come, with slashes and spaces, and str that
        look like numbers.

    Raises:
        Nothing.

    Example:
        >>> import hypothesis, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.names())
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_name(name):
        ...     assert ks.derive(ks.key(0), name).shape == ()
        >>> test_name()
    """
    alike = st.integers(-20, 20).map(str)
    return _WORDS | alike | st.binary(min_size=1, max_size=12)


def paths(*, min_size: int = 0, max_size: int = 4) -> Strategy:
    """Return a strategy for the paths of names and integers that `ks.derive` takes.

    Args:
        min_size: Parts of the shortest path.
        max_size: Parts of the longest path.

    Returns:
        A strategy of tuples, for `ks.derive(key, *path)`. It shrinks to `()`, and a part
        to `'a'` or 0.

    Key use:
        Uses no key.

    Guarantees:
        Integers are positions in all, negative ones and ones above 2**32 and 2**63 among
        them: of implementations without a public cipher only names fit, and integers from
        0 to 2**32 - 1.

    Raises:
        ArgumentValueError: Sizes below zero, or in the wrong order.

    Example:
        >>> import hypothesis, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.paths())
        ... @hypothesis.settings(max_examples=5, deadline=None, database=None)
        ... def test_path(path):
        ...     assert ks.derive(ks.key(0), *path).shape == ()
        >>> test_path()
    """
    if not 0 <= min_size <= max_size:
        wanted = "between 0 and max_size"
        raise error(ArgumentValueError, "paths", "min_size", wanted, min_size)
    edges = st.sampled_from([2**31, 2**32, 2**63 - 1, 2**63, -1, -(2**62), -(2**62) - 1])
    parts = _SMALL | names() | st.integers(-(2**70), 2**70) | edges
    return st.lists(parts, min_size=min_size, max_size=max_size).map(tuple)


def meshes(
    axis_names: Sequence[str] = ("data", "model"), *, max_devices: int | None = None
) -> Strategy:
    """Return a strategy for meshes over the devices that there are.

    Args:
        axis_names: The names to choose from: a mesh has the first one, the first two, ...
        max_devices: At most so many devices. If not given, all that there are.

    Returns:
        A strategy of `jax.sharding.Mesh`es over the first devices. It shrinks to one device
        on one axis, and prints as a call of `jax.make_mesh`.

    Key use:
        Uses no key.

    Guarantees:
        All shapes come whose product is at most the number of devices, with axes of type
        Auto and Explicit. Each mesh is a compilation for what is tested.

    Raises:
        ArgumentTypeError: The names are no sequence of str.
        ArgumentValueError: No name, or fewer than one device.

    Example:
        >>> import hypothesis, jax, keystream as ks
        >>> from keystream import testing
        >>> @hypothesis.given(testing.meshes(("data",), max_devices=1))
        ... @hypothesis.settings(max_examples=2, deadline=None, database=None)
        ... def test_mesh(mesh):
        ...     where = jax.sharding.NamedSharding(mesh, jax.P("data"))
        ...     assert ks.keys(ks.key(0), 4, out_sharding=where).shape == (4,)
        >>> test_mesh()
    """
    texts = not isinstance(axis_names, str) and all(isinstance(name, str) for name in axis_names)
    if not texts or not axis_names:
        cls = ArgumentValueError if texts else ArgumentTypeError
        cure = 'For one axis: axis_names=("data",).'
        raise error(cls, "meshes", "axis_names", "one or more names", axis_names, cure)
    if max_devices is not None and max_devices < 1:
        raise error(ArgumentValueError, "meshes", "max_devices", "one or more", max_devices)
    return st.deferred(lambda: _meshes(tuple(axis_names), max_devices))


def _meshes(names: tuple[str, ...], max_devices: int | None) -> Strategy:
    most = min(jax.device_count(), max_devices or jax.device_count())

    def of(shape: tuple[int, ...]) -> Strategy:
        kinds = [_types(kind, len(shape)) for kind in (AxisType.Auto, AxisType.Explicit)]
        given = st.just(shape), st.just(names[: len(shape)]), st.sampled_from(kinds)
        return build_shown("jax.make_mesh", _make_mesh, *given)

    shapes = [shape for axes in range(1, len(names) + 1) for shape in _shapes(axes, most)]
    return st.sampled_from(shapes).flatmap(of)


def _types(kind: AxisType, axes: int) -> Code:
    # Short: of a call and a mesh's own text, which isn't code, hypothesis prints the shorter one.
    return Code((kind,) * axes, f"(jax.sharding.{kind},)" + (f" * {axes}" if axes > 1 else ""))


def _make_mesh(shape: tuple[int, ...], names: tuple[str, ...], types: Any) -> jax.sharding.Mesh:
    return jax.make_mesh(shape, names, types, devices=jax.devices()[: math.prod(shape)])


def _shapes(axes: int, most: int) -> list[tuple[int, ...]]:
    if axes == 0:
        return [()]
    shapes = [(*s, n) for s in _shapes(axes - 1, most) for n in range(1, most // math.prod(s) + 1)]
    return sorted(shapes, key=lambda shape: (math.prod(shape), shape))


class Code:
    """A value that is printed as the code of it."""

    def __init__(self, value: Any, code: str) -> None:
        self.value, self.code = value, code

    def __repr__(self) -> str:
        return self.code


def build_shown(
    name: str,
    fun: Callable[..., Any],
    /,
    *args: Strategy,
    **kwargs: Strategy,
) -> Strategy:
    """Return a strategy for what a function makes, printed as a call of it by that name.

    hypothesis prints what `builds` made as the call that made it, by the name of what was
    called: here that under which people know it, `ks.key` and not `key`.
    """

    def call(*given: Any, **named: Any) -> Any:
        given = tuple(each.value if isinstance(each, Code) else each for each in given)
        return fun(*given, **named)

    call.__name__ = call.__qualname__ = name
    return st.builds(call, *args, **kwargs)
