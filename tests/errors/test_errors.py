"""Law 7: bad input is an error before JAX sees it, its whole message known, its cure run."""

import ast
import collections
import contextlib
import copy
import functools
import pickle
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import mlir
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import keystream as ks
from keystream import _errors, host, interop, testing
from keystream._devices import exchange as _processes
from keystream._saving import tree
from tests import versions

HERE = Path(__file__).parent
BASES = {
    "KeyTypeError": (TypeError,),
    "KeyImplError": (ValueError,),
    "ArgumentTypeError": (TypeError,),
    "ArgumentValueError": (ValueError,),
    "ImmutableError": (AttributeError,),
    "UnknownNameError": (KeyError, AttributeError),
    "BodyError": (TypeError,),
    "MeshAxisError": (ValueError, NameError),
    "ManifestError": (ValueError,),
    "KeysEqualError": (ValueError,),
    "KeysDifferError": (ValueError,),
    "SavedError": (ValueError,),
    "SeedsDifferError": (ValueError,),
    "PeerError": (TimeoutError,),
    "KeyAuditError": (AssertionError,),
    "RecordingError": (RuntimeError,),
}


class Twins:
    """A pytree whose author gave two leaves one path."""

    def __init__(self, one, two):
        self.both = one, two


jax.tree_util.register_pytree_with_keys(
    Twins,
    lambda twins: (tuple((jax.tree_util.DictKey("x"), leaf) for leaf in twins.both), None),
    lambda _, leaves: Twins(*leaves),
)


class Row:
    """A block of the table."""

    def __init__(self, block):
        self.call, *lines = block.splitlines()
        lines = [line.strip() for line in lines]
        self.setup = [line.removeprefix("with ") for line in lines if line.startswith("with ")]
        self.cls, *message = lines[len(self.setup) :]
        self.begins, self.ends = message[0], " ".join(message[1:])
        self.cures = [line.partition(": ")[2] for line in message[1:]]
        self.cures = [c if c.endswith("...") else c.rstrip(".?") for c in self.cures]


def _rows():
    text = (HERE / "errors.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    blocks = "\n".join(lines).split("\n\n")
    return [Row(block.strip()) for block in blocks if block.strip()]


ROWS = _rows()


@functools.cache
def _mesh():
    kind = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=kind)


def _torn():
    """Return a key that passes for replicated, of which device 5 holds another one."""
    copies = [
        jax.device_put(np.array([0, 43 if device.id == 5 else 42], np.uint32), device)
        for device in jax.devices()
    ]
    place = NamedSharding(_mesh(), P())
    return jax.random.wrap_key_data(jax.make_array_from_single_device_arrays((2,), place, copies))


def _under(mesh, fun, *args, **kwargs):
    """Call with a mesh in context."""
    with jax.set_mesh(mesh):
        return fun(*args, **kwargs)


def _within(context, fun):
    """Call in a context of any kind."""
    with context:
        return fun()


def _inside(mesh, fun, *args):
    """Call inside a mapped body that is run as it is traced, with what it closes over."""

    def body():
        fun(*args)
        return jnp.zeros(())

    return jax.shard_map(body, mesh=mesh, in_specs=(), out_specs=P(), check_vma=False)()


def _fun(key, *_):
    return jax.random.bits(key)


def _body(key, *args):
    return args[0], jax.random.bits(key)


def _turn(_key, _i, val):
    return val


def _again(_key, val):
    return val


def _cond(val):
    return val < 0


