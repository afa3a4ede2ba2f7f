"""All that differs between JAX versions, and all that is read of JAX that it doesn't publish.

One small function each. Where a docstring names no version, the function is for all from 0.7
on and reads what JAX doesn't publish; a function whose reading may fail says what it gives then.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import pathlib
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary

import jax
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, primitives
from jax.interpreters import batching, mlir, partial_eval

JAX: tuple[int, ...] = jax.__version_info__

NESTED_INDEX = JAX >= (0, 10, 1)
"""Does `lax.axis_index` work in a `jax.shard_map` inside of another? Before 0.10.1 JAX
can't lower it, or the program didn't end within 30 seconds (0.9.2, 0.10.0)."""

Rule = Callable[..., Sequence[Any]]
"""How a primitive is lowered: `rule(ctx, *operands, **params)`."""

# Keys.


def has_impl(impl: str) -> bool:
    """Does this JAX have an implementation of keys? Three came with 0.10.1."""
    return JAX >= (0, 10, 1) or impl in ("threefry2x32", "rbg", "unsafe_rbg")


@functools.lru_cache(maxsize=64)
def key_dtype(impl: str) -> Any:
    """Return the dtype of keys of an implementation; `jax.random.key_dtype` came with 0.10.1."""
    return jax.eval_shape(lambda: jax.random.key(0, impl=impl)).dtype


def key_words(keys: Any) -> Any:
    """Return the words of keys that aren't traced; without a dispatch where JAX has them ready."""
    words = getattr(keys, "_base_array", None)
    return jax.random.key_data(keys) if words is None else words


# Devices, meshes and tracing.


def device_name(device: jax.Device) -> str:
    """Return what a device is called, as in cpu:3; jax 0.7 writes TFRT_CPU_3."""
    return str(device).replace("TFRT_CPU_", "cpu:")


def mesh_in_context() -> jax.sharding.Mesh | None:
    """Return the mesh that `jax.set_mesh` put in context; None inside of `jit`, and without one.

    `jax.sharding.get_mesh` came with 0.8. Before it, an array tells that is placed by a spec
    alone, which costs a transfer of four bytes to each device.
    """
    try:
        if hasattr(jax.sharding, "get_mesh"):
            found: Any = jax.sharding.get_mesh()
        elif jax.sharding.get_abstract_mesh().empty or not nothing_traced():
            return None
        else:
            found = jax.device_put(np.zeros((), np.uint32), jax.P()).sharding.mesh
    except ValueError:  # Inside of jit, or where an abstract mesh is in context.
        return None
    return found if isinstance(found, jax.sharding.Mesh) and not found.empty else None


def no_mesh() -> AbstractContextManager[Any]:
    """Put aside whatever mesh is in context; before 0.7.2, which can't, do nothing."""
    if JAX < (0, 7, 2):
        return contextlib.nullcontext()
    empty: AbstractContextManager[Any] = jax.sharding.use_abstract_mesh(
        jax.sharding.AbstractMesh((), ())
    )
    return empty


def vary(value: Any, axes: str | tuple[str, ...]) -> Any:
    """Have an array count as varying over manual mesh axes.

    `lax.pcast` came with 0.8 and took the place of `lax.pvary`.
    """
    lax: Any = jax.lax
    if hasattr(lax, "pcast"):
        return lax.pcast(value, axes, to="varying")
    return lax.pvary(value, axes)


