"""`python -m keystream audit`: a function, its arguments, the report, the exit status."""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
from pathlib import Path

import pytest

from keystream.__main__ import main
from keystream.cli._audit import stages

PROGRAM = """
import functools
import sys

import jax
import keystream as ks

assert not sys.argv[1:], sys.argv
VALUE = 3


def two(key):
    return jax.random.normal(key) + jax.random.uniform(key)


def wrong():
    return two(jax.random.key(0))


def right(*, key, scale=1.0):
    return scale * jax.random.normal(key)


def loop(steps, /, run, key=None):
    step = jax.jit(jax.random.normal)
    print("looping", float(sum(step(jax.random.key(0)) for _ in range(steps)) * run))
    sys.exit()


def idle(key, spare):
    return jax.random.normal(key)


def draws(key):
    yield jax.random.normal(key)


async def waits(key):
    return jax.random.normal(key)


def audits(**how):
    return ks.audit(float, jax.numpy.zeros(()), **how)


def lost(key, place):
    keys = jax.random.split(key, 3)
    return jax.random.bits(keys.at[place].set(key)[0])


class Two:
    def __call__(self, key):
        return two(key)


called = Two()
part = functools.partial(two)


def broken():
    raise ValueError("the data set is gone")


class Model:
    @staticmethod
    def init(key):
        return two(key)
"""
KEY = ("--arg", "key=ks.key(0)")


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the working directory; what is imported is forgotten afterwards."""
    path = tmp_path / "audited.py"
    path.write_text(PROGRAM)
    (tmp_path / "folder" / "package").mkdir(parents=True)
    (tmp_path / "folder" / "package" / "__init__.py").touch()
    (tmp_path / "folder" / "package" / "beside.py").write_text(PROGRAM)
    (tmp_path / "folder" / "package" / "part.py").write_text("from .beside import wrong\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("audited", "failing", "package", "package.part", "package.beside"):
        monkeypatch.setitem(sys.modules, name, sys)
        monkeypatch.delitem(sys.modules, name)
    return path


@pytest.mark.parametrize(
    ("words", "status", "last"),
    [
        (["audited:wrong"], 1, "wrong: 1 error; looked at 2 draws, 0 splits, 0 folds, 1 key"),
        (["audited.py:wrong", "--run"], 1, "wrong: 1 error; looked at 2 draws,"),
        (["audited:Model.init", *KEY], 1, "Model.init: 1 error;"),
        (["folder/package/part.py:wrong"], 1, "wrong: 1 error;"),
        (["audited:right", *KEY, "--arg", "scale=jnp.float32(2)"], 0, "right: no findings;"),
        (["audited:called", *KEY], 1, "Two: 1 error;"),
        (["audited:called", *KEY, "--run"], 1, "Two: 1 error;"),
        (["audited:part", *KEY], 1, "partial: 1 error;"),
        (["audited:loop", "--arg", "steps=2", "--arg", "run=1"], 2, ""),
        (["audited:loop", "--arg", "steps=2", "--arg", "run=1", "--run"], 1, "loop: 1 error;"),
        (["audited:lost", *KEY, "--arg", "place=jnp.int32(1)"], 0, "lost: no findings;"),
        (
            ["audited:lost", *KEY, "--arg", "place=jnp.int32(1)", "--strict"],
            1,
            "lost: no findings;",
        ),
        (["audited:right", *KEY, "--arg", "scale=1.", "--strict"], 0, "right: no findings;"),
        (["audited:idle", *KEY, "--arg", "spare=ks.key(1)"], 0, "idle: 1 note;"),
        (["audited:idle", *KEY, "--arg", "spare=ks.key(1)", "--level", "note"], 1, "idle: 1 note;"),
    ],
)
def test_status(
    words: list[str], status: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status tells whether there are findings at the level that was asked for."""
    assert main(["audit", *words]) == status
    told = capsys.readouterr()
    assert (told.out.splitlines() or [""])[-1].startswith(last)
    if status == 2:
        assert told.err.startswith("audit: fun must be traceable, ")
        assert told.err.endswith("On the command line that is: --run\n")