@functools.cache
def _names():
    """Return what the names of the table mean."""
    key = ks.key(42)
    return {
        "ks": ks,
        "host": host,
        "interop": interop,
        "words": host.key(42),
        "testing": testing,
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "P": P,
        "NamedSharding": NamedSharding,
        "Twins": Twins,
        "collections": collections,
        "copy": copy,
        "pickle": pickle,
        "under": _under,
        "within": _within,
        "inside": _inside,
        "key": key,
        "keys": ks.keys(key, 3),
        "rbg": ks.key(42, impl="rbg"),
        "philox": ks.key(42, impl="rbg" if versions.IMPLS else "philox4x32"),
        "legacy": jax.random.PRNGKey(42),
        "torn": _torn(),
        "mesh": _mesh(),
        "spec": P("data"),
        "xs": jnp.arange(4.0),
        "x": jnp.float32(1),
        "y": jnp.float32(2),
        "init": jnp.int32(0),
        "path": ("a", 1),
        "seed": 42,
        "n": 4,
        "i": 7,
        "first": 0,
        "lower": 0,
        "upper": 3,
        "carry": 0,
        "name": "i",
        "part": None,
        "f": jax.random.bits,
        "sampler": jax.random.bits,
        "fun": _fun,
        "body": _body,
        "turn": _turn,
        "cond": _cond,
        "mapped": ks.shard_map(_fun, mesh=_mesh(), in_specs=P(), out_specs=P(), vary=()),
    }


def _scope(row):
    """Return what the names of the table mean, after the row's own statements."""
    scope = {**_names(), "tree": {"a": 0.0, "b": 0.0}, "ids": np.arange(3)}
    scope["stream"] = ks.Stream(scope["key"])
    scope["streams"] = ks.Streams(scope["key"], ("params", "dropout", "data"))
    if "while_loop" in row.call:
        scope["body"] = _again
    if "fori_loop" in row.call:
        scope["body"] = scope["turn"]
    for statement in row.setup:
        exec(statement, scope)
    return scope


def _run(code, scope):
    """Run a cure: an expression, a statement, or what stands at the end of a function."""
    if code.startswith("return "):
        code = f"def function():\n    {code}\nresult = function()"
    try:
        return eval(compile(code, "cure", "eval"), scope)
    except SyntaxError:
        exec(compile(code, "cure", "exec"), scope)
        return None


def _raised(call, scope):
    with pytest.raises(ks.KeystreamError) as caught:
        eval(call, scope)
    return caught.value


def _same_traced(row):
    """Has this row nothing that only a concrete value can show?"""
    if row.call.startswith(
        (
            "under(",
            "within(",
            "inside(",
            "copy.",
            "gone.",
            "ks.shard_keys(key, abstract",
            "ks.check_",
            "ks.key(",
            "ks.iter_keys(",
            "jax.",
            "list(",
            "interop.to_stateful(stream.skip",
        )
    ):
        return False
    return not (
        row.call.startswith("ks.derive(") and row.begins == "derive: path" and not row.cures
    )


def _traced(row, scope):
    """Return the errors of a call with traced keys and inputs."""
    inputs = {
        name: value
        for name, value in scope.items()
        if isinstance(value, jax.Array) and name not in ("torn", "start", "i")
    }

    def traced(inputs):
        try:
            eval(row.call, {**scope, **inputs})
        except ks.KeystreamError as error:
            seen.append((type(error), str(error)))

    seen = []
    jax.jit(traced)(inputs)
    return seen


@pytest.mark.fast
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call)
def test_message(row):
    """The call raises the class of the table, which is the builtin's too, and names the argument.

    The message ends with the fixes of the table. A few messages are there whole.
    With traced keys and inputs the error is the eager one, and comes before any of JAX's own.
    """
    scope = _scope(row)
    error = _raised(row.call, scope)
    text = str(error).replace("PartitionSpec(", "P(")  # as from jax 0.8 on
    assert text.startswith(row.begins)
    assert not text.removeprefix(row.begins)[:1].isalnum()
    assert text.endswith(row.ends)
    assert type(error).__name__ == row.cls
    assert isinstance(error, BASES[row.cls])
    if _same_traced(row):
        assert _traced(row, scope) == [(type(error), str(error))]


@pytest.mark.fast
@pytest.mark.parametrize("row", [r for r in ROWS if r.cures], ids=lambda row: row.call)
def test_cure(row):
    """The code in the message runs where the call stood."""
    for code in row.cures:
        scope = _scope(row)
        if "axis_name" in row.call:
            over = jnp.arange(2)
            jax.vmap(lambda _, s=scope, c=code: _run(c, s), axis_name="i")(over)
        else:
            _run(code, scope)


