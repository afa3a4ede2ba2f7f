"""Turn names and integers into counters by the frozen scheme of `docs/scheme.md`.

A counter is a 64-bit number in two uint32 words. For threefry2x32 the child of a key at a
counter is one block of its cipher, and a block is a bijection of the counter, so different
counters never give equal children. The two top bits say whose a counter is:

    00, 01  positions 0 .. 2**63 - 1, splits, folds and draws
    11      positions -2**62 .. -1
    10      names, integers beyond the positions, random orders: 62 bits of a hash
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keystream._checks.names import check_name
from keystream._checks.static import Integer, integer_type, is_typed, static_int
from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, error, summary
from keystream._known import NARROW_END, POSITIONS_END, Impl

SCHEME: int = 1
"""Version of the derivation. Its published vectors never change within a version."""

NAME_TAG = 0x84D591EC
"""Announces a name, as a position, to implementations without a public cipher: the first
four bytes of SHA-256 of "keystream:1:name" with the top bit set, far from where counting
starts."""

FIRST_POSITION = -(2**62)
"""Below it, two's complement would have the top bits of names."""

_PREFIX = {str: b"keystream:1:str:", bytes: b"keystream:1:bytes:", int: b"keystream:1:int:"}


class Counter(NamedTuple):
    """A 64-bit counter in two words; `hi=None` is a high word known to be zero."""

    hi: Any
    lo: Any


def counters(part: Any, impl: Impl, cure: str = "") -> tuple[Counter, ...]:
    """Return the counters that one static part of a path stands for, one after the other."""
    number = static_int(part)
    if not (number is None or impl.cipher or 0 <= number < NARROW_END):
        wanted = "a position from 0 to 2**32 - 1, all that a key without a public cipher has"
        raise error(ArgumentValueError, "path", wanted, number, _NARROW_CURE)
    counter = _counter(part_number(part, cure))
    if impl.cipher or number is not None:
        return (counter,)
    return (
        Counter(None, np.uint32(NAME_TAG)),
        Counter(None, counter.hi),
        Counter(None, counter.lo),
    )


def part_number(part: Any, cure: str = "") -> int:
    """Return the counter of one static part of a path as an int of 64 bits."""
    if isinstance(part, (str, bytes)):
        return _hash_part(check_name(part))
    number = static_int(part)
    if number is None:
        raise bad_part(part, cure)
    return number % 2**64 if FIRST_POSITION <= number < POSITIONS_END else _hash_part(number)


_NARROW_CURE = "For any integer: ks.derive(key, str(i))."


REMEMBERED = 256
"""Bytes of the integers, and length of the names, of which the hash is remembered: longer ones
may be whole documents."""


def hash_part(part: str | bytes | int) -> Counter:
    """Return the counter of a name, or of an integer that is no position."""
    return _counter(_hash_part(part))


def _hash_part(part: str | bytes | int) -> int:
    length = part.bit_length() // 8 if isinstance(part, int) else len(part)
    return _remembered(part) if length <= REMEMBERED else _hashed(part)


def _hashed(part: str | bytes | int) -> int:
    return _hash_under(_PREFIX[type(part)], part)


def _hash_under(prefix: bytes, part: str | bytes | int) -> int:
    digest = hashlib.sha256(prefix + encode(part)).digest()
    return 2**63 | int.from_bytes(digest[:8], "big") & (2**62 - 1)


_remembered = functools.lru_cache(maxsize=65536)(_hashed)


def shuffle_counter(n: int) -> Counter:
    """Return the counter of the child that a random order of `n` numbers is made of."""
    return _counter(_hash_under(b"keystream:1:shuffle:", n))


def encode(part: str | bytes | int) -> bytes:
    """Write a name or an integer as bytes, differently for each within its type."""
    if isinstance(part, str):
        return part.encode()
    return part if isinstance(part, bytes) else _decimal(part).encode()


def _decimal(number: int) -> str:
    """Write an int of any size: Python itself refuses thousands of digits at once."""
    if number.bit_length() < _BITS_AT_ONCE:
        return str(number)
    if number < 0:
        return f"-{_decimal(-number)}"
    digits = number.bit_length() * 3 // 20  # about half of them
    high, low = divmod(number, 10**digits)
    return _decimal(high) + _decimal(low).zfill(digits)


_BITS_AT_ONCE = 2048
"""Numbers of up to 640 digits are written whatever Python's limit is set to."""


