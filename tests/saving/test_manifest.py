"""The manifest: what differs is found, and raises exactly where numbers can change."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import keystream as ks
from keystream._saving import canaries, manifest, settings

pytestmark = pytest.mark.fast

SAVED = sorted((Path(__file__).parent / "saved").glob("manifest-*.json"))
NORMAL = "jax.random.normal(key, (4,))"
UNIFORM = "jax.random.uniform(key, (4,))"
PLACES = {"devices", "processes"}
VERSIONS = {"keystream", "jax", "jaxlib", "numpy"}
# What each setting changes; the canaries that must notice, beside the entry itself.
OTHER_SETTINGS: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "jax_default_prng_impl": ("rbg", "keys", ("jax.random.key(42)",)),
    "jax_random_seed_offset": (17, "keys", ("jax.random.key(42)",)),
    "jax_threefry_partitionable": (False, "keys", ("jax.random.split(key)", NORMAL)),
    "jax_enable_x64": (True, "keys", ("jax.random.key(2**32 + 42)", "default dtypes", NORMAL)),
    "jax_explicit_x64_dtypes": ("allow", "draws", ()),
    "jax_high_dynamic_range_gumbel": (True, "draws", ("jax.random.gumbel(key, (4,))",)),
    "jax_accurate_erf_inv": (True, "last digits", ()),
    "jax_default_matmul_precision": ("highest", "last digits", ()),
    "jax_disable_jit": (True, "last digits", ()),
    "jax_disable_most_optimizations": (True, "last digits", ()),
    "jax_legacy_prng_key": ("error", "nothing", ()),
    "jax_enable_custom_prng": (True, "nothing", ()),
}
LACKING = set() if hasattr(jax.config, "jax_accurate_erf_inv") else {"jax_accurate_erf_inv"}
HARMLESS: dict[str, Any] = {
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_debug_key_reuse": True,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_check_tracer_leaks": True,
    "jax_enable_checks": True,
    "jax_transfer_guard": "disallow_explicit",
    "jax_legacy_prng_key": "error",
}


@contextlib.contextmanager
def setting(name: str, value: Any) -> Iterator[None]:
    """Change one of JAX's settings for a while, of those too that aren't attributes."""
    before = settings.SETTINGS[name].read(name) if name in settings.SETTINGS else None
    before = getattr(jax.config, name) if before is None else before
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def told(saved: Any) -> str:
    """Return what `check_manifest` raises with."""
    with pytest.raises(ks.ManifestError) as caught:
        ks.check_manifest(saved)
    return str(caught.value)


def cures(message: str) -> list[str]:
    """Return the settings that a message sets."""
    return re.findall(r'jax\.config\.update\("(\w+)"', message)


def test_same_here() -> None:
    """A manifest agrees with itself, and so does what came through JSON or another mapping."""
    saved = ks.manifest()
    assert json.loads(json.dumps(saved)) == saved
    for form in (saved, json.loads(json.dumps(saved)), types.MappingProxyType(saved)):
        assert ks.check_manifest(form) == {}
    assert ks.check_manifest(collections.ChainMap({}, saved)) == {}


@pytest.mark.slow
def test_every_canary_is_drawn() -> None:
    """No canary is missing, and each is what its name says when it is called."""
    saved = ks.manifest()
    scope = {"jax": jax, "jnp": jax.numpy, "ks": ks, "key": ks.key(42)}
    for name in manifest.CANARIES:
        value = eval(name, scope)
        value = jax.random.key_data(value) if "key<" in str(value.dtype) else value
        wanted = np.ravel(np.asarray(value)).astype(saved[name] and type(saved[name][0]))
        assert saved[name] == wanted.tolist(), name


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_setting(name: str) -> None:
    """A changed setting is reported with what it changes; keys and draws raise, with the cure."""
    value, changes, canaries = OTHER_SETTINGS[name]
    saved = ks.manifest()
    if name in LACKING:
        assert saved[name] is None
        # A JAX with the setting, set, saved what this one can't repeat or needn't.
        assert ks.check_manifest(saved | {name: value}) == {name: (value, None, changes)}
        return
    with setting(name, value):
        if changes in ("keys", "draws"):
            message = told(saved)
            assert cures(message) == [name]
            for entry in (name, *canaries):
                assert f"{entry} (saved " in message
        else:
            found = ks.check_manifest(saved)
            assert found.pop(name) == (saved[name], ks.manifest()[name], changes)
            assert {each.changes for each in found.values()} <= {"last digits"}


def test_every_setting_is_tried() -> None:
    """The table above holds each setting of the manifest, with its effect."""
    listed = {name: changes for name, (_, changes, _) in OTHER_SETTINGS.items()}
    known = {name: each.changes for name, each in settings.SETTINGS.items()}
    assert listed | {"XLA_FLAGS": "last digits"} == known


@pytest.mark.parametrize(
    "names",
    [
        tuple(HARMLESS),
        *(pytest.param((name,), marks=pytest.mark.slow, id=name) for name in HARMLESS),
    ],
    ids="+".join,
)
def test_settings_that_raise_elsewhere(names: tuple[str, ...]) -> None:
    """Settings under which JAX raises more keep no canary from being drawn, and change none."""
    saved = ks.manifest()
    with contextlib.ExitStack() as on:
        for name in names:
            on.enter_context(setting(name, HARMLESS[name]))
        found = ks.check_manifest(saved)
    assert set(found) <= set(names)


def test_cure_cures() -> None:
    """What the message says sets back every setting, and then nothing differs."""
    with setting("jax_random_seed_offset", 17), setting("jax_default_prng_impl", "rbg"):
        saved = ks.manifest()
    message = told(saved)
    code = message.rpartition("For what was saved: ")[2].removesuffix(".")
    with setting("jax_random_seed_offset", 0), setting("jax_default_prng_impl", "threefry2x32"):
        exec(code, {"jax": jax})
        assert ks.check_manifest(saved) == {}
    assert ks.check_manifest(ks.manifest()) == {}


@pytest.mark.slow
def test_under_transforms() -> None:
    """While something is traced, and with a mesh in context, the manifest is the same."""
    saved = ks.manifest()
    found = []

    def fun(x: jax.Array) -> jax.Array:
        found.append(ks.check_manifest(saved))
        return x

    jax.jit(fun)(1.0)
    jax.vmap(fun)(np.arange(2.0))
    with jax.set_mesh(jax.make_mesh((8,), ("data",))):
        found.append(ks.check_manifest(saved))
    assert found == [{}, {}, {}]


@pytest.mark.parametrize("name", ["devices", "processes"])
def test_places_never_raise(name: str) -> None:
    """Another number of devices or processes is reported, changes nothing and raises nothing."""
    saved = ks.manifest()
    found = ks.check_manifest(saved | {name: 4096})
    assert found == {name: ks.Difference(4096, saved[name], "nothing")}


@pytest.mark.parametrize("name", ["jax", "jaxlib", "numpy", "backend", "device kind", "XLA_FLAGS"])
def test_versions_alone_do_not_raise(name: str) -> None:
    """Another version, backend or flag is reported and raises nothing by itself."""
    saved = ks.manifest()
    ((entry, found),) = ks.check_manifest(saved | {name: "another"}).items()
    assert (entry, found.saved, found.now) == (name, "another", saved[name])
    assert found.changes in ("last digits", "nothing")


def test_version_of_a_changed_draw() -> None:
    """Where a canary raises, the message says which versions differ as well."""
    saved = ks.manifest() | {"jax": "0.9.9", NORMAL: [0.5, 0.25, 1.0, 2.0]}
    message = told(saved)
    assert f"other draws by {NORMAL} (saved [0.5, 0.25, 1.0, 2.0], now [" in message
    assert f"; perhaps other last digits by jax (saved '0.9.9', now '{jax.__version__}')" in message
    assert message.endswith(" To go on with the numbers of here: manifest = ks.manifest().")


def test_scheme_raises() -> None:
    """Another derivation scheme is another set of keys."""
    assert "other keys by scheme (saved 2, now 1)" in told(ks.manifest() | {"scheme": 2})


# Planted faulty: samplers and keys that aren't what they were, with nothing else changed.


def nudged(function: Any, change: Any) -> Any:
    """Return a sampler that changes what another one draws."""
    return lambda *args, **kwargs: change(function(*args, **kwargs))


FAULTY = {
    "normal": lambda x: -x,
    "uniform": lambda x: x + np.float32(2**-23),
    "bits": lambda x: x ^ np.uint32(1),
    "randint": lambda x: x[::-1],
    "gamma": lambda x: x.at[3].add(0.02),
    "categorical": lambda x: x.at[0].add(1),
    "exponential": lambda x: x[:3],
    "gumbel": lambda x: x * np.nan,
}


@pytest.mark.parametrize("name", FAULTY)
def test_changed_sampler_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler that draws otherwise raises although no setting and no version differs."""
    saved = ks.manifest()
    monkeypatch.setattr(jax.random, name, nudged(getattr(jax.random, name), FAULTY[name]))
    message = told(saved)
    assert f"other draws by jax.random.{name}(key" in message
    assert not cures(message)


