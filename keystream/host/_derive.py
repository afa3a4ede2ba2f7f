"""Make host keys from seeds, and from one another: `key`, `derive`, `split`, `keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from keystream._checks.names import check_names
from keystream._checks.static import (
    check_num,
    check_shape,
    check_start,
    concrete_int,
    is_typed,
    size_of,
)
from keystream._errors import KeyTypeError, error
from keystream._keys import cipher, scheme, seeds
from keystream._keys.scheme import Counter
from keystream._known import POSITIONS_END
from keystream.host._check import IMPL, check_key, check_keys, public

if TYPE_CHECKING:
    from keystream._types import Part, Position, Seed, Shape


@public
def key(seed: Seed) -> np.ndarray:
    """Make one host key from whatever a person writes down as a seed.

    `host.key(seed) == jax.random.key_data(ks.key(seed))`.

    Args:
        seed: As in `ks.key`: an int of any size and sign, a non-empty str or bytes, a
            non-empty list or tuple of ints, a `numpy.random.SeedSequence`, or a legacy uint32
            key of shape (2,), of which comes a copy. For a typed key see `from_jax`.

    Returns:
        A host key, uint32 of shape (2,).

    Key use:
        Consumes nothing; makes one key. The same seed gives the same key.

    Guarantees:
        An int in [0, 2**64) is the key's two words, so such seeds never collide; everything
        else is hashed (SHA-256) to them. The same on every machine, in every process.

    Raises:
        ArgumentTypeError: The seed is a float, a bool, None, or another type.
        ArgumentValueError: The seed is empty.
        KeyTypeError: A typed key, or a uint32 array of another shape.

    Example:
        >>> from keystream import host
        >>> host.key(42).tolist()
        [0, 42]
    """
    if is_typed(seed):
        cure = "For the words of a JAX key: ks.{beside}from_jax(key)."
        raise error(KeyTypeError, "seed", "a seed", seed, cure)
    if getattr(seed, "dtype", None) == np.uint32 and getattr(seed, "ndim", 0):
        return check_key(np.asarray(seed), "seed").copy()
    number = concrete_int(seed)
    if number is not None and 0 <= number < seeds.DIRECT_END:
        return seeds.direct_words(number)
    return seeds.hash_seed(seed, number, IMPL.words)


@public
def derive(key: np.ndarray, /, *path: Part) -> np.ndarray:
    """Derive the child of a host key at a path of names, positions and arrays.

    `host.derive(key, a, b) == host.derive(host.derive(key, a), b)`, and of a key `k` of JAX
    `host.derive(host.from_jax(k), *path) == jax.random.key_data(ks.derive(k, *path))`.

    Args:
        key: A host key, or an array of them, (..., 2): with no `vmap` on the host, its leading
            shape broadcasts against the parts as if it were one.
        *path: Parts as in `ks.derive`: names (non-empty str or bytes), ints of any size,
            integer arrays of any dtype but uint64, which broadcast against each other.

    Returns:
        A new host key, or an array of them: uint32 of the broadcast shape and (2,).

    Key use:
        Uses up one child, not the key: derive again with another part, but never also draw
        from that key, split it or hand it on.

    Guarantees:
        Those of `ks.derive` for threefry2x32. One key of three parts takes about 20 us, a
        million about 0.1 s; both are safe in threads.

    Raises:
        KeyTypeError: `key` is no host key.
        ArgumentTypeError: A part is a float, a bool, a uint64 array, or another type.
        ArgumentValueError: An empty name, an array with a value below -2**62, or arrays
            whose shapes don't broadcast.

    Example:
        >>> import numpy as np
        >>> from keystream import host
        >>> host.derive(host.key(42), "augment", 3, np.arange(5)).shape
        (5, 2)
    """
    made: Any = check_keys(key)
    shape = made.shape[:-1]
    steps: list[int | Counter] = []
    for part in path:
        if hasattr(part, "shape") and not isinstance(part, np.generic):
            counter = _check_ids(part)
            shape = scheme.broadcast(shape, counter.lo.shape)
            steps.append(counter)
        else:
            steps.append(scheme.part_number(part))
    if not steps:
        return check_keys(key).copy()
    one = made.tolist() if made.ndim == 1 else None
    for step in steps:
        if one is not None and isinstance(step, int):
            one = cipher.block(one, step)
        else:
            made = _children(made if one is None else np.array(one, np.uint32), step)
            one = None
    return made if one is None else np.array(one, np.uint32)


def _check_ids(part: Any) -> Counter:
    kind = scheme.check_ids(part)
    ids = np.asarray(part)
    first, end = scheme.ends(IMPL)
    if kind.least < first or kind.end > end:
        scheme.check_range(ids, [ids], IMPL)
    return scheme.array_counter(ids)


def _children(keys: np.ndarray, step: int | Counter) -> np.ndarray:
    """Return child `step[i]` of `keys[i]`; the two broadcast as in NumPy."""
    if isinstance(step, int):
        step = Counter(np.uint32(step >> 32), np.uint32(step & 0xFFFFFFFF))
    hi = np.uint32(0) if step.hi is None else step.hi
    shape = np.broadcast_shapes(keys.shape[:-1], np.shape(step.lo))
    if keys.ndim > 1:
        keys = np.broadcast_to(keys, (*shape, 2)).reshape(-1, 2)
    words = [np.broadcast_to(word, shape).reshape(-1) for word in (hi, step.lo)]
    return cipher.threefry2x32(keys, *words).reshape(*shape, 2)


@overload
def split(key: np.ndarray, /, num: Literal[2] = 2) -> tuple[np.ndarray, np.ndarray]: ...
@overload
def split(key: np.ndarray, /, num: int | np.integer[Any]) -> tuple[np.ndarray, ...]: ...
@overload
def split(key: np.ndarray, /, num: tuple[str, ...] | list[str]) -> dict[str, np.ndarray]: ...
@overload
def split(
    key: np.ndarray, /, num: tuple[str | bytes, ...] | list[str | bytes]
) -> dict[str | bytes, np.ndarray]: ...
@public
def split(key: np.ndarray, /, num: Any = 2) -> Any:
    """Split one host key once, into a tuple of keys or a dict of named children.

    `host.split(key, n)[i] == host.derive(key, i)`, and
    `host.split(key, names)[name] == host.derive(key, name)`.

    Args:
        key: One host key.
        num: How many keys, from 0 to 64; or names, a tuple or list of distinct non-empty
            str or bytes.

    Returns:
        A tuple of `num` host keys, or a dict from name to host key in the order of the names.

    Key use:
        Consumes `key` when given a count: don't use it again. With names it uses up those
        named children.

    Guarantees:
        Those of `ks.split`: a longer split begins with the shorter one; adding, removing or
        reordering names changes no other name's key.

    Raises:
        KeyTypeError: `key` isn't one host key.
        ArgumentTypeError: `num` is a float, a bool, one name, or a shape.
        ArgumentValueError: `num` is negative or above 64; a name is empty or given twice.

    Example:
        >>> from keystream import host
        >>> flip, shift, erase = host.split(host.key(42), 3)
        >>> flip.shape
        (2,)
    """
    held = check_key(key)
    wanted = check_num(num)
    if isinstance(wanted, int):
        return tuple(_row(held, wanted, 0))
    names = check_names(wanted, argument="names")
    blocks = [cipher.block(held.tolist(), scheme.part_number(name)) for name in names]
    return {name: np.array(block, np.uint32) for name, block in zip(names, blocks, strict=True)}


@public
def keys(key: np.ndarray, /, shape: Shape, *, start: Position = 0) -> np.ndarray:
    """Return an array of host keys: consecutive children of one key, in C order.

    `host.keys(key, n, start=s)[i] == host.derive(key, s + i)`.

    Args:
        key: One host key.
        shape: An int, or a tuple of sizes of zero or more; `()` gives child `start`.
        start: Position of the first key, an integer from 0 to 2**63 less their number.

    Returns:
        Host keys, uint32 of shape `(*shape, 2)`.

    Key use:
        Consumes `key`: use it again only for ranges of positions that don't overlap.

    Guarantees:
        Those of `ks.keys`: the shape changes no key at a position.

    Raises:
        KeyTypeError: `key` isn't one host key.
        ArgumentTypeError: `shape` or `start` of another type.
        ArgumentValueError: A negative size or start, or a start beyond the positions.

    Example:
        >>> from keystream import host
        >>> host.keys(host.key(42), (4, 3)).shape
        (4, 3, 2)
    """
    held = check_key(key)
    sizes = check_shape(shape)
    total = size_of(sizes)
    first = check_start("start", start, total, POSITIONS_END)
    return _row(held, total, first).reshape(*sizes, 2)


def _row(key: np.ndarray, total: int, first: int) -> np.ndarray:
    numbers = np.arange(total, dtype=np.uint64) + np.uint64(first)
    hi, lo = (numbers >> np.uint64(32)).astype(np.uint32), numbers.astype(np.uint32)
    return cipher.threefry2x32(key, hi, lo)
