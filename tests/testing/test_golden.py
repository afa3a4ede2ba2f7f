"""Golden files lose nothing, and a changed number comes with the setting that changed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import keystream as ks
from keystream import _compat, testing
from keystream.testing import _ulps
from keystream.testing._checks import golden_file
from keystream.testing._compare import EXACT, Tolerance, first_difference

KEY = ks.key(0)
PAIR = "then", "now"


def draws() -> dict[str, Any]:
    return {
        "keys": ks.keys(KEY, 2),
        "stream": ks.Stream(KEY).skip(3),
        "floats": jax.random.normal(KEY, (3,)),
        "split": jax.random.split(KEY, 3),
    }


def told(name: str, value: Any, folder: Path, **kwargs: Any) -> str:
    with pytest.raises(testing.GoldenError) as caught:
        testing.check_golden(name, value, path=folder, update=False, **kwargs)
    return str(caught.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds one golden file."""
    made = tmp_path_factory.mktemp("golden")
    testing.check_golden("draws", draws(), path=made, update=True)
    return made


def edited(folder: Path, name: str, **manifest: Any) -> None:
    """Write the golden file as if it came from another program's surroundings."""
    content = json.loads((folder / "draws.json").read_text())
    content["manifest"] |= manifest
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_passes(folder: Path) -> None:
    """The same numbers pass, bit for bit, whatever else differs from then."""
    testing.check_golden("draws", draws(), path=folder, update=False, exact=True)
    edited(folder, "elsewhere", jax="0.5.0", devices=4096)
    testing.check_golden("elsewhere", draws(), path=str(folder), update=False)


def test_the_program_changed(folder: Path) -> None:
    """Other numbers under the same settings are laid to the program, and the place is shown."""
    value = draws()
    value["keys"] = ks.keys(KEY, 2, start=1)
    file = folder / "draws.json"
    assert told("draws", value, folder) == (
        f"check_golden: value must be what {file} holds, got key threefry2x32:2241665166810deb in "
        "the file and key threefry2x32:293769dde59c2142 now at value['keys'][0]; 2 of 2 differ. No "
        "setting or version that changes numbers has changed, so the program changed them. To take "
        "the new value: pytest --keystream-update-golden."
    )


