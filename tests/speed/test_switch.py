"""The switch of acceleration: on, off, in threads, beside other platforms, and where it can't."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import pytest
from jax.extend.random import threefry2x32_p
from jax.interpreters import mlir

import keystream as ks
from keystream import _compat
from keystream._speed import accelerate as _accelerate
from keystream._speed import lowering as _lowering
from keystream._speed.forms import FORMS
from tests.speed.forms import MARK, differences, lowered, switched

pytestmark = pytest.mark.fast


def _fresh(key: jax.Array) -> Any:
    """Draw from a function that nobody has compiled yet."""
    return jax.jit(lambda key: _draws(key))(key)  # noqa: PLW0108 - a new one each time


def _draws(key: jax.Array) -> Any:
    return jax.random.normal(key, (5,)), jax.random.split(key)


def test_switch() -> None:
    """On and off, each as often as one likes; the return value says which."""
    with switched(False):
        plain = lowered(_draws, False, ks.key(0))
        assert [ks.accelerate(), ks.accelerate(), ks.accelerate(True)] == [True] * 3
        assert MARK in lowered(_draws, None, ks.key(0))
        assert [ks.accelerate(False), ks.accelerate(False)] == [False] * 2
        assert lowered(_draws, False, ks.key(0)) == plain
        assert MARK not in plain


def test_what_is_compiled_keeps_its_form() -> None:
    """A switch leaves compiled functions alone, unless caches are cleared too."""
    traced = []

    def fun(key: jax.Array) -> Any:
        traced.append(key)
        return jax.random.bits(key)

    with switched(False):
        draw = jax.jit(fun)
        assert [ks.accelerate(enabled) for enabled in (False, True, False)][1]
        for expected, clear_caches in ((1, False), (1, False), (2, True)):
            ks.accelerate(clear_caches=clear_caches)
            draw(ks.key(0))
            assert len(traced) == expected


def test_no_loop_is_left() -> None:
    """Stock draws loop over rounds; accelerated ones have no loop at all."""
    for enabled in (False, True):
        with switched(enabled):
            compiled = jax.jit(lambda key: jax.random.bits(key, (4099,))).lower(ks.key(0)).compile()
        assert ("while(" in compiled.as_text()) is not enabled


def test_other_platforms() -> None:
    """GPU and TPU are lowered as before, alone and beside CPU."""
    for platforms in (("tpu",), ("cuda",), ("cuda", "tpu")):
        texts = [
            lowered(_draws, enabled, ks.key(0), lowering_platforms=platforms)
            for enabled in (False, True)
        ]
        assert texts[0] == texts[1]
    several = [
        lowered(_draws, enabled, ks.key(0), lowering_platforms=("cpu", "cuda"))
        for enabled in (False, True)
    ]
    assert [MARK in text for text in several] == [False, True]
    assert all("stablehlo.case" in text for text in several)


def test_threads() -> None:
    """Threads that switch and draw at once get right draws and leave a right table."""

    def busy(number: int) -> list[Any]:
        found = []
        for turn in range(5):
            ks.accelerate(bool((number + turn) % 2))
            found.append(_fresh(ks.key(1)))
        return found

    with switched(False):
        plain, known = lowered(_draws, False, ks.key(0)), _fresh(ks.key(1))
        with ThreadPoolExecutor(4) as pool:
            found = [each for some in pool.map(busy, range(4)) for each in some]
        ks.accelerate(False)
        assert lowered(_draws, False, ks.key(0)) == plain
    assert len(found) == 20
    assert not any(differences(known, each) for each in found)


def test_no_keys_or_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX keeps its rules otherwise, it says so and leaves everything as it is."""
    with switched(False):
        plain = lowered(_draws, False, ks.key(0))
        monkeypatch.delattr(mlir, "_lowerings")
        with pytest.warns(RuntimeWarning, match=r"accelerate: does nothing with jax .*_lowerings"):
            assert ks.accelerate() is False
        monkeypatch.undo()
        assert lowered(_draws, False, ks.key(0)) == plain


