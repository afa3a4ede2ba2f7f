"""Make `known_answers.txt`, the frozen vectors of the derivation scheme.

    python -m tests.keys.make_known_answers --check       compare; exit status 1 if they differ
    python -m tests.keys.make_known_answers --overwrite   write the file anew

The vectors of a scheme never change. The file is written anew only to add some, or
together with another `keystream.SCHEME`; look at the difference before committing it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("known_answers.txt")

HEADER = """\
# Known answers of keystream's derivation scheme, version 1. Frozen; see docs/scheme.md.
# Made by tests/keys/make_known_answers.py, checked by tests/keys/test_known_answers.py.
#
# One vector per line: what is asked, the implementation, the inputs as name=value, an
# arrow, the answer. Nothing but single spaces between them. Words are 32 bits in eight
# hexadecimal digits, the words of a key in order with colons between them.
#
# Parts and seeds carry their type:
#   int:-1             a decimal integer
#   str:6e6f697365     text, its UTF-8 bytes in hexadecimal ("noise")
#   bytes:00ff         bytes in hexadecimal
#   list:1,2           a list of integers
#   seedsequence:1,2   numpy.random.SeedSequence([1, 2])
#
# What is asked:
#   counter      of a part of a path: 64 bits, sixteen digits (`-`: no implementation)
#   key          ks.key(seed, impl=implementation)
#   derive       ks.derive(key, part, part, ...)
#   leaf         the key in ks.split_tree(key, tree) at that leaf. The way to it: key/part
#                is a dict key, item/int a place in a list, attribute/str an attribute
#   chain        `key, use = ks.split(key)` so many times: the last key, and the last use
#   fingerprint  ks.fingerprint(key)
#   keys         ks.keys(key, num, start=start), commas between them. Items of loops, lanes
#                and samples have these keys: item i of ks.scan, map, vmap, sample child i
#   stream       the key of ks.Stream(key).skip(skip).next(), and the position after it
#   streams      ks.Streams(key, names).at(step)[name]
#   axis         ks.for_axis(key, axes) on the shard at that place along axes of these sizes;
#                so is ks.shard_keys(key, mesh, spec) there
#   process      ks.for_process(key) on the process of that index
#   places       ks.index_shuffle(key, n, index), with 64-bit types on
#   dumps        ks.dumps(ks.Stream(key).skip(skip)): all that stands behind the arrow
#   int_seed     interop.int_seed(key, bits=bits), in decimal
#   numpy        interop.seed_sequence(key).entropy, in 64 hexadecimal digits, and the first
#                64 bits of interop.numpy_generator(key)
#   python       the seed of interop.python_random(key), which can't be asked for, in as many
#                digits, and the generator's first 32 bits
#   torch        interop.torch_generator(key): initial_seed() in decimal, the SHA-256 of the
#                624 words of the state (each 4 bytes, most significant first), and the
#                first 32 bits
"""

SEAMS = (
    *(0, 1, 2, 12, 2**16, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1),
    *(2**32, 2**32 + 5, 2**33 - 1, 2**40 + 1, 2**62 - 1, 2**62, 2**63 - 1),
    *(-1, -2, -(2**31), -(2**31) - 1, -(2**32), -(2**62) + 1, -(2**62)),
)
BEYOND = (2**63, 2**64 - 1, 2**64, 2**300 + 1, -(2**62) - 1, -(2**63), -(2**64), -(3**200))
NAMES = (
    *("a", "noise", "dropout", "params", "0", "1", "-1", " ", "A", "ab", "abc", "x" * 200),
    # Not normalized: e with acute as one code point and as two; then others outside ASCII.
    *("\u00e9", "e\u0301", "\u043a\u043b\u044e\u0447", "\u9375", "\U0001f511", "\x00", "a\x00"),
    *(b"a", b"noise", b"1", b"\x00", b"\x00\xff", b"\xc3\xa9", b"keystream:1:str:a"),
)
PATHS: tuple[tuple[Any, ...], ...] = (
    *(("ab", "c"), ("a", "bc"), ("a", "b", "c"), (b"ab", "c"), ("a", b"bc")),
    *(("noise", 3), (3, "noise"), ("noise", 3, 17), ("noise", 0), (0, "noise"), (0, 0)),
    *((1, 2), (2, 1), ("1", 2), (1, "2"), (2**32, "a", 2**40), (-1, -1)),
    *(("layer", 11, "kernel", -1, b"\x00", 2**64), (2**64, 2**64)),
)
KEYS = ("00000000:0000002a", "00000000:00000000", "ffffffff:ffffffff", "13198a2e:03707344")
SEEDS: tuple[Any, ...] = (
    *(0, 1, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**63, 2**64 - 1),
    *(2**64, 2**128 - 1, 2**300, -1, -42, -(2**32), -(2**64)),
    *("42", "run 7", "\u00e9", "e\u0301", "\U0001f511", b"42", b"run 7", b"\x00"),
    *([42], [0], [1, 2, 3], [12, 3], [-1, 2**100], [1] * 20),
)
SEQUENCES = tuple(f"seedsequence:{entropy}" for entropy in ("42", "0", "1,2,3", 2**100))
LEAVES = (
    *("key/str:61", "key/str:62,item/int:0", "key/str:62,item/int:1", "item/int:3"),
    *("key/int:7", "key/int:-1,key/bytes:6b", "attribute/str:6b65726e656c"),
    *("key/str:6c61796572,item/int:2,attribute/str:62696173", f"key/int:{2**64}"),
)
LED = (
    (KEYS[1], "196,250,358,876"),
    (KEYS[3], "14,112,208,494"),
    ("00000000:0000002b", "1033,341,769,821"),
)
"""What the network takes beyond n = 4162 first, and the number 1033 twice."""

OTHERS = {
    "threefry4x32": ("00000000:00000000:00000000:00000000", "00000000:0000002a:00000001:ffffffff"),
    "philox4x32": ("00000000:0000002a", "ffffffff:00000001"),
    "rbg": ("00000000:0000002a:00000000:0000002a",),
}


def questions() -> Iterator[str]:
    """Yield what stands before each arrow, and empty lines and remarks between them."""
    yield "\n# Counters: positions as two's complement, the rest hashed under top bits 10."
    for part in (*SEAMS, *BEYOND, *NAMES):
        yield f"counter - part={write_part(part)}"
    yield "\n# Seeds: integers of 64 bits as they are, everything else hashed."
    for seed in (*map(write_part, SEEDS), *SEQUENCES):
        yield f"key threefry2x32 seed={seed}"
    yield "\n# Positions, at every seam."
    for key, number in itertools.product(KEYS, (*SEAMS, *BEYOND)):
        yield f"derive threefry2x32 key={key} path={write_part(number)}"
    yield "\n# Names."
    pairs = [(KEYS[0], name) for name in NAMES]
    for key, name in (*pairs, *itertools.product(KEYS[1:], ("noise", b"noise"))):
        yield f"derive threefry2x32 key={key} path={write_part(name)}"
    yield "\n# Paths, and the leaves of trees."
    for path in PATHS:
        yield f"derive threefry2x32 key={KEYS[0]} path={write_path(path)}"
    for leaf in LEAVES:
        yield f"leaf threefry2x32 key={KEYS[0]} at={leaf}"
    yield from later_questions()


def later_questions() -> Iterator[str]:
    """Yield what comes after the scheme itself."""
    yield "\n# Carried chains, and fingerprints."
    for key, steps in itertools.product(KEYS, (1, 2, 10)):
        yield f"chain threefry2x32 key={key} steps={steps}"
    for key in KEYS:
        yield f"fingerprint threefry2x32 key={key}"
    for impl in OTHERS:
        yield from other_questions(impl)
    yield "\n# Helpers: rows of keys, streams, shards, processes, and what is saved."
    for impl, key in (("threefry2x32", KEYS[3]), *((i, k[-1]) for i, k in OTHERS.items())):
        yield from helper_questions(impl, key)
    yield "\n# Random orders: whole ones of a few numbers, and places in longer ones."
    for key in KEYS[1], KEYS[3]:
        yield from order_questions(key)
    for key, index in LED:
        yield f"places threefry2x32 key={key} n=4162 index={index}"
    yield "\n# Other libraries: a SHA-256 of the key, one for each."
    for impl, keys in (("threefry2x32", KEYS), *OTHERS.items()):
        yield from interop_questions(impl, keys)


def order_questions(key: str) -> Iterator[str]:
    """Yield the questions to random orders."""
    for n in (1, 2, 6, 4096, 4097, 10**6, 2**31, 2**31 + 1, 10**12, 2**62 - 2**31):
        indices = range(n) if n < 8 else (0, 1, n // 3, n - 1)
        yield f"places threefry2x32 key={key} n={n} index={','.join(map(str, indices))}"


def interop_questions(impl: str, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield the questions to what seeds other libraries."""
    for key in keys:
        for bits in (1, 32, 64, 256):
            yield f"int_seed {impl} key={key} bits={bits}"
        for what in ("numpy", "python", "torch"):
            yield f"{what} {impl} key={key}"