def cipher_forgets_axes() -> bool:
    """Does the type of a block of `threefry2x32_p` forget over which mesh axes its operands lie?

    Manual axes in all versions, up to 0.12; before 0.10 Explicit ones too, under `jax.vmap`.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return bool(mesh.manual_axes or (JAX < (0, 10) and mesh.explicit_axes))


def enable_x64(enabled: bool) -> AbstractContextManager[None]:
    """Have 64-bit types on or off; `jax.enable_x64` came with 0.8."""
    place: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    switched: AbstractContextManager[None] = place.enable_x64(enabled)
    return switched


def nothing_traced() -> bool:
    """Is an operation on concrete arrays run at once here, rather than traced?

    False in every function that JAX traces or maps, `jax.ensure_compile_time_eval` included.
    `get_opaque_trace_state` moved from `jax.core` to `jax.extend.core` with 0.10.
    """
    state = _trace_state()
    return bool(state() == _at_top())


@functools.cache
def _trace_state() -> Callable[[], Any]:
    import jax.extend.core as moved  # noqa: PLC0415 - looked up once

    return getattr(moved, "get_opaque_trace_state", None) or jax.core.get_opaque_trace_state


@functools.cache
def _at_top() -> Any:
    with jax.core.eval_context():
        return _trace_state()()


# Recordings.


@functools.cache
def recording_context() -> Any:
    """Return the part of the keys of JAX's caches that says that something is recorded.

    While it is set, functions are traced, lowered and compiled again, by rules that record;
    what was compiled with it unset is kept and comes back. It is made when it is first asked
    for: from then on JAX compiles again what was compiled before there was such a context.
    """
    return jax.make_user_context(None)


def is_recording() -> bool:
    """Is anything recorded in this thread? It makes no context."""
    return recording_context.cache_info().currsize > 0 and recording_context().value is not None


def set_recording(recording: bool) -> None:
    """Say for all threads whether anything is recorded.

    A pool that draws is part of the program. What was set for one thread alone stays. JAX has
    a public way to it from 0.10.1 on (`set_global`).
    """
    context = recording_context()
    setter = context if hasattr(context, "set_global") else context._obj
    setter.set_global("keystream is recording" if recording else None)


def recording_set_aside() -> AbstractContextManager[None]:
    """Compute in this thread as if nothing were recorded."""
    context: AbstractContextManager[None] = recording_context()(None)
    return context


class Together:
    """Puts something in JAX's place as long as any `with` block of it, in any thread, lasts."""

    def __init__(self, put: Callable[[], None], take_back: Callable[[], None]) -> None:
        self._put, self._take_back = put, take_back
        self._turn, self._blocks = threading.Lock(), 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Return one such block."""
        with self._turn:
            if not self._blocks:
                self._put()
            self._blocks += 1
        try:
            yield
        finally:
            with self._turn:
                self._blocks -= 1
                if not self._blocks:
                    self._take_back()


# Loops as they are written. Differentiation moves out of them what is the same in every step.

_STEP, _LOOP = "keystream: written in loop ", "keystream: loop "
_loops = itertools.count(1)
_marked: WeakKeyDictionary[Any, tuple[int, Any]] = WeakKeyDictionary()


class _Thread(threading.local):
    """What a thread is at."""

    reading = False


_thread = _Thread()


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Trace in this thread for the audit alone, and anew what was traced before.

    The precision of matrix products is among the keys of JAX's caches, and nothing about keys
    depends on it. For a context of one's own JAX would compile once more whatever it has
    compiled (`recording_context`).
    """
    config: Any = jax.config
    other = "float32" if config.jax_default_matmul_precision == "default" else "default"
    before, _thread.reading = _thread.reading, True
    try:
        with marking_loops(), jax.default_matmul_precision(other):
            yield
    finally:
        _thread.reading = before


def _mark_bodies() -> None:
    for primitive, body in _BODIES.items():
        vars(primitive)["bind"] = functools.partial(_bind_marked, primitive.bind, body)


def _mark_none() -> None:
    for primitive in _BODIES:
        del vars(primitive)["bind"]


_BODIES = {primitives.scan_p: "jaxpr", primitives.while_p: "body_jaxpr"}

marking_loops = Together(_mark_bodies, _mark_none)
"""Has the equations in the body of a loop say so, wherever they are moved: the name stack of an
equation goes with it. What isn't watched is traced as ever."""


def _bind_marked(stock: Callable[..., Any], body: str, *args: Any, **params: Any) -> Any:
    # What binds a loop that was written before, as a rule of a derivative, has it marked.
    written = sys._getframe(1).f_code.co_name in ("scan", "while_loop")
    watched = _thread.reading or is_recording()
    if not (written and watched):
        return stock(*args, **params)
    try:
        number, params[body] = _mark(params[body])
    except Exception:  # Another version's jaxprs: the loop stays as it is.
        return stock(*args, **params)
    with jax.named_scope(f"{_LOOP}{number}"):
        return stock(*args, **params)


