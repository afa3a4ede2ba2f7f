"""Eight simulated devices, quiet and repeatable hypothesis; before JAX starts a backend."""

import importlib.util
from collections.abc import Iterator

import jax
import pytest
from hypothesis import HealthCheck, settings

import keystream as ks
from keystream._audit import failures
from keystream._speed import forms as _forms
from tests import versions

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

settings.register_profile(
    "laws",
    deadline=None,  # the first example of a shape compiles
    derandomize=True,  # a red gate is red again
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("laws")


NEEDS = {
    "audit/test_libraries.py": "flax",
    "interop/test_neighbors.py": "equinox",
    "docs/test_site.py": "myst_nb",
    "docs/test_audited_libraries.py": "blackjax",
    "docs/test_examples.py": "sklearn",
}
"""Files that nothing of is run without another extra: what tells whether it is installed."""

collect_ignore = [file for file, name in NEEDS.items() if not importlib.util.find_spec(name)]


def pytest_report_header() -> str | None:
    """Say which files are left out."""
    return f"left out, for want of extras: {', '.join(collect_ignore)}" if collect_ignore else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take one option of our own."""
    parser.addoption("--accelerate", action="store_true", help="run with ks.accelerate() on")


def pytest_configure(config: pytest.Config) -> None:
    """Switch acceleration on before anything is compiled."""
    if config.getoption("--accelerate"):
        _forms._pays = lambda *_, **__: True  # small draws too, of which the tests are full
        assert ks.accelerate(), "there is nothing to accelerate in this version of JAX"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what this version of JAX doesn't have."""
    versions.leave_out(items)


@pytest.fixture(scope="session", autouse=True)
def eight_devices() -> None:
    """Multi-device tests really run on eight devices, or not at all."""
    assert jax.device_count() == 8


@pytest.fixture(scope="session", autouse=True)
def see_failures() -> None:
    """What fails in the audit is raised, where a user would be told that it wasn't looked at."""
    failures.CAUGHT = ()


@pytest.fixture(scope="module", autouse=True)
def free_programs() -> Iterator[None]:
    """What a module has compiled is dropped where it ends: all of it at once takes gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def as_switched(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does with the switch, the next one finds it as it was asked for."""
    yield
    ks.accelerate(request.config.getoption("--accelerate"))
