"""What is read of JAX: each function gives what it promises on the version that is installed."""

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import primitives
from jax.extend.random import define_prng_impl, threefry2x32_p, threefry_prng_impl
from jax.interpreters import mlir
from jax.sharding import AxisType

import keystream as ks
from keystream import _compat
from keystream._compat import JAX
from tests.fresh import python

pytestmark = pytest.mark.fast
P = jax.P
AUTO = (AxisType.Auto,)


def test_one_module() -> None:
    """No other module reads JAX's tables of rules, its version, or names that have moved."""
    folder = Path(ks.__file__).parent
    moved = (
        "_lowerings", "emit_python_callback", "module_context.", "__version_info__",
        "source_info_util", "get_mesh(", "jax.enable_x64(True),", "make_user_context(",
        "partial_eval", "debug_info", "jax._src",
    )  # fmt: skip
    found = {
        (path.name, word)
        for path in folder.rglob("*.py")
        if path.name != "_compat.py"
        for word in moved
        if word in path.read_text(encoding="utf-8")
    }
    # The end of a piece of a traceback, by the name of a file of JAX's.
    assert found <= {("frames.py", "source_info_util")}


def test_implementations() -> None:
    """An implementation is there if JAX makes keys of it, and its dtype is that of its keys."""
    for impl in ("threefry2x32", "threefry4x32", "philox4x32", "philox2x32", "rbg", "unsafe_rbg"):
        if _compat.has_impl(impl):
            assert _compat.key_dtype(impl) == jax.random.key(0, impl=impl).dtype
        else:
            with pytest.raises(ValueError, match=impl):
                jax.random.key(0, impl=impl)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0)])
def test_key_words(shape: tuple[int, ...]) -> None:
    """The words of keys are those that JAX gives out, and so are those of legacy keys."""
    keys = jax.random.split(jax.random.key(0), shape)
    words = jax.random.key_data(keys)
    for each in (keys, words):
        np.testing.assert_array_equal(_compat.key_words(each), words)


def test_device_name() -> None:
    """A device is called by its platform and number."""
    assert [_compat.device_name(device) for device in jax.devices()[:2]] == ["cpu:0", "cpu:1"]


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_mesh_in_context(kind: AxisType) -> None:
    """The mesh that was set is found, and none without one, or inside of jit."""
    mesh = jax.make_mesh((4, 2), ("a", "b"), (kind,) * 2)
    found: list[Any] = []
    assert _compat.mesh_in_context() is None
    with jax.set_mesh(mesh):
        assert _compat.mesh_in_context() == mesh
        jax.jit(lambda x: found.append(_compat.mesh_in_context()) or x)(1.0)
    assert found == [None]
    assert _compat.mesh_in_context() is None


def test_vary() -> None:
    """A value counts as varying, so that a carry of it fits one that does."""
    mesh = jax.make_mesh((4,), ("a",), AUTO, devices=jax.devices()[:4])

    def total(x: jax.Array, start: Callable[[Any], Any]) -> jax.Array:
        return lax.fori_loop(0, 2, lambda _, carry: carry + x, start(jnp.zeros(1)))

    def run(start: Callable[[Any], Any]) -> Any:
        body = lambda x: total(x, start)
        return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=P("a"), out_specs=P("a")))(
            jnp.arange(4.0)
        )

    assert run(lambda x: _compat.vary(x, "a")).tolist() == [0.0, 2.0, 4.0, 6.0]
    with pytest.raises(TypeError, match=r"carry"):
        run(lambda x: x)


def test_cipher_forgets_axes() -> None:
    """It is said wherever a block of the cipher is typed unlike its operands."""
    mesh = jax.make_mesh((8,), ("a",), (AxisType.Explicit,))
    seen: list[tuple[bool, bool]] = []

    def block(words: jax.Array) -> jax.Array:
        first, _ = threefry2x32_p.bind(words[0], words[1], jnp.uint32(3), jnp.uint32(4))
        return first

    def lanes(words: jax.Array) -> jax.Array:
        first = jax.vmap(block)(words)
        forgotten = jax.typeof(first).sharding.spec[0] is None
        seen.append((forgotten, _compat.cipher_forgets_axes()))
        return first

    def shard(words: jax.Array) -> jax.Array:
        first = block(words[0])
        seen.append(("V:a" not in str(jax.typeof(first)), _compat.cipher_forgets_axes()))
        return words

    words = jax.device_put(jnp.zeros((8, 2), jnp.uint32), jax.NamedSharding(mesh, P("a")))
    with jax.set_mesh(mesh):
        jax.jit(lanes).lower(words)
        jax.jit(jax.shard_map(shard, in_specs=P("a"), out_specs=P("a"))).lower(words)
    assert seen == [(JAX < (0, 10),) * 2, (True, True)]


