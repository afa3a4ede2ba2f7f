"""Each layout's word at a place, by the slow way: one key, one draw, no blocks.

A place counts words from the beginning of the stream. What a block holds is written down
here a second time, in numbers, so that a change of it is noticed.
"""

import itertools

import jax
import numpy as np

import keystream as ks
from tests import oracle

BLOCK = 524288


def _draw(key, number, width):
    return int(jax.random.bits(key, (width,), np.uint32)[number])


def _in_turn(place, keys):
    """Return the turn, which of its keys, which word of it, and how many it has."""
    turn, rest = divmod(place, BLOCK)
    return turn, rest % keys, rest // keys, BLOCK // keys


def children(key, place):
    turn, which, number, width = _in_turn(place, 8192)
    return _draw(oracle.child(key, 8192 * turn + which), number, width)


def named(key, place):
    turn, which, number, width = _in_turn(place, 128)
    return _draw(oracle.child(key, f"layer_{128 * turn + which}"), number, width)


def tree(key, place):
    turn, which, number, width = _in_turn(place, 128 * 64)
    lane, level = divmod(which, 64)
    branches = [(lane + depth) % 4 for depth in range(level)]
    leaf = oracle.derive(key, 128 * turn + lane, *branches, 4)
    return _draw(leaf, number, width)


def carried(key, place):
    turn, rest = divmod(place, BLOCK)
    _, uses = oracle.chain(oracle.child(key, turn), rest // 64 + 1)
    return _draw(uses[-1], rest % 64, 64)


def stream(key, place):
    item, number = divmod(place, 64)
    return _draw(oracle.child(key, item), number, 64)


def shards(key, place):
    turn, which, number, width = _in_turn(place, 8)
    return _draw(oracle.derive(key, turn, which), number, width)


def epochs(key, place):
    turn, rest = divmod(place, BLOCK)
    example, number = divmod(rest, 16)
    return _draw(oracle.derive(key, "noise", turn // 64, turn % 64, example), number, 16)


def seeds(key, place):
    turn, which, number, width = _in_turn(place, 128)
    made = ks.key(128 * turn + which, impl=str(jax.random.key_impl(key)))
    chosen = int(jax.random.bits(key, (), np.uint32))
    return _draw(oracle.derive(made, chosen, 0), number, width)


def _sparse_seed(number):
    """Return the number-th seed, the fewest ones first, then by the lowest bits set."""
    for weight in range(6):
        for bits in itertools.combinations(range(32), weight):
            if number == 0:
                return sum(2**bit for bit in bits)
            number -= 1
    raise AssertionError("no such seed")


def sparse(key, place):
    turn, which, number, width = _in_turn(place, 128)
    again, seed = divmod(128 * turn + which, 242825)
    made = ks.key(_sparse_seed(seed), impl=str(jax.random.key_impl(key)))
    chosen = int(jax.random.bits(key, (), np.uint32))
    return _draw(oracle.derive(made, chosen, again), number, width)


def first(key, place):
    return int(jax.random.bits(oracle.derive(key, *divmod(place, BLOCK)), (), np.uint32))


def keys(key, place):
    turn, rest = divmod(place, BLOCK)
    which, number = divmod(rest, len(oracle.words(key)))
    return int(oracle.words(oracle.derive(key, turn, which))[number])


def family(key, place):
    turn, rest = divmod(place, BLOCK)
    which, rest = divmod(rest, 256)
    number, relative = divmod(rest, 4)
    parent = oracle.derive(key, turn, which)
    path = ((), ("noise",), (2**31,), ("tree", 0))[relative]
    return _draw(oracle.derive(parent, *path), number, 64)


ORACLES = {
    made.__name__: made
    for made in (
        children, named, tree, carried, stream, shards, epochs, seeds, sparse, first, keys, family
    )
}  # fmt: skip
