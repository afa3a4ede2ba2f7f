"""The derivation scheme once more, from `docs/scheme.md` alone: no JAX, no keystream.

Slow and plain on purpose. The ciphers work on Python ints, and on NumPy uint64 arrays of
32-bit words alike; the rest is Python. `answer` reads one line of `known_answers.txt`.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random numbers:
    as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405: threefry and philox.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

Part = str | bytes | int
Words = tuple[Any, ...]

MASK = 2**32 - 1
PARITY = 0x1BD11BDA
NAME_TAG = 0x84D591EC
_TURNS_2 = (13, 15, 26, 6, 17, 29, 16, 24)
_TURNS_4 = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
_TYPES = {str: b"str", bytes: b"bytes", int: b"int"}


def threefry2x32(key: Words, counter: Words, rounds: int = 20) -> Words:
    """Encrypt a counter of two words: threefry2x32, with 20 rounds."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x = (counter[0] + schedule[0]) & MASK
    y = (counter[1] + schedule[1]) & MASK
    for turn in range(rounds):
        x = (x + y) & MASK
        y = _rotate(y, _TURNS_2[turn % 8]) ^ x
        if turn % 4 == 3:
            n = turn // 4 + 1
            x = (x + schedule[n % 3]) & MASK
            y = (y + schedule[(n + 1) % 3] + n) & MASK
    return x, y


