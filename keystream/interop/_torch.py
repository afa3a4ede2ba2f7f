"""A key -> torch's random source, with its whole state set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from keystream._errors import public
from keystream._keys.generators import make_torch
from keystream.interop._entropy import entropy

if TYPE_CHECKING:
    import torch


@public
def torch_generator(key: jax.Array, /, *, device: Any = "cpu") -> torch.Generator:
    """Return a `torch.Generator` with the whole of one key in its state.

    For torch code that takes `generator=`: samplers, `DataLoader`, `torch.randn`.
    `torch.manual_seed` on a CPU takes 64 bits and uses 32 of them: seeds that differ by
    2**32 give the same numbers. Here all 624 words of the Mersenne Twister are set, by
    Python's `random.Random(seed)` from 256 bits.

    Args:
        key: One typed key with concrete words.
        device: As in `torch.Generator`. Other devices' generators take a seed of 64 bits.

    Returns:
        A new generator, which changes as it is drawn from. Its `initial_seed()` is the low
        64 bits of the 256.

    Key use:
        Consumes `key`: what is drawn from the generator is drawn from it.

    Guarantees:
        The state is the same for one `ks.SCHEME` on every machine, release and setting. What
        torch makes of it is torch's, which promises no reproducibility from one release,
        platform or device to another. On other devices 64 bits are kept, as many as a
        threefry2x32 key has, and of n keys two share them with probability n*n/2**65.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, traced, or refused.
        NeighborMissingError: torch isn't installed, or its state has another layout.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> generator = interop.torch_generator(ks.key(42))  # doctest: +SKIP
        >>> torch.randint(6, (4,), generator=generator)  # doctest: +SKIP

    References:
        M. Matsumoto, T. Nishimura (1998), "Mersenne Twister: a 623-dimensionally
        equidistributed uniform pseudo-random number generator", doi:10.1145/272991.272995.
    """
    generator: torch.Generator = make_torch(entropy(key, "torch"), device)
    return generator