SETTINGS = {
    "jax_threefry_partitionable": (
        lambda: jax.threefry_partitionable(False),
        (
            "What changed the numbers is jax_threefry_partitionable (then True, now False). To set "
            'it back: jax.config.update("jax_threefry_partitionable", True).'
        ),
    ),
    "jax_enable_x64": (
        lambda: _compat.enable_x64(True),
        (
            "What changed the numbers is jax_enable_x64 (then False, now True). To set it back: "
            'jax.config.update("jax_enable_x64", False).'
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "jax_threefry_partitionable",
        # A manifest compiles for seconds in each setting.
        pytest.param("jax_enable_x64", marks=pytest.mark.outside),
    ],
)
def test_a_setting_changed(setting: str, folder: Path) -> None:
    """A setting that changes draws is named, with the line that sets it back."""
    within, message = SETTINGS[setting]
    with within():
        said = told("draws", draws(), folder)
    assert message in said


def test_a_version_changed(folder: Path) -> None:
    """A version is named as what may change last digits, or with JAX's own draws that changed."""
    value = draws() | {"floats": jnp.zeros(3)}
    edited(folder, "version", jax="0.5.0")
    assert "Last digits may differ by jax (then '0.5.0', now '" in told("version", value, folder)
    edited(folder, "drawn", jax="0.5.0", **{"jax.random.normal(key, (4,))": [0.0, 1.0, 2.0, 3.0]})
    said = told("drawn", value, folder)
    assert "JAX's own draws changed, of jax.random.normal(key, (4,)), perhaps by jax (then" in said


def test_last_digits(folder: Path) -> None:
    """Floats pass within ulps of the file, not beyond, and not where exact ones are wanted."""
    value = draws()
    value["floats"] = jnp.nextafter(value["floats"], jnp.inf)
    testing.check_golden("draws", value, path=folder, update=False, ulps=1)
    assert ", 1 ulp apart; 3 of 3 differ." in told("draws", value, folder, exact=True)
    assert ", 1 ulp apart; 3 of 3 differ." in told("draws", value, folder, ulps=0)
    testing.check_golden("draws", value, path=folder, update=False, ulps=0, atol=1e-6)


def test_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is written when that is asked for alone, and left alone where its value passes."""
    file = tmp_path / "a" / "b.json"
    assert f"got none at {file}. To write it: pytest" in told("a/b", 1.5, tmp_path)
    assert not file.exists()
    monkeypatch.setenv("KEYSTREAM_UPDATE_GOLDEN", "1")
    testing.check_golden("a/b", 1.5, path=tmp_path)
    before = file.read_text() + "\n"
    file.write_text(before)
    testing.check_golden("a/b", 1.5, path=tmp_path)
    assert file.read_text() == before
    testing.check_golden("a/b", 2.5, path=tmp_path)
    assert json.loads(file.read_text())["leaves"][""] == {"dtype": "float", "values": 2.5}
    file.write_text("{")
    monkeypatch.setenv("KEYSTREAM_UPDATE_GOLDEN", "0")
    assert "got a JSONDecodeError from it." in told("a/b", 2.5, tmp_path)
    testing.check_golden("a/b", 2.5, path=tmp_path, update=True)
    assert [path.name for path in file.parent.iterdir()] == ["b.json"]


def test_a_file_without_its_manifest(folder: Path) -> None:
    """A manifest that somebody spoiled is said to be unreadable, and hides no difference."""
    edited(folder, "spoiled", manifest="two")
    said = told("spoiled", draws() | {"floats": jnp.zeros(3)}, folder)
    assert " now at value['floats'][0], " in said
    assert "Its manifest can't be read: " in said


DTYPES = ("bool", "int8", "uint64", "int64", "float16", "float32", "float64", "complex64")


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=0, min_side=0))
    )
)
def test_nothing_is_lost(value: np.ndarray[Any, Any]) -> None:
    """Whatever an array holds comes back from JSON bit for bit, NaN and zeros too."""
    leaves = json.loads(json.dumps(golden_file.encode({"x": value}), allow_nan=False))
    (back,) = golden_file.decode(leaves).values()
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert first_difference(value, back, EXACT, PAIR) is None


def test_nothing_is_lost_of_the_rest() -> None:
    """Narrow floats, keys of every implementation and Python's own values come back."""
    value = {
        "bfloat16": jnp.asarray([0.1, -0.0, jnp.nan, jnp.inf], jnp.bfloat16),
        "float8": jnp.asarray([0.1, 3.0], jnp.float8_e4m3fn),
        "keys": [ks.keys(ks.key(0, impl=impl), (2, 1)) for impl in ("threefry2x32", "rbg")],
        "python": [True, 2**70, 0.1, float("nan"), complex(1, -0.0), "text ü"],
        "stream": ks.Stream(KEY),
    }
    leaves = json.loads(json.dumps(golden_file.encode(value), allow_nan=False))
    back = golden_file.decode(leaves)
    for (path, leaf), other in zip(
        jax.tree_util.tree_leaves_with_path(value), back.values(), strict=True
    ):
        assert jax.tree_util.keystr(path) in back
        assert first_difference(leaf, other, EXACT, PAIR) is None, path


DOORS: dict[str, Any] = {
    "check_golden: name must be letters, digits, '_', '-' and '.', in folders by '/', "
    "got '../x'.": (
        "../x",
        1,
        {},
    ),
    "check_golden: name must be a str, got 3.": (3, 1, {}),
    "check_golden: path must be the name of a folder, got 3.": ("x", 1, {"path": 3}),
    "check_golden: update must be True, False or None, got 1.": ("x", 1, {"update": 1}),
    "check_golden: value must hold at least one array, key, number or str, got [].": ("x", [], {}),
    "check_golden: value must hold arrays, keys, numbers and str, got an object.": (
        "x",
        object(),
        {},
    ),
    "check_golden: value must hold at most 100,000 values, got 100,001. For a part of it: "
    "value[:100].": ("x", np.zeros(100_001), {}),
}


@pytest.mark.parametrize("message", DOORS)
def test_doors(message: str, tmp_path: Path) -> None:
    """What can't be a golden file is refused in a whole message."""
    name, value, given = DOORS[message]
    with pytest.raises(ks.KeystreamError) as caught:
        testing.check_golden(name, value, **{"path": tmp_path, **given})
    assert str(caught.value) == message
    assert not isinstance(caught.value, AssertionError)


# How differences are counted


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_ulps(dtype: str) -> None:
    """Neighbors are one apart, on both sides of zero; NaN equals itself, and nothing else."""
    kind = jnp.dtype(dtype)
    tiny = np.array([1], f"u{kind.itemsize}").view(kind)[0]  # the smallest float above zero
    one = np.array([0.0, -0.0, tiny, 1.0, np.nan, np.nan, np.inf, np.inf], kind)
    other = np.array([-0.0, tiny, -tiny, -1.0, np.nan, 1.0, np.inf, 1.0], kind)
    found = _ulps.distance(one, other).tolist()
    far = 2 * int(np.array([1.0], kind).view(f"u{kind.itemsize}")[0])
    assert found == [0, 1, 2, far, 0, np.inf, 0, np.inf]
    assert _ulps.same_bits(one, other).tolist() == [False, *[False] * 3, True, False, True, False]


def test_ulps_by_steps() -> None:
    """As many steps of nextafter are as many ulps, through powers of two and through zero."""
    for start in (1.0, -1e-44, 3.9999998):
        there = np.float32(start)
        for k in range(1, 40):
            there = np.nextafter(there, np.float32(5), dtype=np.float32)
            found = _ulps.distance(np.array([start], np.float32), np.array([there]))
            assert found[0] == k


DIFFERENT = {
    "a leaf that lacks": ({"a": 1}, {}, "x['a'] then and nothing there now"),
    "a leaf too many": ([1], [1, 2], "x[1] now and nothing there then"),
    "shape": (np.zeros(2), np.zeros(3), "float64[2] then and float64[3] now at x"),
    "dtype": (np.zeros(2), np.zeros(2, int), "float64[2] then and int64[2] now at x"),
    "text": (["a"], ["b"], "'a' then and 'b' now at x[0]"),
    "int": (2**70, 2**70 + 1, f"{2**70} then and {2**70 + 1} now at x"),
    "type": (1, 1.0, "1 then and 1.0 now at x"),
    "bool": (np.array([True]), np.array([False]), "True then and False now at x[0]"),
    "complex": (np.array([1j]), np.array([1 + 1j]), "1j then and (1+1j) now at x[0], "),
    "NaN": (np.array([np.nan]), np.array([0.0]), "nan then and 0.0 now at x[0], infinitely far"),
    "key": (KEY, ks.key(0, impl="rbg"), "key<fry>[] then and key<rbg>[] now at x"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_differences(what: str) -> None:
    """Each way to differ is told by its place and both values; equal values have none."""
    one, other, message = DIFFERENT[what]
    near = Tolerance(ulps=64)
    assert message in (first_difference(one, other, near, PAIR, "x") or "")
    for value in (one, other):
        assert first_difference(value, value, EXACT, PAIR, "x") is None