def threefry2x32_inverse(key: Words, block: Words) -> Words:
    """Decrypt: which counter has this block? There is one and only one."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x, y = block
    for turn in reversed(range(20)):
        if turn % 4 == 3:
            n = turn // 4 + 1
            x = (x - schedule[n % 3]) & MASK
            y = (y - schedule[(n + 1) % 3] - n) & MASK
        y = _rotate(y ^ x, 32 - _TURNS_2[turn % 8])
        x = (x - y) & MASK
    return (x - schedule[0]) & MASK, (y - schedule[1]) & MASK


def threefry4x32(key: Words, counter: Words) -> Words:
    """Encrypt a counter of four words: threefry4x32 with 20 rounds."""
    schedule = (*key, key[0] ^ key[1] ^ key[2] ^ key[3] ^ PARITY)
    x = [(c + k) & MASK for c, k in zip(counter, schedule, strict=False)]
    for turn in range(20):
        for into, which, by in zip((0, 2), (1, 3), _TURNS_4[turn % 8], strict=True):
            other = which if turn % 2 == 0 else 4 - which
            x[into] = (x[into] + x[other]) & MASK
            x[other] = _rotate(x[other], by) ^ x[into]
        if turn % 4 == 3:
            n = turn // 4 + 1
            x = [(word + schedule[(n + i) % 5]) & MASK for i, word in enumerate(x)]
            x[3] = (x[3] + n) & MASK
    return tuple(x)


def philox4x32(key: Words, counter: Words) -> Words:
    """Encrypt a counter of four words: philox4x32 with 10 rounds."""
    (k, m), (a, b, c, d) = key, counter
    for _ in range(10):
        first, second = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = second >> 32 ^ b ^ k, second & MASK, first >> 32 ^ d ^ m, first & MASK
        k, m = (k + 0x9E3779B9) & MASK, (m + 0xBB67AE85) & MASK
    return a, b, c, d


def _rotate(word: Any, by: int) -> Any:
    return (word << by | word >> (32 - by)) & MASK


def fold(impl: str, key: Words, number: int) -> Words:
    """Return the child at a position below 2**32, as every implementation has it."""
    match impl:
        case "threefry2x32":
            return threefry2x32(key, (0, number))
        case "threefry4x32":
            return threefry4x32(key, (0, 0, 0, number))
        case "philox4x32":
            return philox4x32(key, (0, 0, 0, number))[:2]
        case "rbg":
            return threefry2x32(key[:2], (0, number)) + threefry2x32(key[2:], (0, number))
    raise AssertionError(impl)


def digest(part: Part) -> bytes:
    """Hash one part of a path, each type under a prefix of its own."""
    return hashlib.sha256(b"keystream:1:%s:%s" % (_TYPES[type(part)], encode(part))).digest()


def encode(part: Part) -> bytes:
    """Write a part as bytes: UTF-8, as it is, or decimal digits with a minus sign."""
    if isinstance(part, int):
        return str(part).encode("ascii")
    return part.encode("utf-8") if isinstance(part, str) else part


def counter(part: Part) -> int:
    """Return the 64-bit counter of a part."""
    if isinstance(part, int) and -(2**62) <= part < 2**63:
        return part % 2**64
    return 0b10 << 62 | int.from_bytes(digest(part)[:8], "big") % 2**62


def derive(impl: str, key: Words, *path: Part) -> Words:
    """Follow a path of names and integers from a key."""
    for part in path:
        hi, lo = counter(part) >> 32, counter(part) & MASK
        if impl == "threefry2x32":
            key = threefry2x32(key, (hi, lo))
        elif isinstance(part, int):
            assert hi == 0, "a position that only a public cipher has"
            key = fold(impl, key, lo)
        else:
            for number in (NAME_TAG, hi, lo):
                key = fold(impl, key, number)
    return key


def seed_words(impl: str, seed: Any) -> Words:
    """Return the words of the key that a seed gives."""
    if isinstance(seed, int) and 0 <= seed < 2**64:
        hi, lo = seed >> 32, seed & MASK
        match impl:
            case "threefry2x32":
                return hi, lo
            case "threefry4x32":
                return threefry4x32((hi, lo, 0, 0), (0, 0, 0, 0))
            case "philox4x32":
                return philox4x32((0, 0), (hi, lo, 0, 0))[:2]
            case "rbg":
                return hi, lo, hi, lo
    width = 2 if impl in ("threefry2x32", "philox4x32") else 4
    if isinstance(seed, np.random.SeedSequence):
        return tuple(map(int, seed.generate_state(width, np.uint32)))
    if isinstance(seed, list):
        content = b"list:" + b",".join(map(encode, seed))
    else:
        content = b"%s:%s" % (_TYPES[type(seed)], encode(seed))
    hashed = hashlib.sha256(b"keystream:1:seed:" + content).digest()
    return tuple(int.from_bytes(hashed[4 * i : 4 * i + 4], "big") for i in range(width))


def fingerprint(impl: str, key: Words) -> str:
    """Return the text that stands for a key in logs."""
    words = b"".join(int(word).to_bytes(4, "little") for word in key)
    hashed = hashlib.sha256(b"keystream:fingerprint:%s:%s" % (impl.encode(), words))
    return f"{impl}:{hashed.hexdigest()[:16]}"


def read_words(text: str) -> Words:
    """Read words as the file writes them: eight hexadecimal digits each."""
    return tuple(int(word, 16) for word in text.split(":"))


def write_words(words: Words) -> str:
    """Write words as the file has them."""
    return ":".join(f"{int(word):08x}" for word in words)


def read_part(text: str) -> Any:
    """Read `int:-1`, `str:6e6f` (UTF-8 in hexadecimal), `bytes:00ff`, `list:1,2`."""
    kind, _, content = text.partition(":")
    match kind:
        case "int":
            return int(content)
        case "str":
            return bytes.fromhex(content).decode("utf-8")
        case "bytes":
            return bytes.fromhex(content)
        case "list":
            return [int(number) for number in content.split(",")]
        case "seedsequence":
            return np.random.SeedSequence([int(number) for number in content.split(",")])
    raise AssertionError(text)


def read_path(text: str) -> tuple[Any, ...]:
    """Read a path: parts with commas between them."""
    return tuple(map(read_part, text.split(",")))


def read_line(line: str) -> tuple[str, str, dict[str, str], str]:
    """Read a vector: what is asked, the implementation, the inputs, and the answer."""
    question, _, expected = line.partition(" -> ")
    what, impl, *inputs = question.split(" ")
    return what, impl, dict(entry.split("=", 1) for entry in inputs), expected


def answer(question: str) -> str:
    """Answer the part of a vector that stands before its arrow."""
    what, impl, given, _ = read_line(question)
    key = read_words(given["key"]) if "key" in given else ()
    match what:
        case "counter":
            return f"{counter(read_part(given['part'])):016x}"
        case "key":
            return write_words(seed_words(impl, read_part(given["seed"])))
        case "derive":
            return write_words(derive(impl, key, *read_path(given["path"])))
        case "leaf":
            entries = [entry.split("/", 1)[1] for entry in given["at"].split(",")]
            return write_words(derive(impl, key, *map(read_part, entries)))
        case "chain":
            for _ in range(int(given["steps"])):
                key, use = fold(impl, key, 0), fold(impl, key, 1)
            return f"{write_words(key)} use={write_words(use)}"
        case "fingerprint":
            return fingerprint(impl, key)
    raise AssertionError(question)
