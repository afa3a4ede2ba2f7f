"""Try the laws and known answers, each once, on this installation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry2x32_p

import keystream as ks

SEED = 20_240_229
"""Any would do; this one is fixed so that a failure happens again."""

COUNT = 5


class Outcome(NamedTuple):
    """A claim, and why it doesn't hold; empty where it does."""

    claim: str
    trouble: str


def outcomes() -> Iterator[Outcome]:
    """Try every law; one that raises has failed, and the others are still tried."""
    for law in LAWS:
        try:
            wrong = law()
            trouble = f"wrong: {', '.join(wrong)}" if wrong else ""
        except Exception as cause:
            trouble = f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
        claim = law.__doc__ or law.__name__  # `python -OO` leaves docstrings out
        yield Outcome(claim.partition("\n")[0].rstrip("."), trouble)


def position() -> list[str]:
    """Position: in every loop and lane, item i gets child i."""
    xs = jnp.arange(COUNT, dtype=jnp.int32)
    forms = {
        "split": jnp.stack([words(key) for key in ks.split(parent(), COUNT)]),
        "keys": words(ks.keys(parent(), COUNT)),
        "derive": words(ks.derive(parent(), np.arange(COUNT))),
        "scan": ks.scan(lambda key, carry, _x: (carry, words(key)), xs[0], xs, key=parent())[1],
        "map": ks.map(lambda key, _x: words(key), xs, key=parent()),
        "fori_loop": ks.fori_loop(
            0, COUNT, lambda key, i, rows: rows.at[i].set(words(key)), blank(), key=parent()
        ),
        "while_loop": ks.while_loop(
            lambda state: state[0] < COUNT,
            lambda key, state: (state[0] + 1, state[1].at[state[0]].set(words(key))),
            (jnp.int32(0), blank()),
            key=parent(),
        )[1],
        "vmap": ks.vmap(lambda key, _x: words(key))(parent(), xs),
        "sample": ks.sample(words, parent(), COUNT),
        "batched": ks.batched(words)(ks.keys(parent(), COUNT)),
    }
    return differences(forms, children(COUNT))


def devices() -> list[str]:
    """Devices: shard i gets child i, on all devices here."""
    mesh = jax.make_mesh((jax.local_device_count(),), ("x",), devices=jax.local_devices())

    def shard(key: jax.Array) -> jax.Array:
        return words(key)[None]

    def own(key: jax.Array) -> jax.Array:
        return words(ks.for_axis(key, "x"))[None]

    def mapped(body: Callable[..., Any], vary: Any) -> Any:
        options: dict[str, Any] = {"mesh": mesh, "in_specs": (), "out_specs": jax.P("x")}
        return ks.shard_map(body, vary=vary, **options)(parent())

    forms = {
        "shard_map": mapped(shard, "x"),
        "for_axis": mapped(own, ()),
        "shard_keys": words(ks.shard_keys(parent(), mesh, jax.P("x"))),
    }
    return differences(forms, children(mesh.size))


def prefix() -> list[str]:
    """Prefix: neither count, start nor batch size changes an item's key."""
    whole = children(2 * COUNT)
    forms = {
        "keys(start=)": words(ks.keys(parent(), COUNT, start=COUNT)),
        "sample(start=, batch_size=)": ks.sample(
            words, parent(), COUNT, start=np.int32(COUNT), batch_size=2
        ),
    }
    wrong = differences({"keys": words(ks.keys(parent(), COUNT))}, whole[:COUNT])
    return wrong + differences(forms, whole[COUNT:])


def name() -> list[str]:
    """Name: names differ from each other and from the first 65,536 positions."""
    paths: list[tuple[Any, ...]] = [("ab", "c"), ("a", "bc"), ("abc",), ("1",), (b"1",), (1,)]
    paths += [(-1,), (2**80,), ("a",), ("b",)]
    found = {tuple(np.asarray(words(ks.derive(parent(), *path))).tolist()) for path in paths}
    wrong = ["equal keys"] if len(found) < len(paths) else []
    named = ks.split(parent(), ("b", "a"))
    wrong += differences({"split": words(named["a"])}, np.asarray(words(ks.derive(parent(), "a"))))
    rows = np.asarray(words(ks.keys(parent(), 2**16))).tolist()
    reached = {tuple(row) for row in rows} & {tuple(_row(named[each])) for each in named}
    return wrong + (["a position"] if reached else [])


