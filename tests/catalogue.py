"""One row per public helper: a new function is tested everywhere by adding one row.

`run(key, n, start, draw)` gives the result for n items of one key; `want(key, n, start, draw)`
is its oracle, a Python loop. Helpers that hand out keys return their words and leave `draw`
alone, the others return what `draw` made of each item's key, stacked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import keystream as ks
from tests import oracle, reference
from tests.oracle import CIPHER, IMPLS, LANED, MAPPED, Draw

P = jax.P
ORDERED = ("threefry2x32",)
BOTH = tuple(impl for impl in LANED if impl in MAPPED)
NAMES = ("params", "dropout", "Ünïcode", b"bytes", "1")
Run = Callable[[jax.Array, int, Any, Draw], Any]


class Row(NamedTuple):
    """How to call one helper, and what it must give."""

    name: str
    run: Run
    want: Run
    impls: tuple[str, ...] = IMPLS
    sizes: tuple[int, ...] = (1, 5)
    """Numbers of items it is tried with; sharded ones follow the number of devices."""
    start: bool = False
    """Does it take a start, static or traced?"""
    prefix: bool = True
    """Do n items begin with the fewer ones? Not said of loops that count upwards only."""
    draws: bool = True
    """Does it call `draw`, so that it can be differentiated through?"""
    devices: bool = False
    """Does it map over devices itself?"""
    forward: bool = False
    """Is it differentiable only forward, as JAX's while_loop is?"""


def mesh(devices: int, kind: Any = None) -> jax.sharding.Mesh:
    """Return a mesh of one axis over the first devices."""
    kind = jax.sharding.AxisType.Auto if kind is None else kind
    return jax.make_mesh((devices,), ("data",), (kind,), devices=jax.devices()[:devices])


