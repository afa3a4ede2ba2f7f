"""A key -> Python's `random`. The way back is `ks.key(rng.getrandbits(128))`."""

from __future__ import annotations

import random

import jax

from keystream._errors import public
from keystream.interop._entropy import entropy


@public
def python_random(key: jax.Array, /) -> random.Random:
    """Return a `random.Random` of its own, seeded with the whole of one key.

    For host code that draws with Python's `random`. The module's global generator stays as it
    is; for code that draws from that: `random.seed(interop.int_seed(key, bits=256))`.

    Args:
        key: One typed key with concrete words.

    Returns:
        A new generator (Mersenne Twister), which changes as it is drawn from.

    Key use:
        Consumes `key`: what is drawn from the generator is drawn from it.

    Guarantees:
        Seeded with an int of 256 bits, a SHA-256 of the key; the same for one `ks.SCHEME` on
        every machine, release and setting. Python promises that `random()` stays the same
        from a seed; its other methods (`shuffle`, `choice`, `gauss`, ...) may change from
        one Python to another.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, traced, or refused.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> interop.python_random(ks.key(42)).getrandbits(32)
        1854858143

    References:
        M. Matsumoto, T. Nishimura (1998), "Mersenne Twister: a 623-dimensionally
        equidistributed uniform pseudo-random number generator", doi:10.1145/272991.272995.
    """
    return random.Random(entropy(key, "python"))
