"""Make a key from a seed: an int of any size, text, bytes, a list or a SeedSequence."""

from __future__ import annotations

import functools
import hashlib
import secrets
from typing import Any

import jax
import numpy as np

from keystream import _compat
from keystream._checks.key import check_concrete, check_key, legacy_cure
from keystream._checks.numbers import check_integer
from keystream._checks.values import check_not_donated, is_traced, read_setting
from keystream._errors import (
    ArgumentTypeError,
    KeyImplError,
    KeyTypeError,
    Phrase,
    error,
    public,
)
from keystream._impl import IMPLS, is_legacy_key, is_typed_key, wrap
from keystream._keys.seeds import DIRECT_END, direct_words, hash_seed, listed
from keystream._types import Seed


@public
def key(seed: Seed, *, impl: Any = None) -> jax.Array:
    """Make one typed key from whatever a person writes down as a seed.

    The one place where randomness enters a program; everything else is derived from the
    key that comes back. For a seed that differs each time see `fresh_seed`.

    For every int in [0, 2**32), under JAX's default settings,
    `ks.key(n) == jax.random.key(n)`.

    Args:
        seed: An int of any size and sign (Python, NumPy, or a concrete JAX scalar), a
            non-empty str or bytes, a non-empty list or tuple of ints, or a
            `numpy.random.SeedSequence`. A typed key comes back as it is; a legacy uint32
            key is wrapped: of shape (2,) as threefry2x32, of another only with `impl`.
        impl: The implementation, as a name (`"threefry2x32"`, `"threefry4x32"`,
            `"philox4x32"`, `"rbg"`) or as a key dtype. threefry2x32 if not given.

    Returns:
        A key: typed, shape (), dtype `key<...>`, on the default device, uncommitted.

    Key use:
        Consumes nothing; makes one key. The same seed gives the same key: two keys from
        one seed are one key, to be used once.

    Guarantees:
        No setting changes the key, neither `jax_default_prng_impl` nor `jax_enable_x64`
        nor `jax_random_seed_offset`. An int in [0, 2**64) is JAX's own seed with 64-bit
        types on, which for threefry2x32 is the key's two words, so such seeds never
        collide. Everything else is hashed (SHA-256; a SeedSequence by its own
        `generate_state`) to the key's width, 64 bits for threefry2x32: different seeds
        may collide, with probability about n*n/2**65 among n of them.

    Raises:
        ArgumentTypeError: The seed is a float, a bool, None, traced, or another type.
        ArgumentValueError: The seed is empty.
        KeyTypeError: A legacy key whose shape isn't that of one key of `impl`.
        KeyImplError: `impl` is unknown, refused, or contradicts a typed key.

    Example:
        >>> import jax, keystream as ks
        >>> ks.key(42).shape
        ()
        >>> bool(ks.key(42) == jax.random.key(42))
        True
        >>> bool(ks.key(2**32) == ks.key(0))
        False
        >>> bool(ks.key("run 7") == ks.key(b"run 7"))
        False

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random
        numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
        FIPS PUB 180-4 (2015), "Secure Hash Standard", doi:10.6028/NIST.FIPS.180-4.
    """
    if is_typed_key(seed):
        return _typed(seed, impl)
    kind = "threefry2x32" if impl is None else _impl_name(impl)
    check_not_donated("seed", seed)
    if is_legacy_key(seed) and seed.ndim:
        return _legacy(seed, kind, given=impl is not None)
    if is_traced(seed):
        cure = "For a key per traced integer: ks.derive(key, seed)."
        raise error(ArgumentTypeError, "seed", "known while tracing", seed, cure)
    number = check_integer("seed", seed)
    if number is not None and 0 <= number < DIRECT_END:
        return _direct(number, kind)
    whole = functools.partial(check_integer, "seed")
    return wrap(hash_seed(seed, number, IMPLS[kind].words, whole), kind)


@public
def fresh_seed() -> int:
    """Draw a 128-bit seed from the operating system, to print and to replay.

    Use it where a run should differ each time and still be repeatable; for a run that
    should not differ write a number.

    Returns:
        An int in [0, 2**128).

    Key use:
        Consumes nothing and makes no key: `ks.key(seed)` does.

    Guarantees:
        Comes from `secrets`, so it differs between processes: on several, use one
        process's seed for all of them. threefry2x32 keys hold 64 of the 128 bits.

    Raises:
        NotImplementedError: The operating system has no source of randomness (Python's).

    Example:
        >>> import keystream as ks
        >>> seed = ks.fresh_seed()
        >>> 0 <= seed < 2**128
        True
        >>> bool(ks.key(seed) == ks.key(seed))
        True
    """
    return secrets.randbits(128)


