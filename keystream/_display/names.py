"""List the names of a package, and suggest one for a name that it doesn't have.

`keystream`, `keystream.testing` and `keystream.interop` end with what `name_functions` returns.
A type checker doesn't see it: to it, a module with a `__getattr__` has every name.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from keystream._errors import UnknownNameError, complete, error

PARTS = ("host", "interop", "testing")
"""What is public of keystream and imported by its own name."""

EXTENSION = ("load_ipython_extension", "unload_ipython_extension")
"""What IPython asks keystream for, and nobody else."""


def name_functions(
    package: str, later: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    `later` is a module whose names are the package's, too, once one of them is asked for.
    """

    def find(name: str) -> Any:
        if name == "__all__":
            return listed()
        if package == "keystream" and name == "__version__":
            return version()
        if package == "keystream" and name in EXTENSION:
            from keystream._display import ipython  # noqa: PLC0415 - nobody else needs it

            return getattr(ipython, name)
        if name.startswith("_"):  # Python's own tools ask for many, and expect no story.
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        known = [] if name in PARTS else listed()  # `from keystream import host` asks first
        if name in known:
            return vars(sys.modules[package])[name]
        raise _unknown(package, name, known)

    def listed() -> list[str]:
        if later:
            _add_names(sys.modules[package], importlib.import_module(later))
        return names(package)

    return find, listed


def _add_names(package: ModuleType, module: ModuleType) -> None:
    for name, value in vars(module).items():
        if not name.startswith("_"):
            vars(package).setdefault(name, value)


def names(package: str) -> list[str]:
    """Return the public names of a package that is imported."""
    return sorted(
        name
        for name, value in list(vars(sys.modules[package]).items())  # others may import
        if not name.startswith("_") and (name in PARTS or not isinstance(value, ModuleType))
    )


def version() -> str:
    """Return the version of keystream that is installed, or what there is to say instead."""
    try:
        return importlib.metadata.version("keystream")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


_KEY = "To make a key: ks.key(42)."
_CHILD = "For a child by number or name: ks.derive(key, 3)."
_SPLIT = "To split a key: ks.split(key, 3)."
_KEYS = "For an array of keys: ks.keys(key, 3)."
_STREAM = "For keys in order, as a value to pass on: ks.Stream(ks.key(42))."
_STREAMS = "For such streams by name: ks.Streams(ks.key(42), ('params', 'dropout'))."
_NEXT = "For the next one of a stream: key, stream = ks.Stream(key).next()."
_SAVE = "As a text: ks.dumps(key). As arrays: ks.to_words(key)."
_LOAD = "From the text of ks.dumps: ks.loads(ks.dumps(key))."
_AUDIT = "To find a key that is used twice: ks.audit(fun, key)."

CURES = {
    **dict.fromkeys(("PRNGKey", "prng_key", "make_key", "new_key", "random_key"), _KEY),
    **dict.fromkeys(("seed", "set_seed", "manual_seed", "random_seed"), _KEY),
    **dict.fromkeys(("fold_in", "fold", "child", "subkey", "named"), _CHILD),
    **dict.fromkeys(("random_split", "split_key", "split_keys"), _SPLIT),
    **dict.fromkeys(("split_n", "subkeys", "spawn", "fork", "key_array"), _KEYS),
    **dict.fromkeys(("default_rng", "Generator", "RandomState", "Random", "RNG"), _STREAM),
    **dict.fromkeys(("Rngs", "rngs", "RngStream", "RngStreams"), _STREAMS),
    **dict.fromkeys(("PRNGSequence", "KeySequence"), "To iterate: ks.iter_keys(ks.key(42))."),
    **dict.fromkeys(("next_key", "next_rng_key", "get_key", "make_rng", "next"), _NEXT),
    **dict.fromkeys(("save", "dump", "serialize", "to_json"), _SAVE),
    **dict.fromkeys(("load", "restore", "deserialize", "from_json"), _LOAD),
    **dict.fromkeys(("check", "lint", "check_reuse", "debug_key_reuse"), _AUDIT),
    "version": "For it: ks.__version__.",
    "random": "It is JAX's: jax.random.",
}
"""By the names of jax.random, NumPy, flax, haiku and torch."""


def _unknown(package: str, name: str, known: Iterable[str]) -> UnknownNameError:
    wanted = f"one that dir({package}) lists"
    raised = error(UnknownNameError, "name", wanted, name, _cure(package, name, known))
    # Told its name, Python adds no proposal of its own behind ours.
    raised.name = name
    return complete(raised, package)


def _cure(package: str, name: str, known: Iterable[str]) -> str:
    if package == "keystream":
        short = "ks"
        cure = CURES.get(name) or _respelt(name) or _part(name) or _alike(name, known, short)
    else:
        short = package.rpartition(".")[2]
        cure = _alike(name, known, short) or _alike(name, names("keystream"), "ks")
    return cure or _jax(name) or f"For all that there are: dir({short})."


def _respelt(name: str) -> str:
    """Return the cure of a name that differs by its underscores and capitals alone."""
    plain = {known.replace("_", "").lower(): cure for known, cure in CURES.items()}
    return plain.get(name.replace("_", "").lower(), "")


def _part(name: str) -> str:
    there = name in PARTS and importlib.util.find_spec(f"keystream.{name}")
    return f"To have it: import keystream.{name}." if there else ""


def _alike(name: str, known: Iterable[str], short: str) -> str:
    """Propose the nearest name: of two that are as near, one that differs by capitals alone."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, 1, 0.7)
    return f"Did you mean: {short}.{by_lower[near[0]]}?" if near else ""


def _jax(name: str) -> str:
    jax = sys.modules.get("jax")  # not imported for a proposal
    if jax is None:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names, which nobody has written
        for module in (jax.random, jax, jax.lax, jax.numpy):
            if not isinstance(getattr(module, name, module), ModuleType):
                return f"It is JAX's: {module.__name__}.{name}."
    return ""
