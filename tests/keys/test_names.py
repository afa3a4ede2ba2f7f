"""Law 3: names have a domain of their own. Law 4: paths compose."""

import enum
import itertools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import keystream as ks
from keystream import _compat
from keystream._impl import IMPLS
from keystream._keys import children as _children
from keystream._keys import scheme as _scheme
from keystream._keys.scheme import Counter
from tests import reference

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
names = text | st.binary(min_size=1, max_size=30)
integers = st.one_of(
    st.integers(-(2**62), 2**63 - 1),
    st.integers(-(2**70), 2**70),
    st.integers(-(2**300), 2**300),
    *(st.just(2**n + d) for n in (31, 32, 62, 63, 64) for d in (-1, 0, 1)),
    *(st.just(-(2**n) + d) for n in (31, 32, 62, 63, 64) for d in (-1, 0, 1)),
)
seeds = st.integers(0, 2**64 - 1)
KEY = ks.key(42)


def _words(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def _derive(seed, *path):
    return _words(ks.derive(ks.key(seed), *path))


def _reference(seed, *path):
    return reference.derive("threefry2x32", reference.seed_words("threefry2x32", seed), *path)


@pytest.mark.fast
@given(seeds, names)
def test_name(seed, name):
    """A name's key is the block of the cipher that the document says."""
    assert _derive(seed, name) == _reference(seed, name)


@pytest.mark.fast
@given(seeds, integers)
def test_integer(seed, number):
    """An integer's key is the block of the cipher that the document says, however wide."""
    assert _derive(seed, number) == _reference(seed, number)


@pytest.mark.fast
@given(seeds, st.lists(names | integers, max_size=4))
def test_path(seed, path):
    """A path's key is one block per part, as the reference makes it."""
    assert _derive(seed, *path) == _reference(seed, *path)


@pytest.mark.fast
@given(st.lists(names | integers, max_size=4), st.integers(0, 4))
def test_composition(path, where):
    """`derive(key, *a, *b)` is `derive(derive(key, *a), *b)` wherever the path is cut."""
    first, second = path[:where], path[where:]
    assert _derive(42, *path) == _words(ks.derive(ks.derive(KEY, *first), *second))


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["threefry4x32", "philox4x32", "rbg"])
@settings(max_examples=15)
@given(st.lists(names | st.integers(0, 2**32 - 1), min_size=1, max_size=3))
def test_other_implementations(impl, path):
    """Without a public cipher a name is a tag and two folds, which are positions of `derive`."""
    key = ks.key(42, impl=impl)
    spelled = []
    for part in path:
        if isinstance(part, int):
            spelled.append(part)
        else:
            counter = reference.counter(part)
            spelled += [_scheme.NAME_TAG, counter >> 32, counter & 0xFFFFFFFF]
    made = _words(ks.derive(key, *path))
    assert made == _words(ks.derive(key, *spelled))
    assert made == reference.derive(impl, reference.seed_words(impl, 42), *path)


@pytest.mark.fast
def test_tag():
    """The tag is what the document says: four bytes of a hash, with the top bit set."""
    import hashlib

    digest = hashlib.sha256(b"keystream:1:name").digest()
    assert int.from_bytes(digest[:4], "big") | 2**31 == _scheme.NAME_TAG == reference.NAME_TAG