def helper_questions(impl: str, key: str) -> Iterator[str]:
    """Yield the questions to the helpers that stand on derivation."""
    wide = impl == "threefry2x32"
    end = 2**63 if wide else 2**32
    for start in (0, 5, 2**31 - 1, *((2**32 - 2, 2**40) if wide else ()), end - 4):
        yield f"keys {impl} key={key} start={start} num=4"
    for skip in (0, 1, 2**31, 2**32 - 2, *((2**32, 2**63 - 2) if wide else ())):
        yield f"stream {impl} key={key} skip={skip}"
    for name, step in (("dropout", 0), ("dropout", 1000), (b"data", 2**32 - 1)):
        yield f"streams {impl} key={key} name={write_part(name)} step={step}"
    for sizes, at in (("8", "7"), ("4,2", "0,1"), ("4,2", "3,0"), ("2,2,2", "1,0,1")):
        yield f"axis {impl} key={key} sizes={sizes} at={at}"
    yield f"process {impl} key={key} index=0"
    for skip in (0, 2**31 + 5, *((2**40,) if wide else ())):
        yield f"dumps {impl} key={key} skip={skip}"


def other_questions(impl: str) -> Iterator[str]:
    """Yield the questions to an implementation without a public cipher."""
    yield f"\n# {impl}: no public cipher, so a name is a tag and two folds."
    for seed in (0, 42, 2**32 + 1, 2**64 - 1, -1, "run 7", b"run 7", [1, 2, 3]):
        yield f"key {impl} seed={write_part(seed)}"
    yield f"key {impl} seed={SEQUENCES[2]}"
    numbers = [(number,) for number in SEAMS if 0 <= number < 2**32]
    names = (("noise",), (b"noise",), ("\u00e9",), ("noise", 3), (3, "a", b"a"))
    for key in OTHERS[impl]:
        for path in (*numbers, *names):
            yield f"derive {impl} key={key} path={write_path(path)}"
        yield f"leaf {impl} key={key} at={LEAVES[2]}"
        yield f"chain {impl} key={key} steps=3"
        yield f"fingerprint {impl} key={key}"