def _mark(closed: Any) -> tuple[int, Any]:
    if closed not in _marked:
        number = next(_loops)
        _marked[closed] = number, in_scope(closed, f"{_STEP}{number}")
    return _marked[closed]


def _inside(source_info: Any, scope: str) -> Any:
    stack = source_info.name_stack
    return source_info.replace(name_stack=type(stack)().extend(scope) + stack)


def written_in(source_info: Any) -> tuple[str, ...]:
    """Return the loops in the bodies of which an equation is written, the outermost first."""
    return _numbers_after(_STEP, source_info)


def loop_numbers(source_info: Any, params: dict[str, Any]) -> frozenset[str]:
    """Return which loop an equation is, of those that `written_in` tells of, or may be."""
    body = params.get("body_jaxpr", params.get("jaxpr") if "reverse" in params else None)
    if body is None:
        return frozenset()
    found = _numbers_after(_LOOP, source_info)
    if found:
        return frozenset(found[-1:])
    infos = [*_infos(body)]
    inside = {loop for each in infos for loop in _numbers_after(_LOOP, each)}
    return frozenset(loops[0] for each in infos if (loops := written_in(each))) - inside


def _infos(body: Any) -> Iterator[Any]:
    # Where a loop writes refs and is run eagerly, JAX puts a call around its body.
    for each in open_jaxpr(body).jaxpr.eqns:
        yield each.source_info
        if each.primitive is primitives.closed_call_p:
            yield from _infos(each.params["call_jaxpr"])


def _numbers_after(words: str, source_info: Any) -> tuple[str, ...]:
    names = (name for _, name in name_stack(source_info))
    return tuple(name.removeprefix(words) for name in names if name.startswith(words))


@functools.cache
def tells_loops() -> bool:
    """Do equations tell in which loops they were written, when those are differentiated?"""

    def loss(x: Any) -> Any:
        return jax.lax.scan(lambda carry, _: (carry * jax.lax.sin(2.0), None), x, length=2)[0]

    with reading():
        traced = jax.make_jaxpr(jax.grad(loss))(jax.ShapeDtypeStruct((), "float32"))
    return any(written_in(eqn.source_info) for eqn in traced.jaxpr.eqns)


# Rules by which primitives are lowered.


class Lowering(NamedTuple):
    """One row of JAX's tables of lowering rules."""

    primitive: Any
    platform: str | None
    """None for the rule of all platforms that have none of their own."""
    rule: Rule
    inline: bool
    entry: Any
    """The row itself, as JAX holds it."""


def lowerings(primitive: Any) -> list[Lowering]:
    """List the rules of a primitive.

    Raises:
        LookupError: There are none, or another version of JAX keeps them elsewhere.
    """
    tables: dict[str | None, Any] = {None: mlir._lowerings}
    tables |= mlir._platform_specific_lowerings  # type: ignore[arg-type]
    rows = [
        Lowering(primitive, platform, table[primitive].rule, table[primitive].inline,
                 table[primitive])
        for platform, table in tables.items()
        if primitive in table
    ]  # fmt: skip
    if not rows:
        raise LookupError(f"no lowering of {primitive}")
    return rows


def put_back(primitive: Any, platform: str, before: Lowering | None) -> None:
    """Give a primitive the rule for one platform that it had before, or none of its own."""
    table: Any = mlir._platform_specific_lowerings[platform]
    if before is None:
        table.pop(primitive, None)
    else:
        table[primitive] = before.entry


def lowered_each_time() -> set[Any]:
    """Return the primitives that are lowered at each place again, a set that can be changed.

    `register_lowering(cacheable=False)` adds to it; nothing public takes back. Where another
    version keeps it elsewhere it is an empty set of its own, and what is added has no effect.
    """
    found = mlir.register_lowering.__globals__.get("_uncacheable_primitives")
    return found if isinstance(found, set) else set()


