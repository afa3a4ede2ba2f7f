"""The whole public surface under hostile input: it obeys, or it says so in our words.

A few hundred calls of each function, the same ones at every run; `python -m tests.fuzz`
makes a hundred thousand others.
"""

import inspect
import time

import jax.numpy as jnp
import pytest

import keystream as ks
from keystream import host, interop
from tests.docs.test_docs import public
from tests.fuzz import engine, judge, laws, scope
from tests.fuzz.contexts import BY_NAME
from tests.fuzz.judge import Trial
from tests.fuzz.row import KEY, Row
from tests.fuzz.table import ROWS
from tests.fuzz.values import of

pytestmark = pytest.mark.slow

INPUTS = 50
"""Of a row with a whole share."""

NO_CALLS = {"SCHEME", "Difference", "annotations"}
"""Public names that nobody calls."""
NO_METHODS = {"__new__", "__init_subclass__", "__subclasshook__", "__module__", "__slots__"}
OTHERS = NO_METHODS | {"__init__", "__copy__", "__deepcopy__"}
"""Methods that no row calls by name."""


def _surface():
    """Return the name of everything public that can be called or asked for."""
    found = set()
    for name, value in vars(ks).items():
        error = isinstance(value, type) and issubclass(value, BaseException)
        if name.startswith("_") or name in NO_CALLS or error or inspect.ismodule(value):
            continue
        found.add(name)
    for short, module in (("host", host), ("interop", interop)):
        for name, value in public(module).items():
            found |= {f"{short}.{name}"} if inspect.isfunction(value) else set()
    for cls in (ks.Stream, ks.Streams, type(scope.report)):
        for name, value in ((n, getattr(cls, n)) for base in cls.__mro__[:-1] for n in vars(base)):
            shown = not name.startswith("_") or (name.startswith("__") and callable(value))
            slot = inspect.ismemberdescriptor(value)
            if shown and not slot and name not in OTHERS:
                found.add(f"{cls.__name__}.{name}")
    return found


def test_every_name():
    """Every public function and method has a row, and no row is of anything else."""
    assert {row.name for row in ROWS} == _surface()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.template}"[:60])
def test_fuzz(row):
    """No call ends in another error than ours, in a wrong answer, or never."""
    tally = engine.fuzz(row, max(4, int(INPUTS * min(row.share, 1.5))), None)
    assert list(tally.escapes.values()) == []
    assert tally.counts["obeyed"] + tally.counts["refused"] > 0


def _escapes(function, monkeypatch, inputs=60, law=laws.keys):
    monkeypatch.setattr(scope, "subject", function, raising=False)
    judge._scope.cache_clear()
    row = Row("subject", "subject({key}, {shape})", law, {**KEY, "shape": of("3", "(2, 3)", "1.5")})
    row = row._replace(contexts=("eager", "in_jit"))
    found = {escape.error for escape in engine.fuzz(row, inputs, None).escapes.values()}
    judge._scope.cache_clear()
    return found


def test_fault_that_cuts(monkeypatch):
    """A function that silently takes another number than was asked for is found."""
    cut = lambda key, shape: ks.keys(key, int(shape) if isinstance(shape, float) else 3)
    assert any(error.startswith("law") for error in _escapes(cut, monkeypatch))


def test_fault_off_by_one(monkeypatch):
    """A function that hands out the keys of one position further is found."""
    off = lambda key, shape: ks.keys(key, shape, start=1)
    assert "law: AssertionError" in _escapes(off, monkeypatch)


def test_fault_that_breaks(monkeypatch):
    """A function that ends in an error that no user understands is found."""

    def fail(key, shape):
        if isinstance(shape, float):
            raise SystemError("error return without exception set")
        return ks.keys(key, shape)

    assert "builtins.SystemError" in _escapes(fail, monkeypatch)


def test_errors_of_our_own_code():
    """An error that Python raises in the package's own code is found; one of JAX's is none."""
    trial = Trial("eager", "{f}(3)", {"f": "ks.keys.__globals__['check_shape']"})
    assert judge.judged(trial, laws.anything, ("keys",)).kind != "own"
    trial = Trial("eager", "jax.random.split({k}, 1.5)", {"k": "key"})
    assert judge.judged(trial, laws.anything, ("split",)).kind == "own"


def test_fault_that_hangs(monkeypatch):
    """A function that doesn't end is found, and the next call is made."""
    monkeypatch.setattr(judge, "PATIENCE", 0.05)

    def hang(key, shape):
        if isinstance(shape, float):
            time.sleep(10)
        return ks.keys(key, shape)

    assert "Hang" in _escapes(hang, monkeypatch)


def test_faults_in_messages():
    """A message without the function's name, with JAX's text, a key's words or no end is found."""
    good = "split: num must be a count, got 'a'. For a key array: ks.keys(key, 3)."
    assert judge.broken_rule(good, ("split",)) == ""
    bad = {
        good.replace("split", "keys"): "not by the function's name",
        "split: num is wrong.": "no requirement",
        good + "x" * 700: "too long",
        good + " Traced<uint32[2]>": "foreign text",
        good + f" {scope.WORDS[0]}": "a secret",
        good + f" {scope.WORDS[1]:x}": "a secret",
    }
    assert {text: judge.broken_rule(text, ("split",)) for text in bad} == bad


def test_fault_that_deletes():
    """A call that deletes an array of its caller's is found."""
    trial = Trial("eager", "{x}.delete()", {"x": "xs"})
    try:
        assert judge.judged(trial, laws.anything, ("x",)).error == "Deleted"
    finally:
        scope.xs = jnp.arange(4.0)
        judge._scope.cache_clear()


def test_own_errors_pass():
    """What the user's code raises, and Python at a call of too many arguments, is no escape."""
    for code in (
        "ks.scan(raises, 0, xs, key=key)",
        "ks.split(key, 2, 3)",
        "ks.map(misuses, xs, key=key)",
    ):
        trial = Trial("eager", code, {})
        assert judge.judged(trial, laws.anything, ("split",)).kind == "own", code


def test_printed_calls_run():
    """An escape prints as a call that can be made again, alone."""
    trial = Trial("in_jit", "ks.split({key}, {num})", {"key": "key", "num": "2"})
    assert str(trial) == "again('in_jit', 'ks.split(key, 2)')"
    assert len(eval(str(trial), {"again": judge.again})) == 2
    assert trial.context in BY_NAME