def test_enable_x64() -> None:
    """64-bit types are on inside, and as before after it."""
    before = jax.config.jax_enable_x64
    for enabled in (True, False):
        with _compat.enable_x64(enabled):
            assert jnp.arange(1).dtype == (np.int64 if enabled else np.int32)
    assert jax.config.jax_enable_x64 == before


TRACED: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "jit": lambda see: jax.jit(see)(1.0),
    "vmap": lambda see: jax.vmap(see)(np.ones(3)),
    "grad": lambda see: jax.grad(see)(1.0),
    "jvp": lambda see: jax.jvp(see, (1.0,), (1.0,)),
    "scan": lambda see: lax.scan(lambda carry, x: (see(carry), x), 0.0, np.ones(3)),
    "eval_shape": lambda see: jax.eval_shape(see, 1.0),
    "make_jaxpr": lambda see: jax.make_jaxpr(see)(1.0),
    "remat": lambda see: jax.checkpoint(see)(1.0),
    "shard_map": lambda see: jax.shard_map(
        see, mesh=jax.make_mesh((1,), ("a",), AUTO, devices=jax.devices()[:1]),
        in_specs=P(), out_specs=P(),
    )(1.0),
}  # fmt: skip


@pytest.mark.parametrize("how", TRACED)
def test_nothing_traced(how: str) -> None:
    """In what JAX traces or maps something is traced, and before and after it nothing is."""
    seen: list[bool] = []

    def see(x: Any) -> Any:
        seen.append(_compat.nothing_traced())
        return x

    assert _compat.nothing_traced()
    TRACED[how](see)
    assert seen
    assert not any(seen)
    assert _compat.nothing_traced()


def test_nothing_traced_elsewhere() -> None:
    """Threads, `disable_jit` and a mesh in context trace nothing."""
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(_compat.nothing_traced()))
    thread.start()
    thread.join(60)
    with jax.disable_jit():
        jax.jit(lambda x: seen.append(_compat.nothing_traced()) or x)(1.0)
    with jax.set_mesh(jax.make_mesh((8,), ("a",), AUTO)):
        seen.append(_compat.nothing_traced())
    assert seen == [True] * 3


def test_frames_of_jax() -> None:
    """Files of JAX that say what was asked for are told from its machinery."""
    asked, machinery = map(inspect.getfile, (jax.random.split, jax.core.Tracer))
    assert not _compat.is_machinery(asked)
    assert _compat.is_machinery(machinery)
    assert _compat.is_lowering((inspect.getfile(mlir.lower_fun), 1, "lower_fun"))
    compiled = jax.jit(lambda x: x).lower(1.0).compile()
    with pytest.raises(TypeError) as caught:
        jax.jit(compiled)(1.0)
    assert _compat.is_compiled_call(caught.value)
    assert not _compat.is_compiled_call(TypeError("another"))


def test_is_recording() -> None:
    """It is recorded inside of a recording, in all threads, and neither before nor after."""
    assert not _compat.is_recording()
    seen: list[bool] = []
    with ks.recording():
        assert _compat.is_recording()
        thread = threading.Thread(target=lambda: seen.append(_compat.is_recording()))
        thread.start()
        thread.join(60)
        with _compat.recording_set_aside():
            assert not _compat.is_recording()
        assert _compat.is_recording()
    assert seen == [True]
    assert not _compat.is_recording()


LATE = """
import jax
compiled = 0
def count(name, *_, **__):
    global compiled
    compiled += name.endswith("backend_compile_duration")
jax.monitoring.register_event_duration_secs_listener(count)
first = jax.jit(lambda x: x + 1)
first(1.0)
before = compiled
USE
import keystream as ks
from keystream import _compat
assert not _compat.is_recording()
first(1.0)
print(compiled - before)
"""


@pytest.mark.skipif(JAX >= (0, 12), reason="jax 0.12 compiles again after jax.extend")
def test_late_import() -> None:
    """Importing keystream late has JAX compile nothing again."""
    assert python(LATE.replace("USE", "")).stdout.strip() == "0"