@functools.cache
def shard_map_primitive() -> Any:
    """Return the primitive of `jax.shard_map`, which has no public name."""
    mesh = jax.sharding.AbstractMesh((1,), ("one",))
    mapped = jax.shard_map(lambda x: x, mesh=mesh, in_specs=jax.P(), out_specs=jax.P())
    # Whatever mesh is in context is put aside.
    with no_mesh():
        [equation] = jax.make_jaxpr(mapped)(1.0).eqns
    return equation.primitive


@functools.cache
def remat_primitive() -> Any:
    """Return the primitive of `jax.checkpoint`; `primitives.remat_p` came with 0.8."""
    if hasattr(primitives, "remat_p"):
        return primitives.remat_p
    [equation] = jax.make_jaxpr(jax.checkpoint(jax.lax.sin))(1.0).eqns
    return equation.primitive


@functools.cache
def clone_primitive() -> Any:
    """Return the primitive of `jax.random.clone`, which has no public name."""
    with no_mesh():
        [equation] = jax.make_jaxpr(jax.random.clone)(
            jax.ShapeDtypeStruct((), key_dtype("threefry2x32"))
        ).eqns
    return equation.primitive


# Programs that are being lowered.


def function_lowered(ctx: Any) -> str:
    """Return the name of the innermost function that is being lowered, or nothing.

    JAX names functions after what they were traced from, and one that is called stands behind
    the one that calls it; up to 0.10.0 it also makes one of each primitive, which is no answer.
    The bindings of MLIR may change: a hint, and nothing more.
    """
    own = str(ctx.primitive)
    try:
        for fun in reversed(list(ctx.module_context.module.body.operations)):
            last = [*fun.regions[0].blocks[-1].operations][-1:]
            name = str(fun.attributes["sym_name"].value)
            if name != own and not (last and last[0].operation.name == "func.return"):
                return name
    except Exception:  # other bindings
        pass
    return ""


def samplers_of(is_wanted: Callable[[Any], bool]) -> Iterator[frozenset[str]]:
    """Yield by which functions of `jax.random` keys are used, of dtypes that are wanted.

    For what an implementation of keys does when it is asked for numbers: it is asked inside of
    them, or while a program is lowered, in which all are looked at, since JAX lowers equal
    draws once. The functions of each use come together. Frames tell what calls and what is
    lowered, equations by what they were traced; where those can't be read, nothing comes.
    """
    frame: Any = sys._getframe(1)
    calls, program = set(), None
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _samplers_file():
            calls.add(code.co_name)
        elif code.co_name == "jaxpr_subcomp":
            program = frame.f_locals.get("jaxpr", program)
        frame = frame.f_back
    yield frozenset(calls)
    if hasattr(program, "eqns"):
        yield from _samplers_in(program, is_wanted)


def function_drawing() -> str:
    """Return the name of the innermost function that is being lowered, or nothing.

    For what an implementation of keys does when it is asked for numbers: see `samplers_of`. A
    hint, and nothing more; where there is a context, `function_lowered` is to be asked.
    """
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "jaxpr_subcomp":
        frame = frame.f_back
    jaxpr = None if frame is None else frame.f_locals.get("jaxpr")
    name = getattr(getattr(jaxpr, "debug_info", None), "func_name", "")
    return name if isinstance(name, str) else ""


@functools.cache
def _samplers_file() -> str:
    return inspect.getsourcefile(inspect.unwrap(jax.random.permutation)) or ""


def _samplers_in(jaxpr: Any, is_wanted: Callable[[Any], bool]) -> Iterator[frozenset[str]]:
    for eqn in jaxpr.eqns:
        if any(is_wanted(getattr(var.aval, "dtype", None)) for var in eqn.invars):
            called = frames(eqn.source_info.traceback)
            yield frozenset(name for file, _, name in called if file == _samplers_file())
        for inner in bodies(eqn.params.values()):
            yield from _samplers_in(inner, is_wanted)


