"""A recording holds every use of a key, exactly, and changes nothing."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.interpreters import mlir

import keystream as ks
from keystream import _compat
from keystream._audit.recording import install
from keystream._audit.recording.call_paths import LANES_WAIT, REPLAY
from keystream._audit.recording.record import record_uses
from keystream._errors import RecordingError
from tests.audit.recorder_cases import CASES, IMPLS, KEY, Oracle, uses_of
from tests.docs.test_measure import _load

pytestmark = pytest.mark.fast


def equal(first: Any, second: Any) -> bool:
    def words(leaf: Any) -> Any:
        typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if typed else leaf)

    leaves = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(words(a), words(b)) for a, b in leaves)


def expected(name: str) -> Counter[Any]:
    oracle = Oracle()
    CASES[name][1](KEY, oracle)
    return oracle.uses


@pytest.mark.parametrize("name", CASES)
def test_every_use(name: str) -> None:
    """What is recorded is what a plain loop uses, no more and no less; results stay.

    The comparison fails for a recording that leaves out every second record.
    """
    run = CASES[name][0]
    before = run(KEY)
    with record_uses() as recording:
        during = run(KEY)
    after = run(KEY)
    assert uses_of(recording.records) == expected(name)
    assert uses_of(recording.records[::2]) != expected(name) or len(recording.records) == 1
    assert recording.unseen == ()
    assert equal(before, during)
    assert equal(before, after)


@pytest.mark.parametrize("name", ["scan, jit", "helpers", "while", "eager", "one function twice"])
def test_every_use_again(name: str) -> None:
    """A second recording holds the same, from programs that are compiled already."""
    run = CASES[name][0]
    with record_uses() as first:
        run(KEY)
    with record_uses() as second:
        run(KEY)
    assert uses_of(first.records) == uses_of(second.records) == expected(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scan, jit", "helpers, jit", "vmap, jit", "permutation", "seed"])
@pytest.mark.parametrize("before", [True, False])
def test_every_use_accelerated(name: str, before: bool) -> None:
    """Acceleration may be on before, or be switched on and off inside."""
    run, found = CASES[name][0], []
    ks.accelerate(before, clear_caches=True)
    with record_uses() as recording:
        for enabled in (before, not before, before):
            ks.accelerate(enabled, clear_caches=True)
            start = len(recording.records)
            run(KEY)
            found.append(uses_of(recording.records[start:]))
    assert found == [expected(name)] * 3


@pytest.mark.parametrize("impl", IMPLS)
def test_every_implementation(impl: str) -> None:
    """Keys of every implementation are recorded with all their words."""

    def draw(key: Any) -> Any:
        key, use = jax.random.split(key)
        return jax.random.bits(use, (3,)), jax.random.fold_in(key, 2)

    key, oracle = jax.random.key(5, impl=impl), Oracle()
    carry, use = oracle.split(key)
    oracle.bits(use, (3,))
    oracle.fold_in(carry, 2)
    for run in (draw, jax.jit(draw)):
        before = run(key)
        with record_uses() as recording:
            during = run(key)
        assert uses_of(recording.records) == oracle.uses
        assert {each.impl for each in recording.records} == {impl}
        assert equal(before, during)


def test_what_a_record_says() -> None:
    """Widths, shapes, data and counters are told as they are."""
    keys = jax.random.split(KEY, 2)
    with record_uses() as recording:
        jax.vmap(lambda key: jax.random.bits(key, (3,), "uint8"))(keys)
        jax.vmap(jax.random.fold_in)(keys, jnp.array([7, 9]))
        jax.random.key(11, impl="threefry2x32")
        ks.keys(KEY, 3, start=2**32)
    bits, fold, seed, block = recording.records
    assert (bits.kind, bits.bit_width, bits.key_shape, bits.shape) == ("bits", 8, (2,), (3,))
    assert bits.words.tolist() == jax.random.key_data(keys).tolist()
    assert fold.data is not None
    assert fold.data.tolist() == [7, 9]
    assert seed.data is not None
    assert (seed.data.tolist(), seed.words.tolist()) == (11, [[0, 11]])
    assert block.data is not None
    assert (block.key_shape, block.shape) == ((), (3,))
    assert block.data.tolist() == [[1, 0], [1, 1], [1, 2]]


def places(record: Any) -> list[str]:
    return [frame.function for frame in record.path if frame.file == __file__]


def test_place_eager() -> None:
    """The place of a use is the line that drew, called by those that called it."""

    def draw() -> Any:
        return jax.random.normal(KEY)

    for _ in range(2):  # compiled by the call, and before it
        with record_uses() as recording:
            draw()
        [record] = recording.records
        assert places(record)[-1].endswith("draw")
        assert record.path[-1].function == "random_bits"


def test_place_nested() -> None:
    """Each call of a function that is compiled once has its own path, in each program."""

    @jax.jit
    def inner(key: Any) -> Any:
        return jax.random.bits(key)

    @jax.jit
    def outer(key: Any) -> Any:
        first = inner(key)
        second = lax.scan(lambda c, _: (c ^ inner(key), None), first, length=2)[0]
        return first, second

    def call() -> Any:
        return outer(KEY)

    def other_call() -> Any:
        return outer(KEY)

    with record_uses() as recording:
        call()
        call()
        other_call()
    lines = Counter(tuple(frame.line for frame in each.path) for each in recording.records)
    assert sorted(lines.values()) == [1, 1, 1, 2, 2, 2]
    programs = Counter(each.program for each in recording.records)
    assert sorted(programs.values()) == [3, 3, 3]
    for record in recording.records:
        assert places(record)[-1].endswith("inner")
        assert "call" in places(record)[1] + places(record)[0]
        assert any("outer" in function for function in places(record))


def _scan_only(key: Any) -> Any:
    def step(_: Any, i: Any) -> Any:
        return None, jax.random.bits(jax.random.fold_in(key, i))

    return lax.scan(step, None, jnp.arange(4))[1]


@pytest.mark.parametrize(
    "sampler",
    [
        jax.random.bits,
        lambda key: jax.random.poisson(key, 3.0),
        lambda key: lax.cond(key[None].shape[0] > 0, jax.random.bits, jax.random.bits, key),
        _scan_only,
    ],
)
def test_executions(sampler: Any) -> None:
    """Two executions of one program are told apart, and records of one belong together."""
    run = jax.jit(sampler)
    with record_uses() as recording:
        for _ in range(3):
            run(KEY)
    programs = Counter(each.program for each in recording.records)
    assert len(programs) == 3
    assert len(set(programs.values())) == 1
    assert list(programs) == sorted(programs)


def test_two_algorithms() -> None:
    """What poisson does twice with one key stands at one line of the user, and two of JAX."""
    with record_uses() as recording:
        jax.random.poisson(KEY, 3.0)
    word = jax.random.key_data(KEY).tolist()
    uses = [each for each in recording.records if each.words[0].tolist() == word]
    assert len(uses) == 2
    own = {tuple(f for f in each.path if f.file == __file__) for each in uses}
    assert len(own) == 1
    functions = [{frame.function for frame in each.path} for each in uses]
    assert any("_poisson_knuth" in each for each in functions)
    assert any("_poisson_rejection" in each for each in functions)


def test_marks() -> None:
    """A replay, and a loop whose lanes wait, are marked in the path."""

    @jax.checkpoint
    def noisy(x: Any) -> Any:
        return jnp.sin(x * jax.random.uniform(KEY))

    with record_uses() as recording:
        jax.jit(jax.grad(noisy))(0.5)
    assert recording.records
    assert any(REPLAY in each.path for each in recording.records)
    with record_uses() as recording:
        jax.jit(jax.vmap(lambda key: jax.random.poisson(key, 3.0)))(jax.random.split(KEY, 3))
    assert all(LANES_WAIT in each.path for each in recording.records if each.kind == "bits")


def test_nested() -> None:
    """An inner recording holds its part, the outer one everything."""
    with record_uses() as outer:
        jax.random.bits(KEY)
        with record_uses() as inner:
            jax.random.bits(KEY, (2,))
        jax.random.bits(KEY, (3,))
    assert [each.shape for each in outer.records] == [(), (2,), (3,)]
    assert [each.shape for each in inner.records] == [(2,)]


def test_threads() -> None:
    """A recording holds what all threads do, each use with its thread, until the last ends."""
    begun, drawn = threading.Barrier(2), threading.Barrier(2)
    found: dict[int, Any] = {}

    def work(size: int) -> None:
        with record_uses() as recording:
            begun.wait(60)
            jax.random.bits(KEY, (size,))
            jax.jit(lambda key: jax.random.split(key, size))(KEY)
            drawn.wait(60)
        found[size] = recording.records, threading.get_ident()

    threads = [threading.Thread(target=work, args=(size,)) for size in (2, 3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    for size in (2, 3):
        records, thread = found[size]
        assert len(records) == 4
        assert [each.shape for each in records if each.thread == thread] == [(size,)] * 2
    assert not _compat.is_recording()


def test_thread_within() -> None:
    """What a thread does that was started inside is recorded too."""
    with record_uses() as recording:
        thread = threading.Thread(target=lambda: jax.random.bits(KEY))
        thread.start()
        thread.join(60)
    [record] = recording.records
    assert record.thread == thread.ident


def test_thread_of_a_large_program() -> None:
    """Where XLA computes in threads of its own, the thread that launched it is named."""

    def large(key: Any) -> Any:
        noise = jax.random.normal(key, (500, 500))
        return (noise @ noise @ noise).sum() + jax.random.normal(jax.random.split(key)[0])

    run = jax.jit(large)
    with record_uses() as recording:
        thread = threading.Thread(target=lambda: [run(KEY) for _ in range(3)])
        thread.start()
        thread.join(60)
    assert {each.thread for each in recording.records} == {thread.ident}
    assert sorted(Counter(each.program for each in recording.records).values()) == [3, 3, 3]


def test_ends_with_an_error() -> None:
    """An error inside ends the recording, and nothing is recorded after it."""
    call = jax.stages.Compiled.__call__
    found = []

    def fail() -> None:
        with record_uses() as recording:
            found.append(recording)
            jax.random.bits(KEY)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    [recording] = found
    jax.random.bits(KEY)
    assert len(recording.records) == 1
    assert not _compat.is_recording()
    assert jax.stages.Compiled.__call__ is call


def test_silent_without() -> None:
    """Programs compiled outside of recordings call nobody, also when rules have been replaced."""
    with record_uses():
        pass
    text = jax.jit(jax.random.bits).lower(KEY).as_text()
    assert "callback" not in text
    with record_uses():
        text = jax.jit(jax.random.bits).lower(KEY).as_text()
    assert "callback" in text


def test_compiled_ahead() -> None:
    """A function that was compiled ahead of time is named where it runs; others aren't."""

    def ahead(key: Any) -> Any:
        return jax.random.bits(key)

    drawing = jax.jit(ahead).lower(KEY).compile()
    plain = jax.jit(lambda x: x + 1).lower(1.0).compile()
    with record_uses() as recording:
        drawing(KEY)
        plain(1.0)
        within = jax.jit(ahead).lower(KEY).compile()
        within(KEY)
    assert recording.unseen == ("compiled ahead of time: ahead",)
    assert len(recording.records) == 1
    within(KEY)
    assert len(recording.records) == 1
    with record_uses() as another:
        drawing(KEY)
    assert another.unseen == recording.unseen


