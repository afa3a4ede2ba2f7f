"""What a helper costs: no more primitives than by hand, one dispatch, a light import."""

from __future__ import annotations

import collections
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import keystream as ks
from tests.fresh import COUNTING, python
from tests.oracle import bits
from tests.versions import jaxprs_in_params

RANDOM = ("random_bits", "random_split", "random_fold_in", "random_seed", "threefry2x32")
LOOPS = ("while", "scan", "gather", "scatter", "dynamic_slice", "dynamic_update_slice", "sort")
"""What costs time: besides randomness, loops and moving things about."""
N = 5
Fun = Callable[[jax.Array], Any]


def census(fun: Fun) -> collections.Counter[str]:
    """Count the primitives of a function under jit, those of inner functions too."""
    found: collections.Counter[str] = collections.Counter()

    def walk(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            found[equation.primitive.name] += 1
            for inner in jaxprs_in_params(equation.params):
                walk(inner)

    walk(jax.make_jaxpr(jax.jit(fun))(jax.random.key(0)).jaxpr)
    return found


def check_no_more(helper: Fun, by_hand: Fun, *, spare: int = 12) -> None:
    """Hold a helper's primitives against those of the form that people write by hand."""
    ours, theirs = census(helper), census(by_hand)
    for name in (*RANDOM, *LOOPS):
        assert ours[name] <= theirs[name], f"{ours[name]} {name}, by hand {theirs[name]}"
    total, limit = sum(ours.values()), sum(theirs.values()) + spare
    assert total <= limit, f"{total} equations, by hand {limit - spare}: {ours - theirs}"


def _scan(key: jax.Array) -> Any:
    return ks.scan(lambda key, carry, _: (carry, bits(key)), 0, key=key, length=N)


def _scan_by_hand(key: jax.Array) -> Any:
    step = lambda carry, key: (carry, bits(key))
    return lax.scan(step, 0, jax.random.split(key, N))


def _carried(key: jax.Array) -> Any:
    return ks.scan_carried(lambda key, carry, _: (carry, bits(key)), 0, key=key, length=N)


def _carried_by_hand(key: jax.Array) -> Any:
    def step(state: Any, _: Any) -> Any:
        key, use = jax.random.split(state[0])
        return (key, state[1]), bits(use)

    return lax.scan(step, (key, 0), length=N)


def _fori(key: jax.Array) -> Any:
    turn = lambda key, _, val: val ^ bits(key)
    return ks.fori_loop(0, N, turn, jnp.zeros(3, np.uint32), key=key)


def _fori_by_hand(key: jax.Array) -> Any:
    turn = lambda i, val: val ^ bits(jax.random.fold_in(key, i))
    return lax.fori_loop(0, N, turn, jnp.zeros(3, np.uint32))


def _tree(key: jax.Array) -> Any:
    return ks.split_tree(key, {"a": 0, "b": [0, 0]})


def _tree_by_hand(key: jax.Array) -> Any:
    """Fold as often as there are levels, names and positions vectorised."""
    names = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.array([1, 2], np.uint32))
    leaves = jax.vmap(jax.random.fold_in)(names[np.array([1, 1])], jnp.array([0, 1], np.uint32))
    return names[0], leaves[0], leaves[1]


def _stream(key: jax.Array) -> Any:
    def step(stream: Any, _: Any) -> Any:
        use, stream = stream.next()
        return stream, bits(use)

    return lax.scan(step, ks.Stream(key), length=N)[1]


def _stream_by_hand(key: jax.Array) -> Any:
    def step(carry: Any, _: Any) -> Any:
        key, i = carry
        return (key, i + 1), bits(jax.random.fold_in(key, i))

    return lax.scan(step, (key, np.uint32(0)), length=N)[1]