def write_path(path: tuple[Any, ...]) -> str:
    """Write a path: its parts with commas between them."""
    return ",".join(map(write_part, path))


def write_part(part: Any) -> str:
    """Write a part of a path, or a seed, with its type."""
    if isinstance(part, int):
        return f"int:{part}"
    if isinstance(part, list):
        return f"list:{','.join(map(str, part))}"
    return f"str:{part.encode().hex()}" if isinstance(part, str) else f"bytes:{part.hex()}"


def library_answer(question: str) -> str:
    """Answer a question by the library."""
    import jax
    import numpy as np

    import keystream as ks
    from keystream._keys import scheme as _scheme
    from tests import reference

    def words(key: jax.Array) -> str:
        return reference.write_words(np.asarray(jax.random.key_data(key)).tolist())

    what, impl, given, _ = reference.read_line(question)
    if what == "counter":
        part = reference.read_part(given["part"])
        ((hi, lo),) = _scheme.counters(part, _scheme_impl())
        return f"{0 if hi is None else int(hi):08x}{int(lo):08x}"
    if what == "key":
        seed = reference.read_part(given["seed"])
        if isinstance(seed, reference.Entropy):
            seed = np.random.SeedSequence(list(seed))
        return words(ks.key(seed, impl=impl))
    key = jax.random.wrap_key_data(
        np.array(reference.read_words(given["key"]), np.uint32), impl=impl
    )
    if what == "derive":
        return words(ks.derive(key, *reference.read_path(given["path"])))
    if what == "leaf":
        tree, find = nest(given["at"])
        return words(find(ks.split_tree(key, tree)))
    if what == "chain":
        for _ in range(int(given["steps"])):
            key, use = ks.split(key)
        return f"{words(key)} use={words(use)}"
    if what == "fingerprint":
        return ks.fingerprint(key)
    return helper_answer(what, key, given)