LOOK_ALIKE = (
    *(("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("ab",), ("a",), (b"ab", "c")),
    *(("1",), (1,), (b"1",), ("1", 1), (1, "1"), (1, 1), (11,), ("11",), ("1", "1")),
    *(("-1",), (-1,), (2**64 - 1,), (2**32 - 1,), (-(2**62) - 1,), (2**63,), (2**64,)),
    *(("a\x00",), ("\x00a",), (b"a",), ("A",), (" a",), ("a ",), ("a/b",), ("a", "/", "b")),
    *(("\u00e9",), ("e\u0301",), (b"\xc3\xa9",), (b"\xe9",), ("\ufb01",), ("fi",)),
    *(("keystream:1:str:a",), (b"str:a",), ("keystream:1:int:1",), ("9223372036854775808",)),
    (),
)


@pytest.mark.fast
def test_look_alikes():
    """Paths that look alike, in pieces, type, case, spaces or Unicode form, have different keys."""
    made = {path: _derive(42, *path) for path in LOOK_ALIKE}
    assert len(set(made.values())) == len(LOOK_ALIKE)


@pytest.mark.fast
@given(st.lists(names, min_size=2, max_size=2, unique=True), seeds)
def test_different(pair, seed):
    """Different names give different keys, and equal ones equal keys."""
    assume(pair[0] != pair[1])
    assert _derive(seed, pair[0]) != _derive(seed, pair[1])
    assert _derive(seed, pair[0]) == _derive(seed, pair[0][:1] + pair[0][1:])


@pytest.mark.fast
def test_not_normalized():
    """Names are taken as they are: what Unicode calls equivalent stays different."""
    for one, other in (("\u00e9", "e\u0301"), ("\ufb01", "fi"), ("\u2126", "\u03a9")):
        assert _derive(42, one) != _derive(42, other)


@pytest.mark.fast
@given(st.lists(names, min_size=1, max_size=6, unique=True), st.randoms())
def test_stable(chosen, random):
    """Adding, removing and reordering names changes no other name's key."""
    alone = {name: _derive(42, name) for name in chosen}
    mixed = chosen[:]
    random.shuffle(mixed)
    for some in (chosen, mixed, mixed[: len(mixed) // 2 + 1], ["one more", *mixed]):
        if len(set(some)) == len(some):
            made = ks.split(KEY, tuple(some))
            assert list(made) == some
            assert {n: _words(k) for n, k in made.items() if n in alone}.items() <= alone.items()
            texts = [name for name in some if isinstance(name, str)]
            in_tree = ks.split_tree(KEY, dict.fromkeys(texts, 0.0))
            assert {n: _words(k) for n, k in in_tree.items() if n in alone}.items() <= alone.items()


@pytest.mark.fast
def test_stable_fault():
    """A naming by order of appearance, as counters hand it out, fails the law of `test_stable`."""

    def in_order(key, chosen):
        return {name: _words(k) for name, k in zip(chosen, ks.keys(key, len(chosen)), strict=True)}

    before, after = in_order(KEY, ["params", "dropout"]), in_order(KEY, ["dropout"])
    assert not after.items() <= before.items()


class Color(enum.StrEnum):
    """A str of another type, as configuration libraries hand them out."""

    RED = "red"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("name", "plain"),
    [(np.str_("red"), "red"), (Color.RED, "red"), (np.bytes_(b"red"), b"red")],
    ids=["numpy-str", "str-enum", "numpy-bytes"],
)
def test_subclasses(name, plain):
    """A str or bytes of a subclass is the name that it holds, also where none was used before."""
    _scheme._remembered.cache_clear()
    assert _words(ks.derive(KEY, name)) == _reference(42, plain)
    assert _words(ks.split(KEY, (name,))[plain]) == _reference(42, plain)
    assert _words(ks.split_tree(KEY, {name: 0.0})[plain]) == _reference(42, plain)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("seed", "plain"),
    [(np.str_("red"), "red"), (Color.RED, "red"), (np.bytes_(b"red"), b"red")],
    ids=["numpy-str", "str-enum", "numpy-bytes"],
)
def test_seed_subclasses(seed, plain):
    """A seed of a subclass of str or bytes is the seed that it holds."""
    assert _words(ks.key(seed)) == reference.seed_words("threefry2x32", plain)


@pytest.mark.fast
@given(names | integers)
def test_top_bits(part):
    """The top bits of a counter say whose it is: positions 00, 01 and 11, everything else 10."""
    counter = _scheme.counters(part, IMPLS["threefry2x32"])[0]
    top = int(counter.hi or 0) >> 30
    if isinstance(part, int) and -(2**62) <= part < 2**63:
        assert top == (0b11 if part < 0 else part >> 62)
    else:
        assert top == 0b10


def _counters_of(parent, keys):
    """Return, as 64 bits, the counters at which a parent has these children: there is one each."""
    words = np.asarray(jax.random.key_data(keys)).astype(np.uint64).reshape(-1, 2)
    hi, lo = reference.threefry2x32_inverse(parent, (words[:, 0], words[:, 1]))
    return hi.astype(np.uint64) << np.uint64(32) | lo.astype(np.uint64)


@pytest.mark.fast
@given(seeds, st.lists(names, min_size=1, max_size=5, unique=True))
def test_names_by_inverse(seed, chosen):
    """Decrypted, every name's key has a counter with top bits 10."""
    parent = reference.seed_words("threefry2x32", seed)
    for name in chosen:
        (counter,) = _counters_of(parent, ks.derive(ks.key(seed), name))
        assert int(counter) >> 62 == 0b10


@pytest.mark.fast
@given(seeds, st.integers(0, 2**63 - 20))
def test_others_by_inverse(seed, start):
    """Decrypted, positions, splits, folds and 64-bit draws have counters with top bits 00 or 01."""
    parent, key = reference.seed_words("threefry2x32", seed), ks.key(seed)
    made = [
        ks.keys(key, 5, start=start),
        jax.random.split(key, 5),
        jax.random.fold_in(key, start % 2**32),
        ks.derive(key, np.array([start])),
    ]
    for keys in made:
        assert (_counters_of(parent, keys) >> np.uint64(63) == 0).all()
    (counter,) = _counters_of(parent, ks.derive(key, -1 - start // 2))
    assert int(counter) >> 62 == 0b11
    with _compat.enable_x64(True):
        drawn = np.asarray(jax.random.bits(key, (7,), "uint64"))
    block = drawn >> np.uint64(32), drawn & np.uint64(0xFFFFFFFF)
    hi, lo = reference.threefry2x32_inverse(parent, block)
    assert (hi == 0).all()
    assert lo.tolist() == list(range(7))


@pytest.mark.parametrize("words", [7, 8, 1001])
def test_draws_without_partitionable(words):
    """With partitionable off, draws and splits use blocks (i, n + i), away from names."""
    parent, key = reference.seed_words("threefry2x32", 42), KEY
    half = -(-words // 2)
    with jax.threefry_partitionable(False):
        drawn = np.asarray(jax.random.bits(key, (words,))).astype(np.uint64)
        split = np.asarray(jax.random.key_data(jax.random.split(key, half))).ravel()
    # An odd draw pads its counters with a zero and drops a word: look at whole blocks alone.
    whole = words // 2
    hi, lo = reference.threefry2x32_inverse(parent, (drawn[:whole], drawn[half : half + whole]))
    assert hi.tolist() == list(range(whole))
    assert lo.tolist() == list(range(half, half + whole))
    pairs = split[:half].astype(np.uint64), split[half:].astype(np.uint64)
    hi, lo = reference.threefry2x32_inverse(parent, pairs)
    assert hi.tolist() == list(range(half))
    assert lo.tolist() == list(range(half, 2 * half))


def test_position_inside_a_draw():
    """With partitionable off a position above 2**32 does lie inside a draw, as documented."""
    with jax.threefry_partitionable(False):
        drawn = np.asarray(jax.random.bits(KEY, (8,))).tolist()
    assert _derive(42, 2**32 + 5) == (drawn[1], drawn[5])
    with jax.threefry_partitionable(True):
        drawn = np.asarray(jax.random.bits(KEY, (8,))).tolist()
    assert not set(_derive(42, 2**32 + 5)) & set(drawn)


def _pack(keys):
    words = np.asarray(jax.random.key_data(keys)).astype(np.uint64).reshape(-1, 2)
    return words[:, 0] << np.uint64(32) | words[:, 1]


def _named(key, chosen):
    """Return the keys of very many names, in one call of the library's own mechanism."""
    counters = [_scheme.hash_part(name) for name in chosen]
    stacked = Counter(
        np.array([c.hi for c in counters], np.uint32), np.array([c.lo for c in counters], np.uint32)
    )
    return jax.jit(_children.children)(key, stacked)


@pytest.mark.slow
def test_sets():
    """2**20 names and 2**20 children of one key are 2**21 different keys."""
    chosen = [f"layer_{number}/dropout" for number in range(2**20)]
    named = _pack(_named(KEY, chosen))
    assert int(named[77]) == int(_pack(ks.derive(KEY, chosen[77]))[0])
    positions = _pack(ks.keys(KEY, 2**20))
    assert np.unique(np.concatenate([named, positions])).size == 2**21
    negative = _pack(ks.derive(KEY, -1 - np.arange(2**20)))
    assert np.unique(np.concatenate([named, negative])).size == 2**21


def test_sets_fault():
    """Names folded as 32-bit hashes, as other libraries do, do meet the children of the key."""
    chosen = [f"layer_{number}/dropout" for number in range(2**12)]
    low = np.array([int(_scheme.hash_part(name).lo) % 2**20 for name in chosen])
    named = _pack(ks.derive(KEY, low.astype(np.uint32)))
    assert np.intersect1d(named, _pack(ks.keys(KEY, 2**20))).size > 4000


@pytest.mark.fast
@settings(max_examples=8)
@given(st.lists(names, min_size=1, max_size=3))
def test_under_jit(path):
    """A path of names gives the same key under `jit` and `vmap` as eagerly."""
    eager = _derive(42, *path)
    assert _words(jax.jit(lambda key: ks.derive(key, *path))(KEY)) == eager
    mapped = jax.vmap(lambda key: ks.derive(key, *path))(KEY[None])
    assert _words(mapped[0]) == eager


@pytest.mark.fast
def test_arrays_between_names():
    """An array between names composes elementwise, shapes broadcasting as in NumPy."""
    ids, epochs = np.array([0, 5, -7, 2**40]), np.array([[1], [2**33]])
    made = ks.derive(KEY, "noise", epochs, "part", jnp.arange(4), ids)
    assert made.shape == (2, 4)
    for row, column in itertools.product(range(2), range(4)):
        path = ("noise", int(epochs[row, 0]), "part", column, int(ids[column]))
        assert _words(made[row, column]) == _reference(42, *path)


PROGRAM = """
import jax, keystream as ks
names = sorted({"params", "dropout", b"data", "\\u00e9"}, key=repr)
for key in (*ks.split(ks.key("run"), names).values(), ks.derive(ks.key(1), *names)):
    print(jax.random.key_data(key).tolist())
"""


@pytest.mark.slow
def test_processes():
    """PYTHONHASHSEED changes nothing: processes with different hash seeds print the same keys."""
    printed = []
    for seed in ("0", "1", "random"):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        printed.append(ran.stdout)
    assert printed[0].count("[") == 5
    assert printed[0] == printed[1] == printed[2]
    first = reference.derive("threefry2x32", reference.seed_words("threefry2x32", "run"), "dropout")
    assert str(list(first)) in printed[0]


def test_huge_integers():
    """Integers of thousands of digits are hashed by all of them, and not kept in memory."""
    _scheme._remembered.cache_clear()
    words = reference.seed_words("threefry2x32", 1)
    for number in (10**700, 10**700 + 7, -(10**700) - 7, 10**5000 + 10**3000):
        made = ks.derive(ks.key(1), number)
        assert _words(made) == tuple(reference.derive("threefry2x32", words, number))
    assert ks.derive(ks.key(1), 10**700 + 7) != ks.derive(ks.key(1), 10**700 + 70)
    ks.derive(ks.key(1), 1 << 9000)
    assert _scheme._remembered.cache_info().currsize <= 2


def test_long_names_are_not_kept():
    """A document that serves as a name is hashed anew, and not kept in memory."""
    _scheme._remembered.cache_clear()
    document = "long " * 1000
    first, second = ks.derive(ks.key(1), document), ks.derive(ks.key(1), document + "!")
    assert first != second
    assert _scheme._remembered.cache_info().currsize == 0
