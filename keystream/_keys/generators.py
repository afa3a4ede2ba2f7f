"""Seed the random sources of NumPy, Python and torch with a hash of a key's words, without JAX."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np

from keystream._checks.neighbor import NeighborMissingError, neighbor
from keystream._errors import Phrase, error

_MASK = 2**64 - 1
_STATE_BYTES, _STATE_WORDS, _FIRST = 5056, 624, 3
"""A CPU generator's state: the seed, where it stands, and 624 words in 64 bits each; at the
end what is left of a normal draw."""


def hash_words(words: np.ndarray, kind: str, use: str) -> int:
    """Hash the words of one key of an implementation for one use into an int of 256 bits.

    The uses are kept apart by a prefix, since Python's `random`, NumPy's `RandomState` and
    torch all run a Mersenne Twister: from one int they would give one sequence.
    """
    prefix = f"keystream:1:interop:{use}:{kind}:".encode()
    digest = hashlib.sha256(prefix + words.astype(">u4").tobytes())
    return int.from_bytes(digest.digest(), "big")


def make_numpy(seed: int) -> np.random.Generator:
    """Return NumPy's PCG64, by name and not what `default_rng` chooses."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def make_torch(seed: int, device: Any) -> Any:
    """Return torch's generator: its whole state on a CPU, 64 bits of the seed elsewhere."""
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