def helper_answer(what: str, key: Any, given: dict[str, str]) -> str:
    """Answer a question by a helper that stands on derivation."""
    import jax
    import numpy as np

    import keystream as ks
    from keystream import _compat
    from tests import reference

    def words(key: jax.Array) -> str:
        return reference.write_words(np.asarray(jax.random.key_data(key)).tolist())

    match what:
        case "keys":
            row = ks.keys(key, int(given["num"]), start=int(given["start"]))
            return ",".join(words(each) for each in row)
        case "stream":
            use, after = ks.Stream(key).skip(int(given["skip"])).next()
            return f"{words(use)} position={after.position}"
        case "streams":
            name = reference.read_part(given["name"])
            return words(ks.Streams(key, ("first", name)).at(int(given["step"]))[name])
        case "axis":
            sizes, place = (tuple(map(int, given[x].split(","))) for x in ("sizes", "at"))
            axes = tuple(f"axis {i}" for i in range(len(sizes)))
            mapped = lambda: jax.random.key_data(ks.for_axis(key, axes))
            for name, size in reversed(tuple(zip(axes, sizes, strict=True))):
                mapped = jax.vmap(mapped, axis_name=name, axis_size=size)
            return reference.write_words(np.asarray(mapped())[place].tolist())
        case "process":
            assert int(given["index"]) == jax.process_index()
            return words(ks.for_process(key))
    if what == "places":
        with _compat.enable_x64(True):
            indices = np.array(given["index"].split(","), np.int64)
            return ",".join(map(str, ks.index_shuffle(key, int(given["n"]), indices).tolist()))
    if what == "dumps":
        return ks.dumps(ks.Stream(key).skip(int(given["skip"])))
    return interop_answer(what, key, given)


def interop_answer(what: str, key: Any, given: dict[str, str]) -> str:
    """Answer a question by what seeds other libraries; torch's by what is set in it."""
    from keystream import interop
    from keystream._keys.generators import mersenne
    from keystream.interop._entropy import entropy

    match what:
        case "int_seed":
            return str(interop.int_seed(key, bits=int(given["bits"])))
        case "numpy":
            seed = interop.seed_sequence(key).entropy
            raw = interop.numpy_generator(key).bit_generator.random_raw()
            return f"{seed:064x} first={raw:016x}"
        case "python":
            first = interop.python_random(key).getrandbits(32)
            return f"{entropy(key, 'python'):064x} first={first:08x}"
    assert what == "torch", what
    seed = entropy(key, "torch")
    words = mersenne(seed)
    state = hashlib.sha256(b"".join(word.to_bytes(4, "big") for word in words)).hexdigest()
    first = random.Random(seed).getrandbits(32)
    return f"{seed % 2**64} state={state} first={first:08x}"


def _scheme_impl() -> Any:
    from keystream._impl import IMPLS

    return IMPLS["threefry2x32"]


def nest(way: str) -> tuple[Any, Any]:
    """Build a pytree with a leaf at the end of a way, and what finds that leaf again."""
    from collections import namedtuple

    from tests import reference

    tree: Any = 0.0
    steps = []
    for entry in reversed(way.split(",")):
        kind, _, text = entry.partition("/")
        part = reference.read_part(text)
        steps.append((kind, part))
        if kind == "item":
            tree = [*[0.0] * part, tree]
        elif kind == "attribute":
            tree = namedtuple("Node", [part, "other"])(tree, 0.0)  # noqa: PYI024
        else:
            tree = {part: tree}

    def find(made: Any) -> Any:
        for kind, part in reversed(steps):
            made = getattr(made, part) if kind == "attribute" else made[part]
        return made

    return tree, find


def text() -> str:
    """Return the whole file."""
    lines = [
        line if line.startswith(("#", "\n")) else f"{line} -> {library_answer(line)}"
        for line in questions()
    ]
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    """Check the file, or write it where that is asked for."""
    parser = argparse.ArgumentParser(description="The frozen vectors of the scheme.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="compare with the file")
    choice.add_argument("--overwrite", action="store_true", help="write the file anew")
    asked = parser.parse_args()
    old = FILE.read_text() if FILE.exists() else ""
    new = text()
    if asked.overwrite:
        FILE.write_text(new)
        print(f"{FILE.name}: {new.count(' -> ')} vectors written")
        return 0
    frozen, now = old.splitlines(), new.splitlines()
    for line in sorted(set(frozen) ^ set(now)):
        print("frozen" if line in frozen else "now   ", line)
    print(f"{FILE.name}:", f"{new.count(' -> ')} vectors agree" if old == new else "differs")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
