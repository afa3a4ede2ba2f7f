"""What pytest loads wherever keystream is installed: the way to the plugin, without JAX.

An entry point that lies inside of a package imports the package, and `keystream` imports JAX:
seconds for each run of pytest that has nothing to do with keys, and before any `conftest.py`
could set what JAX reads when it is imported. So a wheel has this file once more beside the
package, as the module `keystream_pytest` (`force-include` in pyproject.toml), which loads
`keystream/_audit/plugin.py` by its path. That one imports pytest and the standard library.

It is looked up where `import keystream` would find it, so that an editable install has the
plugin as it is edited, and a checkout in front of an installed keystream has its own. From a
checkout that isn't installed: `pytest -p keystream._audit.plugin`, which does import JAX.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

NAME = "keystream_pytest_plugin"


def load() -> ModuleType:
    """Return the plugin of the keystream that would be imported."""
    package = importlib.util.find_spec("keystream")
    folders = (package and package.submodule_search_locations) or ()
    for path in (Path(folder, "_audit", "plugin.py") for folder in folders):
        spec = importlib.util.spec_from_file_location(NAME, path) if path.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return ModuleType(NAME)  # Something else is called keystream here: pytest goes on.


plugin = load()