def test_cured_replication():
    """The cure of `check_replicated` does make the copies equal."""
    (row,) = [row for row in ROWS if "torn" in row.setup[-1:].__repr__()]
    ks.check_replicated(_run(row.cures[0], _scope(row)))


def test_cured_uint64():
    """The cure for uint64 ids keeps all their bits: ids that differ in any of them differ."""
    (row,) = [row for row in ROWS if "ids = np.arange(3, dtype=np.uint64)" in row.setup]
    ids = np.array([5, 5 + 2**32, 5 + 2**63, 2**64 - 1], np.uint64)
    ks.check_distinct(_run(row.cures[0], {**_scope(row), "ids": ids}))


def test_cured_in_context():
    """With a mesh put in context, as the messages say, the calls run."""
    scope = _scope(ROWS[0])
    calls = {
        row.call
        for row in ROWS
        if any(c == "with jax.set_mesh(mesh): ..." for c in row.cures)
        and not row.call.startswith("under(")
    }
    assert len(calls) == 2
    with jax.set_mesh(_mesh()):
        for call in calls:
            eval(call, scope)


@contextlib.contextmanager
def _peers(answer):
    before, _processes._gathered = _processes._gathered, answer
    try:
        yield
    finally:
        _processes._gathered = before


def _absent():
    """Ask one that would answer after 20 s: the timeout ends it, not the answer."""
    waiting, begin = threading.Event(), time.monotonic()
    try:
        with _peers(lambda *_: waiting.wait(20)):
            _processes.exchange("check_distinct", "keys", b"", 0.05)
    finally:
        waiting.set()
        for thread in threading.enumerate():
            if isinstance(thread, _processes._Asking):
                thread.join()
        assert time.monotonic() - begin < 10


def _left_behind():
    """Ask once more while the thread of the call before still waits."""
    waiting, done = threading.Event(), threading.Event()

    def answer(*_):
        waiting.set()
        done.wait(10.0)

    with _peers(answer):
        before = _processes._Asking("agree_on_seed", b"")
        before.start()
        waiting.wait(10.0)
        try:
            _processes.exchange("check_distinct", "keys", b"", 5.0)
        finally:
            done.set()
            before.join()


def _broken():
    def answer(*_):
        raise ValueError("connection closed\nby peer")

    with _peers(answer):
        _processes.exchange("check_distinct", "keys", b"", 5.0)


def _elsewhere():
    functions = ["check_distinct", "agree_on_seed", "check_distinct", "check_distinct"]
    with _peers(lambda *_: (functions, [])):
        _processes.exchange("check_distinct", "keys", b"", 5.0)


def _seeds(*said, seed=42):
    texts = [text.encode() for text in said]
    with _peers(lambda *_: (["agree_on_seed"] * len(said), texts)):
        return ks.agree_on_seed(seed)


CALL = "On every process, at the same place of the program: ks.check_distinct(keys)."
LEAVE = "To leave without waiting for the others: os._exit(1)."


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (
            _absent,
            (
                "all there, got no answer within 0.05 s, after which this process can do no more "
                f"collectives. {CALL} {LEAVE}"
            ),
        ),
        (
            _left_behind,
            f"done with the call before, got ks.agree_on_seed still waiting for them. {LEAVE}",
        ),
        (
            _broken,
            f"all there, got a failure of the connection (connection closed). {CALL} {LEAVE}",
        ),
        (
            _elsewhere,
            (
                "all in one call, got ks.check_distinct on processes 0, 2 and 3, "
                f"ks.agree_on_seed on process 1. {CALL}"
            ),
        ),
    ],
    ids=["absent", "left behind", "broken", "elsewhere"],
)
def test_peers(act, told):
    """Processes that stay away or are elsewhere, or a connection that breaks, are told apart."""
    with pytest.raises(ks.PeerError) as caught:
        act()
    assert str(caught.value) == f"check_distinct: processes must be {told}"
    assert isinstance(caught.value, BASES["PeerError"])
    _alone()


