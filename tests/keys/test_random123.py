"""The ciphers under the scheme are those that Random123 published."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p

import keystream as ks
from keystream._keys import children as _children
from keystream._keys.scheme import Counter
from tests import reference

pytestmark = pytest.mark.fast

_WIDTHS = {"threefry2x32": (2, 2, 2), "threefry4x32": (4, 4, 4), "philox4x32": (4, 2, 4)}


def _vectors():
    """Read the file: cipher, counter, key, answer."""
    lines = Path(__file__).with_name("random123.txt").read_text().splitlines()
    for line in lines:
        if not line.startswith("#"):
            cipher, _, *words = line.split()
            numbers = tuple(int(word, 16) for word in words)
            first, second, third = _WIDTHS[cipher]
            assert len(numbers) == first + second + third
            yield cipher, numbers[:first], numbers[first:-third], numbers[-third:]


VECTORS = list(_vectors())
MAIN = [vector[1:] for vector in VECTORS if vector[0] == "threefry2x32"]


def _key(words, impl="threefry2x32"):
    return jax.random.wrap_key_data(np.array(words, np.uint32), impl=impl)


def _words(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_all_are_here():
    """The file holds three vectors for each of the three ciphers, and no two alike."""
    assert len(MAIN) == 3
    assert len(set(VECTORS)) == 9


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector[0])
def test_reference(vector):
    """The reference gives the published answers."""
    cipher, counter, key, known = vector
    assert getattr(reference, cipher)(key, counter) == known


@pytest.mark.parametrize(("counter", "key", "known"), MAIN)
def test_inverse(counter, key, known):
    """The reference's inverse leads from a published answer back to its counter."""
    assert reference.threefry2x32_inverse(key, known) == counter


@pytest.mark.parametrize(("counter", "key", "known"), MAIN)
def test_primitive(counter, key, known):
    """JAX's threefry2x32 primitive, eager and compiled, gives the published answers."""
    operands = [jnp.uint32(word) for word in (*key, *counter)]
    assert tuple(map(int, threefry2x32_p.bind(*operands))) == known
    assert tuple(map(int, jax.jit(threefry2x32_p.bind)(*operands))) == known


@pytest.mark.parametrize(("counter", "key", "known"), MAIN)
def test_child(counter, key, known):
    """A child at a counter with a high word is the published block, alone and in an array."""
    words = Counter(*map(np.uint32, counter))
    assert _words(_children.child(_key(key), words)) == known
    several = Counter(*(np.array([word, 0, word], np.uint32) for word in counter))
    made = jax.random.key_data(_children.children(_key(key), several))
    assert [tuple(row) for row in np.asarray(made)[[0, 2]].tolist()] == [known, known]


@pytest.mark.parametrize(("counter", "key", "known"), MAIN)
def test_derive(counter, key, known):
    """`derive` reaches every published block: all three counters are positions."""
    number = counter[0] << 32 | counter[1]
    position = number - 2**64 * (number >> 63)
    assert position in (0, -1, 0x243F6A8885A308D3)
    assert _words(ks.derive(_key(key), position)) == known
    assert _words(ks.derive(_key(key), np.array([position]))[0]) == known


def test_fold_in():
    """The counter below 2**32 among them is `jax.random.fold_in` and the first of a split."""
    assert _words(jax.random.fold_in(_key((0, 0)), 0)) == MAIN[0][2]
    assert _words(ks.split(_key((0, 0)))[0]) == MAIN[0][2]


def test_threefry4x32():
    """A threefry4x32 key of zeros folded with zero is the published block of zeros."""
    known = next(known for cipher, *_, known in VECTORS if cipher == "threefry4x32")
    key = _key((0, 0, 0, 0), "threefry4x32")
    assert _words(jax.random.fold_in(key, 0)) == known
    assert _words(ks.derive(key, 0)) == known


def test_philox4x32():
    """A philox4x32 key of zeros folded with zero is the first half of its block of zeros."""
    known = next(known for cipher, *_, known in VECTORS if cipher == "philox4x32")
    assert _words(ks.derive(_key((0, 0), "philox4x32"), 0)) == known[:2]


def test_fault():
    """A cipher with the words of its key exchanged, or a counter off by one, fails on a vector."""
    exchanged = [reference.threefry2x32(key[::-1], counter) for counter, key, _ in MAIN]
    assert exchanged[2] != MAIN[2][2]
    assert reference.threefry2x32(MAIN[0][1], (0, 1)) != MAIN[0][2]
