"""Check numbers against a golden file, and say what changed since it was written."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError, ManifestError
from keystream._errors import Phrase, error, public, summary
from keystream.testing import _arguments
from keystream.testing._checks import golden_file
from keystream.testing._compare import by_path, first_by_path
from keystream.testing._failures import GoldenError

__tracebackhide__ = True  # pytest shows the line that calls the check

CHECK = "check_golden"
SWITCH = "KEYSTREAM_UPDATE_GOLDEN"
"""The environment variable that the pytest option sets."""

FOLDER = "golden"
_NAME = re.compile(r"\w[\w.\-]*(/\w[\w.\-]*)*")
_UPDATE = "To take the new value: pytest --keystream-update-golden."
_FIRST = "To write it: pytest --keystream-update-golden."


@public
def check_golden(
    name: str,
    value: Any,
    /,
    *,
    path: str | os.PathLike[str] | None = None,
    update: bool | None = None,
    ulps: float = _arguments.ULPS,
    atol: float = 0.0,
    exact: bool = False,
) -> None:
    """Raise unless a value is the one in its golden file; say what changed it.

    Reach for it where numbers should stay what they are from release to release, and on
    every machine: the first draws of a sampler, a loss after ten steps. Where the numbers of
    two runs of today are compared, `check_reproducible` and its siblings need no file.

    `value == json.load(file)["leaves"]`, and with it lies `ks.manifest()`.

    Args:
        name: Of the file, without `.json`: letters, digits, `_`, `-`, `.`, and `/` for
            folders. One name for each value in a folder.
        value: Any pytree of arrays, keys, streams, Python numbers and str; at most 100,000
            values.
        path: The folder of the golden files. If not given, `golden` beside the file of
            whoever calls.
        update: Write the value down where it isn't what the file holds, or where there is
            no file, in place of raising. If not given, as the environment variable
            `KEYSTREAM_UPDATE_GOLDEN` says, which `pytest --keystream-update-golden` sets.
        ulps: How many floats may lie between a float and the one in the file.
        atol: Floats that are as near as this also pass.
        exact: Floats must be those of the file bit for bit.

    Key use:
        Consumes nothing: a key in the value is written down as its words, so that who has
        the file has the key.

    Guarantees:
        Keys, bits, integers, bools and str must be equal; dtypes and shapes too. Floats
        are stored without loss. A file is JSON, one value a line, written whole or not at
        all, and never without being asked; an update leaves files alone whose values still
        pass. When a value differs, each setting that differs from the file's
        manifest is tried by itself with `ks.check_manifest`: those that change keys or
        draws are named with the line that sets them back, then the draws of JAX itself that
        changed, then what can change last digits; or the program is all that is left.

    Raises:
        GoldenError: Another value, no file, or a file that can't be read.
        ArgumentTypeError: A name or path of another type, or a value that can't be stored.
        ArgumentValueError: A name that isn't one, too many values, or a tolerance below zero.

    Example:
        >>> import jax, tempfile, keystream as ks
        >>> from keystream import testing
        >>> folder = tempfile.mkdtemp()
        >>> bits = jax.random.bits(ks.key(0), (3,))
        >>> testing.check_golden("bits", bits, path=folder, update=True)
        >>> testing.check_golden("bits", bits, path=folder, update=False)
        >>> try:
        ...     testing.check_golden("bits", bits + 1, path=folder, update=False)
        ... except testing.GoldenError as error:
        ...     print("the program changed" in str(error))
        True
    """
    # The frame is the caller's: what is found beside its file doesn't depend on who runs it.
    beside = sys._getframe(1).f_globals.get("__file__") if path is None else None
    file = _file(name, path, beside)
    near = _arguments.tolerance(ulps, atol, exact)
    if update is not None and not isinstance(update, bool):
        raise error(ArgumentTypeError, "update", "True, False or None", update)
    wanted = os.environ.get(SWITCH, "0") not in ("", "0") if update is None else update
    leaves = golden_file.encode(value)
    if not file.exists():
        if wanted:
            return golden_file.write(file, name, leaves)
        got = Phrase(f"none at {file}")
        raise error(GoldenError, "value", "a golden file", got, _FIRST, must="have")

    try:
        held, manifest = golden_file.read(file)
    except GoldenError:
        if wanted:
            return golden_file.write(file, name, leaves)
        raise
    told = first_by_path(held, by_path(value), near, ("in the file", "now"), "value")
    if told is None:
        return None
    if wanted:
        return golden_file.write(file, name, leaves)
    cure = f"{cause(manifest)} {_UPDATE}"
    raise error(GoldenError, "value", f"what {file} holds", Phrase(told), cure)


def _file(name: Any, path: Any, beside: str | None) -> Path:
    if not isinstance(name, str):
        raise error(ArgumentTypeError, "name", "a str", name)
    if not _NAME.fullmatch(name):
        wanted = "letters, digits, '_', '-' and '.', in folders by '/'"
        raise error(ArgumentValueError, "name", wanted, name)
    if path is None and beside is None:
        cure = 'For a folder here: path="golden".'
        wanted = "given where the caller is no file"
        raise error(ArgumentTypeError, "path", wanted, None, cure)
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise error(ArgumentTypeError, "path", "the name of a folder", path)
    folder = Path(path) if path is not None else Path(str(beside)).parent / FOLDER
    return folder / f"{name}.json"


def cause(saved: dict[str, Any]) -> str:
    """Say what of a manifest is another one here, and changes numbers."""
    here = ks.manifest()
    try:
        ks.check_manifest({**here, "manifest": saved.get("manifest")})
        names = [name for name in here if name in saved and saved[name] != here[name]]
    except ks.KeystreamError as raised:
        return f"Its manifest can't be read: {raised}"
    kinds = {name: _change(here, name, saved[name]) for name in names}
    settings = [name for name in names if kinds[name] == "numbers" and not _is_canary(here, name)]
    draws = [name for name in names if kinds[name] == "numbers" and _is_canary(here, name)]
    digits = [name for name in names if kinds[name] == "last digits" and not _is_canary(here, name)]
    if settings:
        of_jax = [name for name in settings if name.startswith("jax_")]
        sets = "; ".join(f'jax.config.update("{name}", {saved[name]!r})' for name in of_jax)
        back = f". To set it back: {sets}" if sets else ""
        return f"What changed the numbers is {_list_names(settings, saved, here)}{back}."
    perhaps = _list_names(digits, saved, here)
    if draws:
        with_it = f", perhaps by {perhaps}" if digits else ""
        return f"JAX's own draws changed, of {', '.join(draws)}{with_it}."
    if digits:
        return f"Last digits may differ by {perhaps}; beyond them, the program changed the numbers."
    return "No setting or version that changes numbers has changed, so the program changed them."


def _change(here: dict[str, Any], name: str, saved: Any) -> str:
    """Return what one entry by itself changes, as `ks.check_manifest` says it."""
    try:
        found = ks.check_manifest({**here, name: saved})
    except ManifestError:
        return "numbers"
    return found[name].changes if name in found else "nothing"


def _is_canary(here: dict[str, Any], name: str) -> bool:
    return isinstance(here[name], list)  # draws, and the default dtypes that settings make


def _list_names(names: list[str], saved: dict[str, Any], here: dict[str, Any]) -> str:
    told = [f"{name} (then {summary(saved[name])}, now {summary(here[name])})" for name in names]
    return ", ".join(told)
