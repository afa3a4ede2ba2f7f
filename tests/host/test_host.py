"""`keystream.host` gives the keys of `ks` word for word, and nothing of JAX is needed for it."""

from __future__ import annotations

import doctest
import functools
import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keystream as ks
from keystream import host, interop
from keystream._keys import cipher as _cipher
from keystream._keys import scheme as _scheme
from tests import reference
from tests.docs.test_docs import missing_sections, public
from tests.fresh import python
from tests.keys.test_names import integers, names
from tests.oracle import words

ROOT = Path(__file__).parents[2]
FUNCTIONS = {name: value for name, value in public(host).items() if callable(value)}
KIND = "threefry2x32"

lists = st.lists(integers, min_size=1, max_size=4)
entropies = st.lists(st.integers(0, 2**40), max_size=5)
seeds = integers | names | lists | lists.map(tuple) | entropies.map(np.random.SeedSequence)
roots = st.integers(0, 2**64 - 1)
paths = st.lists(names | integers, max_size=3)
positions = st.integers(-(2**62), 2**63 - 1)


def plain(key: np.ndarray) -> tuple[int, ...]:
    """Return a host key, whose form must be right, as the reference has it."""
    assert isinstance(key, np.ndarray)
    assert (key.dtype, key.shape) == (np.uint32, (2,))
    return tuple(key.tolist())


def same(got: Any, want: jax.Array) -> bool:
    """Are these host keys the words of those keys?"""
    held = words(want)
    return got.dtype == held.dtype and got.shape == held.shape and bool((got == held).all())


# Laws, against `ks` and against the reference


@settings(max_examples=200)
@given(seeds)
def test_key(seed: Any) -> None:
    """A seed of every kind gives the words of `ks.key`."""
    got = host.key(seed)
    assert same(got, ks.key(seed))
    if isinstance(seed, np.random.SeedSequence):
        seed = reference.Entropy(np.atleast_1d(seed.entropy).tolist() if seed.entropy else [])
    seed = list(seed) if isinstance(seed, tuple) else seed
    assert plain(got) == reference.seed_words(KIND, seed)


@pytest.mark.parametrize(
    "seed",
    [
        np.int8(-3),
        np.uint64(2**64 - 1),
        np.array(2**40),
        [np.int16(7), np.array(8)],
        jnp.int32(5),
        np.str_("a"),
        np.random.SeedSequence(5).spawn(2)[1],
        np.array([1, 2**32 - 1], np.uint32),
        jax.random.PRNGKey(3),
    ],
    ids=lambda seed: f"{type(seed).__name__}{getattr(seed, 'shape', '')}",
)
def test_other_seeds(seed: Any) -> None:
    """NumPy's and JAX's integers, a spawned SeedSequence and a legacy key are seeds, too."""
    assert same(host.key(seed), ks.key(seed))


@settings(max_examples=200)
@given(roots, paths)
def test_path(seed: int, path: list[Any]) -> None:
    """A path of names and integers gives the words of `ks.derive`."""
    got = host.derive(host.key(seed), *path)
    assert same(got, ks.derive(ks.key(seed), *path))
    assert plain(got) == reference.derive(KIND, reference.seed_words(KIND, seed), *path)


@given(roots, st.lists(positions, min_size=6, max_size=6), names)
def test_array(seed: int, numbers: list[int], name: Any) -> None:
    """Arrays of positions broadcast, and give the words of `ks.derive` for each."""
    ids = np.array(numbers)
    one, two = ids[:3, None], ids[None, 4:]
    got = host.derive(host.key(seed), one, name, two)
    assert same(got, ks.derive(ks.key(seed), one, name, two))
    assert plain(got[2, 1]) == reference.derive(
        KIND, reference.seed_words(KIND, seed), numbers[2], name, numbers[5]
    )


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (40,), (2, 0, 3), (3, 1, 2)])
def test_types_and_shapes(kind: str, shape: tuple[int, ...]) -> None:
    """Every integer dtype and shape gives the words of `ks.derive`, also read only and reversed."""
    info, key = np.iinfo(kind), host.key("types")
    low = max(int(info.min), -(2**62))
    ids = np.random.default_rng(5).integers(low, int(info.max), shape, kind, endpoint=True)
    want = ks.derive(ks.key("types"), ids)
    assert same(host.derive(key, ids), want)
    ids.flags.writeable = False
    assert same(host.derive(key, ids.T), want.T)
    if kind != "int64":
        assert same(host.derive(key, jnp.asarray(ids)), want)