def is_for_several_platforms(ctx: Any) -> bool:
    """Is the program lowered for other than one platform?"""
    return len(ctx.module_context.platforms) != 1


def is_for_export(ctx: Any) -> bool:
    """Is the program lowered to be saved or for several platforms, where nothing calls back?"""
    parameters = ctx.module_context.lowering_parameters
    return is_for_several_platforms(ctx) or bool(getattr(parameters, "for_export", False))


def program_identity(ctx: Any) -> int:
    """Return what all contexts of the lowering of one program share, as long as it lives."""
    return id(ctx.module_context.host_callbacks)


def program_devices(ctx: Any) -> str:
    """Return what a program is for: "one device", "each shard" of a mesh, or "all devices"."""
    axes = ctx.module_context.axis_context
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return "one device" if (getattr(axes, "num_devices", 1) or 1) == 1 else "all devices"
    if mesh.size == 1:
        return "one device"
    return "each shard" if set(mesh.axis_names) == set(axes.manual_axes) else "all devices"


def is_waited_for(ctx: Any) -> bool:
    """Does the caller of a program that calls back wait until it has run?

    On one CPU device XLA runs it in the thread of its caller.
    """
    return program_devices(ctx) == "one device" and tuple(ctx.module_context.platforms) == ("cpu",)


def call_back(
    ctx: Any,
    function: Callable[..., Any],
    operands: Sequence[Any],
    avals: Sequence[Any],
    results: Sequence[Any] = (),
    *,
    partitioned: bool = False,
) -> list[Any]:
    """Have a program call a function with values, and return what it gives as values.

    `emit_python_callback(returns_token=)` came with 0.8.
    """
    options = {"returns_token": False} if JAX >= (0, 8) else {}
    values, _, _ = mlir.emit_python_callback(
        ctx.replace(avals_in=avals, avals_out=results), function, None, operands, avals, results,
        has_side_effect=True, partitioned=partitioned, **options,
    )  # fmt: skip
    return [*values]


def partition_id() -> Any:
    """Return the number of the shard that runs a program, as a value of the program."""
    uint32 = mlir.ir.RankedTensorType.get((), mlir.ir.IntegerType.get_unsigned(32))
    return mlir.ir.Operation.create("stablehlo.partition_id", results=[uint32]).result


def traceback(ctx: Any) -> Any:
    """Return the traceback of the equation that a context of lowering belongs to."""
    return getattr(ctx, "traceback", None)


def is_transposed(ctx: Any) -> bool:
    """Does the equation stand in what JAX made of a function for its backward pass?"""
    return "transpose(" in str(getattr(ctx, "name_stack", ""))


# What was traced, and where.


class OpenJaxpr(NamedTuple):
    """The equations of a jaxpr, and its constants."""

    jaxpr: Any
    consts: Sequence[Any]


def open_jaxpr(jaxpr: Any) -> OpenJaxpr:
    """Return the equations of a jaxpr, closed or not, and its constants.

    Up to 0.11 a closed one is a class of its own, which holds an open one.
    """
    return OpenJaxpr(getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ()))


