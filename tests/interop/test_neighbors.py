"""Other libraries' checkpoints: what they take as it is, and the two lines where they don't."""

from __future__ import annotations

import dataclasses
import io
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from tests.docs.test_docs import blocks
from tests.oracle import assert_same

# The README's command installs none of them; the gate installs the extra `neighbors`.
NEEDED = "install keystream[neighbors]"
eqx = pytest.importorskip("equinox", reason=NEEDED)
linen = pytest.importorskip("flax.linen", reason=NEEDED)
nnx = pytest.importorskip("flax.nnx", reason=NEEDED)
struct = pytest.importorskip("flax.struct", reason=NEEDED)
serialization = pytest.importorskip("flax.serialization", reason=NEEDED)
optax = pytest.importorskip("optax", reason=NEEDED)
ocp = pytest.importorskip("orbax.checkpoint", reason=NEEDED)

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "saving.md"
KEYS = {
    "key": ks.key(7),
    "rows": ks.keys(ks.key(8, impl="rbg"), (2, 3)),
    "one": ks.Stream(ks.key(9)).skip(2**33 + 5),
    "named": ks.Streams(ks.key(10), ("a", "b")).next("b")[1],
}
WEIGHTS = {"w": jnp.arange(3.0), "step": jnp.int32(5)}


def started() -> dict[str, Any]:
    """Return what a program has before it resumes: the same structure, other keys."""
    return {
        "key": ks.key(0),
        "rows": ks.keys(ks.key(0, impl="rbg"), (2, 3)),
        "one": ks.Stream(ks.key(0)),
        "named": ks.Streams(ks.key(0), ("a", "b")),
    }


def test_the_page_runs() -> None:
    """The blocks of docs/saving.md run in order, those with other libraries among them."""
    page = PAGE.read_text().partition("\n## The format")[0]
    assert len(blocks(page, "python neighbors")) == 4
    namespace: dict[str, Any] = {"__name__": "page"}
    for line, block in blocks(page, "python(?: neighbors)?"):
        exec(compile("\n" * line + block, str(PAGE), "exec"), namespace)


@pytest.mark.parametrize("abstract", [False, True], ids=["restarted", "abstract"])
def test_orbax(tmp_path: pathlib.Path, abstract: bool) -> None:
    """Orbax saves and restores typed keys and streams among weights, as they are."""
    state = {"keys": KEYS, "weights": WEIGHTS}
    target = {"keys": started(), "weights": jax.tree.map(jnp.zeros_like, WEIGHTS)}
    target = jax.eval_shape(lambda: target) if abstract else target
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        assert_same(checkpointer.restore(tmp_path / "state", target), state)


def test_orbax_words(tmp_path: pathlib.Path) -> None:
    """The arrays of `to_words` go through Orbax too, restored with nothing to compare with."""
    tree = {**KEYS, "none": ks.keys(ks.key(1), 0)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", {**WEIGHTS, **ks.to_words(tree)})
        checkpointer.wait_until_finished()
        assert_same(ks.from_words(checkpointer.restore(tmp_path / "state")), tree)


def test_flax() -> None:
    """Flax refuses keys and streams; as words they go through its bytes, beside weights."""
    for refused in (KEYS["key"], KEYS["one"]):
        with pytest.raises(TypeError):
            serialization.to_bytes({"state": refused})
    data = serialization.to_bytes({**WEIGHTS, **ks.to_words(KEYS)})
    restored = serialization.msgpack_restore(data)
    assert_same(ks.from_words(restored), KEYS)
    target = {**WEIGHTS, **ks.to_words(started())}
    assert_same(ks.from_words(serialization.from_bytes(target, data), like=started()), KEYS)


def test_equinox() -> None:
    """Equinox refuses keys; as words they go through its files into a restarted program."""
    with pytest.raises(Exception, match="key"):
        eqx.tree_serialise_leaves(io.BytesIO(), KEYS)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, (WEIGHTS, ks.to_words(KEYS)))
    file.seek(0)
    fresh = jax.tree.map(jnp.zeros_like, WEIGHTS), ks.to_words(started())
    weights, words = eqx.tree_deserialise_leaves(file, fresh)
    assert_same(weights, WEIGHTS)
    assert_same(ks.from_words(words, like=started()), KEYS)


class Module(eqx.Module):
    """A module with state, and with what is no leaf."""

    noise: Any
    key: Any
    name: str = eqx.field(static=True)


@struct.dataclass
class Struct:
    """A flax dataclass with state."""

    noise: Any
    key: Any
    name: str = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Plain:
    """A dataclass that is registered with JAX."""

    noise: Any
    key: Any
    name: str


jax.tree_util.register_dataclass(Plain, ["noise", "key"], ["name"])


@pytest.mark.parametrize("cls", [Module, Struct, Plain])
@pytest.mark.parametrize("words", [False, True], ids=["text", "words"])
def test_classes(cls: Any, words: bool) -> None:
    """Modules and dataclasses come back as their class, what is static from `like`."""
    save, load = (ks.to_words, ks.from_words) if words else (ks.dumps, ks.loads)
    saved = {"model": cls(KEYS["named"], [KEYS["rows"]], "net")}
    fresh = {"model": cls(started()["named"], [started()["rows"]], "net")}
    loaded = load(save(saved), like=fresh)
    assert type(loaded["model"]) is cls
    assert_same(loaded, saved)
    with pytest.raises(ks.SavedError, match=f"{cls.__name__}.* of 2 at "):
        load(save(saved))


def test_another_class_with_other_parts() -> None:
    """A module whose parts have other names than those that were saved is refused."""

    class Other(eqx.Module):
        noise: Any
        seed: Any

    text = ks.dumps(Module(ks.key(1), ks.key(2), "net"))
    with pytest.raises(ks.SavedError, match=r"parts that were saved \(.noise, .key\), got .noise"):
        ks.loads(text, like=Other(ks.key(1), ks.key(2)))


@pytest.mark.parametrize("layer", ["flax.linen", "flax.nnx", "equinox"])
def test_dropout_of_a_window(layer: str) -> None:
    """The dropout of a library, given a window, drops what it drops of the whole there."""
    drops = {
        "flax.linen": lambda key, x: linen.Dropout(0.25, deterministic=False).apply({}, x, rng=key),
        "flax.nnx": lambda key, x: nnx.Dropout(0.25)(x, rngs=key),
        "equinox": lambda key, x: eqx.nn.Dropout(0.25)(x, key=key),
    }
    key, x, part = ks.key(42), jnp.ones((16, 64)), (slice(4, 12), slice(8, 40))
    piece = drops[layer](ks.window(key, x.shape, (4, 8)), x[part])
    np.testing.assert_array_equal(piece, drops[layer](key, x)[part])
    assert 0.5 < piece.mean() < 1.5


def test_optax() -> None:
    """An optimizer's state whose leaves are keys comes back as it was; its arrays are refused."""
    optimizer = optax.chain(optax.clip(1.0), optax.adam(1e-3), optax.masked(optax.sgd(1.0), True))
    state = optimizer.init({"w": np.zeros(3, np.float32)})
    keys = ks.split_tree(ks.key(3), state)
    assert_same(ks.loads(ks.dumps(keys), like=keys), keys)
    # What split_tree saw of the state is what `like` needs of it: any leaf takes its key.
    assert_same(ks.loads(ks.dumps(keys), like=state), keys)
    with pytest.raises(ks.KeyTypeError, match=r"dumps: tree\[1\]\[0\].count must be a key"):
        ks.dumps(state)