@pytest.mark.parametrize("name", ["split", "fold_in", "key"])
def test_changed_key_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another split, fold or seeding raises."""
    saved = ks.manifest()
    real = getattr(jax.random, name)
    monkeypatch.setattr(jax.random, name, lambda key, *data: real(key, *data[1:] or (3,)))
    if name == "key":
        monkeypatch.setattr(jax.random, name, lambda seed: real(seed + 1))
    assert f"other keys by jax.random.{name}(" in told(saved)


def test_changed_derivation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another derivation of a name raises."""
    saved = ks.manifest()
    monkeypatch.setattr(manifest, "derive", lambda key, part: ks.derive(key, part, 0))
    message = told(saved)
    assert 'other keys by ks.derive(key, "a name") (saved ' in message
    assert "ks.derive(key, 2**32 + 7) (saved " in message


def test_last_digits_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A float that moved by less than the tolerance is reported as last digits."""
    saved = ks.manifest()
    moved = nudged(jax.random.normal, lambda x: x * np.float32(1 + 3e-7))
    monkeypatch.setattr(jax.random, "normal", moved)
    found = ks.check_manifest(saved)
    assert set(found) == {NORMAL}
    assert found[NORMAL].changes == "last digits"


def test_failing_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler that raises is recorded as None; it raises where it drew before, not after."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    saved = ks.manifest()
    monkeypatch.setattr(jax.random, "normal", fail)
    broken = ks.manifest()
    assert broken == saved | {NORMAL: None}
    assert ks.check_manifest(broken) == {}
    assert f"other draws by {NORMAL} (saved [" in told(saved)
    monkeypatch.undo()
    assert ks.check_manifest(broken) == {NORMAL: (None, saved[NORMAL], "nothing")}


# Manifests of other keystreams, and of other hands.


@pytest.mark.parametrize("page", SAVED, ids=lambda page: page.stem)
def test_old_manifests(page: Path) -> None:
    """Manifests frozen with each JAX differ here in versions, places and new settings only."""
    saved = json.loads(page.read_text())
    found = ks.check_manifest(saved)
    inexact = {name for name, each in manifest.CANARIES.items() if not each.exact}
    assert {n: each.changes for n, each in found.items() if n in inexact} == dict.fromkeys(
        inexact & set(found), "last digits"
    )
    assert page.stem == f"manifest-{saved['jax']}"
    assert ("jax" in found) == (jax.__version__ != saved["jax"])
    known = saved["jax_accurate_erf_inv"] is not None
    assert ("jax_accurate_erf_inv" in found) == (known == bool(LACKING))
    rest = set(found) - inexact - PLACES - VERSIONS
    assert rest <= {"jax_accurate_erf_inv", "XLA_FLAGS"}
    assert "devices" in found
    if "jax_accurate_erf_inv" in found:
        assert found["jax_accurate_erf_inv"].changes == "nothing"


def test_old_manifests_are_there() -> None:
    """There is one of each JAX that is supported."""
    assert {page.stem for page in SAVED} >= {"manifest-0.10.2", "manifest-0.12.0.1"}


def test_damaged_old_manifest_is_found() -> None:
    """A frozen manifest with one number changed raises."""
    for page in SAVED:
        saved = json.loads(page.read_text())
        saved[UNIFORM][2] += 2**-24
        assert f"other draws by {UNIFORM} (" in told(saved)


def test_entries_of_another_keystream() -> None:
    """An entry that lacks, or isn't known here, differs and changes nothing; none is guessed."""
    saved = ks.manifest()
    extra = saved | {"jax_of_tomorrow": 3, "note": np.arange(3), "empty": None}
    found = ks.check_manifest(extra)
    assert set(found) == {"jax_of_tomorrow", "note"}
    assert found["jax_of_tomorrow"] == (3, None, "nothing")
    for name in set(saved) - set(manifest.CANARIES) - set(settings.REQUIRED):
        here = saved[name]
        found = ks.check_manifest({n: v for n, v in saved.items() if n != name})
        assert found == ({name: (None, here, "nothing")} if here is not None else {}), name


