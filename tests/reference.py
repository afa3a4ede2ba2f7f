"""The derivation scheme once more, from `docs/scheme.md` alone: Python and nothing else.

Slow and plain on purpose: no JAX, no NumPy, no keystream. (The ciphers, handed NumPy uint64
arrays of 32-bit words, work on these too.) `answer` reads one line of `known_answers.txt`;
`loads` and `dumps` read and write the saved form, as `docs/saving.md` has it; what other
libraries are seeded with is as in `docs/interop.md`.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random numbers:
    as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405: threefry and philox.
    M. E. O'Neill (2015), "Developing a seed_seq Alternative", pcg-random.org: SeedSequence.
    M. E. O'Neill (2014), "PCG: A Family of Simple Fast Space-Efficient Statistically Good
    Algorithms for Random Number Generation", HMC-CS-2014-0905: PCG64.
    M. Matsumoto, T. Nishimura (1998), "Mersenne Twister", doi:10.1145/272991.272995.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from typing import Any

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
        digits, left = [], abs(part)
        while left >= 10**500:  # Python may refuse to write longer numbers at once
            left, low = divmod(left, 10**500)
            digits.append(str(low).zfill(500))
        return ("-" * (part < 0) + "".join([str(left), *reversed(digits)])).encode("ascii")
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


@functools.cache
def grid(n: int) -> tuple[int, int]:
    """Return the rows and columns of the network for n."""
    first = math.isqrt(4 * n - 1) + 1
    found = []
    for total in range(first, first + min(2**16, first // 32)):
        difference = math.isqrt(total * total - 4 * n)
        difference -= (difference + total) % 2
        if difference >= 0:
            rows, columns = (total + difference) // 2, (total - difference) // 2
            found.append((rows * columns, total, rows, columns))
    return min(found)[2:]


@functools.cache
def sorted_places(child: Words, n: int) -> dict[int, int]:
    """Return the place of each of few numbers, by their blocks."""
    blocks = sorted((threefry2x32(child, (0, i)), i) for i in range(n))
    return {i: place for place, (_, i) in enumerate(blocks)}


def shuffled(key: Words, n: int, index: int) -> int:
    """Return the place of an index in the random order of n numbers."""
    digest = hashlib.sha256(f"keystream:1:shuffle:{n}".encode()).digest()
    counter = 2**63 + int.from_bytes(digest[:8], "big") % 2**62
    child = threefry2x32(key, (counter >> 32, counter & MASK))
    if n <= 4096:
        return sorted_places(child, n)[index]
    rows, columns = grid(n)
    while True:
        row, column = divmod(index, columns)
        for turn in range(8):
            hi, lo = threefry2x32(child, (turn, row if turn % 2 else column))
            if turn % 2:
                column = (column + hi * 2**32 + lo) % columns
            else:
                row = (row + hi * 2**32 + lo) % rows
        index = row * columns + column
        if index < n:
            return index


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
    if isinstance(seed, Entropy):
        return seed_sequence(seed, width)
    if isinstance(seed, list):
        content = b"list:" + b",".join(map(encode, seed))
    else:
        content = b"%s:%s" % (_TYPES[type(seed)], encode(seed))
    hashed = hashlib.sha256(b"keystream:1:seed:" + content).digest()
    return tuple(int.from_bytes(hashed[4 * i : 4 * i + 4], "big") for i in range(width))


class Entropy(list[int]):
    """What a `numpy.random.SeedSequence` is made of."""


def seed_sequence(entropy: list[int], width: int) -> Words:
    """Return the first words of NumPy's SeedSequence, as M. E. O'Neill's seed_seq mixes them."""
    source: list[int] = []
    for number in entropy:
        source.append(number & MASK)
        while number := number >> 32:
            source.append(number & MASK)
    turn = 0x43B0D7E5

    def hashed(word: int) -> int:
        nonlocal turn
        word ^= turn
        turn = turn * 0x931E8875 & MASK
        word = word * turn & MASK
        return word ^ word >> 16

    def mixed(one: int, other: int) -> int:
        word = (one * 0xCA01F9DD - other * 0x4973F715) & MASK
        return word ^ word >> 16

    pool = [hashed(word) for word in (source + [0] * 4)[:4]]
    for i in range(4):
        for j in range(4):
            if i != j:
                pool[j] = mixed(pool[j], hashed(pool[i]))
    for word in source[4:]:
        pool = [mixed(one, hashed(word)) for one in pool]
    made, turn = [], 0x8B51F9DD
    for i in range(width):
        word = pool[i % 4] ^ turn
        turn = turn * 0x58F38DED & MASK
        word = word * turn & MASK
        made.append(word ^ word >> 16)
    return tuple(made)


def interop_seed(use: str, impl: str, key: Words) -> int:
    """Return the 256 bits that a key gives for one use in another library."""
    words = b"".join(word.to_bytes(4, "big") for word in key)
    text = b"keystream:1:interop:%s:%s:" % (use.encode(), impl.encode()) + words
    return int.from_bytes(hashlib.sha256(text).digest(), "big")


def pcg64(seed: int) -> int:
    """Return the first 64 bits of NumPy's PCG64 from a SeedSequence of one int."""
    words = seed_sequence([seed], 8)
    half = [words[2 * i] | words[2 * i + 1] << 32 for i in range(4)]
    multiplier, whole = 0x2360ED051FC65DA44385DF649FCCF645, 2**128 - 1
    step = ((half[2] << 64 | half[3]) << 1 | 1) & whole
    state = (step + (half[0] << 64 | half[1])) & whole
    for _ in range(2):
        state = (state * multiplier + step) & whole
    mixed, turn = (state >> 64 ^ state) & (2**64 - 1), state >> 122
    return (mixed >> turn | mixed << (64 - turn)) & (2**64 - 1)


