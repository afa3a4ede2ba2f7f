"""Saving: what is written comes back, in every way and under every setting, and goes on."""

from __future__ import annotations

import collections
import copy
import io
import json
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import keystream as ks
from tests import oracle
from tests.keys.test_settings import SETTINGS, setting
from tests.saving import make_saved
from tests.saving.make_saved import FOLDER
from tests.saving.trees import STATES, TREES, content, skeleton, stream

pytestmark = pytest.mark.fast

FROZEN = sorted(make_saved.trees())
FILES = sorted(FOLDER.glob("v*-*"))


def texts(tree: Any, like: Any = None) -> Any:
    """Save as text and load."""
    return ks.loads(ks.dumps(tree), like=like)


def files(tree: Any, like: Any = None) -> Any:
    """Save as a NumPy file, beside weights, and load."""
    file = io.BytesIO()
    np.savez(file, w=np.zeros(3), **ks.to_words(tree))
    file.seek(0)
    return ks.from_words(np.load(file), like=like)


WAYS: tuple[Callable[..., Any], ...] = (texts, files)


@pytest.mark.parametrize("way", WAYS)
@given(tree=TREES)
def test_what_is_saved_comes_back(way: Any, tree: Any) -> None:
    """Any tree of keys and streams comes back as it was, and saved again gives the same text."""
    loaded = way(tree)
    assert content(loaded) == content(tree)
    assert ks.dumps(loaded) == ks.dumps(tree)


@pytest.mark.parametrize("way", WAYS)
@given(tree=STATES)
def test_what_is_saved_comes_back_into_its_classes(way: Any, tree: Any) -> None:
    """With a tree of the structure, any pytree comes back: real, abstract or of placeholders."""
    for like in (tree, jax.eval_shape(lambda: tree), jax.tree.map(lambda _: 0, tree)):
        oracle.assert_same(way(tree, like), tree)


@given(
    pair=st.tuples(STATES, STATES)
    | STATES.map(lambda tree: (tree, jax.tree.map(lambda x: x, tree)))
)
def test_another_structure_is_an_error(pair: tuple[Any, Any]) -> None:
    """A tree comes back into another one's structure exactly where the two agree."""
    saved, other = pair
    text = ks.dumps(saved)
    if other is None:
        return
    if skeleton(saved) == skeleton(other):
        oracle.assert_same(ks.loads(text, like=other), saved)
    else:
        with pytest.raises(ks.SavedError, match=r"^loads: like"):
            ks.loads(text, like=other)


def test_like_gives_the_order() -> None:
    """Dicts and Streams come back in the order of `like`, each name with what was saved of it."""
    streams = ks.Streams(ks.key(1), ("a", "b")).next("b")[1]
    text = ks.dumps({"x": streams, "y": ks.key(2)})
    loaded = ks.loads(text, like={"y": 0, "x": ks.Streams(ks.key(3), ("b", "a"))})
    assert list(loaded) == ["y", "x"]
    assert loaded["x"].names == ("b", "a")
    assert loaded["x"]["b"].position == 1
    assert bool(loaded["x"].at(5)["a"] == streams.at(5)["a"])


@given(tree=TREES, indent=st.sampled_from([None, 0, 3]), sort=st.booleans(), plain=st.booleans())
def test_reformatted(tree: Any, indent: int | None, sort: bool, plain: bool) -> None:
    """JSON in another layout, in another order or without escapes is the same text."""
    text = ks.dumps(tree)
    other = json.dumps(json.loads(text), indent=indent, sort_keys=sort, ensure_ascii=plain)
    assert ks.dumps(ks.loads(f"\n {other}\r\n")) == text


@pytest.mark.parametrize("way", [lambda tree: pickle.loads(pickle.dumps(tree)), copy.deepcopy])
@given(tree=TREES)
def test_as_python_does(way: Any, tree: Any) -> None:
    """Pickle and deepcopy take keys and streams as they are, and streams go on from there."""
    again = way(tree)
    assert content(again) == content(tree)
    assert ks.dumps(again) == ks.dumps(tree)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    """No setting of JAX's changes what is written, nor what comes back and is drawn from."""
    tree = make_saved.trees()["streams"]
    text, want = ks.dumps(tree), content(tree)
    with setting(name, SETTINGS[name]):
        assert ks.dumps(tree) == text
        for way in WAYS:
            loaded = way(tree)
            assert content(loaded) == want
            key, _ = loaded["far"].next()
            jax.random.bits(key)
    assert content(ks.loads(text)) == want


@pytest.mark.parametrize("way", WAYS)
def test_without_transfers(way: Any) -> None:
    """With jax.transfer_guard("disallow") keys and streams are saved, loaded and go on."""
    tree = make_saved.trees()["streams"]
    want = content(tree)
    with jax.transfer_guard("disallow"):
        loaded = way(tree)
        loaded["far"].next()
    assert content(loaded) == want


@pytest.mark.parametrize("way", WAYS)
def test_inside_traced_functions(way: Any) -> None:
    """Inside `jit` and `vmap` keys come back as constants, whose position is known."""
    tree = make_saved.trees()["streams"]

    def traced(_: Any) -> Any:
        loaded = way(tree)
        assert not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(loaded))
        assert loaded["far"].position == 2**40 + 5
        return list(loaded.values())

    want = content(list(tree.values()))
    assert content(jax.jit(traced)(0)) == want
    assert content(jax.vmap(traced, out_axes=None)(jnp.arange(2))) == want