def test_int4() -> None:
    """The narrow integers that JAX has are positions, as for `ks.derive`."""
    ids = np.arange(-8, 8).astype(jnp.int4.dtype)
    assert same(host.derive(host.key(1), ids), ks.derive(ks.key(1), ids))


@given(roots, st.sampled_from(["a", 3, -1, 2**70]))
def test_many_keys(seed: int, part: Any) -> None:
    """An array of keys derives like each of them, and broadcasts with the parts."""
    keys, typed = host.keys(host.key(seed), (3, 1)), ks.keys(ks.key(seed), (3, 1))
    each = jax.vmap(jax.vmap(lambda key: ks.derive(key, part)))(typed)
    assert same(host.derive(keys, part), each)
    ids = np.arange(2)
    got = host.derive(keys, part, ids)
    assert got.shape == (3, 2, 2)
    assert (got[1, 1] == host.derive(keys[1, 0], part, 1)).all()


@given(roots, names | integers, names | integers)
def test_composition(seed: int, one: Any, two: Any) -> None:
    """A path in two steps is the path, for parts of every kind."""
    key = host.key(seed)
    assert (host.derive(key, one, two) == host.derive(host.derive(key, one), two)).all()
    ids = np.arange(30)
    many = host.derive(key, one, ids, two)
    assert (many == host.derive(host.derive(key, one, ids), two)).all()
    assert (many[7] == host.derive(key, one, 7, two)).all()


@pytest.mark.parametrize("num", [0, 1, 2, 24, 25, np.int8(5)])
def test_split(num: int) -> None:
    """A count gives a tuple of the words of `ks.split`, which are those of `ks.keys`."""
    got, want = host.split(host.key(7), num), ks.keys(ks.key(7), num)
    assert isinstance(got, tuple)
    assert len(got) == num
    assert all(same(one, other) for one, other in zip(got, want, strict=True))
    assert len(host.split(host.key(7))) == 2


def test_split_names() -> None:
    """Names give a dict of the words of `ks.split`, in their order."""
    given = ("params", b"params", "dropout", "Ünïcode")
    got, want = host.split(host.key(7), given), ks.split(ks.key(7), given)
    assert list(got) == list(want)
    assert all(same(got[name], want[name]) for name in given)
    assert host.split(host.key(7), ()) == {}


@pytest.mark.parametrize("shape", [0, 3, (), (2, 3), (5, 0), 100, np.int64(4)])
@pytest.mark.parametrize("start", [0, 7, 2**32 - 2, 2**40, 2**63 - 101, np.array(9)])
def test_keys(shape: Any, start: Any) -> None:
    """Consecutive children are those of `ks.keys`, from every start."""
    got = host.keys(host.key("rows"), shape, start=start)
    assert same(got, ks.keys(ks.key("rows"), shape, start=start))


def test_keys_end() -> None:
    """The last position has a key, and none comes after it."""
    key = host.key(1)
    assert (host.keys(key, 1, start=2**63 - 1)[0] == host.derive(key, 2**63 - 1)).all()
    with pytest.raises(ks.ArgumentValueError):
        host.keys(key, 2, start=2**63 - 1)


@given(roots, paths)
def test_to_jax_and_back(seed: int, path: list[Any]) -> None:
    """Keys come and go without a change, one or an array of any shape."""
    key = host.derive(host.key(seed), *path)
    typed = host.to_jax(key)
    assert typed.shape == ()
    assert bool(typed == ks.derive(ks.key(seed), *path))
    assert (host.from_jax(typed) == key).all()
    many = host.keys(key, (2, 3))
    assert (host.from_jax(host.to_jax(many)) == many).all()
    assert host.to_jax(many).shape == (2, 3)