@public
def fingerprint(key: jax.Array, /) -> str:
    """Return a short stable text for one key, to print in logs and to compare by eye.

    Equal keys of one implementation have equal fingerprints, in every process and
    version; different keys have different ones, but for n*n/2**65 among n.

    Args:
        key: One typed key with concrete words.

    Returns:
        The implementation and 16 hexadecimal digits, as in `"threefry2x32:ab844c5d73de610a"`.

    Key use:
        Consumes nothing: the key can still be used.

    Guarantees:
        The digits are a hash (SHA-256): they don't show the key's words. It waits for the
        key and copies it to the host.

    Raises:
        KeyTypeError: Not one typed key, or a traced one.
        KeyImplError: An implementation that keystream refuses.

    Example:
        >>> import keystream as ks
        >>> ks.fingerprint(ks.key(42))
        'threefry2x32:ab844c5d73de610a'
    """
    check_key(key, each="[ks.fingerprint(k) for k in keys.ravel()]")
    held = check_concrete(key, "Outside of jit: ks.fingerprint(key).")
    return format_fingerprint(str(jax.random.key_impl(key)), np.asarray(held))


def format_fingerprint(kind: str, words: np.ndarray) -> str:
    """Return the fingerprint of a key, from the name of its implementation and its words."""
    content = words.astype("<u4").tobytes()
    digest = hashlib.sha256(f"keystream:fingerprint:{kind}:".encode() + content)
    return f"{kind}:{digest.hexdigest()[:16]}"


def _typed(seed: jax.Array, impl: Any) -> jax.Array:
    if seed.shape:
        cure = "To keep them as they are: keys."
        raise error(KeyTypeError, "seed", "one typed key", seed, cure)
    check_key(seed, argument="seed")
    if impl is not None and _impl_name(impl) != jax.random.key_impl(seed):
        wanted = f"of the implementation asked for ({_impl_name(impl)})"
        cure = "To keep it as it is: ks.key(seed)."
        raise error(KeyImplError, "seed", wanted, seed, cure)
    return seed


def _legacy(words: Any, kind: str, *, given: bool) -> jax.Array:
    if words.shape == (IMPLS[kind].words,):
        return wrap(words, kind)
    wanted = f"one legacy {kind} key, uint32[{IMPLS[kind].words}]"
    if words.ndim == 1 and not given:
        wanted = "a legacy key of shape (2,), or of the shape of impl"
    cure = legacy_cure(words, "seed", kind if given else "")
    cure = cure or ("" if is_traced(words) else listed(words))
    raise error(KeyTypeError, "seed", wanted, words, cure)


def _impl_name(impl: Any) -> str:
    accepted = ", ".join(n for n, known in IMPLS.items() if not known.refused)
    if isinstance(impl, str):
        kind: str | None = impl
    elif isinstance(impl, type(_compat.key_dtype("threefry2x32"))):
        kind = _dtype_impl(impl)
    else:
        raise error(ArgumentTypeError, "impl", f"a name or a key dtype ({accepted})", impl)
    known = IMPLS.get(kind) if kind else None
    if known is None or known.refused:
        why = f"; {known.refused}" if known else ""
        got = kind or Phrase(str(impl))
        raise error(KeyImplError, "impl", f"one of {accepted}{why}", got)
    return str(kind)


def _dtype_impl(dtype: Any) -> str | None:
    return next(
        (check_name for check_name in IMPLS if _compat.key_dtype(check_name) == dtype), None
    )


def _direct(number: int, kind: str) -> jax.Array:
    if kind == "threefry2x32":
        return wrap(direct_words(number), kind)
    mesh = jax.sharding.get_abstract_mesh()
    if not IMPLS[kind].shards and not mesh.empty and mesh.size > 1:
        wanted = "of an implementation that JAX can compute under a mesh"
        cure = "Outside of it: ks.key(seed, impl='philox4x32')."
        raise error(KeyImplError, "impl", wanted, kind, cure)
    # Only JAX knows how these seed. Evaluated at once, with 64-bit types on so that the
    # upper half isn't cut, and less the offset that JAX is about to add.
    shifted = (number - read_setting("jax_random_seed_offset")) % DIRECT_END
    # No mesh, since JAX can't place a constant while only some axes of one are mapped.
    with _compat.no_mesh(), jax.ensure_compile_time_eval(), _compat.enable_x64(True):
        return jax.random.key(np.uint64(shifted).astype(np.int64), impl=kind)