def _alone():
    """Wait until no thread is left that asks, as in a process of its own."""
    for thread in threading.enumerate():
        if isinstance(thread, _processes._Asking):
            thread.join(10.0)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ["given 7", "given -8", "given 7", "fresh ff", "given -8", "given -8"],
            "7 on processes 0 and 2, -8 on processes 1, 4 and 5, no seed on process 3",
        ),
        (
            ["given 1"] * 2 + ["given 2"] * 9,
            "1 on processes 0 and 1, 2 on processes 2, 3, 4, 5 and 5 more",
        ),
        (
            [f"given {number:x}" for number in range(9)],
            (
                "0 on process 0, 1 on process 1, 2 on process 2, 3 on process 3, "
                "others on processes 4, 5, 6, 7 and 8"
            ),
        ),
        (
            ["given 2a", "fresh 2a"],
            "42 on process 0, no seed on process 1",
        ),
        (
            [f"given {10**70:x}", f"given {1 << 16000:x}"],
            f"1{'0' * 39}... (71 characters) on process 0, an int of 16001 bits on process 1",
        ),
    ],
    ids=["grouped", "many processes", "many seeds", "none on one", "huge"],
)
def test_seeds(said, told):
    """Processes with different seeds are named in groups, and the cures run."""
    with pytest.raises(ks.SeedsDifferError) as caught:
        _seeds(*said)
    assert str(caught.value) == (
        f"agree_on_seed: seed must be the same everywhere, got {told}. "
        "For a fixed seed, the same everywhere: ks.agree_on_seed(42). "
        "For a fresh one: ks.agree_on_seed()."
    )
    assert isinstance(caught.value, BASES["SeedsDifferError"])
    assert ks.agree_on_seed(42) == 42
    assert ks.agree_on_seed() != ks.agree_on_seed()


def test_seeds_that_agree():
    """The same seed on all processes comes back; where none has one, process 0's fresh one does."""
    assert _seeds("given -2a", "given -2a", seed=-42) == -42
    assert _seeds("fresh 7", "fresh 8", seed=None) == 7


def _unknown():
    def words(shape):
        return jnp.zeros((*shape, 3), jnp.uint32)

    impl = jax.extend.random.define_prng_impl(
        key_shape=(3,),
        seed=lambda _: words(()),
        split=lambda _, shape: words(shape),
        random_bits=lambda *_: jnp.zeros((), jnp.uint32),
        fold_in=lambda *_: words(()),
        name="homemade",
        tag="home",
    )
    return jax.random.wrap_key_data(words(()), impl=impl)


def test_unknown_implementation():
    """A key of an implementation that nobody has examined is refused, with those that are known."""
    error = _raised("ks.split(key)", {"ks": ks, "key": _unknown()})
    assert type(error) is ks.KeyImplError
    assert str(error) == (
        "split: key must be of threefry2x32, threefry4x32, philox4x32, rbg, got key<home>[]. "
        "To make a key of the default one: ks.key(42)."
    )


def _parted():
    """Save a key as if parts of it were on other processes; saving/test_faults.py has such."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "_is_held", lambda _: False)
        ks.dumps(ks.key(42))


def _unrecordable():
    """Record where JAX's rules can't be replaced; tests/audit/test_recorder.py has such."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlir, "_lowerings", {})
        patch.setattr(mlir, "_platform_specific_lowerings", {})
        ks.audit(_fun, ks.key(42), run=True)


def _guilty():
    """Find something; tests/audit/test_report.py has more."""
    ks.audit(lambda key: (_fun(key), _fun(key)), ks.key(42)).raise_if_found()


def _no_neighbor():
    """Ask for a library that isn't there; tests/interop/test_interop.py compares the message."""
    with mock.patch.dict(sys.modules, {"torch": None}):
        interop.torch_generator(ks.key(42))


def _at_once():
    """Make a reference in a mapped body that runs at once."""
    body = lambda key: interop.to_stateful(ks.Stream(key)).key()
    mapped = {"in_specs": (), "out_specs": P(), "vary": (), "mesh": jax.make_mesh((1,), ("data",))}
    ks.shard_map(body, **mapped)(ks.key(42))


