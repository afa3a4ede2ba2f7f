"""The pytest plugin of the kit: the fixture `key`, and the switch for golden files.

It is loaded by its path, as the audit's plugin is (see `keystream/_audit/entry.py`), and
imports pytest and the standard library: JAX and keystream come with the first test that asks
for a key. From a checkout that isn't installed: `pytest -p keystream.testing._plugin`.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Generator
from typing import Any

import pytest

NAME = "keystream-key"
FRESH = "fresh"
SEED = "keystream_seed"
UPDATE = "KEYSTREAM_UPDATE_GOLDEN"
TOLD = pytest.StashKey[str]()
"""What is said of a test's key where the test fails."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, and the hooks."""
    if pluginmanager.has_plugin(NAME):
        return  # `-p keystream.testing._plugin` where keystream is installed too
    group = parser.getgroup("keystream-testing", "keys and golden files (keystream)")
    group.addoption(
        "--keystream-seed",
        metavar="SEED",
        help=f"an int, of which the fixture `key` is made; {FRESH!r} draws one (default: 0)",
    )
    group.addoption(
        "--keystream-update-golden",
        action="store_true",
        help="write the golden files whose values changed, in place of failing",
    )
    parser.addini(SEED, "what --keystream-seed is where it isn't given", default="0")
    pluginmanager.register(Plugin(), NAME)


class Plugin:
    """The hooks."""

    def __init__(self) -> None:
        self._before: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Settle the seed, once for all processes, and say what golden files are for."""
        given = config.getoption("--keystream-seed")
        given = config.getini(SEED) if given is None else given
        given = getattr(config, "workerinput", {}).get(SEED, given)
        config.option.keystream_seed = seed_of(str(given))
        self._before = os.environ.get(UPDATE)
        if config.getoption("--keystream-update-golden"):
            os.environ[UPDATE] = "1"
        if not any(map(_has_own, config.pluginmanager.get_plugins())):
            config.pluginmanager.register(Fixtures(), f"{NAME}-fixture")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give xdist's workers the seed that was settled on here."""
        node.workerinput[SEED] = str(node.config.option.keystream_seed)

    def pytest_unconfigure(self) -> None:
        """Leave the environment as it was."""
        os.environ.pop(UPDATE, None)
        if self._before is not None:
            os.environ[UPDATE] = self._before

    def pytest_report_header(self, config: pytest.Config) -> str:
        """Say the seed before anything is run."""
        return f"keystream: --keystream-seed={config.option.keystream_seed}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say with a failure how to have its key again."""
        report = yield
        told = item.stash.get(TOLD, None)
        if told and report.failed:
            report.sections.append(("key of the test", told))
        return report


class Fixtures:
    """The fixture, apart from the hooks: it isn't there where another plugin has its own."""

    @pytest.fixture
    def key(self, request: pytest.FixtureRequest) -> Any:
        """A JAX key of the test's own, the same in each run with one --keystream-seed."""
        ks = importlib.import_module("keystream")
        seed, test = request.config.option.keystream_seed, name_of(request.node)
        again = f"pytest --keystream-seed={seed} {test!r}"
        request.node.stash[TOLD] = f"key = ks.derive(ks.key({seed}), {test!r})\nagain: {again}"
        return ks.derive(ks.key(seed), test)


def seed_of(given: str) -> int:
    """Return the seed that was asked for."""
    if given == FRESH:
        return secrets.randbits(64)
    try:
        return int(given, 0)
    except ValueError:
        wanted = f"--keystream-seed must be an int or {FRESH!r}, got {given!r}."
        raise pytest.UsageError(f"{wanted} For today's date: --keystream-seed=20270131.") from None


def name_of(item: Any) -> str:
    """Return a test's name, which doesn't depend on how tests are spread over processes."""
    name: str = item.nodeid
    group = item.get_closest_marker("xdist_group")
    if group is not None:  # xdist's --dist loadgroup writes it behind the name
        of = group.args[0] if group.args else group.kwargs.get("name", "default")
        name = name.removesuffix(f"@{of}")
    return name


def _has_own(plugin: Any) -> bool:
    """Has another plugin a fixture of that name? A conftest's wins by itself, in its folder."""
    if os.path.basename(getattr(plugin, "__file__", None) or "") == "conftest.py":  # noqa: PTH119
        return False
    own = getattr(plugin, "key", None)
    return hasattr(own, "_pytestfixturefunction") or "Fixture" in type(own).__name__