def check_ids(part: Any) -> Integer:
    """Return what the dtype of an array part is; refuse one that is no row of positions."""
    if isinstance(part, np.ma.MaskedArray):
        wanted, got = "of arrays without a mask", Phrase("a masked array")
        cure = "For what isn't masked: ks.{caller}(key, ids.compressed())."
        raise error(ArgumentTypeError, "path", wanted, got, cure)
    kind = integer_type(part.dtype)
    if kind is None:
        raise bad_part(part)
    if kind == Integer(64, signed=False):
        cure = (
            "For two parts: ks.{caller}"
            '(key, (ids >> 32).astype("uint32"), (ids & 0xffffffff).astype("uint32")).'
        )
        raise error(ArgumentTypeError, "path", "of arrays below 64 bits or int64", part, cure)
    return kind


def check_range(part: Any, pieces: list[np.ndarray], impl: Impl) -> None:
    """Refuse an array part, held in pieces, with a value that is no position."""
    lowest, end = ends(impl)
    for piece in pieces:
        if piece.size and (int(piece.min()) < lowest or int(piece.max()) >= end):
            wanted = f"of positions from {_power(lowest)} to {_power(end)} - 1"
            got = Phrase(f"{summary(part)} with others among them")
            cure = "" if impl.cipher else _NARROW_CURE
            raise error(ArgumentValueError, "path", wanted, got, cure)


def ends(impl: Impl) -> tuple[int, int]:
    """Return the first position of an array part, and the end of them."""
    return (FIRST_POSITION, POSITIONS_END) if impl.cipher else (0, NARROW_END)


def _power(number: int) -> str:
    return str(number) if number == 0 else f"{'-' * (number < 0)}2**{abs(number).bit_length() - 1}"


def bad_part(part: Any, told: str = "") -> ArgumentTypeError:
    """Word the error of what is no part of a path; `told` is its cure, if another is better."""
    wanted = "made of names, integers and integer arrays"
    if is_typed(part) and not part.shape:
        cure = "For a name made of it: ks.{caller}(key, ks.fingerprint(part))."
    elif is_typed(part) or (isinstance(part, np.ndarray) and part.dtype.kind in "OSU"):
        cure = ""
    elif isinstance(part, (tuple, list)):
        cure = "For a path: ks.{caller}(key, *path). For an array of positions: np.asarray(ids)."
    elif getattr(part, "shape", None):
        cure = "For positions: ks.{caller}(key, ids.astype('int32'))."
    elif hasattr(part, "shape") and not isinstance(part, (np.ndarray, np.generic)):
        cure = "For a position: ks.{caller}(key, i.astype('int32'))."  # int(i) fails under jit
    elif isinstance(part, float) or hasattr(part, "dtype"):
        cure = "For a position: ks.{caller}(key, int(i))."
    else:
        cure = "For its text: ks.{caller}(key, str(part))."
    return error(ArgumentTypeError, "path", wanted, part, told or cure)


def broadcast(
    shape: tuple[int, ...],
    other: tuple[int, ...],
    rule: Callable[..., tuple[int, ...]] = np.broadcast_shapes,
) -> tuple[int, ...]:
    """Return what the shapes of two parts broadcast to."""
    try:
        return rule(shape, other)
    except ValueError:
        got = Phrase(f"{shape} and {other}")
        cure = "For every pair: ks.{caller}(key, a[:, None], b[None, :])."
        wanted = "of arrays whose shapes broadcast"
        raise error(ArgumentValueError, "path", wanted, got, cure) from None


def array_counter(ids: Any) -> Counter:
    """Return the counters of an integer array: two's complement, as wide as the array is.

    Works alike on NumPy arrays, concrete JAX arrays and tracers of every integer dtype
    but uint64. Both words come from `ids`, so they have one shape, one sharding and vary
    over the same mesh axes.
    """
    kind = integer_type(ids.dtype)
    if kind is None or not kind.signed:
        return Counter(None, ids.astype(np.uint32))
    if kind.bits < 32:
        ids = ids.astype(np.int32)
    wide = kind.bits == 64
    return Counter((ids >> (32 if wide else 31)).astype(np.uint32), ids.astype(np.uint32))


def narrow(counter: Counter) -> Counter:
    """Drop the high word, for implementations whose positions have 32 bits."""
    return Counter(None, counter.lo)


def widen(counter: Counter) -> Counter:
    """Write out a high word known to be zero, so that all static counters look alike."""
    return Counter(np.uint32(0), counter.lo) if counter.hi is None else counter


def advance(base: Counter, offset: Counter) -> Counter:
    """Add two counters modulo 2**64; without high words their sum is known to fit one."""
    lo = base.lo + offset.lo
    if base.hi is None and offset.hi is None:
        return Counter(None, lo)
    hi = (lo < offset.lo).astype(np.uint32)
    for high in (base.hi, offset.hi):
        hi = hi if high is None else hi + high
    return Counter(hi, lo)


def _counter(number: int) -> Counter:
    hi, lo = number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF
    return Counter(np.uint32(hi) if hi else None, np.uint32(lo))
