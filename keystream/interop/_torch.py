"""A key -> torch's random source, with its whole state set."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from keystream._errors import Phrase, error, public
from keystream.interop._entropy import entropy
from keystream.interop._neighbor import NeighborMissingError, neighbor

if TYPE_CHECKING:
    import torch

_MASK = 2**64 - 1
_STATE_BYTES, _STATE_WORDS, _FIRST = 5056, 624, 3
"""A CPU generator's state: the seed, where it stands, and 624 words in 64 bits each; at the
end what is left of a normal draw."""


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
    seed = entropy(key, "torch")
    torch = neighbor("torch", "torch")
    generator = torch.Generator(device=device)
    generator.manual_seed(seed & _MASK)
    if generator.device.type == "cpu":
        held = generator.get_state()
        _fill(held.numpy(), seed)
        generator.set_state(held)
    return generator


def mersenne(seed: int) -> tuple[int, ...]:
    """Return the 624 words of Python's Mersenne Twister seeded with an int."""
    words: tuple[int, ...] = random.Random(seed).getstate()[1]
    return words[:_STATE_WORDS]


def _fill(held: np.ndarray, seed: int) -> None:
    """Write the words into a CPU generator's state that was just seeded with the low bits."""
    # torch writes its state as it lies in memory and doesn't document it. Its first word is
    # the low half of the seed: if that stands elsewhere, nothing is written.
    if held.size != _STATE_BYTES or int(held.view(np.uint64)[_FIRST]) != seed & 0xFFFFFFFF:
        wanted = "one whose generator has 624 words where torch 2 has them"
        got = Phrase("another layout")
        cure = "For a seed of 64 bits: generator.manual_seed(interop.int_seed(key, bits=64))."
        raise error(NeighborMissingError, "torch", wanted, got, cure)
    held.view(np.uint64)[_FIRST : _FIRST + _STATE_WORDS] = mersenne(seed)