@given(roots)
def test_generators(seed: int) -> None:
    """Generators are those of `interop` for the same key."""
    key, typed = host.key(seed), ks.key(seed)
    one, other = host.numpy_generator(key), interop.numpy_generator(typed)
    assert one.bit_generator.state == other.bit_generator.state
    assert host.python_random(key).getstate() == interop.python_random(typed).getstate()


@pytest.mark.slow
def test_torch_generator() -> None:
    """Torch's generator is that of `interop` for the same key."""
    torch = pytest.importorskip("torch", reason="no torch: install torch")
    one, other = host.torch_generator(host.key(3)), interop.torch_generator(ks.key(3))
    assert torch.equal(one.get_state(), other.get_state())


LINES = (ROOT / "tests" / "keys" / "known_answers.txt").read_text().splitlines()
ANSWERED = ("key", "derive", "keys", "process", "places", "numpy", "python")


def answer(what: str, given: dict[str, str]) -> str:
    """Answer a known question by host keys."""
    if what == "key":
        seed = reference.read_part(given["seed"])
        entropy = isinstance(seed, reference.Entropy)
        return write(host.key(np.random.SeedSequence(list(seed)) if entropy else seed))
    key = np.array(reference.read_words(given["key"]), np.uint32)
    match what:
        case "derive":
            return write(host.derive(key, *reference.read_path(given["path"])))
        case "keys":
            row = host.keys(key, int(given["num"]), start=int(given["start"]))
            return ",".join(map(write, row))
        case "places":
            index = np.array(given["index"].split(","), np.int64)
            return ",".join(map(str, host.index_shuffle(key, int(given["n"]), index).tolist()))
        case "process":
            return write(host.derive(key, int(given["index"])))
        case "numpy":
            return f"first={host.numpy_generator(key).bit_generator.random_raw():016x}"
    return f"first={host.python_random(key).getrandbits(32):08x}"


def write(key: np.ndarray) -> str:
    return reference.write_words(plain(key))


@pytest.mark.fast
def test_known_answers() -> None:
    """The frozen vectors of the scheme are what the host gives."""
    lines = [line for line in LINES if line and not line.startswith("#")]
    asked = [line for line in map(reference.read_line, lines) if line[1] == KIND]
    asked = [line for line in asked if line[0] in ANSWERED]
    assert len(asked) > 200
    assert {what for what, *_ in asked} == set(ANSWERED)
    for what, _, inputs, expected in asked:
        assert expected.endswith(answer(what, inputs)), (what, inputs)


@pytest.mark.fast
@pytest.mark.parametrize("n", [1, 50, 4096, 4097, 10**6, 2**31, 10**12, 2**62])
def test_places(n: int) -> None:
    """Places are those of the scheme, for one index and several; the inverse undoes them."""
    words = host.derive(host.key(42), "order", n)
    index = np.random.default_rng(n).integers(0, n, (2, 3))
    places = host.index_shuffle(words, n, index)
    want = [reference.shuffled(tuple(words.tolist()), n, i) for i in index.ravel().tolist()]
    assert places.ravel().tolist() == want
    assert places.dtype == (np.int32 if n <= 2**31 else np.int64)
    assert (host.index_unshuffle(words, n, places) == index).all()
    assert host.index_shuffle(words, n, int(index[1, 1])) == places[1, 1]
    assert host.index_shuffle(words, n, np.zeros((0, 2), np.uint8)).shape == (0, 2)


