"""Other libraries: their keys are ours where they count, their seeds hold the whole of a key."""

from __future__ import annotations

import doctest
import functools
import hashlib
import importlib
import importlib.util
import pathlib
import pickle
import random
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from keystream import _compat, interop
from tests.docs.test_docs import blocks, missing_sections, public, run_page
from tests.fresh import python
from tests.oracle import assert_same
from tests.versions import stateful

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "interop.md"
KEY = ks.key(42)
IMPLS = ("threefry2x32", "threefry4x32", "philox4x32", "rbg")
FUNCTIONS = {name: value for name, value in public(interop).items() if callable(value)}
HELPERS = {name: value for name, value in FUNCTIONS.items() if not isinstance(value, type)}


def missing(name: str) -> bool:
    """Can a library not be imported here?"""
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


def needs(name: str) -> Callable[[Any], Any]:
    """Mark a test of a library slow, and skip it where that isn't installed."""
    absent = importlib.util.find_spec(name) is None
    skip = pytest.mark.skipif(absent, reason=no(name))
    return lambda test: pytest.mark.slow(skip(test))


def no(name: str) -> str:
    """Say why a test is skipped."""
    return f"no {name}: install {name if name == 'torch' else 'keystream[interop]'}"


# The package


@pytest.mark.fast
def test_import_is_light() -> None:
    """Importing it adds no library but keystream's own, and keystream alone doesn't load it."""
    program = (
        "import sys, jax, keystream; before = set(sys.modules)\n"
        "assert not [name for name in before if name.startswith('keystream.interop')]\n"
        "import keystream.interop\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    assert set(python(program).stdout.split()) - sys.stdlib_module_names == {"keystream"}


@pytest.mark.fast
@pytest.mark.parametrize("name", HELPERS)
def test_docstring(name: str) -> None:
    """Each function has every section, names its arguments, and its example runs."""
    assert missing_sections(HELPERS[name]) == []
    (test,) = doctest.DocTestFinder(recurse=False).find(HELPERS[name], name, globs={})
    assert test.examples
    said: list[str] = []
    assert not doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed, said


@pytest.mark.fast
@pytest.mark.parametrize(
    ("call", "module", "package"),
    [
        (lambda: interop.torch_generator(KEY), "torch", "torch"),
        (lambda: interop.to_nnx(ks.Streams(KEY, ("a",))), "flax.nnx", "flax>=0.12"),
        (lambda: interop.from_nnx(None), "flax.nnx", "flax>=0.12"),
    ],
)
def test_missing(call: Any, module: str, package: str) -> None:
    """A library that isn't there is named, with the command that installs it."""
    with (
        mock.patch.dict(sys.modules, {module: None}),
        pytest.raises(interop.NeighborMissingError) as caught,
    ):
        call()
    text = str(caught.value)
    assert re.match(
        rf"(torch_generator|to_nnx|from_nnx): {module} must be installed, got an ", text
    )
    assert text.endswith(f"In a shell: pip install '{package}'.")
    assert isinstance(caught.value, (ks.KeystreamError, ImportError))


@pytest.mark.fast
def test_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is there and fails while it is imported is told alike."""

    def fails(name: str) -> None:
        raise AttributeError(f"no attribute of {name}")

    monkeypatch.setattr("importlib.import_module", fails)
    with pytest.raises(interop.NeighborMissingError, match=r"got an AttributeError \(no attribute"):
        interop.from_nnx(None)


# Seeds


def hashed(use: str, key: jax.Array) -> int:
    """Return the 256 bits of a key, as the page says that they are made."""
    text = f"keystream:1:interop:{use}:{jax.random.key_impl(key)}:".encode()
    for word in np.asarray(jax.random.key_data(key)).tolist():
        text += word.to_bytes(4, "big")
    return int.from_bytes(hashlib.sha256(text).digest(), "big")


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_seeds(impl: str) -> None:
    """Every implementation's whole key goes into each seed, and each use has its own."""
    key = ks.key(7, impl=impl)
    for bits in (1, 31, 32, 64, 256):
        assert interop.int_seed(key, bits=bits) == hashed("int", key) % 2**bits
    assert interop.seed_sequence(key).entropy == hashed("numpy", key)
    assert interop.python_random(key).random() == random.Random(hashed("python", key)).random()
    seeds = [hashed(use, key) for use in ("int", "numpy", "python", "torch")]
    assert len(set(seeds)) == 4
    words = np.asarray(jax.random.key_data(key))
    changed = [
        jax.random.wrap_key_data(words ^ bit, impl=impl)
        for bit in np.eye(len(words), dtype=np.uint32) << 31
    ]
    found = {interop.int_seed(each, bits=64) for each in (key, *changed)}
    assert len(found) == len(words) + 1


@pytest.mark.fast
def test_numpy() -> None:
    """The generator is PCG64 of the sequence; the sequence is picklable and way back into a key."""
    seeds = interop.seed_sequence(KEY)
    raw = interop.numpy_generator(KEY).bit_generator.random_raw(5).tolist()
    assert raw == np.random.PCG64(seeds).random_raw(5).tolist()
    assert raw == np.random.PCG64(hashed("numpy", KEY)).random_raw(5).tolist()
    again = pickle.loads(pickle.dumps(seeds))
    assert again.generate_state(4).tolist() == seeds.generate_state(4).tolist()
    assert bool(ks.key(again) == ks.key(seeds))
    assert again.spawn_key == ()


@pytest.mark.fast
def test_spawn_keys_above_32_bits_meet() -> None:
    """NumPy writes a spawn key of 2**32 and above as several words: what the docstring warns of."""
    state = lambda *place: np.random.SeedSequence(7, spawn_key=place).generate_state(2).tolist()
    assert state(2**32) == state(0, 1)
    assert state(1) != state(0, 1)


@pytest.mark.fast
def test_python() -> None:
    """A generator of its own: the module's stays where it was."""
    before = random.getstate()
    one, other = interop.python_random(KEY), interop.python_random(KEY)
    assert one.getrandbits(640) == other.getrandbits(640)
    assert random.getstate() == before


@pytest.mark.fast
def test_under_settings_and_tracing() -> None:
    """A key that is closed over is read while something else is traced; a traced one can't be."""
    seeds = []
    jax.jit(lambda x: (seeds.append(interop.int_seed(KEY, bits=64)), x)[1])(1)
    with _compat.enable_x64(True):
        seeds.append(interop.int_seed(KEY, bits=64))
    assert set(seeds) == {hashed("int", KEY) % 2**64}
    with pytest.raises(ks.KeyTypeError, match="Outside of jit"):
        jax.jit(lambda key: interop.int_seed(key, bits=64))(KEY)


@pytest.mark.fast
def test_nothing_of_a_key_is_shared() -> None:
    """A seed is neither a word of its key nor of a child or draw of it."""
    words = {int(word) for word in np.asarray(jax.random.key_data(ks.keys(KEY, 1000))).ravel()}
    words |= set(np.asarray(jax.random.bits(KEY, (1000,))).tolist()) | {0, 42}
    seed = hashed("int", KEY)
    assert not words & {seed >> 32 * i & (2**32 - 1) for i in range(8)}


# JAX's stateful generator


@pytest.mark.parametrize("impl", IMPLS)
def test_stateful(impl: str) -> None:
    """The generator's keys are the stream's, and back, in the middle of both."""
    stream = ks.Stream(ks.key(3, impl=impl)).skip(5)
    rng = interop.to_stateful(stream)
    for _ in range(3):
        use, stream = stream.next()
        assert bool(rng.key() == use)
    assert_same(interop.from_stateful(rng), stream)


def test_stateful_with_wide_types() -> None:
    """With 64-bit types on it draws, and goes on, as without them."""
    with _compat.enable_x64(True):
        rng = interop.to_stateful(ks.Stream(KEY).skip(2**31 - 1))
        assert bool(rng.key() == ks.derive(KEY, 2**31 - 1))
        assert bool(jax.jit(rng.key)() == ks.derive(KEY, 2**31))
        assert interop.from_stateful(rng).position == 2**31 + 1


def test_stateful_of_a_seed() -> None:
    """A generator that JAX seeded is a stream of the key of that seed, which JAX cuts."""
    assert bool(stateful.stateful_rng(2**32).key() == stateful.stateful_rng(0).key())
    rng = stateful.stateful_rng(7)
    rng.key()
    assert_same(interop.from_stateful(rng), ks.Stream(ks.key(7)).skip(1))
    several = rng.split(3)
    with pytest.raises(ks.KeyTypeError, match=r"jax\.vmap\(interop\.from_stateful\)\(rng\)"):
        interop.from_stateful(several)
    assert len(jax.tree.leaves(jax.vmap(interop.from_stateful)(several))[0]) == 3
    with pytest.raises(ks.KeyTypeError, match=r"jax\.vmap\(interop\.to_stateful\)\(several\)"):
        interop.to_stateful(jax.vmap(ks.Stream)(ks.keys(KEY, 3)))
    with pytest.raises(ks.ArgumentTypeError, match="rng must be a StatefulPRNG, got 7"):
        interop.from_stateful(7)  # type: ignore[arg-type]


def test_stateful_traced() -> None:
    """Under `jit` it goes on alike, at the last position too."""
    stream = ks.Stream(KEY).skip(2**31 - 1)
    use = jax.jit(lambda stream: interop.to_stateful(stream).key())(stream)
    assert bool(use == ks.derive(KEY, 2**31 - 1))
    back = jax.jit(interop.from_stateful)(interop.to_stateful(stream))
    assert back.position == 2**31 - 1


def test_what_is_handed_on_is_a_copy() -> None:
    """Donating what a conversion made leaves the stream that it was made of."""
    stream = ks.Stream(KEY).skip(1)
    rng = interop.to_stateful(stream)
    jax.tree.leaves(rng)[0].delete()
    assert bool(stream.next()[0] == ks.derive(KEY, 1))


# flax nnx


@needs("flax")
def test_nnx() -> None:
    """The keys of an nnx.Rngs are the streams', and back, in the middle of both."""
    from flax import nnx

    streams = ks.Streams(KEY, ("params", "dropout"))
    _, streams = streams.next("dropout")
    rngs = interop.to_nnx(streams)
    assert_same(interop.from_nnx(rngs), streams)
    for _ in range(3):
        use, streams = streams.next("dropout")
        assert bool(rngs.dropout() == use)
    fresh = nnx.Rngs(**ks.split(KEY, ("params", "dropout")))
    assert_same(interop.from_nnx(fresh), ks.Streams(KEY, ("params", "dropout")))
    assert bool(
        jax.jit(lambda s: interop.to_nnx(s).dropout())(streams) == streams.next("dropout")[0]
    )
    with pytest.raises(AttributeError, match="noise"):
        rngs.noise()


@needs("flax")
def test_nnx_modules() -> None:
    """A module made of converted streams draws what it draws with nnx's own."""
    from flax import nnx

    weights = [
        nnx.Linear(2, 3, rngs=rngs).kernel[...]
        for rngs in (
            interop.to_nnx(ks.Streams(KEY, ("params",))),
            nnx.Rngs(params=ks.derive(KEY, "params")),
        )
    ]
    assert bool((weights[0] == weights[1]).all())


@needs("flax")
def test_nnx_streams_of_modules() -> None:
    """What a module keeps, one stream of an nnx.Rngs, is converted under the name it has."""
    from flax import nnx

    module = nnx.Dropout(0.5, rngs=nnx.Rngs(**ks.split(KEY, ("params", "dropout"))))
    module(jnp.ones(3))
    streams = interop.from_nnx(module.rngs)
    assert streams.names == ("dropout",)
    assert streams["dropout"].position == 1
    assert bool(streams["dropout"].at(0) == ks.derive(module.rngs.key[...], 0))
    assert bool(streams.next("dropout")[0] == module.rngs())
    assert_same(interop.from_nnx(interop.to_nnx(streams).dropout), streams)
    with pytest.raises(ks.KeyTypeError, match=r"rngs\['params'\] must be one typed key"):
        interop.from_nnx(nnx.Rngs(params=0).split(3).params)


@needs("flax")
def test_nnx_where_names_are_equal() -> None:
    """Where nnx draws the same for two names, a warning names them; where not, there is none."""
    from flax import nnx

    def reseeded() -> Any:
        rngs = nnx.Rngs(params=0, dropout=1)
        nnx.reseed(rngs, params=5, dropout=5)
        return rngs

    source = nnx.Rngs(params=3)
    equal = [
        nnx.Rngs(params=0, dropout=0),
        nnx.Rngs({"params": 0, "dropout": 0}),
        nnx.Rngs(params=0, dropout=2**32),
        nnx.Rngs(params=KEY, dropout=42),
        nnx.Rngs(params=0, dropout=0).fork(),
        nnx.Rngs(params=source.params, dropout=source.params),
        reseeded(),
    ]
    for rngs in equal:
        with pytest.warns(RuntimeWarning, match="from_nnx: .* one key for 'params' and 'dropout'"):
            streams = interop.from_nnx(rngs)
        assert bool(rngs.params() == rngs.dropout())
        with pytest.warns(RuntimeWarning, match="to_nnx: streams must hold a key of its own"):
            interop.to_nnx(streams)
    with pytest.warns(RuntimeWarning, match="'params' and 'default'"):
        interop.from_nnx(nnx.Rngs(0, params=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rngs in (
            nnx.Rngs(0),
            nnx.Rngs(0, params=1),
            interop.to_nnx(ks.Streams(KEY, ("a", "b"))),
        ):
            interop.from_nnx(rngs)


@needs("flax")
def test_nnx_refused() -> None:
    """What is no nnx.Rngs, holds arrays of keys or counts too far is refused."""
    from flax import nnx

    with pytest.raises(ks.ArgumentTypeError, match=r"rngs must be an nnx\.Rngs, got 3"):
        interop.from_nnx(3)
    with pytest.raises(ks.KeyTypeError, match=r"rngs\['params'\] must be one typed key"):
        interop.from_nnx(nnx.Rngs(params=0).split(3))
    far = jax.tree.map(lambda x: x, ks.Streams(KEY, ("a",)))
    far = ks.Streams.tree_unflatten(("a",), (far["a"].skip(2**32),))
    with pytest.raises(
        ks.ArgumentValueError, match=r"to_nnx: streams\['a'\] must be at a position below 2\*\*32"
    ):
        interop.to_nnx(far)
    several = jax.vmap(lambda key: ks.Streams(key, ("a",)))(ks.keys(KEY, 3))
    with pytest.raises(ks.KeyTypeError, match=r"jax\.vmap\(interop\.to_nnx\)\(several\)"):
        interop.to_nnx(several)
    assert jax.vmap(lambda one: interop.to_nnx(one).a())(several).shape == (3,)


@needs("flax")
@pytest.mark.parametrize("name", ["items", "fork", "normal", "__class__", "_pytree__nodes"])
def test_nnx_names_that_are_taken(name: str) -> None:
    """A name that nnx.Rngs uses itself is refused, and the cure's isn't."""
    with pytest.raises(ks.ArgumentValueError, match="for something else") as caught:
        interop.to_nnx(ks.Streams(KEY, (name,)))
    cure = str(caught.value).rpartition(": ")[2].rstrip(".")
    assert interop.to_nnx(eval(cure, {"ks": ks, "key": KEY})) is not None


@needs("flax")
def test_nnx_closed_over() -> None:
    """An nnx.Rngs that a trace closes over is converted, with the warning where it is due."""
    from flax import nnx

    rngs, alike = nnx.Rngs(params=0, dropout=1), nnx.Rngs(params=0, dropout=0)
    use = jax.jit(lambda: interop.from_nnx(rngs).next("params")[0])()
    assert bool(use == ks.derive(ks.key(0), 0))
    with pytest.warns(RuntimeWarning, match="one key for 'params' and 'dropout'"):
        jax.jit(lambda: interop.from_nnx(alike).next("params")[0])()


@needs("flax")
def test_nnx_counts_in_32_bits() -> None:
    """Behind 2**32 - 1 nnx starts again at 0, silently; a stream goes on."""
    streams = ks.Streams.tree_unflatten(("a",), (ks.Stream(KEY).skip(2**32 - 1),))
    rngs = interop.to_nnx(streams)
    assert bool(rngs.a() == ks.derive(KEY, 2**32 - 1))
    assert bool(rngs.a() == ks.derive(KEY, 0))


# torch


@needs("torch")
def test_torch() -> None:
    """Torch draws what Python's Mersenne Twister draws from the same 256 bits."""
    if missing("torch"):
        pytest.skip("torch is there, and can't be imported")
    import torch

    generator = interop.torch_generator(KEY)
    oracle = random.Random(hashed("torch", KEY))
    drawn = torch.empty(1500, dtype=torch.int32).random_(generator=generator)
    assert drawn.tolist() == [oracle.getrandbits(32) & (2**31 - 1) for _ in range(1500)]
    assert generator.initial_seed() == hashed("torch", KEY) % 2**64
    assert str(generator.device) == "cpu"
    normals = [torch.randn(50, generator=interop.torch_generator(KEY)) for _ in range(2)]
    assert torch.equal(*normals)
    other = torch.randn(50, generator=interop.torch_generator(ks.key(43)))
    assert not torch.isin(other, normals[0]).any()


@needs("torch")
def test_torch_cuts_its_own_seeds() -> None:
    """Why the state is set: torch's own seeding uses 32 of 64 bits on a CPU."""
    if missing("torch"):
        pytest.skip("torch is there, and can't be imported")
    import torch

    draws = [torch.rand(9, generator=torch.Generator().manual_seed(s)) for s in (7, 7 + 2**32)]
    assert torch.equal(*draws)


@pytest.mark.fast
def test_torch_of_another_layout() -> None:
    """A torch whose state lies otherwise is refused, rather than filled with nonsense."""
    state = mock.Mock(numpy=lambda: np.zeros(5056, np.uint8))
    one = mock.Mock(device=mock.Mock(type="cpu"), get_state=lambda: state)
    fake = mock.Mock(Generator=lambda **_: one)
    with (
        mock.patch.dict(sys.modules, {"torch": fake}),
        pytest.raises(interop.NeighborMissingError) as caught,
    ):
        interop.torch_generator(KEY)
    assert str(caught.value) == (
        "torch_generator: torch must be one whose generator has 624 words where torch 2 has "
        "them, got another layout. For a seed of 64 bits: "
        "generator.manual_seed(interop.int_seed(key, bits=64))."
    )
    one.set_state.assert_not_called()


def test_torch_on_other_devices() -> None:
    """There a generator gets 64 bits of the key, and its state is left alone."""
    one = mock.Mock(device=mock.Mock(type="cuda"))
    with mock.patch.dict(sys.modules, {"torch": mock.Mock(Generator=lambda **_: one)}):
        assert interop.torch_generator(KEY, device="cuda") is one
    one.manual_seed.assert_called_once_with(hashed("torch", KEY) % 2**64)
    one.set_state.assert_not_called()


# What the page says of libraries that take keys as they are


@needs("flax")
def test_linen_goes_by_path() -> None:
    """A draw's key stays with modules beside it and other names, and goes with its path."""
    from flax import linen

    class Draw(linen.Module):
        @linen.compact
        def __call__(self) -> Any:
            return self.make_rng("dropout")

    class Net(linen.Module):
        names: tuple[str | None, ...]

        @linen.compact
        def __call__(self) -> Any:
            return [Draw(name=name)() for name in self.names][-1]

    def key(*names: str | None, **others: Any) -> jax.Array:
        return Net(names).apply({}, rngs={"dropout": KEY, **others})

    assert bool(key("drop") == key("other", "drop"))
    assert bool(key("drop") == key("drop", noise=ks.key(3)))
    assert bool(key("drop") != key("drip"))
    assert bool(key(None) != key(None, None))


@needs("flax")
def test_nnx_goes_by_order() -> None:
    """A layer in front moves the layers behind it, and so does a name that has no stream."""
    from flax import nnx

    def dropped(front: int) -> np.ndarray:
        rngs = nnx.Rngs(dropout=KEY)
        layers = [nnx.Dropout(0.5, rngs=rngs) for _ in range(front + 1)]
        return np.asarray(layers[-1](jnp.ones(64)))

    assert (dropped(0) == dropped(0)).all()
    assert (dropped(0) != dropped(1)).any()
    one, other = nnx.Rngs(KEY), nnx.Rngs(KEY)
    one.params()
    assert bool(one.dropout() != other.dropout())


@needs("haiku")
def test_haiku_dropout_of_a_window() -> None:
    """Dropout that is given a window drops what it drops of the whole there."""
    import haiku

    x, part = jnp.ones((16, 64)), (slice(4, 12), slice(8, 40))
    piece = haiku.dropout(ks.window(KEY, x.shape, (4, 8)), 0.25, x[part])
    np.testing.assert_array_equal(piece, haiku.dropout(KEY, 0.25, x)[part])
    assert 0.5 < piece.mean() < 1.5


@needs("haiku")
def test_haiku_reserve() -> None:
    """A sequence that has reserved keys gives others than one that draws them one by one."""
    import haiku

    one, other = haiku.PRNGSequence(KEY), haiku.PRNGSequence(KEY)
    one.reserve(4)
    assert bool(next(one) == next(other))
    assert bool(next(one) != next(other))
    cut = [next(haiku.PRNGSequence(seed)) for seed in (0, 2**32)]
    assert bool((cut[0] == cut[1]).all())


@needs("equinox")
def test_equinox_by_path() -> None:
    """A leaf's key stays when other leaves are added."""
    import equinox

    make = lambda depth: equinox.filter_eval_shape(
        equinox.nn.MLP, 2, 2, width_size=4, depth=depth, key=KEY
    )
    few, many = (ks.split_tree(KEY, make(depth)) for depth in (1, 3))
    for i in range(2):
        assert bool(few.layers[i].bias == many.layers[i].bias)


@needs("orbax")
@needs("optax")
def test_optax_state_through_orbax(tmp_path: pathlib.Path) -> None:
    """The state of `add_noise`, with a typed key in it, is saved as it is."""
    import optax
    import orbax.checkpoint as ocp

    state = optax.add_noise(1.0, 0.5, key=KEY).init(jnp.zeros(3))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        assert_same(checkpointer.restore(tmp_path / "state", state), state)


@needs("grain")
def test_grain_takes_32_bits() -> None:
    """Grain refuses a wider seed, so nothing is cut silently where a seed is its own argument."""
    import grain
    from grain.experimental import index_shuffle

    with pytest.raises(ValueError, match="32"):
        grain.MapDataset.range(5).shuffle(seed=2**32)
    with pytest.raises(TypeError, match="index_shuffle"):
        index_shuffle(0, max_index=4, seed=2**32, rounds=4)


@needs("optax")
def test_optax() -> None:
    """Noise goes by the place of a leaf; an int seed is cut, a key isn't."""
    import optax

    def noise(tree: Any, key: Any = KEY) -> Any:
        made = optax.add_noise(1.0, 0.5, key=key)
        return made.update(tree, made.init(tree))[0]

    one = jnp.zeros(2)
    alone, behind, front = (
        noise({"b": one}),
        noise({"b": one, "c": one}),
        noise({"a": one, "b": one}),
    )
    assert bool((alone["b"] == behind["b"]).all())
    assert bool((alone["b"] != front["b"]).all())
    assert bool((noise(one, 2**32) == noise(one, 0)).all())
    assert bool((noise(one, ks.key(2**32)) != noise(one, ks.key(0))).all())


@needs("numpyro")
def test_numpyro_goes_by_order() -> None:
    """A site's key goes by the order of the sites, not by its name."""
    import numpyro
    from numpyro.distributions import Normal

    def first(*names: str) -> list[float]:
        model = lambda: [numpyro.sample(name, Normal(0.0, 1.0)) for name in names]
        return [float(x) for x in numpyro.handlers.seed(model, KEY)()]

    assert first("a", "b") == first("b", "a")
    assert first("a", "b")[:1] == first("a")
    cut = [numpyro.handlers.seed(None, seed).rng_key for seed in (0, 2**32)]
    assert bool(cut[0] == cut[1])


@pytest.mark.outside
@needs("numpyro")
def test_numpyro_chains() -> None:
    """A chain's draws stay with another number of chains and another chain method."""
    import numpyro
    from numpyro.distributions import Normal
    from numpyro.infer import MCMC, NUTS

    def model(data: Any) -> None:
        center = numpyro.sample("center", Normal(0.0, 1.0))
        numpyro.sample("data", Normal(center, 1.0).expand([8]).to_event(1), obs=data)

    def run(chains: int, method: str, keys: Any) -> np.ndarray:
        mcmc = MCMC(
            NUTS(model),
            num_warmup=20,
            num_samples=10,
            num_chains=chains,
            chain_method=method,
            progress_bar=False,
        )
        mcmc.run(keys, np.arange(8.0) / 8)
        return np.asarray(mcmc.get_samples(group_by_chain=True)["center"])

    known = run(4, "parallel", ks.keys(KEY, 4))
    np.testing.assert_allclose(run(4, "parallel", KEY), known, atol=1e-4)
    for method in ("sequential", "vectorized", "parallel"):
        np.testing.assert_allclose(run(2, method, ks.keys(KEY, 2)), known[:2], atol=1e-4)


@pytest.mark.outside
@needs("blackjax")
def test_blackjax_by_hand() -> None:
    """Step j of chain i is drawn with `derive(key, i, j)`."""
    import blackjax

    sampler = blackjax.mala(lambda x: -0.5 * jnp.sum(x**2), 0.1)

    def chain(key: Any, start: Any) -> Any:
        def step(key: Any, state: Any, _: Any) -> Any:
            state, _ = sampler.step(key, state)
            return state, state.position

        return ks.scan(step, sampler.init(start), key=key, length=5)[1]

    lanes = ks.vmap(chain)(KEY, jnp.zeros((4, 2)))
    state = sampler.init(jnp.zeros(2))
    for j in range(5):
        state, _ = sampler.step(ks.derive(KEY, 2, j), state)
        np.testing.assert_allclose(lanes[2, j], state.position, atol=1e-5)


# The page

LIBRARIES = {
    "flax linen": "flax",
    "flax nnx": "flax",
    "haiku": "haiku",
    "equinox": "equinox",
    "optax": "optax",
    "numpyro": "numpyro",
    "blackjax": "blackjax",
    "grain": "grain",
    "torch": "torch",
}
SLOW = ("numpyro", "blackjax")


def sections(page: str) -> dict[str, str]:
    """Return the text of a page below each of its headings."""
    parts = re.split(r"^## (.*)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@functools.cache
def page_alone() -> dict[str, Any]:
    """Return what the blocks of the page define that need no library."""
    return run_page(PAGE.read_text(), str(PAGE))


@pytest.mark.fast
def test_the_page_is_complete() -> None:
    """Every block of the page is run: by the tests of the docs, or by those below."""
    page = PAGE.read_text()
    found = sections(page)
    theirs = {
        head for head, text in found.items() if re.search(r"^```python \S", text, re.MULTILINE)
    }
    assert theirs == set(LIBRARIES)
    kinds = set(re.findall(r"^```(\S.*)$", page, re.MULTILINE))
    assert kinds == {"python", "python neighbors", "python neighbors slow", "python torch"}
    assert all(re.search(rf"\binterop\.{name}\b", page) for name in HELPERS)


@pytest.mark.parametrize(
    "library",
    [
        pytest.param(head, marks=pytest.mark.outside if head in SLOW else pytest.mark.slow)
        for head in LIBRARIES
    ],
)
def test_the_page_runs(library: str) -> None:
    """The blocks of each section run where its library is installed, after the page's own."""
    if missing(LIBRARIES[library]):
        pytest.skip(no(LIBRARIES[library]))
    namespace = dict(page_alone())
    for _, block in blocks(sections(PAGE.read_text())[library], r"python \S[^\n]*"):
        exec(compile(block, f"{PAGE} ({library})", "exec"), namespace)