@pytest.mark.parametrize("way", WAYS)
def test_placement(way: Any) -> None:
    """Keys that were spread over devices come back whole, on the default device, uncommitted."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    keys = ks.keys(ks.key(1), 8)
    spread = jax.device_put(keys, NamedSharding(mesh, P("data")))
    assert ks.dumps(spread) == ks.dumps(keys)
    loaded = way([spread, ks.Stream(ks.key(1))])
    for leaf in jax.tree.leaves(loaded):
        assert leaf.devices() == {jax.devices()[0]}
        assert not leaf.committed


def test_nothing_is_shared() -> None:
    """Neither changed arrays nor donated streams reach what was loaded, nor what was saved."""
    tree = {"key": ks.key(1), "stream": ks.Stream(ks.key(2)).skip(3)}
    words, want = ks.to_words(tree), content(tree)
    loaded = ks.from_words(words)
    for array in words.values():
        array.fill(0)
    assert content(loaded) == content(tree) == want
    jax.jit(lambda s: s.next(), donate_argnums=0)(ks.loads(ks.dumps(tree))["stream"])
    assert content(tree) == want


def test_words_of_one_structure() -> None:
    """Whatever the keys and positions, the arrays have the same names, dtypes and shapes."""
    one, other = ({"a": stream(ks.key(seed), seed), "b": [ks.key(seed)]} for seed in (0, 2**63 - 1))
    forms = [
        {name: (array.dtype, array.shape) for name, array in ks.to_words(tree).items()}
        for tree in (one, other)
    ]
    assert forms[0] == forms[1]
    assert all(array.size for array in ks.to_words(make_saved.trees()["streams"]).values())


def test_other_byte_order() -> None:
    """Arrays from a machine of the other byte order give the same keys."""
    tree = make_saved.trees()["streams"]
    swapped = {
        name: array.astype(array.dtype.newbyteorder()) for name, array in ks.to_words(tree).items()
    }
    assert content(ks.from_words(swapped)) == content(tree)


def resumed(steps: list[Any], state: Any, step: Callable[..., Any], way: Any) -> list[Any]:
    """Run the steps; where None stands, save and load instead, with nothing kept."""
    uses = []
    for each in steps:
        if each is None:
            state = way(state)
        else:
            use, state = step(state, each)
            uses.append(use)
    return uses


def counted(steps: list[Any], key: jax.Array, first: int) -> list[jax.Array]:
    """Return what a run that never stops is given, by the oracle."""
    taken: collections.Counter[Any] = collections.Counter()
    uses = []
    for each in (s for s in steps if s is not None):
        path = (each, taken[each]) if isinstance(each, str) else (first + taken[each],)
        uses.append(oracle.derive(key, *path))
        taken[each] += 1
    return uses


@pytest.mark.parametrize("way", WAYS)
@given(
    steps=st.lists(st.sampled_from([0, 0, None]), max_size=12),
    first=st.sampled_from([0, 2**31 - 3, 2**32 - 3, 2**40]),
)
def test_a_stream_goes_on(way: Any, steps: list[Any], first: int) -> None:
    """However often a run is stopped and resumed, it is given the keys of one that never was."""
    key = ks.key(11)
    uses = resumed(steps, ks.Stream(key).skip(first), lambda s, _: s.next(), way)
    for use, want in zip(uses, counted(steps, key, first), strict=True):
        oracle.assert_same(use, want)


@pytest.mark.parametrize("way", WAYS)
@given(steps=st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_named_streams_go_on(way: Any, steps: list[Any]) -> None:
    """The same for streams by name, in whatever order their names are called."""
    key = ks.key(12)
    uses = resumed(steps, ks.Streams(key, ("a", "b")), lambda s, name: s.next(name), way)
    for use, want in zip(uses, counted(steps, key, 0), strict=True):
        oracle.assert_same(use, want)


def test_a_loss_of_the_position_is_noticed() -> None:
    """A way of saving that forgets the position, or the key, doesn't pass for one that goes on."""
    key, steps = ks.key(11), [0, 0, None, 0]
    want = counted(steps, key, 0)
    for faulty in (lambda _: ks.Stream(key), lambda s: ks.Stream(ks.key(1)).skip(s.position)):
        uses = resumed(steps, ks.Stream(key), lambda s, _: s.next(), faulty)
        with pytest.raises(AssertionError):
            oracle.assert_same(uses[-1], want[-1])


@pytest.mark.parametrize("name", FROZEN)
def test_files_load_for_ever(name: str) -> None:
    """The files that format version 1 wrote hold what they held on the day they were made."""
    tree = make_saved.trees()[name]
    like = tree if name == "state" else None
    text = (FOLDER / f"v1-{name}.json").read_text()
    assert content(ks.loads(text, like=like)) == content(tree)
    with np.load(FOLDER / f"v1-{name}.npz") as arrays:
        assert content(ks.from_words(arrays, like=like)) == content(tree)


def test_files_are_written_as_ever() -> None:
    """Today's program writes the very files; another format version must not do so unnoticed."""
    assert make_saved.differing() == []
    assert len(FILES) == 2 * len(FROZEN)


def test_a_changed_file_is_noticed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another day's content is found, and one that isn't there."""
    make_saved.write()
    monkeypatch.setattr(make_saved, "FOLDER", tmp_path)
    make_saved.write()
    assert make_saved.differing() == []
    (tmp_path / "v1-key.json").write_text(ks.dumps(ks.key(1)) + "\n")
    (tmp_path / "v1-state.npz").unlink()
    assert make_saved.differing() == ["v1-key.json", "v1-state.npz"]
