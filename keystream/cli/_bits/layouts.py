"""The orders in which programs use keys, each as one endless stream of bits.

A layout is a pure function `block(key, index)`: the words that one key makes in one turn, from
the key and the number of the turn. All of them are built on the public helpers, so that what a
battery reads are the keys and draws that people get.

Every block has `WORDS` words, so that a word's place says which key it came from. "In turn"
means the first word of each key, then the second of each, and so on: a pattern between keys
stands side by side there, where batteries look.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks

WORDS = 2**19
"""Of each block: 2 MiB."""

FEW, MANY = 2**7, 2**13
"""Keys of a block where each costs a call from Python, and where it doesn't."""

SHARDS = 8
EXAMPLES = 2**15
STEPS = 64
"""Of an epoch."""
DEPTH = 64
BRANCHES = 4
"""Children of a node that are nodes; the one behind them is a leaf, which is drawn from."""
TREES = 2**7
PARENTS = 2**11
WEIGHT = 5
"""Ones in a sparse seed, at most."""


def _jit(fun: Callable[..., Any]) -> Callable[..., jax.Array]:
    return jax.jit(fun)


def children(key: jax.Array, index: int) -> jax.Array:
    """Return draws of children 0, 1, 2, ... in turn."""
    return _in_turn(ks.keys(key, MANY, start=index * MANY))


def named(key: jax.Array, index: int) -> jax.Array:
    """Return draws of the children "layer_0", "layer_1", ... in turn."""
    names: list[str | bytes] = [f"layer_{number}" for number in _numbers(index)]
    return _in_turn(_stack(list(ks.split(key, names).values())))


def tree(key: jax.Array, index: int) -> jax.Array:
    """Return draws of leaves at depths 1 to 64 of many trees, in turn."""
    return _in_turn(_leaves(ks.keys(key, TREES, start=index * TREES)))


@_jit
def _leaves(roots: jax.Array) -> Any:
    lane = np.arange(TREES, dtype=np.uint32)

    def level(nodes: jax.Array, depth: Any) -> tuple[jax.Array, jax.Array]:
        leaves = jax.vmap(lambda node: ks.derive(node, BRANCHES))(nodes)
        return jax.vmap(ks.derive)(nodes, (lane + depth) % BRANCHES), leaves

    _, leaves = jax.lax.scan(level, roots, np.arange(DEPTH, dtype=np.uint32))
    return leaves.T.reshape(-1)


def carried(key: jax.Array, index: int) -> jax.Array:
    """Return draws along `key, use = split(key)`, 8,192 steps from each child on."""
    return _chain(ks.derive(key, index))