def items(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    """Draw from child start, start + 1, ... in a Python loop."""
    return oracle.draws(draw, oracle.children(key, range(start, start + n)))


def words(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    """Return the words of child start, start + 1, ... in a Python loop."""
    del draw
    return oracle.all_words(oracle.children(key, range(start, start + n)))


def like(value: Any, key: jax.Array) -> Any:
    """Make a value vary over the mesh axes that a key varies over, as a loop's carry must."""
    return value + jnp.zeros_like(jax.random.key_data(key), value.dtype).ravel()[0]


def stacked(keys: Any) -> jax.Array:
    return jnp.stack([jax.random.key_data(key) for key in keys])


def split(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    return stacked(ks.split(key, n))


def split_names(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    return stacked(ks.split(key, NAMES[:n]).values())


def want_names(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del start, draw
    return oracle.all_words([oracle.child(key, name) for name in NAMES[:n]])


def split_tree(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    made = ks.split_tree(key, {"b": [0] * n, "none": None, "a": (0, {"c": 0})})
    assert len(made["b"]) == n
    return stacked([*made["b"], made["a"][0], made["a"][1]["c"]])


def want_tree(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del start, draw
    paths: list[tuple[Any, ...]] = [("b", i) for i in range(n)]
    return oracle.all_words([oracle.derive(key, *p) for p in [*paths, ("a", 0), ("a", 1, "c")]])


def keys(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    return jax.random.key_data(ks.keys(key, n, start=start))


def keys_table(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    made = ks.keys(key, (n, 1, 2), start=start)
    assert made.shape == (n, 1, 2)
    return jax.random.key_data(made).reshape(2 * n, -1)


def keys_placed(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    sharding = jax.sharding.NamedSharding(mesh(2), P("data"))
    return jax.random.key_data(ks.keys(key, n, start=start, out_sharding=sharding))


def derive_each(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    return stacked([ks.derive(key, start + i) for i in range(n)])


def derive_array(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    ids = np.arange(n, dtype=np.int64) if isinstance(start, int) else jnp.arange(n)
    return jax.random.key_data(ks.derive(key, ids + start))


def derive_path(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    return jax.random.key_data(
        ks.derive(key, "noise", 3, np.arange(n)[:, None], np.arange(2))[start]
    )


def want_path(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del n, draw
    return oracle.all_words([oracle.derive(key, "noise", 3, start, i) for i in range(2)])


def scan(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    def body(key: jax.Array, carry: Any, _: Any) -> Any:
        return carry + 1, draw(key)

    carry, ys = ks.scan(body, 0, key=key, length=n, start=start)
    del carry
    return ys


def scan_reverse(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    def body(key: jax.Array, carry: Any, x: Any) -> Any:
        return carry + x, draw(key)

    return ks.scan(body, 0, jnp.arange(n), key=key, start=start, reverse=True, unroll=2)[1]


def scan_carried(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start
    survivor, _, ys = ks.scan_carried(
        lambda key, carry, _: (carry, draw(key)), (), key=key, length=n
    )
    return {"key": jax.random.key_data(survivor), "ys": ys}


def want_carried(key: jax.Array, n: int, start: int, draw: Draw) -> Any:
    del start
    survivor, uses = oracle.chain(key, n)
    return {"key": oracle.words(survivor), "ys": oracle.draws(draw, uses)}


def fori_loop(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    def body(key: jax.Array, i: Any, rows: Any) -> Any:
        return lax.dynamic_update_index_in_dim(rows, draw(key), i - start, 0)

    return ks.fori_loop(start, start + n, body, _rows(key, n, draw), key=key)


def while_loop(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    def body(key: jax.Array, val: Any) -> Any:
        turn, rows = val
        return turn + 1, lax.dynamic_update_index_in_dim(rows, draw(key), turn, 0)

    init = (jnp.int32(0), _rows(key, n, draw))
    return ks.while_loop(lambda val: val[0] < n, body, init, key=key, start=start)[1]


def _rows(key: jax.Array, n: int, draw: Draw) -> Any:
    row = jax.eval_shape(draw, key)
    return like(jnp.zeros((n, *row.shape), row.dtype), key)


def mapped(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    return ks.map(lambda key, _: draw(key), jnp.arange(n), key=key, start=start)


def mapped_batches(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    return ks.map(lambda key, _: draw(key), jnp.arange(n), key=key, start=start, batch_size=2)


def vmap(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    return ks.vmap(draw, axis_size=n, start=start)(key)


def vmap_axes(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    def lane(key: jax.Array, x: Any, shared: Any) -> Any:
        del x, shared
        return draw(key)

    columns = jnp.zeros((2, n))
    return ks.vmap(lane, in_axes=(1, None), start=start)(key, columns, jnp.ones(3))


def batched(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    made = ks.batched(draw)(ks.keys(key, (n, 1), start=start))
    return made.reshape(n, *made.shape[2:])


def sample(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    return ks.sample(draw, key, n, start=start)


def sample_batches(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    made = ks.sample(draw, key, (n, 2), start=start, batch_size=3)
    return made.reshape(2 * n, *made.shape[2:])


def sample_placed(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    sharding = jax.sharding.NamedSharding(mesh(2), P("data"))
    return ks.sample(draw, key, n, start=start, out_sharding=sharding)


def window(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    return jax.random.bits(ks.window(key, 2**63 - 1, start), (n,), np.uint32)


def want_window(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    """Return what a draw of 2**63 - 1 numbers has there: the two words of a child, combined."""
    made = words(key, n, start, draw)
    return made[:, 0] ^ made[:, 1]


def index_shuffle(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    return ks.index_shuffle(key, 5000, np.arange(n))


def want_places(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del start, draw
    words = tuple(np.asarray(jax.random.key_data(key)).tolist())
    return np.array([reference.shuffled(words, 5000, i) for i in range(n)], np.int32)


def index_unshuffle(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    return ks.index_unshuffle(key, 100, np.arange(n))


def want_indices(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del start, draw
    words = tuple(np.asarray(jax.random.key_data(key)).tolist())
    return np.argsort([reference.shuffled(words, 100, i) for i in range(100)])[:n].astype(np.int32)


def shard_map(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start
    call = ks.shard_map(
        lambda key: draw(key)[None],
        mesh=mesh(n),
        in_specs=(),
        out_specs=P("data"),
        vary="data",
    )
    return call(key)


def pmap(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start
    return ks.pmap(draw, devices=jax.devices()[:n])(key)


def for_axis(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start
    lane = lambda _: draw(ks.for_axis(key, "lane"))
    return jax.vmap(lane, axis_name="lane")(jnp.arange(n))


def for_process(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, n
    return draw(ks.for_process(key))[None]


def shard_keys(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    return jax.random.key_data(ks.shard_keys(key, mesh(n), P("data")))


def stream_next(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    stream = ks.Stream(key).skip(start)
    made = []
    for _ in range(n):
        use, stream = stream.next()
        made.append(draw(use))
    return jnp.stack(made)


def stream_take(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    first, stream = ks.Stream(key).skip(start).take(1)
    rest, _ = stream.take(n - 1)
    return jax.random.key_data(jnp.concatenate([first, rest]))


def stream_at(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del draw
    return stacked([ks.Stream(key).at(start + i) for i in range(n)])


def streams(key: jax.Array, n: int, start: Any, draw: Draw) -> Any:
    del start, draw
    state = ks.Streams(key, NAMES)
    made = list(state.at(3).values())
    for _ in range(n):
        one, state = state.next(NAMES[1])
        other, state = state.next(NAMES[0])
        made += [one, other]
    return stacked(made)


def want_streams(key: jax.Array, n: int, start: int, draw: Draw) -> np.ndarray:
    del start, draw
    paths: list[tuple[Any, ...]] = [(name, 3) for name in NAMES]
    paths += [(name, i) for i in range(n) for name in (NAMES[1], NAMES[0])]
    return oracle.all_words([oracle.derive(key, *path) for path in paths])


def twice(want: Run) -> Run:
    """Return the oracle of a row that makes two items of each."""
    return lambda key, n, start, draw: want(key, 2 * n, start, draw)


ROWS = (
    Row("split", split, words, draws=False),
    Row("split names", split_names, want_names, draws=False),
    Row("split_tree", split_tree, want_tree, draws=False, prefix=False),
    Row("keys", keys, words, start=True, draws=False),
    Row("keys table", keys_table, twice(words), start=True, draws=False),
    Row(
        "keys placed",
        keys_placed,
        words,
        MAPPED,
        start=True,
        draws=False,
        sizes=(2, 4),
        devices=True,
    ),
    Row("derive each", derive_each, words, start=True, draws=False),
    Row("derive array", derive_array, words, start=True, draws=False),
    Row("derive path", derive_path, want_path, draws=False),
    Row("scan", scan, items, start=True),
    Row("scan reverse", scan_reverse, items, start=True),
    Row("scan_carried", scan_carried, want_carried, prefix=False),
    Row("fori_loop", fori_loop, items, start=True),
    Row("while_loop", while_loop, items, start=True, forward=True),
    Row("map", mapped, items, start=True),
    Row("map batches", mapped_batches, items, LANED, start=True),
    Row("vmap", vmap, items, LANED, start=True),
    Row("vmap axes", vmap_axes, items, LANED, start=True),
    Row("batched", batched, items, LANED, start=True),
    Row("sample", sample, items, LANED, start=True),
    Row("sample batches", sample_batches, twice(items), LANED, start=True),
    Row("sample placed", sample_placed, items, BOTH, start=True, sizes=(2, 4), devices=True),
    Row("window", window, want_window, CIPHER, start=True, draws=False),
    Row("index_shuffle", index_shuffle, want_places, ORDERED, draws=False),
    Row("index_unshuffle", index_unshuffle, want_indices, ORDERED, draws=False),
    Row("shard_map", shard_map, items, MAPPED, sizes=(2, 4), devices=True),
    Row("pmap", pmap, items, MAPPED, sizes=(2, 4), devices=True),
    Row("for_axis", for_axis, items, LANED),
    Row("for_process", for_process, items, sizes=(1,)),
    Row("stream next", stream_next, items, start=True),
    Row("stream take", stream_take, words, start=True, draws=False),
    Row("stream at", stream_at, words, start=True, draws=False),
    Row("streams", streams, want_streams, draws=False),
    Row("shard_keys", shard_keys, words, MAPPED, draws=False, sizes=(2, 4), devices=True),
)

BY_NAME = {row.name: row for row in ROWS}


def pairs(rows: tuple[Row, ...] = ROWS) -> list[tuple[Row, str]]:
    """Return every row with every implementation that it accepts."""
    return [(row, impl) for row in rows for impl in row.impls]


def label(value: Any) -> str | None:
    """Name a row in pytest's output."""
    return value.name.replace(" ", "_") if isinstance(value, Row) else None