def test_late_context_is_seen() -> None:
    """A context that is made late has JAX compile again, which the count above would show."""
    assert python(LATE.replace("USE", "jax.make_user_context(None)")).stdout.strip() == "1"


def test_lowerings() -> None:
    """The rules of a primitive are those that lower it, and what has none is an error."""
    rows = _compat.lowerings(threefry2x32_p)
    assert all(callable(row.rule) and row.primitive is threefry2x32_p for row in rows)
    assert "cpu" in {row.platform for row in rows}
    with pytest.raises(LookupError, match="no lowering of"):
        _compat.lowerings(object())


@pytest.mark.parametrize("primitive", [threefry2x32_p, primitives.random_bits_p])
def test_put_back(primitive: Any) -> None:
    """A rule that was put in for one platform is gone again, or the one before is back."""
    before = {row.platform: row for row in _compat.lowerings(primitive)}

    def rule(*_: Any, **__: Any) -> Any:
        raise AssertionError

    mlir.register_lowering(primitive, rule, platform="cpu")
    assert {row.platform: row for row in _compat.lowerings(primitive)}["cpu"].rule is rule
    _compat.put_back(primitive, "cpu", before.get("cpu"))
    after = {row.platform: row for row in _compat.lowerings(primitive)}
    assert {at: row.entry for at, row in after.items()} == {
        at: row.entry for at, row in before.items()
    }


def test_lowered_each_time() -> None:
    """JAX's own set is returned: a public call adds to it."""
    assert _compat.lowered_each_time()
    assert primitives.jit_p in _compat.lowered_each_time()


def test_samplers_of() -> None:
    """The samplers of a program are told while any draw of it is lowered, and of what is called."""
    told: list[list[frozenset[str]]] = []
    stock: Any = threefry_prng_impl

    def look(words: jax.Array, width: int, shape: Any) -> Any:
        told.append([*_compat.samplers_of(lambda dtype: getattr(dtype, "name", "") == "key<look>")])
        return stock.random_bits(words, width, shape)

    impl = define_prng_impl(
        key_shape=(2,), seed=stock.seed, split=stock.split, fold_in=stock.fold_in,
        random_bits=look, name="look", tag="look",
    )  # fmt: skip
    key = jax.random.wrap_key_data(np.zeros(2, np.uint32), impl=impl)
    jax.jit(lambda key: (jax.random.bits(key), jax.random.permutation(key, 3))).lower(key)
    assert any("permutation" in names for names in told[0])
    told.clear()
    jax.random.permutation(key, 5)
    assert "permutation" in told[0][0]
    told.clear()
    jax.random.bits(key, (3,))
    assert not any("permutation" in names for names in told[0])


def test_primitives() -> None:
    """The primitives without a public name are those of their functions."""
    assert _compat.shard_map_primitive().name == "shard_map"
    [equation] = jax.make_jaxpr(jax.checkpoint(jnp.sin))(1.0).eqns
    assert _compat.remat_primitive() is equation.primitive


def test_programs() -> None:
    """What is read of a program that is being lowered: devices, platforms, identity, name."""
    seen: list[Any] = []
    before = {row.platform: row for row in _compat.lowerings(primitives.random_bits_p)}
    stock = (before.get("cpu") or before[None]).rule

    def rule(ctx: Any, *operands: Any, **params: Any) -> Any:
        seen.append((
            _compat.program_devices(ctx), _compat.is_waited_for(ctx),
            _compat.is_for_several_platforms(ctx), _compat.is_for_export(ctx),
            _compat.function_lowered(ctx).partition("_")[0] != "",
            _compat.program_identity(ctx),
        ))  # fmt: skip
        return stock(ctx, *operands, **params)

    mlir.register_lowering(primitives.random_bits_p, rule, platform="cpu")
    try:
        key, mesh = ks.key(3), jax.make_mesh((8,), ("a",), AUTO)

        def two(key: jax.Array) -> Any:
            return jax.random.bits(key, (2,)), jax.random.bits(key, (3,))

        jax.jit(two).lower(key)
        each = jax.shard_map(
            lambda key: jax.random.bits(key, (4,)), mesh=mesh, in_specs=P(), out_specs=P(),
            check_vma=False,
        )  # fmt: skip
        jax.jit(each).lower(key)
        whole = jax.jit(
            lambda key: jax.random.bits(key, (8,)), out_shardings=jax.NamedSharding(mesh, P("a"))
        )
        whole.lower(key)
        jax.export.export(jax.jit(lambda key: jax.random.bits(key, (5,))))(key)
    finally:
        _compat.put_back(primitives.random_bits_p, "cpu", before.get("cpu"))
    assert [each[:4] for each in seen] == [
        *[("one device", True, False, False)] * 2,
        ("each shard", False, False, False),
        ("all devices", False, False, False),
        ("one device", True, False, True),
    ]
    assert all(each[4] for each in seen)
    assert seen[0][5] == seen[1][5] != seen[2][5]