IDS = np.arange(N, dtype=np.int32)
FORMS: dict[str, tuple[Fun, Fun]] = {
    "split": (lambda key: ks.split(key, 3), lambda key: tuple(jax.random.split(key, 3))),
    "keys": (lambda key: ks.keys(key, (N, 2)), lambda key: jax.random.split(key, (N, 2))),
    "derive": (lambda key: ks.derive(key, 3), lambda key: jax.random.fold_in(key, 3)),
    "derive two": (
        lambda key: ks.derive(key, 3, 4),
        lambda key: jax.random.fold_in(jax.random.fold_in(key, 3), 4),
    ),
    "derive name": (lambda key: ks.derive(key, "name"), lambda key: jax.random.fold_in(key, 3)),
    "derive ids": (
        lambda key: ks.derive(key, IDS.astype(np.uint32)),
        lambda key: jax.vmap(jax.random.fold_in, (None, 0))(key, IDS),
    ),
    "scan": (_scan, _scan_by_hand),
    "scan_carried": (_carried, _carried_by_hand),
    "map": (
        lambda key: ks.map(lambda key, x: bits(key) + x, IDS.astype(np.uint32), key=key),
        lambda key: lax.map(
            lambda item: bits(item[0]) + item[1],
            (jax.random.split(key, N), IDS.astype(np.uint32)),
        ),
    ),
    "vmap": (
        ks.vmap(bits, axis_size=N),
        lambda key: jax.vmap(bits)(jax.random.split(key, N)),
    ),
    "sample": (
        lambda key: ks.sample(bits, key, N),
        lambda key: jax.vmap(bits)(jax.random.split(key, N)),
    ),
    "batched": (
        lambda key: ks.batched(bits)(ks.keys(key, (N, 2))),
        lambda key: jax.vmap(jax.vmap(bits))(jax.random.split(key, (N, 2))),
    ),
}


@pytest.mark.fast
@pytest.mark.parametrize("form", FORMS)
def test_no_more_primitives(form: str) -> None:
    """Under jit a helper has no more random primitives, loops or gathers than by hand."""
    helper, by_hand = FORMS[form]
    if form == "derive name":  # A name is one block of the cipher, in place of one fold.
        ours, theirs = census(helper), census(by_hand)
        assert sum(ours[name] for name in RANDOM) == sum(theirs[name] for name in RANDOM) == 1
        assert not any(ours[name] for name in LOOPS)
        return
    check_no_more(helper, by_hand)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("helper", "by_hand"), [(_fori, _fori_by_hand), (_stream, _stream_by_hand)]
)
def test_no_more_primitives_in_a_turn(helper: Fun, by_hand: Fun) -> None:
    """A turn of a fori_loop or of a stream costs one block of the cipher, as a fold does."""
    ours, theirs = census(helper), census(by_hand)
    assert sum(ours[name] for name in RANDOM) == sum(theirs[name] for name in RANDOM)
    for name in LOOPS:
        assert ours[name] <= theirs[name], f"{ours[name]} {name}, by hand {theirs[name]}"


def test_no_more_primitives_in_a_tree() -> None:
    """split_tree makes keys once per level, however many leaves there are."""
    few = census(_tree)
    many = census(lambda key: ks.split_tree(key, {"a": 0, "b": [0] * 20, "c": [0] * 9}))
    by_hand = census(_tree_by_hand)
    for found in (few, many):
        assert sum(found[name] for name in RANDOM) <= sum(by_hand[name] for name in RANDOM) == 2


def test_check_finds_faults() -> None:
    """The check of primitives fails on a second split, a key per step too many, and a loop."""
    by_hand = lambda key: jax.random.split(key, N)
    twice = lambda key: jax.random.split(jax.random.split(key)[0], N)
    looped = lambda key: lax.map(lambda i: jax.random.fold_in(key, i), IDS)
    padded = lambda key: jax.random.split(key, N)[jnp.array(IDS)]
    for faulty in (twice, looped, padded):
        with pytest.raises(AssertionError, match="by hand"):
            check_no_more(faulty, by_hand)
    check_no_more(by_hand, by_hand, spare=0)


def programs(call: Callable[[], Any]) -> int:
    """Count the programs that XLA compiles while a call runs.

    On cold caches that is the number of its dispatches at least: an eager operation is a
    program each.
    """
    heard: list[str] = []

    def hear(event: str, duration: float, **_: Any) -> None:
        del duration
        if event.endswith("backend_compile_duration"):
            heard.append(event)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        jax.block_until_ready(call())
    finally:
        jax.monitoring.clear_event_listeners()
    return len(heard)


def dispatches(call: Callable[[], Any]) -> int:
    """Count the programs of a call on cold caches."""
    jax.clear_caches()
    return programs(call)


EAGER: dict[str, Callable[[jax.Array], Any]] = {
    "split": lambda key: ks.split(key, 3),
    "split names": lambda key: ks.split(key, ("params", "dropout")),
    "keys": lambda key: ks.keys(key, 7, start=3),
    "split_tree": lambda key: ks.split_tree(key, {"a": 0, "b": [0, 0]}),
    "derive": lambda key: ks.derive(key, "noise", 3, np.arange(4)),
    "Stream": ks.Stream,
}
STREAMS: dict[str, Callable[[Any], Any]] = {
    "next": lambda stream: stream.next(),
    "take": lambda stream: stream.take(5),
    "skip": lambda stream: stream.skip(5),
    "at": lambda stream: stream.at(5),
}