def _taken_name():
    """Name a stream as nnx.Rngs names a method; tests/interop/test_interop.py asks the real one."""
    flax = {"flax": mock.Mock(), "flax.nnx": mock.Mock(Rngs=dict)}
    with mock.patch.dict(sys.modules, flax):
        interop.to_nnx(ks.Streams(ks.key(42), ("items",)))


def _other_torch():
    """Ask torch for a generator whose state has another layout than the one known."""
    state = mock.Mock(numpy=lambda: np.zeros(5056, np.uint8))
    one = mock.Mock(device=mock.Mock(type="cpu"), get_state=lambda: state)
    with mock.patch.dict(sys.modules, {"torch": mock.Mock(Generator=lambda **_: one)}):
        interop.torch_generator(ks.key(42))


def _files():
    """Return the library's files, but for the command line and what pytest loads by its path."""
    home = Path(ks.__file__).parent
    files = [
        *home.glob("_*.py"),
        *home.glob("_*/**/*.py"),
        *home.glob("host/*.py"),
        *home.glob("interop/*.py"),
    ]
    return sorted(file for file in files if file.name != "plugin.py")


def _sites():
    """Return every place in the library where an error is raised: file, first and last line."""
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Raise) or node.exc is None:
                continue
            # The first never leaves the library, the other is of old versions of JAX.
            if not any(word in ast.unparse(node) for word in ("IncomparableError", "'jax'")):
                yield file.name, node.lineno, node.end_lineno


def _site(error):
    trace, found, files = error.__traceback__, None, set(_files())
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path in files:
            found = path.name, trace.tb_lineno
        trace = trace.tb_next
    return found


def test_complete():
    """Every `raise` in the library is reached by a row of the table or by a test above."""
    acts = [functools.partial(eval, row.call, _scope(row)) for row in ROWS]
    acts += [_absent, _left_behind, _broken, _elsewhere, lambda: _seeds("given 1", "fresh 2")]
    acts += [lambda: ks.split(_unknown()), _parted, _unrecordable, _guilty]
    acts += [_no_neighbor, _other_torch, _taken_name, _at_once]
    acts += [lambda: ks.__wrapped__, lambda: ks.Streams(ks.key(42), ("a",)).b]
    reached = set()
    for act in acts:
        try:
            act()
        except Exception as error:
            reached |= {_site(each) for each in (error, error.__cause__) if each is not None}
        _alone()
    missed = [
        (file, first)
        for file, first, last in _sites()
        if not any(f == file and first <= line <= last for f, line in filter(None, reached))
    ]
    assert missed == []


FOREIGN = {
    "ks.vmap(fun, in_axes=(0, None))(key, xs)": "in_axes",
    "ks.vmap(fun, in_axes=((0, 0),))(key, xs)": "prefix",
    "ks.vmap(fun, in_axes=np.int64(0))(key, xs)": "in_axes",
    "ks.vmap(fun, in_axes=(1,))(key, xs)": "rank",
    "ks.vmap(fun)(key, xs, 2.0)": "rank",
    "ks.vmap(fun)(key, xs, jnp.arange(3))": "inconsistent sizes",
    "ks.vmap(fun, axis_size=3)(key, xs)": "inconsistent sizes",
    "ks.vmap(fun)(key)": "at least one",
    "ks.vmap(fun, in_axes=None)(key, xs)": "at least one",
    "ks.vmap(fun, out_axes=(0, 0))(key, xs)": "out_axes",
    "ks.scan(body, init, (xs, jnp.arange(3)), key=key)": "leading axis sizes",
    "ks.scan(body, init, xs, key=key, length=3)": "leading axis sizes|length",
    "ks.scan(body, init, xs, key=key, unroll=-1)": "unroll",
    "ks.while_loop(lambda val: (True, True), again, init, key=key)": "boolean scalar",
    "placed_map(in_specs=(P(),), out_specs=P())(key)": "in_specs",
    "placed_map(in_specs=(P('data'),), out_specs=P())(key, x)": "rank",
    "placed_map(in_specs=(P('data'),), out_specs=P())(key, jnp.zeros(5))": "divi",
    "placed_map(in_specs=((P(), P()),), out_specs=P())(key, x)": r"in_specs\[1\]",
    "placed_map(in_specs='data', out_specs=P())(key, x)": "PartitionSpec",
    "placed_map(in_specs=(), out_specs=(P(), P()))(key)": "out_specs",
    "placed_map(in_specs=(), out_specs=P('data'))(key)": "out_specs",
    "placed_map(in_specs=(), out_specs=P(), vary='data')(key)": "replication|replicated",
}