def test_warnings_that_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where warnings are errors, nothing is left half done either."""
    with switched(False):
        tables = _tables()
        monkeypatch.setattr(mlir, "register_lowering", _refuse_all_but_first())
        with pytest.raises(RuntimeWarning, match="does nothing"):
            ks.accelerate()
        monkeypatch.undo()
        assert _tables() == tables


def _refuse_all_but_first() -> Any:
    honest = mlir.register_lowering

    def refuse(primitive: Any, *args: Any, **kwargs: Any) -> None:
        if primitive is not threefry2x32_p:
            raise NotImplementedError("no more")
        honest(primitive, *args, **kwargs)

    return refuse


def _tables() -> Any:
    """Return JAX's rules for what is accelerated."""
    return {each: list(_compat.lowerings(each)) for each in FORMS}


def test_half_done_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX takes some rules and refuses others, none stays."""
    with switched(False):
        plain, tables = lowered(_draws, None, ks.key(0)), _tables()
        monkeypatch.setattr(mlir, "register_lowering", _refuse_all_but_first())
        with pytest.warns(RuntimeWarning, match="does nothing"):
            assert ks.accelerate() is False
        monkeypatch.undo()
        assert _tables() == tables
        assert lowered(_draws, None, ks.key(0)) == plain


def test_one_switches_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread switches, others wait."""
    inside, most = [], []
    honest = _accelerate._switch_on

    def slow() -> bool:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return honest()

    with switched(False):
        monkeypatch.setattr(_accelerate, "_switch_on", slow)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ks.accelerate, [True] * 4))
    assert most == [1] * 4


def test_a_rule_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that JAX doesn't take any more is left for JAX's own, with a warning."""

    def broken(*_: Any, **__: Any) -> Any:
        raise TypeError("another JAX")

    with switched(False):
        known = _fresh(ks.key(2))
        ks.accelerate()
        monkeypatch.setattr(_lowering, "block", broken)
        jax.clear_caches()
        with pytest.warns(RuntimeWarning, match=r"accelerate: left a draw as it was .*another JAX"):
            found = _fresh(ks.key(2))
        monkeypatch.undo()
        jax.clear_caches()
        assert not differences(known, found)
        assert MARK in lowered(_draws, True, ks.key(0))


@pytest.mark.parametrize("argument", ["enabled", "clear_caches"])
def test_flags(argument: str) -> None:
    """What is neither True nor False is refused before anything is switched."""
    with switched(False):
        with pytest.raises(ks.ArgumentTypeError, match=f"accelerate: {argument} must be True or"):
            ks.accelerate(**{argument: 1})  # type: ignore[arg-type]
        assert MARK not in lowered(_draws, None, ks.key(0))


def test_starts_no_backend() -> None:
    """It may stand before what has to stand before the first use of a device."""
    program = (
        "import jax, keystream as ks\n"
        "assert ks.accelerate()\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"
        "assert jax.device_count() == 3\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


PROGRAM = """
import sys
import jax, numpy as np
import keystream as ks

if sys.argv[1] == "on":
    assert ks.accelerate()
key = ks.key(2**70 + 3)
drawn = [jax.random.normal(key, (4099,)), ks.sample(jax.random.gumbel, key, 33)]
drawn += [jax.random.bits(key, (9,)), jax.random.permutation(key, 65)]
drawn += [jax.random.key_data(made) for made in (jax.random.split(key, 5), ks.keys(key, (3, 2)))]
drawn += [jax.random.key_data(ks.derive(key, "a", np.arange(5)))]
print([np.asarray(each).tobytes().hex() for each in drawn])
"""


def test_processes_of_either_form() -> None:
    """Two processes that never switch, one in each form, print the same bits."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True
        ).stdout
        for form in ("off", "on")
    ]
    assert len(printed[0]) > 30_000
    assert printed[0] == printed[1]