def composition() -> list[str]:
    """Composition: a path is taken step by step, static or traced, eager or compiled."""
    ids = np.array([0, 7, 2**40, -1])
    steps = [ks.derive(ks.derive(parent(), "noise", 3), int(i)) for i in ids]
    wide = np.stack([_row(key) for key in steps])
    small = jnp.asarray(ids[[0, 1, 3]], jnp.int32)
    compiled = jax.jit(lambda key, i: words(ks.derive(key, "noise", 3, i)))
    tree = ks.split_tree(parent(), {"a": 0, "b": [0, 0]})
    leaf = {"split_tree": words(tree["b"][1])}
    return (
        differences({"derive": words(ks.derive(parent(), "noise", 3, ids))}, wide)
        + differences({"jit": compiled(parent(), small)}, wide[[0, 1, 3]])
        + differences(leaf, _row(ks.derive(parent(), "b", 1)))
    )


def once() -> list[str]:
    """Once: a carried key is split at each step, and what survives was never used."""
    key, _, used = ks.scan_carried(
        lambda key, carry, _x: (carry, words(key)), None, key=parent(), length=COUNT
    )
    rows, carried = [], parent()
    for _ in range(COUNT):
        carried, use = ks.split(carried)
        rows.append(_row(use))
    return differences({"scan_carried": used}, np.stack(rows)) + differences(
        {"the surviving key": words(key)}, _row(carried)
    )


RANDOM123 = (
    # key, counter, block: `threefry2x32 20` of Random123's tests/kat_vectors.
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


def cipher() -> list[str]:
    """Cipher: threefry2x32 gives the published blocks of Random123."""
    arguments = np.array([(*key, *counter) for key, counter, _ in RANDOM123], np.uint32).T
    blocks = threefry2x32_p.bind(*map(jnp.asarray, arguments))
    return differences({"threefry2x32": blocks}, np.array([b for *_, b in RANDOM123], np.uint32).T)


FROZEN: dict[str, tuple[Callable[[], jax.Array], str]] = {
    "key(42)": (lambda: ks.key(42), "threefry2x32:ab844c5d73de610a"),
    "key(2**100)": (lambda: ks.key(2**100), "threefry2x32:430152efe40a7117"),
    "key('text')": (lambda: ks.key("text"), "threefry2x32:ddb497d2b778cff4"),
    "derive(key(42), 'dropout')": (
        lambda: ks.derive(ks.key(42), "dropout"),
        "threefry2x32:f0dbe9ab6107e37e",
    ),
    "derive(key(42), 'noise', 3, 7)": (
        lambda: ks.derive(ks.key(42), "noise", 3, 7),
        "threefry2x32:70540911d7d2ae9f",
    ),
    "derive(key(42), -1)": (lambda: ks.derive(ks.key(42), -1), "threefry2x32:f934a687a37d06cd"),
    "derive(key(42), 2**40)": (
        lambda: ks.derive(ks.key(42), 2**40),
        "threefry2x32:47f4171933fbce36",
    ),
    "derive(key(42), 2**64)": (
        lambda: ks.derive(ks.key(42), 2**64),
        "threefry2x32:5acea900522ea5eb",
    ),
}
"""Fingerprints of scheme 1: they never change."""


def frozen() -> list[str]:
    """Frozen: derived keys have the fingerprints of the scheme."""
    return [each for each, (make, known) in FROZEN.items() if ks.fingerprint(make()) != known]


LAWS = (cipher, frozen, position, prefix, name, composition, once, devices)


def parent() -> jax.Array:
    """Return a key to start from, made anew, as each law consumes it."""
    return ks.key(SEED)


def words(key: jax.Array) -> jax.Array:
    """Return the words of a key or key array."""
    return jax.random.key_data(key)


def blank() -> jax.Array:
    """Return rows of zeros for a loop to fill with words."""
    return jnp.zeros((COUNT, 2), jnp.uint32)


def children(count: int) -> np.ndarray:
    """Return the words of the first children: the slow, obvious loop over `jax.random`."""
    return np.stack([_row(jax.random.fold_in(parent(), i)) for i in range(count)])


def differences(forms: dict[str, Any], oracle: np.ndarray) -> list[str]:
    """Return the names of the forms that differ from the oracle."""
    return [form for form, value in forms.items() if not np.array_equal(value, oracle)]


def _row(key: jax.Array) -> np.ndarray:
    return np.asarray(words(key))
