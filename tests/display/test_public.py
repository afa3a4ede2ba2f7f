"""The public names: what a person sees who presses tab, and reads who mistypes one."""

from __future__ import annotations

import ast
import subprocess
import sys
import traceback
import types
import warnings
from pathlib import Path
from typing import Any

import jax
import pytest

import keystream as ks
from keystream import _compat, host, testing
from keystream import _public as _names
from keystream._display import names as _public
from tests.errors.test_errors import _run

HIDDEN = {"cli"}
"""Not private by its name, and still nobody's business: the commands."""


def names_in(package: types.ModuleType) -> set[str]:
    """Return the names that the source of a package gives away, `import x as x`."""
    body = ast.parse(Path(str(package.__file__)).read_text()).body
    imports = [line for line in body if isinstance(line, ast.ImportFrom)]
    names = [each for line in imports if "keystream" in str(line.module) for each in line.names]
    return {each.name for each in names if each.asname == each.name and each.name[0] != "_"}


@pytest.mark.fast
def test_dir_of_keystream() -> None:
    """`dir(ks)` is what `_public.py` gives away, and the public parts that are imported."""
    assert set(dir(ks)) - {"host", "testing", "interop"} == names_in(_names)
    assert "testing" in dir(ks)
    assert len(dir(ks)) > 50
    assert not HIDDEN & set(dir(ks))


@pytest.mark.fast
def test_dir_of_testing() -> None:
    """`dir(keystream.testing)` is what its `__init__.py` gives away."""
    assert set(dir(testing)) == names_in(testing)
    assert len(dir(testing)) > 20


@pytest.mark.fast
def test_dir_of_host() -> None:
    """`dir(keystream.host)` is what its `__init__.py` gives away."""
    assert set(dir(host)) == names_in(host)
    assert len(dir(host)) >= 9


STREAM = {"at", "next", "position", "skip", "take", "words"}
STREAMS = {"at", "names", "next"}
REPORT = (
    "at_least complete counts findings keys lineage ok raise_if_found silenced subject summary "
    "to_html to_json to_sarif unseen"
)


@pytest.mark.fast
def test_dir_of_values() -> None:
    """Streams and reports show their public attributes, and not what JAX asks a pytree for."""
    assert set(dir(ks.Stream(ks.key(42)))) == STREAM
    assert set(dir(ks.Streams(ks.key(42), ("a",)))) == STREAMS
    assert set(dir(ks.audit(jax.random.bits, ks.key(42)))) == set(REPORT.split())


@pytest.mark.fast
def test_star_and_help() -> None:
    """`from keystream import *` brings the public names, and `help(ks)` describes them."""
    brought: dict[str, Any] = {}
    exec("from keystream import *", brought)
    assert set(brought) - {"__builtins__"} == set(dir(ks))
    program = "import pydoc as p, keystream; print(p.render_doc(keystream, renderer=p.plaintext))"
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert all(f"    {name}(" in told for name in ("derive", "split", "scan_carried"))


@pytest.mark.fast
@pytest.mark.parametrize("name", _public.CURES)
def test_names_of_other_libraries(name: str) -> None:
    """Every name of other libraries that is known raises an error whose cures run."""
    with pytest.raises(AttributeError) as caught:
        getattr(ks, name)
    assert type(caught.value) is ks.UnknownNameError
    head, _, cures = str(caught.value).partition(". ")
    assert head == f"keystream: name must be one that dir(keystream) lists, got {name!r}"
    key = ks.key(42)
    for cure in cures.removesuffix(".").split(". "):
        _run(cure.partition(": ")[2], {"ks": ks, "jax": jax, "key": key, "fun": jax.random.bits})


@pytest.mark.fast
@pytest.mark.parametrize("name", [n for n in dir(jax.random) if not n.startswith("_")])
def test_names_of_jax_random(name: str) -> None:
    """Every name of jax.random that keystream hasn't is answered with code that runs."""
    if hasattr(ks, name):
        assert name in ("key", "split")
        return
    with pytest.raises(ks.UnknownNameError) as caught:
        getattr(ks, name)
    cure = str(caught.value).partition(". ")[2].partition(": ")[2].rstrip(".?")
    _run(cure, {"ks": ks, "jax": jax, "key": ks.key(42)})