@pytest.mark.slow
def test_a_million() -> None:
    """10**6 keys, at positions of every width and below names, are those of `ks`."""
    generator = np.random.default_rng(2026)
    for width in (8, 31, 32, 33, 48, 62):
        ids = generator.integers(-(2**width), 2**width, 170_000)
        seed = generator.bytes(9)
        path = ("augment", int(ids[0]), ids)
        assert same(host.derive(host.key(seed), *path), ks.derive(ks.key(seed), *path))
    assert same(host.keys(host.key(5), 10**6, start=2**32 - 500_000), _row(5, 2**32 - 500_000))


def _row(seed: int, start: int) -> jax.Array:
    return ks.keys(ks.key(seed), 10**6, start=start)


# Wrong implementations, which the laws must find


RIGHT = host.derive


def _other_hash(key: np.ndarray, *path: Any) -> np.ndarray:
    for part in path:
        number = _scheme.part_number(part)
        if isinstance(part, (str, bytes)):
            text = part.encode() if isinstance(part, str) else part  # a prefix for both types
            digest = hashlib.sha256(b"keystream:1:str:" + text).digest()
            number = 2**63 | int.from_bytes(digest[:8], "big") % 2**62
        key = np.array(_cipher.block(key.tolist(), number), np.uint32)
    return key


def _high_word_lost(key: np.ndarray, *path: Any) -> np.ndarray:
    for part in path:
        number = _scheme.part_number(part) & 0xFFFFFFFF
        key = np.array(_cipher.block(key.tolist(), number), np.uint32)
    return key


def _cut_seed(seed: Any, right: Any = host.key) -> np.ndarray:
    return right(seed % 2**32 if isinstance(seed, int) else seed)


def _unsigned(key: np.ndarray, *path: Any) -> np.ndarray:
    return RIGHT(key, *[part.astype("uint32") for part in path])


def _backwards(key: np.ndarray, shape: Any, *, start: int = 0) -> np.ndarray:
    return RIGHT(key, np.arange(math.prod(shape)).reshape(shape, order="F") + start)


