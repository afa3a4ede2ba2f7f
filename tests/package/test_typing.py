"""What type checkers know: every public name has its type, and wrong calls are found."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import keystream as ks
from keystream import host, testing

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "typing"
FILES = {
    "ks": (ks, FOLDER / "public.py"),
    "host": (host, FOLDER / "host.py"),
    "testing": (testing, FOLDER / "testing.py"),
}
PARTS = {"host", "testing", "interop"}

Check = Callable[[str, Path], tuple[int, str]]


def used(tree: ast.AST, module: str) -> set[str]:
    """Return the names of a module that code asks for: `ks.split`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == module
    }


def asserted(source: str, module: str) -> set[str]:
    """Return the names of a module that stand in an `assert_type`."""
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "assert_type"
    ]
    return set[str]().union(*(used(call, module) for call in calls))


def missed(module: types.ModuleType, short: str, source: str) -> set[str]:
    """Return the public names of a module whose type nobody asserts."""
    names = set(dir(module)) - PARTS
    functions = {name for name in names if inspect.isfunction(getattr(module, name))}
    lacking = functions - asserted(source, short)
    return lacking | (names - used(ast.parse(source), short))


@pytest.mark.fast
@pytest.mark.parametrize("short", FILES)
def test_every_name(short: str) -> None:
    """The type of every public function is asserted, and every other public name is used."""
    module, file = FILES[short]
    assert missed(module, short, file.read_text()) == set()


@pytest.mark.fast
def test_a_name_that_is_missed() -> None:
    """A function that is only called, or isn't there at all, is noticed."""
    source = FILES["ks"][1].read_text()
    assert missed(ks, "ks", source.replace("ks.derive(", "ks.keys(")) == {"derive"}
    called = source.replace("assert_type(ks.fresh_seed(), int)", "ks.fresh_seed()")
    assert missed(ks, "ks", called) == {"fresh_seed"}


def by_mypy(program: str, folder: Path) -> tuple[int, str]:
    """Check a program as the gate does."""
    (folder / "program.py").write_text(program)
    return told("mypy", "--config-file", str(ROOT / "pyproject.toml"), str(folder / "program.py"))


def by_pyright(program: str, folder: Path) -> tuple[int, str]:
    """Check a program with the settings that editors have."""
    (folder / "program.py").write_text(program)
    return told("pyright", "--pythonpath", sys.executable, str(folder / "program.py"))


def told(checker: str, *arguments: str) -> tuple[int, str]:
    """Run a type checker where keystream is seen; return its exit status, and what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        cwd=Path(ks.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


CHECKERS = [
    pytest.param(
        check,
        marks=[
            pytest.mark.outside,
            pytest.mark.skipif(not importlib.util.find_spec(name), reason=f"{name} isn't there"),
        ],
        id=name,
    )
    for name, check in (("mypy", by_mypy), ("pyright", by_pyright))
]


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize("short", FILES)
def test_checked(check: Check, short: str, tmp_path: Path) -> None:
    """mypy, strictly, and pyright find what the files assert, and nothing is wrong."""
    status, said = check(FILES[short][1].read_text(), tmp_path)
    assert status == 0, said


WRONG = (
    "ks.scan(lambda key, carry, x: (carry, x), 0.0, length=3)",
    "ks.fingerprint('key')",
    "ks.scan(lambda key, carry, x: carry, jnp.zeros(3), jnp.zeros(3), key=ks.key(42))",
    "ks.scan(lambda carry, x: (carry, x), jnp.zeros(3), jnp.zeros(3), key=ks.key(42))",
    "ks.scan(returns_text, jnp.zeros(3), jnp.zeros(3), key=ks.key(42))",
    "ks.scan(step, ks.Stream(ks.key(42)), jnp.zeros(3), key=ks.key(42))",
    "ks.scan(step, jnp.zeros(3), jnp.zeros(3), key=ks.key(42), start=1.5)",
    "ks.scan(step, 0.0, jnp.zeros(3), key=ks.key(42))[0] + 'text'",
    "ks.fori_loop(0.0, 3, go, jnp.zeros(3), key=ks.key(42))",
    "ks.fori_loop(0, 3, step, jnp.zeros(3), key=ks.key(42))",
    "ks.while_loop(lambda val: True, step, jnp.zeros(3), key=ks.key(42))",
    "ks.map(step, jnp.zeros(3), key=ks.key(42))",
    "ks.vmap(keyless)",
    "ks.vmap(step)(ks.key(42), jnp.zeros(3))",
    "ks.batched(step)(ks.keys(ks.key(42), 3), jnp.zeros(3), 'text')",
    "ks.pmap(step)(ks.key(42), jnp.zeros(3), jnp.zeros(3)).shape",
    "ks.sample(step, ks.key(42), 3, jnp.zeros(3))",
    "ks.sample(jax.random.normal, ks.key(42), 3, dtyp='float32')",
    "ks.sample(jax.random.normal, ks.key(42), 3, start=1.5)",
    "ks.sample(jax.random.normal, ks.key(42), 3.0)",
    "a, b, c = ks.split(ks.key(42))",
    "ks.split(ks.key(42), 'params')",
    "ks.split(ks.key(42), ('params', 'dropout'))[0]",
    "ks.key(1.5)",
    "ks.derive(ks.key(42), 1.5)",
    "ks.Stream(ks.key(42)).at(1.5)",
    "ks.loads('', like=ks.Stream(ks.key(42))).shape",
    "ks.split()",
    "ks.spilt(ks.key(42))",
    "ks.Stream(42)",
    "ks.Stream(ks.key(42)).nxt()",
    "next(ks.Stream(ks.key(42)))",
    "ks.Streams(ks.key(42), ('params',)).params",
    "key, stream = ks.Stream(ks.key(42)).skip(3)",
    "x: str = ks.key(42)",
)


RIGHT = """\
import jax
import jax.numpy as jnp
import keystream as ks
from jax import Array


def step(key: Array, carry: Array, x: Array) -> tuple[Array, Array]:
    return carry + x, jax.random.normal(key)


def go(key: Array, i: int, val: Array) -> Array:
    return val + jax.random.normal(key)


def returns_text(key: Array, carry: Array, x: Array) -> tuple[str, Array]:
    return "carry", x


def keyless() -> Array:
    return jnp.zeros(3)


ks.split(ks.key(42))
"""


@pytest.mark.parametrize("check", CHECKERS)
def test_wrong_calls(check: Check, tmp_path: Path) -> None:
    """Both find every wrong call and type on its line, and nothing on a line that is right."""
    status, said = check("\n".join([RIGHT, *WRONG, ""]), tmp_path)
    assert status == 1
    lines = {int(number) for number in re.findall(r"program\.py:(\d+)", said)}
    first = RIGHT.count("\n") + 2
    assert lines == set(range(first, first + len(WRONG)))
