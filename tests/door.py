"""The file that pytest loads: inside of the package in the source, beside it in a wheel."""

from pathlib import Path

import keystream as ks

_HOME = Path(ks.__file__).parent
_SOURCE = _HOME / "_audit" / "entry.py"

DOOR = _SOURCE if _SOURCE.exists() else _HOME.parent / "keystream_pytest.py"
