"""The exact checks pass what is right, and each fails on what is faulty, saying where."""

from __future__ import annotations

import ast
import functools
import pathlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import keystream as ks
from keystream import testing

P = PartitionSpec
KEY = ks.key(0)


def told(check: Callable[..., None], *args: Any, **kwargs: Any) -> str:
    """Return what a check says of a faulty one."""
    with pytest.raises(testing.CheckError) as caught:
        check(*args, **kwargs)
    return str(caught.value)


# check_reproducible


def step(key: jax.Array, params: dict[str, Any], rate: float) -> dict[str, Any]:
    mask = jax.random.bernoulli(key, 0.5, params["w"].shape)
    return {"w": params["w"] * mask * rate, "next": ks.derive(key, "next"), "rate": rate}


def test_reproducible_passes() -> None:
    """Bits, keys, text and static arguments pass in all forms, and so does what is compiled."""
    params = {"w": jnp.arange(3.0)}
    testing.check_reproducible(step, KEY, params, 0.5, forms=("again", "jit"))
    shaped = jax.jit(jax.random.bits, static_argnums=1)
    testing.check_reproducible(shaped, KEY, (3,), forms=("again", "jit", "vmap", "map"), exact=True)


def test_reproducible_last_digits() -> None:
    """A fused multiply-add passes within ulps, and not where exact floats are insisted on."""

    def fused(key: jax.Array) -> jax.Array:
        return 0.37 + 0.1 * jax.random.normal(key, (1000,))

    testing.check_reproducible(fused, KEY, forms=("jit",))
    # Which values differ is the processor's matter, but some do on all that were tried.
    said = told(testing.check_reproducible, fused, KEY, forms=("jit",), exact=True)
    assert re.search(
        r"check_reproducible: fun must give the same compiled anew, got 0\.\d+ as it is and 0\.\d+ "
        r"under jit at result\[\d+\], \d+ ulps? apart; \d+ of 1,000 differ\.",
        said,
    )


def hidden_counter() -> Callable[[jax.Array], Any]:
    turns: list[int] = []

    def fun(_: jax.Array) -> Any:
        turns.append(0)
        return {"a": jnp.zeros(2), "b": (1, jnp.full((2, 2), len(turns)))}

    return fun


def fresh_noise(key: jax.Array) -> Any:
    return jax.random.bits(key, (2,)) ^ np.random.default_rng().integers(2**32, dtype=np.uint32)


def otherwise_traced(key: jax.Array) -> Any:
    return jax.random.bits(key, (2,)) + np.uint32(isinstance(key, jax.core.Tracer))


def another_key() -> Callable[[jax.Array], Any]:
    turns = iter(range(100))
    return lambda key: {"key": jax.random.fold_in(key, next(turns))}


def one_buffer() -> Callable[[jax.Array], Any]:
    buffer = np.zeros(2)

    def fun(_: jax.Array) -> Any:
        buffer[:] += 1
        return buffer

    return fun


IRREPRODUCIBLE: dict[str, tuple[Callable[[], Callable[..., Any]], str]] = {
    "a counter of its own": (
        hidden_counter,
        (
            "fun must give the same called again with the same key, got 1 at first and 2 then at "
            "result['b'][1][0, 0]; 4 of 4 differ."
        ),
    ),
    "numpy.random": (
        lambda: lambda key: jax.random.normal(key) + np.random.normal(),
        (
            "fun must draw from its key alone, got a draw from the hidden state of numpy.random. "
            "For a draw of the key: jax.random.normal(key, shape)."
        ),
    ),
    "numpy.random, compiled in": (
        lambda: jax.jit(lambda key: jax.random.normal(key) + np.random.normal()),
        "fun must draw from its key alone, got a draw from the hidden state of numpy.random.",
    ),
    "random": (
        lambda: lambda key: jax.random.normal(key) + random.random(),
        "fun must draw from its key alone, got a draw from the hidden state of random.",
    ),
    "a generator made anew": (lambda: fresh_noise, "the same called again with the same key"),
    "a generator made anew, compiled in": (
        lambda: jax.jit(fresh_noise),
        "fun must give the same before it was compiled, got ",
    ),
    "another answer when traced": (
        lambda: otherwise_traced,
        (
            "fun must give the same compiled anew, got 4070199207 as it is and 4070199208 under "
            "jit at result[0]; 2 of 2 differ."
        ),
    ),
    "a buffer that is written again": (one_buffer, "got 1.0 at first and 2.0 then at result[0], "),
    "a key that moves on": (
        another_key,
        (
            "got key threefry2x32:2241665166810deb at first and key threefry2x32:293769dde59c2142 "
            "then at result['key']."
        ),
    ),
}


