"""Host keys -> JAX and back, and -> the random sources of NumPy, Python and torch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from keystream._errors import KeyImplError, error
from keystream._keys import generators
from keystream.host._check import KIND, check_key, check_keys, public

if TYPE_CHECKING:
    import jax
    import torch


@public
def from_jax(key: jax.Array, /) -> np.ndarray:
    """Return the words of a typed key, or of a key array: host keys.

    For the start of a data loader: `root = host.from_jax(ks.derive(key, "data"))`. It waits
    for the key and copies it from its device, so do it once, before workers are started.

    Args:
        key: A typed threefry2x32 key with concrete words, or an array of them.

    Returns:
        Host keys, uint32 of shape `(*key.shape, 2)`.

    Key use:
        Hands the key on: who goes on with both gets the same keys twice.

    Guarantees:
        `jax.random.key_data(key)`, and `host.to_jax(host.from_jax(key)) == key`.

    Raises:
        KeyTypeError: Not typed keys, or traced ones.
        KeyImplError: Of another implementation: the host has the cipher of threefry2x32 alone.

    Example:
        >>> import keystream as ks
        >>> from keystream import host
        >>> host.from_jax(ks.key(42)).tolist()
        [0, 42]
    """
    from keystream._checks import key as checks  # noqa: PLC0415 - imports JAX

    if not checks.check_keys(key, argument="key").cipher:
        wanted = f"of {KIND}, whose cipher is all that the host has"
        cure = "To make such a key: ks.key(42)."
        raise error(KeyImplError, "key", wanted, key, cure)
    return np.array(checks.check_concrete(key, "Outside of jit: ks.{caller}(key)."))


@public
def to_jax(key: np.ndarray, /) -> jax.Array:
    """Return host keys as typed JAX keys.

    Args:
        key: A host key, or an array of them, (..., 2).

    Returns:
        A typed threefry2x32 key, or a key array of the leading shape, on the default device.

    Key use:
        Hands the key on: who goes on with both gets the same keys twice.

    Guarantees:
        `jax.random.wrap_key_data(key, impl="threefry2x32")`, whatever JAX's settings are.

    Raises:
        KeyTypeError: `key` is no host key.

    Example:
        >>> import keystream as ks
        >>> from keystream import host
        >>> bool(host.to_jax(host.derive(host.key(42), "a")) == ks.derive(ks.key(42), "a"))
        True
    """
    from keystream._impl import wrap  # noqa: PLC0415 - imports JAX

    return wrap(check_keys(key), KIND)


@public
def numpy_generator(key: np.ndarray, /) -> np.random.Generator:
    """Return a `numpy.random.Generator` (PCG64) seeded with the whole of one host key.

    For the augmentation of one record: `host.numpy_generator(host.derive(root, epoch, record))`.

    Args:
        key: One host key.

    Returns:
        A new generator, which changes as it is drawn from.

    Key use:
        Consumes `key`.

    Guarantees:
        The generator of `interop.numpy_generator(host.to_jax(key))`. Its bits are the same for
        one `ks.SCHEME` on every machine and release; what its methods make of them is NumPy's.

    Raises:
        KeyTypeError: `key` isn't one host key.

    Example:
        >>> from keystream import host
        >>> host.numpy_generator(host.key(7)).integers(6, size=4).tolist()
        [5, 3, 1, 5]

    References:
        M. E. O'Neill (2014), "PCG: A Family of Simple Fast Space-Efficient Statistically Good
        Algorithms for Random Number Generation", HMC-CS-2014-0905.
    """
    return generators.make_numpy(_seed(key, "numpy"))


@public
def python_random(key: np.ndarray, /) -> random.Random:
    """Return a `random.Random` of its own, seeded with the whole of one host key.

    Args:
        key: One host key.

    Returns:
        A new generator (Mersenne Twister), which changes as it is drawn from.

    Key use:
        Consumes `key`.

    Guarantees:
        The generator of `interop.python_random(host.to_jax(key))`.

    Raises:
        KeyTypeError: `key` isn't one host key.

    Example:
        >>> from keystream import host
        >>> host.python_random(host.key(42)).getrandbits(32)
        1854858143
    """
    return random.Random(_seed(key, "python"))


@public
def torch_generator(key: np.ndarray, /, *, device: Any = "cpu") -> torch.Generator:
    """Return a `torch.Generator` with the whole of one host key in its state.

    Args:
        key: One host key.
        device: As in `torch.Generator`. Other devices' generators take a seed of 64 bits.

    Returns:
        A new generator, which changes as it is drawn from.

    Key use:
        Consumes `key`.

    Guarantees:
        The generator of `interop.torch_generator(host.to_jax(key), device=device)`. What torch
        makes of its state is torch's.

    Raises:
        KeyTypeError: `key` isn't one host key.
        NeighborMissingError: torch isn't installed, or its state has another layout.

    Example:
        >>> from keystream import host
        >>> generator = host.torch_generator(host.key(42))  # doctest: +SKIP
    """
    generator: torch.Generator = generators.make_torch(_seed(key, "torch"), device)
    return generator


def _seed(key: Any, use: str) -> int:
    return generators.hash_words(check_key(key), KIND, use)