@pytest.mark.fast
def test_no_second_proposal() -> None:
    """Python adds no proposal of its own to ours, and proposes where it words the error."""
    with pytest.raises(AttributeError) as caught:
        ks.spilt  # type: ignore[attr-defined]  # noqa: B018
    shown = "".join(traceback.format_exception(caught.value)).strip()
    assert shown.endswith("got 'spilt'. Did you mean: ks.split?")
    with pytest.raises(ImportError, match="cannot import name 'spilt' from 'keystream'"):
        exec("from keystream import spilt")


@pytest.mark.fast
def test_what_tools_ask_for() -> None:
    """A private name that isn't there is a plain AttributeError; `hasattr` is false for both."""
    for name in ("__wrapped__", "_nothing", "nothing"):
        assert not hasattr(ks, name)
        assert not hasattr(testing, name)
    with pytest.raises(
        AttributeError, match=r"^module 'keystream' has no attribute '__wrapped__'$"
    ):
        ks.__wrapped__  # type: ignore[attr-defined]  # noqa: B018
    assert ks.__version__ == _public.version()


@pytest.mark.fast
def test_hasattr_asks_quietly() -> None:
    """`hasattr` is false of a name that JAX deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not any(hasattr(ks, name) for name in dir(jax.lax) if not hasattr(ks, name))
        assert not hasattr(ks, "psend")


def test_parts_are_not_imported() -> None:
    """keystream.testing isn't there before it is imported, and the error says how it is."""
    program = (
        "import keystream as ks\n"
        "assert 'testing' not in dir(ks)\n"
        "try:\n"
        "    ks.testing\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
        "import keystream.testing\n"
        "assert 'testing' in dir(ks)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert told == (
        "keystream: name must be one that dir(keystream) lists, got 'testing'. "
        "To have it: import keystream.testing.\n"
    )


def python(program: str) -> str:
    """Return what a program prints in a Python of its own."""
    call = [sys.executable, "-c", program]
    return subprocess.run(call, check=True, capture_output=True, text=True, timeout=120).stdout


def test_names_come_with_jax() -> None:
    """Where JAX isn't imported yet, neither is it by keystream, until a name is asked for."""
    program = (
        "import sys, keystream as ks\n"
        "from keystream import host\n"
        "assert ks.host is host and ks.__version__ and not hasattr(ks, '__wrapped__')\n"
        "assert not hasattr(ks, 'testing') and not hasattr(host, 'nothing')\n"
        "assert 'jax' not in sys.modules\n"
        "assert ks.scan and 'jax' in sys.modules\n"
        "ks.key = 'patched'\n"
        "assert 'split' in dir(ks) and ks.key == 'patched'\n"
    )
    python(program)


def test_names_come_once_in_threads() -> None:
    """Threads that ask for names at once, before JAX is there, all get them."""
    program = (
        "import threading, keystream as ks\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "barrier = threading.Barrier(8)\n"
        "names = 'key split keys derive scan vmap Stream audit'.split()\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    got = list(pool.map(lambda n: (barrier.wait(), getattr(ks, n))[1], names))\n"
        "assert [each.__name__ for each in got] == names\n"
    )
    python(program)


@pytest.mark.skipif(not hasattr(jax, "monitoring"), reason="this JAX doesn't tell")
@pytest.mark.parametrize("first", ["jax", "keystream"])
def test_nothing_is_compiled_again(first: str) -> None:
    """A function that was jitted before a name of keystream was used isn't compiled again.

    It is, once, on JAX 0.12, where keystream was imported before JAX: the page of the host says so.
    """
    program = (
        f"import {first}\n"
        "import jax, keystream as ks\n"
        "count = 0\n"
        "def listen(name, *args, **kwargs):\n"
        "    global count\n"
        "    count += 'backend_compile' in name\n"
        "fun = jax.jit(lambda x: x + 1)\n"
        "fun(1)\n"
        "jax.monitoring.register_event_duration_secs_listener(listen)\n"
        "ks.split, ks.derive\n"
        "fun(1)\n"
        "print(count)\n"
    )
    late = first == "keystream" and _compat.JAX >= (0, 11)
    assert python(program) == ("1\n" if late else "0\n")