def test_missing_setting_counts_as_usual() -> None:
    """A manifest without a setting that is unusual here raises: then it was the usual one."""
    saved = ks.manifest()
    del saved["jax_random_seed_offset"]
    with setting("jax_random_seed_offset", 17):
        message = told(saved)
    assert "jax_random_seed_offset (saved None, now 17)" in message
    assert message.endswith('For what was saved: jax.config.update("jax_random_seed_offset", 0).')


@pytest.mark.parametrize("name", sorted({"manifest", "scheme", *manifest.CANARIES}))
def test_missing_entry_is_refused(name: str) -> None:
    """Without its format, its scheme or a canary a manifest shows nothing, and is refused."""
    saved = ks.manifest()
    del saved[name]
    with pytest.raises(ks.ArgumentValueError, match=re.escape(f"the entry {name!r}")):
        ks.check_manifest(saved)


WRONG: tuple[Any, ...] = (object(), {}, "text", b"x", 1.5, 7, True, [[1]], ["a"], [None], (1, 2))


@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_wrong_types(value: Any) -> None:
    """Whatever stands in an entry, it is our error or a difference, never one of Python's."""
    saved = ks.manifest()
    for name in saved:
        try:
            found = ks.check_manifest(saved | {name: value})
        except (ks.ManifestError, ks.ArgumentTypeError, ks.ArgumentValueError) as error:
            assert name in str(error) or "of format" in str(error)  # noqa: PT017 - or no error
        else:
            assert set(found) == ({name} if value != saved[name] else set())