def test_exported_ahead() -> None:
    """A function that was exported is named where it runs, at once or in a program."""

    def ahead(words: Any) -> Any:
        return jax.random.bits(jax.random.wrap_key_data(words))

    words = jax.random.key_data(KEY)
    drawing = jax.export.export(jax.jit(ahead))(words)
    plain = jax.export.export(jax.jit(lambda x: x ^ 1 ^ (x << 3)))(words)

    def later(words: Any) -> Any:
        return drawing.call(words)

    for call in (later, jax.jit(later)):
        with record_uses() as recording:
            call(words)
            plain.call(words)
        assert recording.unseen == ("exported ahead of time: ahead",)


def test_exported() -> None:
    """What is exported while recorded is the plain program, and that is said."""
    with record_uses() as recording:
        made = jax.export.export(jax.jit(jax.random.bits))(jax.random.key_data(KEY))
    assert "callback" not in made.mlir_module()
    assert any("exported" in each for each in recording.unseen)


def test_other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX keeps its rules otherwise, an error of ours says so, and nothing is switched."""
    monkeypatch.setattr(mlir, "_lowerings", {})
    monkeypatch.setattr(mlir, "_platform_specific_lowerings", {})
    with pytest.raises(RecordingError) as caught, record_uses():
        pass
    assert str(caught.value) == (
        "recording: jax must be a version whose rules can be replaced, got "
        f"{jax.__version__} (LookupError('no lowering of random_bits')). "
        "To audit without running: ks.audit(fun, *args)."
    )
    monkeypatch.undo()
    assert not _compat.is_recording()
    assert "callback" not in jax.jit(jax.random.bits).lower(KEY).as_text()


def test_what_is_read_of_jax() -> None:
    """What JAX doesn't publish is there: tables of rules, devices of a program, tracebacks."""
    for primitive in install._wrappers():
        assert _compat.lowerings(primitive)
    with record_uses() as recording:
        jax.jit(jax.random.bits)(KEY)
    assert any(frame.file == __file__ for frame in recording.records[0].path)


@pytest.mark.slow
def test_cost_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """The program that measures what recording costs prints a ratio for each case."""
    measure = _load("measure_recording")
    measure.main(["--rounds", "1", "--steps", "2"])
    said = capsys.readouterr().out
    assert len(re.findall(r"ratio: median [\d.]+, from [\d.]+ to [\d.]+", said)) == 4
    assert re.search(r"a training step +5 records", said)