def test_forms(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A document is all that stands on stdout, whatever the function prints, or in a file."""
    loop = ["audited:loop", "--arg", "steps=2", "--arg", "run=1", "--run"]
    assert main(["audit", *loop, "--format", "json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["subject"] == "loop"
    assert told.err.startswith("looping")
    for form, begin in (("sarif", "{"), ("html", "<!"), ("text", "error[KS01]")):
        path = program.parent / "report"
        assert main(["audit", "audited:wrong", "--format", form, "--output", str(path)]) == 1
        assert path.read_text().startswith(begin)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.splitlines()[-1] == f"report: {path}"


TRACE = "python -m keystream audit"
FORM = "TARGET must be module:function or file.py:function"
REFUSALS = {
    "audited": f"{FORM}, got 'audited'. For example: {TRACE} audited:main",
    "audited:worng": "TARGET must be a function of audited, got 'worng': module 'audited' has no "
    "attribute 'worng'.",
    "audited:Model.unit": "TARGET must be a function of audited, got 'Model.unit': type object "
    "'Model' has no attribute 'unit'.",
    ":wrong": f"{FORM}, got ':wrong'. For example: {TRACE} train:main",
    "audited:": f"{FORM}, got 'audited:'. For example: {TRACE} audited:main",
    "audited.py": f"{FORM}, got 'audited.py'. For example: {TRACE} audited.py:main",
    "'an audited.py'": f"{FORM}, got 'an audited.py'. For example: {TRACE} 'an audited.py':main",
    "audited:my-func": f"{FORM}, got 'audited:my-func'. For example: {TRACE} audited:main",
    "'audited:wrong()'": f"{FORM}, got 'audited:wrong()'. For example: {TRACE} audited:main",
    "'wrong()'": f"{FORM}, got 'wrong()'. For example: {TRACE} train:main",
    "audited:VALUE": "TARGET must be a function of audited, got 'VALUE', which is 3.",
    "audited:VALUE.real": "TARGET must be a function of audited, got 'VALUE.real', which is 3.",
    "audted:wrong": "TARGET must be a module that can be imported, got 'audted'. "
    f"For a file: {TRACE} audted.py:function",
    "nothing.py:wrong": "TARGET must be a Python file, got 'nothing.py'. "
    f"For a module: {TRACE} package.module:function",
    "failing:wrong": "TARGET must be a module that can be imported, got 'failing', which raised "
    "ModuleNotFoundError: No module named 'nothing_at_all', at failing.py:2. "
    "To see all of it: python -c 'import failing'",
    "audited:right": "TARGET must come with an --arg for each argument that it needs, got "
    "right(*, key, scale=1.0): missing a required argument: 'key'. "
    f'For example: {TRACE} audited:right --arg "key=ks.key(0)"',
    "audited:wrong --arg kay=1": "TARGET must come with an --arg for each argument that it needs, "
    "got wrong(): got an unexpected keyword argument 'kay'. "
    f'For example: {TRACE} audited:wrong --arg "key=ks.key(0)"',
    "audited:right --arg key=1 --arg \"key=ks.key('a')\"": "--arg must come once for each name, "
    """got 'key' twice. For the last one: --arg 'key=ks.key('"'"'a'"'"')'""",
    "audited:right --arg key=ks.kay(0)": "--arg key must be a Python expression of jax, jnp, np "
    "and ks, got 'ks.kay(0)', which raised UnknownNameError: keystream: name must be one that "
    "dir(keystream) lists, got 'kay'. For all that there are: dir(ks). "
    "For a key: --arg key=ks.key(0)",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals(words: str, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for, what came and the cure are told, and the status is 2."""
    (program.parent / "failing.py").write_text("\nimport nothing_at_all\n")
    assert main(["audit", *shlex.split(words)]) == 2
    told = capsys.readouterr()
    said = told.err.replace(f"{program.parent}/", "").replace("keyword-only ", "")  # as from 3.12
    assert (told.out, said) == ("", f"audit: {REFUSALS[words]}\n")


def test_a_function_that_raises(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of the function's own has its traceback, and isn't taken for a finding."""
    assert main(["audit", "audited:broken"]) == 2
    told = capsys.readouterr().err
    assert "ValueError: the data set is gone" in told
    assert told.endswith("audit: audited:broken raised, so there is no report\n")


@pytest.mark.parametrize("more", [(), ("--run",)])
@pytest.mark.parametrize(("name", "what"), [("draws", "generator"), ("waits", "coroutine")])
def test_work_that_is_left(
    name: str, what: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A generator and a coroutine are refused: nothing of theirs has been looked at."""
    assert main(["audit", f"audited:{name}", *KEY, *more]) == 2
    told = capsys.readouterr().err
    assert told.startswith("audit: fun must be a function that does its work when it is called, ")
    assert f"got {name}, which returned a {what}. " in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("more", [(), ("--run",)])
def test_an_audit_inside_that_refuses(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What an audit of the function's own refuses is an error of the function's."""
    assert main(["audit", "audited:audits", *more]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Traceback ")
    assert told.endswith("audit: audited:audits raised, so there is no report\n")


def test_bad_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Options that can't be meant end the command before anything is imported."""
    for value in ("key", "key=", "=1", "for=1"):
        with pytest.raises(SystemExit) as stop:
            main(["audit", "audited:wrong", "--arg", value])
        assert stop.value.code == 2
        message = f"must be NAME=EXPR, got {value!r}. For example: --arg key=ks.key(0)"
        assert capsys.readouterr().err.endswith(f"error: argument --arg: {message}\n")


def test_stages_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal whoever waits is told what goes on; elsewhere nothing is written."""
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(stages, "DELAY", 0.01)
    for is_one in (False, True):
        monkeypatch.setattr(terminal, "isatty", lambda is_one=is_one: is_one, raising=False)
        with stages.show_stages("tracing") as stage:
            time.sleep(0.2)
            stage("reading")
            time.sleep(0.2)
        told = terminal.getvalue()
        assert ("tracing: " in told) == ("reading: " in told) == is_one