@pytest.mark.parametrize(
    ("name", "wrong", "law", "case"),
    [
        ("derive", _other_hash, test_path, (5, [b"a"])),
        ("derive", _high_word_lost, test_path, (5, [2**32])),
        ("derive", _high_word_lost, test_path, (5, ["a"])),
        ("key", _cut_seed, test_key, (2**32,)),
        ("key", _cut_seed, test_key, (-1,)),
        ("derive", _unsigned, test_types_and_shapes, ("int8", (40,))),
        ("keys", _backwards, test_keys, ((2, 3), 7)),
    ],
)
def test_fault(name: str, wrong: Any, law: Any, case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name hashed otherwise, a high word lost, a seed, a sign or an order changed are found."""
    law = law.hypothesis.inner_test if hasattr(law, "hypothesis") else law
    law(*case)
    monkeypatch.setattr(host, name, wrong)
    with pytest.raises(AssertionError):
        law(*case)


@pytest.mark.parametrize("count", [1, 24, 25, 2**14 - 1, 2**14, 2**14 + 1, 40_000])
def test_cipher(count: int) -> None:
    """Many blocks at once, in pieces, are the blocks one by one, with one key or many."""
    rng = np.random.default_rng(count)
    keys, hi, lo = (
        rng.integers(2**32, size=s, dtype=np.uint32) for s in ((count, 2), count, count)
    )
    picked = [0, count // 2, count - 1]
    for key in (keys, keys[0]):
        got = _cipher.threefry2x32(key, hi, lo)
        assert got.shape == (count, 2)
        for i in picked:
            own = key if key.ndim == 1 else key[i]
            counter = (int(hi[i]), int(lo[i]))
            assert tuple(got[i].tolist()) == reference.threefry2x32(tuple(own.tolist()), counter)


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_cipher_broadcasts(count: int) -> None:
    """One key for all counters, and one counter for all keys, are repeated."""
    draw = functools.partial(np.random.default_rng(count).integers, 2**32, dtype=np.uint32)
    keys, one, hi, lo = draw(size=(count, 2)), draw(size=(1, 2)), draw(size=count), draw(size=count)
    got = _cipher.threefry2x32(one, hi, lo)
    assert (got == _cipher.threefry2x32(one[0], hi, lo)).all()
    counter = one[0, :1], one[0, 1:]
    repeated = (np.repeat(word, count) for word in counter)
    assert (_cipher.threefry2x32(keys, *counter) == _cipher.threefry2x32(keys, *repeated)).all()
    assert got.shape == (count, 2)


def test_cipher_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block whose words are swapped is found."""
    monkeypatch.setattr(_cipher, "block", functools.partial(_swapped, _cipher.block))
    with pytest.raises(AssertionError):
        test_cipher(24)


def _swapped(block: Any, key: Any, counter: int) -> tuple[int, int]:
    one, other = block(key, counter)
    return other, one


# What keeps its own


def test_nothing_is_shared() -> None:
    """A key that is written to changes no other, nor what it was made from."""
    legacy = np.array([1, 2], np.uint32)
    key = host.key(legacy)
    for made in (key, host.derive(key), host.split(key)[0], host.from_jax(ks.key(1))):
        made[:] = 0
    assert legacy.tolist() == [1, 2]
    one, two = host.split(legacy)
    one[:] = 0
    assert (two == host.derive(legacy, 1)).all()


def test_under_tracing() -> None:
    """A traced key has no words yet; one that a traced function closes over has."""
    with pytest.raises(ks.KeyTypeError, match=r"host\.from_jax: key must be concrete"):
        jax.jit(host.from_jax)(ks.key(1))
    closed = ks.key(1)

    @jax.jit
    def inside() -> Any:
        return jax.random.key_data(host.to_jax(host.derive(host.from_jax(closed), "a")))

    assert (inside() == words(ks.derive(closed, "a"))).all()


@pytest.mark.parametrize("impl", ["threefry4x32", "philox4x32", "rbg"])
def test_other_implementations(impl: str) -> None:
    """A key of another implementation is refused, with the reason."""
    with pytest.raises(ks.KeyImplError, match="whose cipher is all that the host has"):
        host.from_jax(ks.key(1, impl=impl))


# Processes and threads


def test_no_backend() -> None:
    """Importing it imports no JAX and starts no thread; its functions need no backend of JAX."""
    program = (
        "import sys, threading, numpy as np\n"
        "from keystream import host\n"
        "key = host.derive(host.key('run'), 'augment', 3, np.arange(50))[7]\n"
        "host.numpy_generator(key), host.python_random(key), host.split(key), host.keys(key, 3)\n"
        "assert threading.active_count() == 1 and 'jax' not in sys.modules\n"
        "import jax, keystream as ks\n"
        "jax.config.update('jax_platforms', 'nonexistent')\n"
        "host.derive(host.key(5), 'a', np.arange(2))\n"
        "try:\n"
        "    ks.key(5)\n"
        "except RuntimeError:\n"
        "    print('no backend')\n"
    )
    assert python(program).stdout == "no backend\n"


@functools.cache
def run_workers(method: str) -> list[str]:
    """Run the program of workers."""
    call = [sys.executable, "-W", "ignore", "-m", "tests.host.worker", method]
    done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=240, cwd=ROOT)
    return done.stdout.split()


@pytest.mark.parametrize(
    "method",
    [
        "threads",
        "fork",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("spawn", "forkserver")),
    ],
)
def test_workers(method: str) -> None:
    """Eight threads or processes, started in whatever way, draw what a loop draws, without JAX."""
    digest, several, jaxes = run_workers(method)
    assert digest == run_workers("loop")[0]
    assert several == str(method != "threads")
    assert jaxes == str(method == "fork")  # there it was imported before


# The page


@pytest.mark.fast
@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name: str) -> None:
    """Each function has every section, names its arguments, and its example runs."""
    assert missing_sections(FUNCTIONS[name]) == []
    (test,) = doctest.DocTestFinder(recurse=False).find(FUNCTIONS[name], name, globs={})
    assert test.examples
    said: list[str] = []
    assert not doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed, said