@_jit
def _chain(key: jax.Array) -> Any:
    def step(key: Any, carry: None, _: None) -> tuple[None, jax.Array]:
        return carry, jax.random.bits(key, (WORDS // MANY,), np.uint32)

    return ks.scan_carried(step, None, key=key, length=MANY)[2].reshape(-1)


def stream(key: jax.Array, index: int) -> jax.Array:
    """Return draws of the items of one stream, one item after the other."""
    return _in_rows(ks.Stream(key).skip(index * MANY).take(MANY)[0])


def shards(key: jax.Array, index: int) -> jax.Array:
    """Return draws of the keys of 8 device shards in turn, a step after the other."""
    return _in_turn(_shard_keys(ks.derive(key, index)))


@_jit
def _shard_keys(key: jax.Array) -> Any:
    # A lane stands for a device: `for_axis` asks for the place along the axis, and what
    # gives the axis, `vmap` or a mesh, doesn't matter to it.
    def own(_: Any) -> jax.Array:
        return ks.for_axis(key, "devices")

    return jax.vmap(own, axis_name="devices")(np.arange(SHARDS))


def epochs(key: jax.Array, index: int) -> jax.Array:
    """Return draws of epoch x step x example, as a training run goes through them."""
    ids = np.arange(EXAMPLES, dtype=np.uint32)
    return _in_rows(ks.derive(key, "noise", *divmod(index, STEPS), ids))


def seeds(key: jax.Array, index: int) -> jax.Array:
    """Return draws of the seeds 0, 1, 2, ... in turn; `key` chooses which child of each."""
    return _in_turn(_seed_keys(key, list(_numbers(index)), 0))


def sparse(key: jax.Array, index: int) -> jax.Array:
    """Return draws of seeds with at most 5 bits set, in turn; `key` chooses the child."""
    chosen = _sparse_seeds()
    turns, places = np.divmod(np.asarray(_numbers(index)), len(chosen))
    return _in_turn(_seed_keys(key, chosen[places].tolist(), turns.astype(np.uint32)))


@functools.cache
def _sparse_seeds() -> np.ndarray:
    """Return the numbers below 2**32 with few bits set, the fewest first."""
    powers = [1 << bit for bit in range(32)]
    several = (itertools.combinations(powers, weight) for weight in range(WEIGHT + 1))
    return np.array([sum(chosen) for group in several for chosen in group], np.uint32)


def _seed_keys(key: jax.Array, chosen: Sequence[int], turn: int | np.ndarray) -> jax.Array:
    made = _stack([ks.key(seed, impl=str(jax.random.key_impl(key))) for seed in chosen])
    return _descend(made, key, np.broadcast_to(np.uint32(turn), len(chosen)))


@_jit
def _descend(made: jax.Array, key: jax.Array, turns: jax.Array) -> Any:
    place = jax.random.bits(key, (), np.uint32)
    return jax.vmap(lambda one, turn: ks.derive(one, place, turn))(made, turns)


def first(key: jax.Array, index: int) -> jax.Array:
    """Return the first draw of each of many keys."""
    return _first(ks.keys(ks.derive(key, index), WORDS))


@_jit
def _first(keys: jax.Array) -> Any:
    return ks.batched(jax.random.bits)(keys, (), np.uint32)


def keys(key: jax.Array, index: int) -> jax.Array:
    """Return the words of keys themselves."""
    width = jax.random.key_data(key).size
    return jax.random.key_data(ks.keys(ks.derive(key, index), WORDS // width)).reshape(-1)


def family(key: jax.Array, index: int) -> jax.Array:
    """Return draws of a parent, two of its children and a grandchild, in turn.

    No program should do that: a key that is drawn from has no children. It is here to show
    that names and far positions lie out of reach of draws.
    """
    return _family(ks.keys(ks.derive(key, index), PARENTS))


@_jit
def _family(parents: jax.Array) -> Any:
    named = jax.vmap(lambda key: ks.derive(key, "noise"))(parents)
    far = jax.vmap(lambda key: ks.derive(key, np.uint32(2**31)))(parents)
    grand = jax.vmap(lambda key: ks.derive(key, "tree", 0))(parents)
    drawn = ks.batched(jax.random.bits)(
        jnp.stack([parents, named, far, grand], 1), (WORDS // PARENTS // 4,), np.uint32
    )
    return drawn.transpose(0, 2, 1).reshape(-1)


def _numbers(index: int) -> range:
    return range(index * FEW, (index + 1) * FEW)


_stack = _jit(jnp.stack)


@_jit
def _in_turn(keys: jax.Array) -> Any:
    """Draw a block from keys: the first word of each, then the second of each."""
    drawn = ks.batched(jax.random.bits)(keys, (WORDS // keys.size,), np.uint32)
    return drawn.T.reshape(-1)


@_jit
def _in_rows(keys: jax.Array) -> Any:
    """Draw a block from keys: all words of the first, then all of the second."""
    drawn = ks.batched(jax.random.bits)(keys, (WORDS // keys.size,), np.uint32)
    return drawn.reshape(-1)


class Layout(NamedTuple):
    """One order in which programs use keys."""

    name: str
    told: str
    """What it is, in one line."""
    block: Callable[[jax.Array, int], jax.Array]
    """From a key and the number of a turn, the turn's words."""


LAYOUTS = {
    row.name: row
    for row in (
        Layout("children", "8,192 positional children at a time, in turn", children),
        Layout("named", "128 named children at a time, in turn", named),
        Layout("tree", "leaves at depths 1 to 64 of 128 trees, in turn", tree),
        Layout("carried", "key, use = split(key), 8,192 steps at a time", carried),
        Layout("stream", "the items of one stream, one after the other", stream),
        Layout("shards", "8 device shards in turn, step by step", shards),
        Layout("epochs", "epoch x step x example, as a training run goes", epochs),
        Layout("seeds", "the seeds 0, 1, 2, ..., 128 at a time, in turn", seeds),
        Layout("sparse", "seeds with at most 5 of 32 bits set, in turn", sparse),
        Layout("first", "the first draw of each of many keys", first),
        Layout("keys", "the words of keys themselves", keys),
        Layout("family", "a parent, two children, a grandchild, in turn", family),
    )
}