@pytest.mark.fast
@pytest.mark.parametrize("call", FOREIGN)
def test_foreign(call):
    """What JAX refuses loudly is its own error, in its words for what the user wrote."""

    def placed_map(vary=(), **options):
        return ks.shard_map(_fun, mesh=_mesh(), vary=vary, **options)

    scope = {**_scope(ROWS[0]), "placed_map": placed_map, "again": _again}
    with pytest.raises((TypeError, ValueError), match=FOREIGN[call]) as caught:
        eval(call, scope)
    assert not isinstance(caught.value, ks.KeystreamError)
    # Nothing of what keystream makes of specs and arguments shows in it.
    assert "Tuple arity mismatch" not in str(caught.value)
    assert "_Body" not in str(caught.value)


def test_specs_of_none():
    """An argument whose spec is None isn't mapped, as in jax.shard_map."""

    def fun(key, rows, name):
        return rows + len(name) + jax.random.bits(key)

    mapped = ks.shard_map(
        fun, mesh=_mesh(), in_specs=(P("data"), None), out_specs=P("data"), vary="data"
    )
    made = mapped(ks.key(42), jnp.zeros(4, jnp.uint32), "ab")
    assert (made == 2 + jax.vmap(jax.random.bits)(ks.keys(ks.key(42), 4))).all()


def _second(x, key, *_):
    return x + 1, jax.random.normal(key)


HANDED = {
    "scan": ("body(key, carry, x)", "ks.scan(second, 0.0, xs, key=key)"),
    "scan_carried": ("body(key, carry, x)", "ks.scan_carried(second, 0.0, xs, key=key)"),
    "map": ("body(key, x)", "ks.map(second, xs, key=key)"),
    "fori_loop": ("body(key, i, val)", "ks.fori_loop(0, 3, second, 0.0, key=key)"),
    "while_loop": ("body(key, val)", "ks.while_loop(cond, second, 0.0, key=key)"),
    "while_loop, its cond": ("cond(val)", "ks.while_loop(second, again, 0.0, key=key)"),
    "vmap": ("fun(key, *args)", "ks.vmap(second)(key, xs)"),
    "pmap": ("fun(key, *args)", "ks.pmap(second)(key, xs)"),
    "shard_map": ("fun(key, *args)", "mapped(key, x)"),
    "sample": ("sampler(key, *args)", "ks.sample(second, key, 3, 1.0)"),
    "sample, in batches": ("sampler(key, *args)", "ks.sample(second, key, 3, 1.0, batch_size=2)"),
    "batched": ("sampler(key, *args)", "ks.batched(second)(keys, 1.0)"),
    "split_tree": ("is_leaf(node)", "ks.split_tree(key, tree, is_leaf=second)"),
    "audit": ("fun(*args)", "ks.audit(second, key)"),
}


def _noted(call, **more):
    """Return what a call raises, and its notes of how a function was called."""
    scope = {**_scope(ROWS[0]), "second": _second, "again": _again, **more}
    specs = {"in_specs": P(), "out_specs": P(), "vary": ()}
    scope["mapped"] = ks.shard_map(scope["second"], mesh=_mesh(), **specs)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever comes
        eval(call, scope)
    notes = getattr(caught.value, "__notes__", [])
    return caught.value, [each for each in notes if each.startswith("Called as ")]