def test_call_back() -> None:
    """A program calls back with values, and goes on with what it was given."""
    told: list[Any] = []
    before = {row.platform: row for row in _compat.lowerings(primitives.random_bits_p)}

    def rule(ctx: Any, key: Any, **params: Any) -> Any:
        del params
        aval = jax.core.ShapedArray((2,), np.dtype(np.uint32))

        def double(words: Any) -> tuple[Any]:
            told.append(np.array(words))
            return (np.asarray(words) * np.uint32(2),)

        return _compat.call_back(ctx, double, [key], [aval], [aval])

    mlir.register_lowering(primitives.random_bits_p, rule, platform="cpu")
    try:
        got = jax.jit(lambda key: jax.random.bits(key, (2,)))(ks.key(5))
    finally:
        _compat.put_back(primitives.random_bits_p, "cpu", before.get("cpu"))
    assert got.tolist() == [0, 10]
    assert [each.tolist() for each in told] == [[0, 5]]


def inner(x: Any) -> Any:
    return jnp.sin(x)


def outer(x: Any) -> Any:
    return jax.jit(inner)(x) * 2.0


def test_frames() -> None:
    """Frames begin in the function that was traced, innermost first; the user's are told apart."""
    call, _ = jax.make_jaxpr(outer)(1.0).eqns
    [sine] = call.params["jaxpr"].jaxpr.eqns
    names = [
        [name for file, _, name in _compat.frames(each.source_info.traceback) if file == __file__]
        for each in (sine, call)
    ]
    assert names == [["inner"], ["outer"]]
    for each, name in ((sine, "inner"), (call, "outer")):
        [(file, line, function)] = _compat.user_frames(each.source_info)
        assert (file, function) == (__file__, name)
        assert line > 0
    assert _compat.frames(None) == []


def test_function_file() -> None:
    """A jaxpr tells which file its function is from; what isn't one tells nothing."""
    assert _compat.function_file(jax.make_jaxpr(outer)(1.0).jaxpr) == __file__
    assert _compat.function_file(None) == ""


def test_name_stack() -> None:
    """Scopes and lanes around an equation are told, in order."""
    assert _compat.tells_lanes()

    def named(x: Any) -> Any:
        with jax.named_scope("a scope"):
            return jnp.sin(x)

    eqn = jax.make_jaxpr(jax.vmap(named))(np.ones(2)).eqns[0]
    stack = _compat.name_stack(eqn.source_info)
    assert _compat.LANES in stack
    assert ("Scope", "a scope") in stack
    assert _compat.name_stack(None) == []


def test_without_unneeded() -> None:
    """What no result needs is left out; what isn't a jaxpr is None."""
    closed = jax.make_jaxpr(lambda x: (jnp.sin(x), jnp.cos(x))[1])(1.0)
    left = _compat.without_unneeded(closed)
    assert [eqn.primitive.name for eqn in left.jaxpr.eqns] == ["cos"]
    assert len(closed.jaxpr.eqns) == 2
    assert _compat.without_unneeded(None) is None


def test_is_transposed() -> None:
    """An equation of a backward pass is told from one of the forward pass."""
    seen: list[bool] = []
    [row] = [each for each in _compat.lowerings(primitives.mul_p) if each.platform is None]

    def rule(ctx: Any, *operands: Any, **params: Any) -> Any:
        seen.append(_compat.is_transposed(ctx))
        return row.rule(ctx, *operands, **params)

    mlir.register_lowering(row.primitive, rule, cacheable=False)
    try:
        jax.jit(lambda x: x * 2.0).lower(1.0)
        assert seen == [False]
        jax.jit(jax.grad(lambda x: x * 2.0)).lower(1.0)
    finally:
        mlir.register_lowering(row.primitive, row.rule)
        _compat.lowered_each_time().discard(primitives.mul_p)
    assert True in seen