@pytest.mark.parametrize("faulty", IRREPRODUCIBLE)
def test_reproducible_faults(faulty: str) -> None:
    """What draws from elsewhere than from its key is found, and where."""
    make, message = IRREPRODUCIBLE[faulty]
    said = told(testing.check_reproducible, make(), KEY)
    assert said.startswith("check_reproducible: ")
    assert message in said


def test_lanes_that_share_a_key() -> None:
    """Keys of rbg draw alike in lanes, where JAX batches them: the lane is named."""
    rbg = ks.key(0, impl="rbg")
    said = told(testing.check_reproducible, jax.random.bits, rbg, forms=("vmap",))
    assert "fun must give the same under vmap as in a loop, got " in said
    assert " for key 1 alone and " in said
    assert " in lane 1 of vmap at result" in said
    testing.check_reproducible(jax.random.bits, rbg, forms=("map",))


# check_device_invariant


def sharded(mesh: jax.sharding.Mesh) -> NamedSharding:
    return NamedSharding(mesh, P("data"))


def rows(key: jax.Array, mesh: jax.sharding.Mesh) -> Any:
    return ks.sample(jax.random.bits, key, 8, out_sharding=sharded(mesh))


def mapped(per_shard: Callable[..., Any], out: Any) -> Callable[..., Any]:
    def run(key: jax.Array, mesh: jax.sharding.Mesh) -> Any:
        body = functools.partial(per_shard, mesh.size)
        return jax.shard_map(body, mesh=mesh, in_specs=P(), out_specs=out, check_vma=False)(key)

    return run


def train(key: jax.Array, mesh: jax.sharding.Mesh) -> Any:
    """Take two steps on data that are spread over the mesh."""
    x = ks.sample(jax.random.normal, ks.derive(key, "data"), 8, out_sharding=sharded(mesh))

    @jax.jit
    def turn(w: jax.Array, key: jax.Array) -> jax.Array:
        noise = ks.sample(jax.random.normal, key, 8, out_sharding=sharded(mesh))
        return w - 0.1 * jnp.mean(w * x**2 - x * noise)

    w = jnp.ones(())
    for i in range(2):
        w = turn(w, ks.derive(key, "step", i))
    return w


def test_device_invariant_passes() -> None:
    """Keys by position, and a training step within its last digits, pass on every mesh."""
    testing.check_device_invariant(rows, KEY, (1, 8), exact=True)
    testing.check_device_invariant(train, KEY, (1, 4), atol=1e-6)
    testing.check_device_invariant(
        lambda key, mesh: ks.keys(key, (4, 2), out_sharding=NamedSharding(mesh, P("a", "b"))),
        KEY,
        (1, (4, 2)),
        axis_names=("a", "b"),
    )