def bodies(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the jaxprs among the parameters of an equation, opened."""
    for value in values:
        inner = open_jaxpr(value).jaxpr
        if hasattr(inner, "eqns"):
            yield inner
        elif isinstance(value, (tuple, list)):
            yield from bodies(value)


def is_ref(aval: Any) -> bool:
    """Is this the type of a mutable array, as `jax.new_ref` makes it?"""
    return hasattr(aval, "inner_aval")


def rebuild(
    jaxpr: Any,
    constants: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    equations: Sequence[Any],
) -> Any:
    """Return a jaxpr like another one, of other equations; its constants have no values."""
    return jaxpr.replace(
        constvars=[*constants], invars=[*inputs], outvars=[*outputs], eqns=[*equations]
    )


def equation_context(equation: Any) -> Any:
    """Return the settings under which an equation was traced, such as the mesh, to compare."""
    return equation.ctx


def is_plain_jit(equation: Any) -> bool:
    """Is this a call of a jitted function that says nothing of shardings?"""
    if equation.primitive is not primitives.jit_p:
        return False
    said = (*equation.params["in_shardings"], *equation.params["out_shardings"])
    return all(type(each).__name__ == "UnspecifiedValue" for each in said)


def is_key_implementation(value: Any) -> bool:
    """Is this what JAX knows of an implementation of keys, a tuple with functions?"""
    return type(value).__name__ == "PRNGImpl"


def holds_functions(value: Any) -> bool:
    """Does a parameter of an equation hold a function, or a value of a class that a user made?"""
    kinds = ("PyTreeDef", "ClosedRule")
    return hasattr(value, "call_wrapped") or type(value).__name__ in kinds


def without_unneeded(closed: Any) -> Any:
    """Return a jaxpr without what none of its results needs; None where that can't be done."""
    try:
        jaxpr = closed.jaxpr
        less, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
        return ClosedJaxpr(less, closed.consts)
    except Exception:  # whatever another version of JAX has in the place of it
        return None


def trace_of(value: Any) -> ReferenceType[Any] | None:
    """Return a reference to the trace that a traced value holds; None where that can't be read."""
    trace = getattr(value, "_trace", None)
    try:
        return None if trace is None else ReferenceType(trace)
    except TypeError:
        return None


def expand_call(primitive: Any) -> Any:
    """Return what a primitive is made of that is a value of its own, as jnp.nonzero's is.

    Those are in jax 0.12 and later; None where there is nothing to expand.
    """
    try:
        avals = jax.tree.unflatten(primitive.in_tree, primitive.in_avals_flat)
        return jax.make_jaxpr(primitive.expand)(*avals)
    except Exception:  # whatever another version of JAX has in the place of it
        return None


Frame = tuple[str, int, str]
"""File, line and function."""


def frames(traceback: Any) -> list[Frame]:
    """Return the frames of a traceback of JAX's, innermost first.

    They begin in the function that was traced, what called it stands in the equation around:
    so JAX has it from 0.9 on, and before that it is cut here. Nothing where another version
    has another class.
    """
    try:
        found = [(each.file_name, each.line_num, each.function_name) for each in traceback.frames]
    except Exception:
        return []
    names = [function for _, _, function in found]
    if JAX < (0, 9) and "trace_to_jaxpr_dynamic" in names:
        return found[: names.index("trace_to_jaxpr_dynamic")]
    return found


_LINE = re.compile(r"(?P<file>.*?):(?P<line>\d+)(?::\d+)? \((?P<function>.*)\)")


def user_frames(source_info: Any) -> list[Frame]:
    """Return the frames outside of JAX of an equation, outermost first; see `frames`."""
    lines = source_info_util.summarize(source_info, num_frames=1000).splitlines()
    matches = [match for match in map(_LINE.fullmatch, lines) if match]
    found = [(match["file"], int(match["line"]), match["function"]) for match in matches]
    if JAX < (0, 9):
        inner = [frame for frame in frames(source_info.traceback) if frame in found]
        return inner[::-1]
    return found


# Whose work a frame of JAX's is, by the names of its files and functions. Where another version
# has other names, paths hold more frames, or less is told of them.

_ASKED_FOR = frozenset((
    "ad_checkpoint.py", "api.py", "blocked_sampler.py", "custom_batching.py",
    "custom_derivatives.py", "pmap.py", "prng.py", "random.py", "shard_map.py",
))  # fmt: skip
"""Files that stand beside JAX's machinery, but do say what the user asked for."""


def is_machinery(file: str) -> bool:
    """Is this a file of JAX's that stands in every path, or only where something is compiled?"""
    path = pathlib.PurePath(file)
    if path.parent.name == "_src":
        return path.name not in _ASKED_FOR
    return path.parent.name in ("interpreters", "jaxlib")


def ends_trace(frame: Frame) -> bool:
    """Is this where JAX took the traceback of an equation?"""
    return frame[2] == "current" and frame[0].endswith("source_info_util.py")


def is_lowering(frame: Frame) -> bool:
    """Is this a frame of JAX's lowering?"""
    return frame[0].endswith("mlir.py")


def is_eager_replay(frame: Frame) -> bool:
    """Does JAX replay a checkpoint here, in a backward pass that isn't compiled?"""
    return frame[0].endswith("ad_checkpoint.py") and "transpose" in frame[2]


def moves_out_of_loops(frame: Frame) -> bool:
    """Does JAX evaluate here, at once, what it moves out of a loop?"""
    return frame[2] == "_scan_known_hoisting"


def is_backward_rule(frame: Frame) -> bool:
    """Does JAX run a backward rule here?"""
    return "_bwd" in frame[2] or "backward" in frame[2]


def is_derivative_rule(frame: Frame) -> bool:
    """Is this where JAX runs functions that have rules of derivatives?"""
    return frame[0].endswith("custom_derivatives.py")


def batching_rules() -> dict[Any, Callable[..., Any]]:
    """Return the table of rules by which `vmap` maps primitives, or an empty one of its own."""
    found = getattr(batching, "fancy_primitive_batchers", None)
    return found if isinstance(found, dict) else {}


def in_scope(closed: Any, name: str) -> Any:
    """Return a closed jaxpr whose equations stand in a scope, as of `jax.named_scope`."""
    jaxpr = open_jaxpr(closed).jaxpr
    eqns = [each.replace(source_info=_inside(each.source_info, name)) for each in jaxpr.eqns]
    less = jaxpr.replace(eqns=eqns)
    return less if closed is jaxpr else closed.replace(jaxpr=less)


def scopes(ctx: Any, pattern: str) -> list[str]:
    """Return which scopes of a pattern an equation stands in that is being lowered."""
    return re.findall(pattern, str(getattr(ctx, "name_stack", "")))


def derivative_mode(frame: Frame) -> str:
    """Return in which mode JAX begins to differentiate a function here, or nothing."""
    return {"jvp": "jvp", "vjp": "vjp", "linearize": "vjp"}.get(frame[2], "")


def is_loop(frame: Frame) -> bool:
    """Does JAX make a loop here?"""
    return frame[0].endswith("loops.py")


def runs_all_branches(frame: Frame) -> bool:
    """Does JAX run all branches of a `cond` here, as under `vmap`?"""
    return frame[2] == "_cond_batching_rule"


def is_compiled_call(problem: Exception) -> bool:
    """Does JAX say that a compiled function was called with values that aren't known?"""
    return isinstance(problem, TypeError) and "a function lowered and compiled" in str(problem)


def function_file(jaxpr: Any) -> str:
    """Return the file of the function that a jaxpr was traced from, or nothing."""
    file = getattr(getattr(jaxpr, "debug_info", None), "func_filename", None)
    return file if isinstance(file, str) else ""


def is_pmap(equation: Any) -> bool:
    """Is this the body of a `pmap`? False where JAX doesn't say which file it comes from."""
    return function_file(equation.params["jaxpr"]).endswith("pmap.py")


def name_stack(source_info: Any) -> list[tuple[str, str]]:
    """Return the name stack of an equation, as kinds and names, or nothing.

    A `Transform` named vmap stands there for each `jax.vmap` around an equation, a `Scope`
    for each `jax.named_scope`; `tells_lanes` asks whether that holds.
    """
    held = getattr(getattr(source_info, "name_stack", None), "stack", ())
    return [(type(each).__name__, str(getattr(each, "name", ""))) for each in held]


LANES = ("Transform", "vmap")
TANGENTS = ("Transform", "jvp")
BACKWARD = ("Transform", "transpose")
RECOMPUTED = ("Scope", "rematted_computation")
"""What a checkpoint computes in a backward pass before it goes backward."""


@functools.cache
def tells_lanes() -> bool:
    """Does the name stack tell how many `vmap` stand around an equation?"""
    traced = jax.make_jaxpr(jax.vmap(jax.vmap(jax.lax.sin)))(
        jax.ShapeDtypeStruct((1, 1), "float32")
    )
    return name_stack(traced.jaxpr.eqns[0].source_info).count(LANES) == 2