@pytest.mark.fast
@pytest.mark.parametrize("case", HANDED)
@pytest.mark.parametrize("second", [_second, lambda: None], ids=["raises", "takes nothing"])
def test_called(case, second):
    """What a handed function raises, or Python at its call, stays; a note says how it is called."""
    form, call = HANDED[case]
    error, notes = _noted(call, second=second)
    assert not isinstance(error, ks.KeystreamError)
    assert notes == [f"Called as {form}."]


@pytest.mark.fast
def test_called_once():
    """An error that passes several loops is told once what each of them calls."""
    failed = RuntimeError("no")

    def fail(*_):
        raise failed

    def outer(key, *_):
        return ks.map(ks.vmap(fail), jnp.ones((2, 3)), key=key)

    error, notes = _noted("ks.vmap(second)(key, xs)", second=outer)
    assert error is failed
    assert notes == ["Called as fun(key, *args).", "Called as body(key, x)."]


@pytest.mark.fast
@pytest.mark.parametrize(
    "call",
    [
        "ks.Stream()",
        "ks.Stream(key, 5)",
        "ks.Streams(key)",
        "ks.shard_map(fun, mesh=mesh, in_specs=(), out_specs=P())",
        "ks.vmap(fun)(key=key, x=xs)",
        "ks.batched(fun)(keys=keys)",
        "ks.pmap(fun)(key, x=xs)",
        "mapped(key, x=xs)",
    ],
)
def test_own_calls(call):
    """A call of ours that doesn't fit its signature is Python's own error."""
    assert type(_noted(call)[0]) is TypeError


@pytest.mark.fast
def test_one_wording():
    """No error of ours is made by its class: one function words them all."""
    classes = set(BASES)
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in classes, f"{file.name}:{node.lineno}"


@pytest.mark.fast
def test_classes():
    """Every error class is public, of ours and of the builtin that a caller expects."""
    found = {
        name
        for name, value in vars(_errors).items()
        if isinstance(value, type) and issubclass(value, ks.KeystreamError)
    }
    assert found - {"KeystreamError"} == set(BASES)
    for name, bases in BASES.items():
        cls = getattr(ks, name)
        assert issubclass(cls, (ks.KeystreamError,))
        assert all(issubclass(cls, base) for base in bases)


@pytest.mark.fast
def test_nothing_leaks():
    """No message holds what is in an array, nor a word of a key."""
    secret = 0x5EC2E7
    ids = np.array([secret, secret + 1])
    key = jax.random.wrap_key_data(np.array([secret, secret], np.uint32))
    calls = (
        "ks.derive(key, ids + 0.5)",
        "ks.derive(key, -ids - 2**62)",
        "ks.derive(rbg, -ids)",
        "ks.derive(key, ids.astype('uint64'))",
        "ks.keys(key, ids)",
        "ks.split(ids)",
        "ks.split(np.asarray(ids, np.uint32))",
        "ks.keys(key, 3, start=ids)",
        "ks.derive(key, 'a', key)",
        "ks.key(ids)",
        "ks.split(jax.numpy.stack([key, key]))",
        "ks.check_distinct(jax.numpy.stack([key, key]))",
        "ks.keys(key, key)",
        "ks.scan(ids, key, key=ids)",
    )
    for call in calls:
        scope = {"ks": ks, "jax": jax, "np": np, "key": key, "ids": ids}
        told = str(_raised(call, {**scope, "rbg": ks.key(1, impl="rbg")}))
        for word in (secret, secret + 1, secret + 2**62, secret + 1 + 2**62):
            assert str(word) not in told
            assert format(word, "x") not in told


def test_fault():
    """A message with another cure, a cure that doesn't run and a wrong class are noticed."""
    (row,) = [row for row in ROWS if row.call == "ks.split(key, 1000)"]
    assert not str(_raised(row.call, _scope(row))).endswith(row.ends.replace("1000).", "1001)."))
    with pytest.raises(TypeError):
        _run("jax.vmap(lambda key: ks.scan(..., key=key))(keys)", _scope(row))
    with pytest.raises(SyntaxError):
        _run("close over it", _scope(row))
    with pytest.raises(pytest.fail.Exception):
        _raised("ks.split(key)", _scope(row))
