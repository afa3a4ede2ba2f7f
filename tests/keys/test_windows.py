"""No 128 bits in a row come twice, exactly: draws of streams, words of keys, draws of parents.

A battery reads one stream. Whether two streams share a piece, it can't see: a stream that
repeats 16 bytes of its sibling somewhere passes them all. So every window of four words in a
row, at every word, is held against every other one. By chance two of 2**24 windows agree
with probability 2**47 / 2**128, so that any that do are a defect.
"""

import functools

import jax
import numpy as np
import pytest

import keystream as ks
from keystream import _compat

pytestmark = pytest.mark.slow

KEY = ks.key("windows")
STREAMS, LENGTH = 2**11, 2**10
WORDS = 2**22
"""Of the keys, and of the parents' draws."""
WIDTH = 4


@functools.partial(jax.jit, static_argnums=1)
def _bits(keys, length):
    return ks.batched(jax.random.bits)(keys, (length,), np.uint32)


def _draws(keys, length=LENGTH):
    return np.asarray(_bits(keys.ravel(), length))


def _key_words(key, count):
    return np.asarray(jax.random.key_data(ks.keys(key, count))).reshape(1, -1)


@pytest.fixture(scope="module")
def sequences():
    """Return rows of words: what is drawn by four kinds of streams, by parents, and keys."""
    chain = jax.jit(
        lambda key: ks.scan_carried(lambda use, c, _: (c, use), None, key=key, length=STREAMS)[2]
    )
    names = [f"stream_{number}" for number in range(STREAMS)]
    parents = ks.keys(ks.derive(KEY, "parents"), STREAMS)
    return {
        "children": _draws(ks.keys(ks.derive(KEY, "a"), STREAMS)),
        "named": _draws(jax.numpy.stack(list(ks.split(ks.derive(KEY, "b"), names).values()))),
        "carried": _draws(chain(ks.derive(KEY, "c"))),
        "named children of parents": _draws(jax.vmap(lambda key: ks.derive(key, "noise"))(parents)),
        "parents": _draws(parents, 2 * LENGTH),
        "keys": _key_words(ks.derive(KEY, "parents"), WORDS // 2),
    }


def _windows(rows):
    """Return the first and the last 64 bits of each window of four words of each row."""
    pairs = rows[:, :-1].astype(np.uint64) << np.uint64(32) | rows[:, 1:]
    return pairs[:, :-2].ravel(), pairs[:, 2:].ravel()


def shared(sequences):
    """Return how many windows are not the first of their kind."""
    halves = [_windows(rows) for rows in sequences]
    first = np.concatenate([half for half, _ in halves])
    last = np.concatenate([half for _, half in halves])
    ordered = np.sort(first)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not twice.size:
        return 0
    # Few windows, if any, agree in their first half; only those are compared in full.
    near = np.isin(first, twice)
    whole = np.stack([first[near], last[near]], 1)
    return len(whole) - len(np.unique(whole, axis=0))


def test_no_window_is_shared(sequences):
    """No 128 bits in a row come twice in 2**24 windows of draws and of keys."""
    count = sum(len(rows) * (rows.shape[1] - WIDTH + 1) for rows in sequences.values())
    assert 2**24 - 2**15 < count < 2**24
    assert shared(sequences.values()) == 0


def _few(sequences):
    """Return a sixteenth of the sequences: what a faulty one spoils is found among few as well."""
    keys = sequences["keys"][:, : WORDS // 16]
    return {name: rows[: STREAMS // 16].copy() for name, rows in sequences.items()} | {"keys": keys}


def test_one_window_is_found(sequences):
    """A single window that one stream shares with another, at another place, is found."""
    planted = _few(sequences)
    planted["named"][17, 301:305] = planted["children"][5, 98:102]
    assert shared(planted.values()) == 1


def test_half_a_window_is_no_overlap(sequences):
    """Windows that agree in their first 64 or 96 bits alone are none: the whole is compared."""
    planted = _few(sequences)
    planted["named"][17, 301:303] = planted["children"][5, 98:100]
    planted["named"][18, 301:304] = planted["children"][6, 98:101]
    assert shared(planted.values()) == 0


def test_every_thousandth_block_is_found(sequences):
    """A stream that shares every 1,000th block of four words with its sibling is found."""
    rows = _draws(ks.keys(ks.derive(KEY, "d"), 2), 2**16).copy()
    blocks = rows.reshape(2, -1, 4)
    blocks[1, ::1000] = blocks[0, ::1000]
    assert shared([*_few(sequences).values(), rows]) == 17


def test_a_parent_that_draws_64_bits_is_found(sequences):
    """Keys are what their parent draws as 64-bit integers: such a use of both is found."""
    with _compat.enable_x64(True):
        wide = np.asarray(jax.random.bits(ks.derive(KEY, "parents"), (100,), np.uint64))
    drawn = np.stack([wide >> np.uint64(32), wide], 1).astype(np.uint32).reshape(1, -1)
    assert shared([*_few(sequences).values(), drawn]) == 200 - WIDTH + 1


def test_a_reused_key_is_found(sequences):
    """Two streams on one key share all that they draw, although one is read from further on."""
    planted = _few(sequences)
    again = _draws(ks.keys(ks.derive(KEY, "a"), 5)[4:])[:, 700:]
    assert shared([*planted.values(), again]) == LENGTH - 700 - WIDTH + 1
