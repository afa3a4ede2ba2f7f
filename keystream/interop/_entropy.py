"""A key -> an int, for what is seeded by numbers."""

from __future__ import annotations

import jax
import numpy as np

from keystream._checks.key import check_concrete, check_key
from keystream._checks.numbers import check_count
from keystream._errors import ArgumentValueError, error, public
from keystream._keys.generators import hash_words

ENTROPY_BITS = 256
"""All that SHA-256 gives: no implementation's key is wider."""


def entropy(key: jax.Array, use: str, rest: str = "") -> int:
    """Hash one key for one use into an int of 256 bits."""
    call = f"interop.{{caller}}(key{rest})"
    check_key(key, each=f"[{call} for key in keys.ravel()]")
    held = check_concrete(key, f"Outside of jit: {call}.")
    return hash_words(np.asarray(held), str(jax.random.key_impl(key)), use)


@public
def int_seed(key: jax.Array, /, *, bits: int) -> int:
    """Return an int seed of so many bits, derived from one key.

    For libraries that take nothing but a number: 32 bits for grain, scikit-learn and
    TensorFlow, 64 for `torch.manual_seed`. Where a wider way in exists, take that:
    `numpy_generator`, `python_random`, `torch_generator`.

    `int_seed(key, bits=b) == int_seed(key, bits=256) % 2**b`.

    Args:
        key: One typed key with concrete words.
        bits: How many bits, from 1 to 256.

    Returns:
        A Python int in [0, 2**bits).

    Key use:
        Consumes `key`: what the other library draws is drawn from it. Derive a key for each
        seed, `interop.int_seed(ks.derive(key, "shuffle", epoch), bits=32)`.

    Guarantees:
        The low bits of a SHA-256 of the key, so neither a child nor a draw of it. The same
        number for one `ks.SCHEME` on every machine, release and setting. Of n keys two get
        one seed of b bits with probability of about n*n/2**(b + 1): at 32 bits 1 % for 9,300
        keys. A narrow seed is what the other library takes; nothing here can widen it.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, traced, or refused.
        ArgumentTypeError, ArgumentValueError: `bits` is no count from 1 to 256.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> interop.int_seed(ks.derive(ks.key(42), "shuffle"), bits=32)
        4194074044
    """
    width = check_count("bits", bits, most=ENTROPY_BITS)
    if not width:
        raise error(ArgumentValueError, "bits", "a count of 1 at least", width)
    return entropy(key, "int", ", bits=32") & ((1 << width) - 1)