def mersenne_state(seed: int) -> list[int]:
    """Return the 624 words of a Mersenne Twister that Python's `random` seeds with an int."""
    words = [seed >> 32 * i & MASK for i in range(max(1, (seed.bit_length() + 31) // 32))]
    state = [19650218]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + i) & MASK)
    i = 1
    for turn in range(624 + 623):
        before = state[i - 1] ^ state[i - 1] >> 30
        if turn < 624:
            j = turn % len(words)
            state[i] = ((state[i] ^ before * 1664525) + words[j] + j) & MASK
        else:
            state[i] = ((state[i] ^ before * 1566083941) - i) & MASK
        i += 1
        if i == 624:
            state[0], i = state[623], 1
    state[0] = 2**31
    return state


def mersenne_first(state: list[int]) -> int:
    """Return the first 32 bits that come out of a fresh state."""
    word = state[0] & 2**31 | state[1] & (2**31 - 1)
    word = state[397] ^ word >> 1 ^ (0x9908B0DF if word & 1 else 0)
    word ^= word >> 11
    word ^= word << 7 & 0x9D2C5680
    word ^= word << 15 & 0xEFC60000
    return word ^ word >> 18


def dumps(tree: Any) -> str:
    """Put a node of a saved tree into its envelope, as `docs/saving.md` has it."""
    inner = {"format": "keystream", "version": 1, "scheme": 1, "tree": tree}
    text = json.dumps(inner, sort_keys=True, separators=(",", ":"))
    checksum = f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"
    return json.dumps({**inner, "checksum": checksum})


def loads(text: str) -> Any:
    """Return the tree of a saved text, whose envelope must be sound."""
    found = json.loads(text)
    assert dumps(found["tree"]) == json.dumps(found), "not as it was written"
    return found["tree"]


def key_node(impl: str, shape: tuple[int, ...], *words: Words) -> dict[str, Any]:
    """Write keys as a node of a saved tree, in C order."""
    data = "".join(f"{word:08x}" for key in words for word in key)
    return {"kind": "keys", "impl": impl, "shape": list(shape), "data": data}


def next_keys(node: Any) -> list[Words]:
    """Read a node of saved keys or of a saved stream: each key, or the next of each stream."""
    if node["kind"] == "stream":
        places = node["position"]
        places = [int(p) for p in (places if isinstance(places, list) else [places])]
        keys, impl = next_keys(node["keys"]), node["keys"]["impl"]
        return [derive(impl, key, place) for key, place in zip(keys, places, strict=True)]
    count = 1
    for size in node["shape"]:
        count *= size
    width, data = (8 * WIDTHS[node["impl"]], node["data"])
    assert len(data) == count * width
    rows = [data[i * width : (i + 1) * width] for i in range(count)]
    return [tuple(int(row[i : i + 8], 16) for i in range(0, width, 8)) for row in rows]


WIDTHS = {"threefry2x32": 2, "threefry4x32": 4, "philox4x32": 2, "rbg": 4}
"""Words in a key."""


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
            return Entropy(int(number) for number in content.split(","))
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
    return helper_answer(what, impl, key, given)


def helper_answer(what: str, impl: str, key: Words, given: dict[str, str]) -> str:
    """Answer what is asked of a helper that stands on derivation."""
    match what:
        case "keys":
            first, count = int(given["start"]), int(given["num"])
            made = [derive(impl, key, first + i) for i in range(count)]
            return ",".join(map(write_words, made))
        case "stream":
            place = int(given["skip"])
            return f"{write_words(derive(impl, key, place))} position={place + 1}"
        case "streams":
            name, step = read_part(given["name"]), int(given["step"])
            return write_words(derive(impl, key, name, step))
        case "axis":
            index = 0
            sizes, places = (list(map(int, given[x].split(","))) for x in ("sizes", "at"))
            for size, place in zip(sizes, places, strict=True):
                index = index * size + place
            return write_words(derive(impl, key, index))
        case "process":
            return write_words(derive(impl, key, int(given["index"])))
        case "places":
            indices = map(int, given["index"].split(","))
            return ",".join(str(shuffled(key, int(given["n"]), index)) for index in indices)
        case "dumps":
            node = {"kind": "stream", "keys": key_node(impl, (), key), "position": given["skip"]}
            return dumps(node)
    return interop_answer(what, impl, key, given)


def interop_answer(what: str, impl: str, key: Words, given: dict[str, str]) -> str:
    """Answer what other libraries are seeded with."""
    match what:
        case "int_seed":
            return str(interop_seed("int", impl, key) % 2 ** int(given["bits"]))
        case "numpy":
            seed = interop_seed("numpy", impl, key)
            return f"{seed:064x} first={pcg64(seed):016x}"
        case "python":
            seed = interop_seed("python", impl, key)
            return f"{seed:064x} first={mersenne_first(mersenne_state(seed)):08x}"
        case "torch":
            seed = interop_seed("torch", impl, key)
            words = mersenne_state(seed)
            text = b"".join(word.to_bytes(4, "big") for word in words)
            state, first = hashlib.sha256(text).hexdigest(), mersenne_first(words)
            return f"{seed % 2**64} state={state} first={first:08x}"
    raise AssertionError(what)