def test_cut_file() -> None:
    """A file without its last lines, mended into JSON again, is refused."""
    saved = list(ks.manifest().items())
    for length in range(len(saved)):
        with pytest.raises(ks.ArgumentValueError, match="must hold the entry"):
            ks.check_manifest(dict(saved[:length]))


@pytest.mark.slow
def test_in_another_process() -> None:
    """Two devices in a process of its own: the same canaries."""
    program = "import json, keystream as ks; print(json.dumps(ks.manifest()))"
    made = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = ks.check_manifest(json.loads(made.stdout))
    assert found["devices"] == (2, 8, "nothing")
    assert {each.changes for each in found.values()} <= {"nothing", "last digits"}


def test_flags_without_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA flags are recorded, without those that hold a path or count devices."""
    flags = "--xla_cpu_max_isa=AVX --xla_dump_to=/a/b --xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert ks.manifest()["XLA_FLAGS"] == "--xla_cpu_max_isa=AVX"


def test_tolerance() -> None:
    """The tolerance is wide for last digits and narrow for another draw: both ways by far."""
    canary = canaries.CANARIES[NORMAL]
    saved = ks.manifest()[NORMAL]
    assert canary.change(saved, [x + 1e-5 for x in saved]) == "last digits"
    others = np.asarray(jax.random.normal(ks.key(43), (200, 4))).tolist()
    assert {canary.change(saved, other) for other in others} == {"draws"}


def test_names_are_sorted_into_kinds() -> None:
    """No name is two things, and every change has one of the four names."""
    groups = (settings.FACTS, settings.SETTINGS, manifest.CANARIES)
    names = [name for group in groups for name in group]
    assert len(names) == len(set(names))
    assert list(ks.manifest()) == names
    kinds = {each.changes for group in groups for each in group.values()}
    assert kinds <= {"keys", "draws", "last digits", "nothing"}
