"""Load the pytest plugins wherever keystream is installed, without importing JAX.

An entry point that lies inside of a package imports the package, and `keystream` imports JAX:
seconds for each run of pytest that has nothing to do with keys, and before any `conftest.py`
could set what JAX reads when it is imported. So a wheel has this file once more beside the
package, as the module `keystream_pytest` (`force-include` in pyproject.toml), which loads
`keystream/_audit/plugin.py` and `keystream/testing/_plugin.py` by their paths. Those import
pytest and the standard library.

They are looked up where `import keystream` would find them, so that an editable install has
the plugins as they are edited, and a checkout in front of an installed keystream has its own.
From a checkout that isn't installed: `pytest -p keystream._audit.plugin`, which does import
JAX.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

NAME = "keystream_pytest_plugin"
TESTING = "keystream_pytest_testing"


def load(name: str, *where: str) -> ModuleType:
    """Return a plugin of the keystream that would be imported."""
    package = importlib.util.find_spec("keystream")
    folders = (package and package.submodule_search_locations) or ()
    for path in (Path(folder, *where) for folder in folders):
        spec = importlib.util.spec_from_file_location(name, path) if path.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return ModuleType(name)  # Something else is called keystream here: pytest goes on.


plugin = load(NAME, "_audit", "plugin.py")
testing = load(TESTING, "testing", "_plugin.py")