def _one_noise(count: int, key: jax.Array) -> jax.Array:
    return jax.random.bits(key, (8 // count,))


def _by_shard(count: int, key: jax.Array) -> jax.Array:
    return jax.random.bits(ks.for_axis(key, "data"), (8 // count,))


VARYING: dict[str, tuple[Callable[..., Any], str]] = {
    "a device that repeats another's key": (
        mapped(_one_noise, P("data")),
        (
            "fun must give the same on every mesh, got 2447653815 on 1 device and 4070199207 on 2 "
            "devices at result[4]; 4 of 8 differ; device 1 repeats device 0."
        ),
    ),
    "keys by the number of the device": (
        mapped(_by_shard, P("data")),
        "on 1 device and ",
    ),
    "a key that depends on how many devices there are": (
        lambda key, mesh: jax.random.fold_in(key, mesh.size),
        "got key threefry2x32:293769dde59c2142 on 1 device and key threefry2x32:",
    ),
    "copies that differ": (
        mapped(lambda _, key: jax.random.bits(ks.for_axis(key, "data")), P()),
        (
            "fun must give equal copies where devices hold the same part, got others on device 0 "
            "than on device 1 at result, on 2 devices. An out_spec of P() says that all shards "
            "hold the same."
        ),
    ),
    "as many keys as devices": (
        lambda key, mesh: ks.shard_keys(key, mesh, P("data")),
        "got key<fry>[1] on 1 device and key<fry>[2] on 2 devices at result.",
    ),
}


@pytest.mark.parametrize("faulty", VARYING)
def test_device_invariant_faults(faulty: str) -> None:
    """What depends on the mesh is found, and which device repeats which."""
    fun, message = VARYING[faulty]
    said = told(testing.check_device_invariant, fun, KEY, (1, 2))
    assert said.startswith("check_device_invariant: ")
    assert message in said


# check_prefix_stable


def in_batches(key: jax.Array, n: int) -> jax.Array:
    """Draw in two batches, however many items there are: the batch size changes the numbers."""
    size = max(1, n // 2)
    keys = ks.keys(key, -(-n // size))
    return jnp.concatenate([jax.random.bits(each, (size,)) for each in keys])[:n]


def from_start(key: jax.Array, n: int, *, start: int = 0) -> jax.Array:
    return ks.keys(key, n, start=start + (start > 0))


def last_changes(key: jax.Array, n: int) -> Any:
    made = ks.sample(jax.random.bits, key, n)
    return {"x": (jnp.zeros(n), made.at[n - 1].add(1))}


UNSTABLE: dict[str, tuple[Callable[..., Any], str]] = {
    "a batch size that changes numbers": (
        in_batches,
        "fun must give the same first items whatever",
    ),
    "a permutation": (
        jax.random.permutation,
        (
            "fun must give the same first items whatever their number, got 5 in a run of 8 and 4 "
            "in a run of 5 at result[2]; 3 of 5 differ."
        ),
    ),
    "a start that is off by one": (
        from_start,
        (
            "fun must give the same items wherever the run starts, got key "
            "threefry2x32:293769dde59c2142 in a run from 0, 1 items later, and key "
            "threefry2x32:d7f66eade057c567 in a run from start=1 at result[0]; 7 of 7 differ."
        ),
    ),
    "one item more than was asked for": (
        lambda key, n: ks.keys(key, n + 1),
        (
            "fun must give 8 items along axis 0 for n=8, got shape (9,) at result. For items along "
            "another axis: axis=1."
        ),
    ),
    "a last item of its own": (last_changes, "at result['x'][1][0]"),
}


@pytest.mark.parametrize("faulty", UNSTABLE)
def test_prefix_faults(faulty: str) -> None:
    """What the number of items changes is found, and the first item that it changes."""
    fun, message = UNSTABLE[faulty]
    said = told(testing.check_prefix_stable, fun, KEY)
    assert said.startswith("check_prefix_stable: ")
    assert message in said


def test_prefix_fault_of_a_setting() -> None:
    """JAX's older split, whose first children depend on their number, is found."""
    split = jax.random.split
    testing.check_prefix_stable(split, KEY)
    with jax.threefry_partitionable(False):
        said = told(testing.check_prefix_stable, split, KEY)
    assert "the same first items whatever their number" in said


def test_prefix_passes() -> None:
    """Keys and draws by position pass, from every start, in batches, and on another axis."""
    testing.check_prefix_stable(ks.keys, KEY)
    drawn = functools.partial(ks.sample, jax.random.bits, batch_size=3)
    testing.check_prefix_stable(drawn, KEY, (2, 7), starts=(0, 5))
    across = lambda key, n: jnp.moveaxis(ks.keys(key, (n, 2)), 0, 1)
    testing.check_prefix_stable(across, KEY, axis=1)


# check_resumable


def turn(state: dict[str, Any]) -> dict[str, Any]:
    key, stream = state["stream"].next()
    return {"x": state["x"] + jax.random.uniform(key), "stream": stream}


def begin() -> dict[str, Any]:
    return {"x": jnp.zeros(()), "stream": ks.Stream(KEY)}


def save(state: dict[str, Any]) -> tuple[float, str]:
    return float(state["x"]), ks.dumps(state["stream"])


def loading(change: Callable[[ks.Stream], ks.Stream]) -> Callable[[Any], Any]:
    return lambda saved: {"x": jnp.float32(saved[0]), "stream": change(ks.loads(saved[1]))}


def test_resumable_passes() -> None:
    """A state of arrays, keys and streams passes, donated or not, with data and outputs too."""
    testing.check_resumable(turn, begin())
    testing.check_resumable(jax.jit(turn, donate_argnums=0), begin(), num_steps=3, save_at=(0, 2))
    testing.check_resumable(turn, begin(), save=save, load=loading(lambda stream: stream))

    def epoch(state: tuple[int, Any], x: Any) -> tuple[tuple[int, Any], Any]:
        i, total = state
        return (i + 1, total + x), x + jax.random.uniform(ks.derive(KEY, i))

    xs = [np.full(2, i, np.float32) for i in range(3)]
    testing.check_resumable(epoch, (0, np.zeros(2, np.float32)), xs, has_aux=True)


def unsaved() -> Callable[[Any], Any]:
    steps = iter(range(1000))
    return lambda state: {**turn(state), "x": state["x"] + next(steps)}


def in_place(state: dict[str, Any]) -> dict[str, Any]:
    state["x"] += 1.0
    return state


def kept_outside() -> dict[str, Any]:
    """A step whose noise comes from a stream that isn't in the state, and so isn't saved."""
    held = {"stream": ks.Stream(KEY)}

    def step(state: Any) -> Any:
        key, held["stream"] = held["stream"].next()
        return state + jax.random.uniform(key)

    return {"step": step, "state": jnp.zeros(())}


BROKEN: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a resume that skips a key": (
        lambda: {"step": turn, "save": save, "load": loading(lambda stream: stream.skip(1))},
        (
            "load must return what it was saved as, got 1 after step 1 and 2 just after it was "
            "loaded at state['stream'].words[1]; 1 of 2 differ."
        ),
    ),
    "a resume that repeats a key": (
        lambda: {
            "step": turn,
            "save": save,
            "load": loading(lambda stream: ks.Stream(KEY).skip(stream.position - 1)),
        },
        (
            "load must return what it was saved as, got 1 after step 1 and 0 just after it was "
            "loaded at state['stream'].words[1]; 1 of 2 differ."
        ),
    ),
    "another seed after the resume": (
        lambda: {"step": turn, "save": save, "load": loading(lambda _: ks.Stream(ks.key(1)))},
        "load must return what it was saved as, got key threefry2x32:",
    ),
    "digits that are lost in the file": (
        lambda: {
            "step": turn,
            "save": lambda state: (f"{float(state['x']):.3f}", save(state)[1]),
            "load": loading(lambda stream: stream),
        },
        " just after it was loaded at state['x'], ",
    ),
    "steps that are counted elsewhere": (
        lambda: {"step": unsaved()},
        "step must give the same when it is run twice from one state, got ",
    ),
    "a stream that isn't saved": (
        kept_outside,
        "step must give the same when it is run twice from one state, got ",
    ),
}


@pytest.mark.parametrize("faulty", BROKEN)
def test_resumable_faults(faulty: str) -> None:
    """A resume that isn't where the run was is found, and after which step."""
    make, message = BROKEN[faulty]
    given = {"state": begin(), **make()}
    said = told(testing.check_resumable, given.pop("step"), given.pop("state"), **given)
    assert said.startswith("check_resumable: ")
    assert message in said


def test_resumable_fault_in_the_code_that_counts() -> None:
    """A resume that is right in the state, and an item late in what it does with it, is found."""

    class State:
        def __init__(self, i: int, resumed: bool = False) -> None:
            self.i, self.resumed = i, resumed

    def as_tree(state: State) -> tuple[tuple[int], bool]:
        return (state.i,), state.resumed

    jax.tree_util.register_pytree_node(State, as_tree, lambda more, leaf: State(*leaf, more))

    def step(state: State) -> tuple[State, Any]:
        i = state.i + state.resumed
        return State(state.i + 1, state.resumed), ks.derive(KEY, "step", i)

    said = told(
        testing.check_resumable,
        step,
        State(0),
        save=lambda state: state.i,
        load=lambda i: State(i, resumed=True),
        has_aux=True,
    )
    assert "step must give what a run gives that never stopped, got key threefry2x32:" in said
    assert " after step 2 and key threefry2x32:" in said
    assert " resumed after step 1 at aux." in said


class Learner:
    """A learner as people write it: it changes itself, and JAX knows no leaves of it."""

    def __init__(self) -> None:
        self.x, self.stream, self.count = jnp.zeros(()), ks.Stream(KEY), 0

    def step(self) -> Learner:
        key, self.stream = self.stream.next()
        self.count += 1
        self.x = self.x + self.count * jax.random.uniform(key)
        return self

    def save(self) -> dict[str, Any]:
        return {"x": np.asarray(self.x), "stream": ks.dumps(self.stream), "count": self.count}

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Learner:
        learner = cls()
        learner.x, learner.count = jnp.asarray(saved["x"]), saved["count"]
        learner.stream = ks.loads(saved["stream"])
        return learner


class Forgetful(Learner):
    """A learner that doesn't save all it needs: its count begins anew."""

    def save(self) -> dict[str, Any]:
        return {**super().save(), "count": 0}


class Late(Learner):
    """A learner that goes on one key too far when it is loaded."""

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Learner:
        learner = super().load(saved)
        learner.stream = learner.stream.skip(1)
        return learner


class Outside(Learner):
    """A learner that counts in its class, which no save sees."""

    steps = 0

    def step(self) -> Learner:
        Outside.steps += 1
        self.x = self.x + Outside.steps
        return super().step()


def resume(learner: Learner) -> None:
    kind = type(learner)
    testing.check_resumable(kind.step, learner, save=kind.save, load=kind.load)


def test_resumable_objects() -> None:
    """A learner that is a plain object passes by what it saves, and stays as it was."""
    learner = Learner()
    resume(learner)
    assert (learner.count, learner.stream.position) == (0, 0)
    inside = {"learner": learner, "rate": 0.1}
    testing.check_resumable(
        lambda state: {**state, "learner": state["learner"].step()},
        inside,
        save=lambda state: (state["learner"].save(), state["rate"]),
        load=lambda saved: {"learner": Learner.load(saved[0]), "rate": saved[1]},
    )


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (Forgetful, "step must give what a run gives that never stopped, got "),
        (Late, "load must return what it was saved as, got "),
        (Outside, "step must give the same when it is run twice from one state, got "),
    ],
)
def test_resumable_objects_that_are_wrong(learner: type[Learner], message: str) -> None:
    """A plain object that loses something, or goes on elsewhere, is found by what it saves."""
    assert message in told(resume, learner())


def test_resumable_objects_need_their_content(tmp_path: Path) -> None:
    """A name of a file, or the object itself, tells nothing of a plain object: it's refused."""
    file = tmp_path / "saved.json"

    def write(learner: Learner) -> Path:
        file.write_text(repr((float(learner.x), learner.count, ks.dumps(learner.stream))))
        return file

    def read(text: bytes) -> Learner:
        x, count, stream = ast.literal_eval(text.decode())
        return Learner.load({"x": np.float32(x), "count": count, "stream": stream})

    for save in (write, lambda learner: str(write(learner)), lambda learner: learner):
        with pytest.raises(ks.ArgumentTypeError, match="save must return the content") as caught:
            testing.check_resumable(Learner.step, Learner(), save=save, load=lambda _: Learner())
    cure = str(caught.value).rpartition("save=")[2].rstrip(".")
    given = eval(cure, {"pathlib": pathlib, "write": write})
    testing.check_resumable(Learner.step, Learner(), save=given, load=read)
    with pytest.raises(ks.ArgumentTypeError, match="state must hold arrays, keys"):
        testing.check_resumable(Learner.step, Learner())


def test_resumable_values_are_no_objects() -> None:
    """Functions and values with an equality of their own are compared as they are."""
    state = {**begin(), "apply": jax.jit(jnp.sin), "where": Path("here")}
    testing.check_resumable(
        lambda state: {**state, **turn(state)},
        state,
        save=save,
        load=lambda saved: {**state, **loading(lambda stream: stream)(saved)},
    )


def test_what_is_in_place_stays_out_of_the_run() -> None:
    """A step that changes its arrays in place is compared with what they were before."""
    testing.check_resumable(in_place, {"x": np.zeros(2)})
    testing.check_resumable(in_place, {"x": np.float32(0)})


# What is no business of the checks


DOORS: dict[str, tuple[Callable[[], None], type[Exception]]] = {
    "check_reproducible: fun must be a function, got 3.": (
        lambda: testing.check_reproducible(3, KEY),  # type: ignore[arg-type]
        ks.ArgumentTypeError,
    ),
    "check_reproducible: key must be one typed key, got 3. For a seed: ks.key(seed).": (
        lambda: testing.check_reproducible(jax.random.bits, 3),  # type: ignore[arg-type]
        ks.KeyTypeError,
    ),
    "check_prefix_stable: key must be one typed key, got key<fry>[2]. For a seed: ks.key(seed).": (
        lambda: testing.check_prefix_stable(ks.keys, ks.keys(KEY, 2)),
        ks.KeyTypeError,
    ),
    "check_reproducible: forms must be one or more of 'again', 'jit', 'vmap', 'map', got 'jit'. "
    'For one: forms=("jit",).': (
        lambda: testing.check_reproducible(jax.random.bits, KEY, forms="jit"),
        ks.ArgumentValueError,
    ),
    "check_reproducible: forms must be one or more of 'again', 'jit', 'vmap', 'map', got (). For "
    'one: forms=("jit",).': (
        lambda: testing.check_reproducible(jax.random.bits, KEY, forms=()),
        ks.ArgumentValueError,
    ),
    "check_reproducible: lanes must be an int of at least 2, got 1.": (
        lambda: testing.check_reproducible(jax.random.bits, KEY, lanes=1),
        ks.ArgumentValueError,
    ),
    "check_prefix_stable: sizes must be of two different values, got (3, 3).": (
        lambda: testing.check_prefix_stable(ks.keys, KEY, (3, 3)),
        ks.ArgumentValueError,
    ),
    "check_resumable: num_steps must be an int of at least 2, got 1.": (
        lambda: testing.check_resumable(turn, begin(), num_steps=1),
        ks.ArgumentValueError,
    ),
    "check_resumable: xs must hold at least 5 items, one for each step, got 3.": (
        lambda: testing.check_resumable(turn, begin(), [1, 2, 3], num_steps=5),
        ks.ArgumentValueError,
    ),
    "check_reproducible: ulps must be a number of zero or more, got -1.": (
        lambda: testing.check_reproducible(jax.random.bits, KEY, ulps=-1),
        ks.ArgumentValueError,
    ),
    "check_reproducible: atol must be a number of zero or more, got nan.": (
        lambda: testing.check_reproducible(jax.random.bits, KEY, atol=float("nan")),
        ks.ArgumentValueError,
    ),
    "check_reproducible: fun must be traceable for 'jit', got a TracerBoolConversionError. For "
    'what can\'t be traced: forms=("again",).': (
        lambda: testing.check_reproducible(lambda key: 1 if jax.random.uniform(key) else 2, KEY),
        ks.ArgumentTypeError,
    ),
    "check_reproducible: fun must return arrays, keys and numbers for the form 'jit', got 'text'. "
    'For what can\'t be traced: forms=("again",).': (
        lambda: testing.check_reproducible(lambda key: {"key": key, "a": "text"}, KEY),
        ks.ArgumentTypeError,
    ),
    "check_device_invariant: device_counts must be at most 8, the number of devices there are, got "
    '16. Before JAX starts: os.environ["XLA_FLAGS"] = '
    '"--xla_force_host_platform_device_count=16".': (
        lambda: testing.check_device_invariant(rows, KEY, (1, 16)),
        ks.ArgumentValueError,
    ),
    "check_device_invariant: device_counts must be a sequence of two or more numbers of devices, "
    "or shapes of meshes, got (1,).": (
        lambda: testing.check_device_invariant(rows, KEY, (1,)),
        ks.ArgumentValueError,
    ),
    "check_device_invariant: device_counts must be shapes of 1 axes, as axis_names has, got (2, "
    "2). A name for each axis: axis_names=('axis0', 'axis1').": (
        lambda: testing.check_device_invariant(rows, KEY, (1, (2, 2))),
        ks.ArgumentValueError,
    ),
    "check_prefix_stable: sizes must be 2 or more ints of at least 1, got (3,).": (
        lambda: testing.check_prefix_stable(ks.keys, KEY, (3,)),
        ks.ArgumentValueError,
    ),
    "check_prefix_stable: starts must be 0 or more ints of at least 0, got (-1,).": (
        lambda: testing.check_prefix_stable(ks.keys, KEY, starts=(-1,)),
        ks.ArgumentValueError,
    ),
    "check_resumable: state must hold arrays, keys, streams, numbers and str, got an object. For "
    "other states, both of: save=lambda state: ..., load=lambda saved: ...": (
        lambda: testing.check_resumable(lambda state: state, object()),
        ks.ArgumentTypeError,
    ),
    "check_resumable: load must be given where save is, got None. For what comes back as it is: "
    "load=lambda x: x.": (
        lambda: testing.check_resumable(turn, begin(), save=save),
        ks.ArgumentTypeError,
    ),
    "check_resumable: save_at must be numbers of steps below 4, of which one is left, got 4.": (
        lambda: testing.check_resumable(turn, begin(), save_at=(4,)),
        ks.ArgumentValueError,
    ),
    "check_resumable: step must return a pair (state, aux), got a dict. For a step that returns "
    "its state alone: has_aux=False.": (
        lambda: testing.check_resumable(turn, begin(), has_aux=True),
        ks.ArgumentTypeError,
    ),
}


@pytest.mark.parametrize("message", DOORS)
def test_doors(message: str) -> None:
    """What isn't meant is refused in a whole message, before anything is concluded from it."""
    call, cls = DOORS[message]
    with pytest.raises(cls) as caught:
        call()
    assert str(caught.value) == message
    assert not isinstance(caught.value, AssertionError)


def test_a_traced_key() -> None:
    """A check inside of jit is refused."""
    with pytest.raises(ks.KeyTypeError, match=r"Call testing\.check_reproducible outside of jit"):
        jax.jit(lambda key: testing.check_reproducible(jax.random.bits, key))(KEY)