@pytest.mark.parametrize("helper", EAGER)
def test_one_dispatch(helper: str) -> None:
    """Called eagerly, a helper is one dispatch, and another start or seed compiles nothing."""
    key = ks.key(3)
    assert dispatches(lambda: EAGER[helper](key)) == 1
    again = ks.key(4)
    more = programs(lambda: EAGER[helper](again))
    assert more == 0, f"{more} programs more for another key"


@pytest.mark.parametrize("method", STREAMS)
def test_one_dispatch_of_a_stream(method: str) -> None:
    """Each method of a stream is one dispatch, and at another position compiles nothing."""
    stream = ks.Stream(ks.key(3))
    assert dispatches(lambda: STREAMS[method](stream)) == 1
    further = ks.Stream(ks.key(4)).skip(7)
    assert programs(lambda: STREAMS[method](further)) == 0


def test_one_dispatch_of_streams() -> None:
    """`next` is one dispatch for all names together; `[name]` and `at` are one each."""
    streams = ks.Streams(ks.key(3), ("a", "b", "c"))
    for call in (lambda: streams.next("b"), lambda: streams["b"], lambda: streams.at(3)):
        assert dispatches(call) == 1


def test_check_of_dispatches_finds_a_fault() -> None:
    """The count of dispatches sees a split that is unpacked eagerly."""
    key = ks.key(3)
    assert dispatches(lambda: tuple(jax.random.split(key, 3))) > 1


# The import


def test_import_starts_no_backend() -> None:
    """Importing keystream starts no backend, so platforms and devices can be set after it."""
    said = python(
        "import keystream, jax\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"
        "print(jax.device_count())"
    )
    assert said.stdout == "3\n"
    faulty = (
        "import jax; jax.config.update('jax_platforms', 'cpu'); jax.random.key(0)\n"
        "jax.config.update('jax_num_cpu_devices', 3)"
    )
    with pytest.raises(subprocess.CalledProcessError):
        python(faulty)


STEADY = """
fun = jax.jit(lambda x: 2 * x + 1)
fun(1.0)
key = ks.key(3)
USE
del compiled[:]
fun(1.0)
print(len(compiled))
"""
USES = {
    "derive": "ks.derive(key, 'name', 2**40)",
    "stream": "ks.Stream(key).next()",
    "iter_keys": "[next(keys) for keys in [ks.iter_keys(key)] for _ in range(100)]",
    "check_distinct": "ks.check_distinct(ks.keys(key, 3))",
    "agree_on_seed": "ks.agree_on_seed()",
    "manifest": "ks.manifest()",
    "dumps": "ks.loads(ks.dumps(key))",
    "audit": "ks.audit(jax.random.normal, key)",
    "interop": "import keystream.interop as i; i.from_stateful(i.to_stateful(ks.Stream(key)))",
    "faulty": "jax.clear_caches()",
}


@pytest.mark.parametrize("use", USES)
def test_nothing_is_compiled_again(use: str) -> None:
    """No call makes JAX compile again what was compiled before, as late imports can."""
    found = python(COUNTING + STEADY.replace("USE", USES[use]))
    assert found.returncode == 0, found.stderr
    assert (found.stdout.strip() == "0") == (use != "faulty")


LOADED = """
import sys
import jax, numpy
before = set(sys.modules)
import keystream
USE
for name in sorted(set(sys.modules) - before | {"jax"}):
    file = getattr(sys.modules[name], "__file__", None) or ""
    print(name, len(open(file).read()) if file.endswith(".py") else 0)
"""


def loaded(use: str = "") -> dict[str, int]:
    """Return the modules that `import keystream` adds to JAX's, and the size of their source."""
    lines = python(LOADED.replace("USE", use)).stdout.splitlines()
    return {name: int(size) for name, size in map(str.split, lines)}


def test_import_is_light() -> None:
    """Importing keystream adds its own modules and jax.extend, and leaves the audit's out."""
    modules = loaded()
    owners = {name.partition(".")[0].lstrip("_") for name in modules}
    assert owners - sys.stdlib_module_names <= {"jax", "keystream"}
    of_jax = [name.split(".")[1] for name in modules if name.startswith("jax.")]
    assert set(of_jax) <= {"_src", "extend", "experimental"}
    audit = {name for name in modules if name.startswith("keystream._audit.")}
    assert audit == {"keystream._audit.audit"}
    ours = sum(size for name, size in modules.items() if name.startswith("keystream"))
    assert ours < 430_000, f"{ours} characters of source"


def test_check_of_the_import_finds_a_fault() -> None:
    """An audit that is loaded with keystream would be seen."""
    modules = loaded("with keystream.recording(): pass")
    assert "keystream._audit.reporting.report" in modules
