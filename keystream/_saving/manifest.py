"""What a run's numbers depend on, to save beside it and to compare with when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ManifestError,
    Words,
    error,
    summary,
)
from keystream._saving import canaries, settings
from keystream._saving.canaries import DRAWS, KEYS, Canary, Changes
from keystream._saving.settings import FORMAT, REQUIRED, SETTINGS
from keystream._seed import key
from keystream._split import derive


class Difference(NamedTuple):
    """One entry of a manifest that is another one here: what was, what is, what it changes."""

    saved: Any
    """The value in the manifest; None where it holds none."""
    now: Any
    """The value here; None where there is none."""
    changes: Changes
    """`"keys"`, `"draws"`, `"last digits"` or `"nothing"`: the most that it can change."""


# These come first: what they import makes JAX forget what it has compiled (0.12.0).
OWN = {
    'ks.derive(key, "a name")': Canary(lambda k: jax.random.key_data(derive(k, "a name")), "keys"),
    "ks.derive(key, 2**32 + 7)": Canary(
        lambda k: jax.random.key_data(derive(k, 2**32 + 7)), "keys"
    ),
    'ks.key("a seed")': Canary(lambda _: jax.random.key_data(key("a seed")), "keys"),
}
CANARIES = {**OWN, **KEYS, **DRAWS}


def manifest() -> dict[str, Any]:
    """Return a dict of what this program's numbers depend on besides its keys.

    Save it beside a run, as `json.dumps(ks.manifest())`, and hand it to `check_manifest`
    before the run goes on: another day, on another machine, after an update.

    `ks.check_manifest(json.loads(json.dumps(ks.manifest()))) == {}`

    Returns:
        A dict of str, int, float, bool, None and lists of them. It holds the format of
        the manifest; the derivation scheme; the versions of keystream, jax, jaxlib and
        numpy; the backend, the kind and number of devices, the number of processes; each
        of JAX's settings that can change a key, a draw, a default dtype or a last digit,
        and those of legacy keys, None for one that this JAX doesn't have; XLA_FLAGS,
        without those that hold a path or a device count; and *canaries*: what some
        calls make of `key = ks.key(42)` here, such as `jax.random.normal(key, (4,))`,
        by which a change is seen even if its cause isn't in the list.

    Key use:
        Consumes nothing of yours: the canaries have a key of their own.

    Guarantees:
        Nothing is remembered: each call reads the settings and draws the canaries as they
        are then and there, also within `jit`. A canary that can't be drawn is None; those
        settings under which JAX only raises more (strict promotion, `jax_debug_nans`,
        `jax_debug_key_reuse`, transfer guards, legacy keys refused) don't keep them from
        being drawn. Samplers that aren't called aren't watched. The first call compiles
        for a few seconds and starts JAX's backend; later ones take milliseconds. Each
        process has its own manifest, without communication.

    Raises:
        RuntimeError: JAX finds no device to draw on (JAX's).

    Example:
        >>> import json, keystream as ks
        >>> saved = json.dumps(ks.manifest())
        >>> json.loads(saved)["scheme"]
        1
        >>> ks.check_manifest(json.loads(saved))
        {}
    """
    return _here()


def check_manifest(manifest: Mapping[str, Any]) -> dict[str, Difference]:
    """Return what differs from a saved manifest; raise if other numbers would come.

    Call it before a saved run goes on. What it returns is for the log.

    `ks.check_manifest(ks.manifest()) == {}`

    Args:
        manifest: What `ks.manifest()` returned, as it was or through JSON: any mapping.

    Returns:
        A dict from the name of each entry that differs to a `Difference(saved, now,
        changes)`, empty if none does. `changes` is the most that such a difference can
        change: `"last digits"` or `"nothing"` in what is returned, `"keys"` or `"draws"`
        in what raises.

    Key use:
        Consumes nothing, as `manifest`.

    Guarantees:
        The number of devices and of processes never raises, nor does another version,
        backend, processor or XLA flag by itself: those can change last digits, and what
        else they change the canaries show. Canaries made of bits alone are compared
        exactly, floats to a thousandth, as other draws are far from that and other last
        digits are not; a draw that was made then and can't be made here counts as changed.
        A setting that this or that JAX doesn't have counts as JAX's usual value. A
        manifest without an entry, from an older keystream, differs in it and changes
        nothing; so does one with an entry that isn't known here, from a newer keystream
        or by your own hand; but without format, scheme or a canary there is nothing to
        trust, and it is refused.

    Raises:
        ManifestError: A difference can change keys or draws. The message names all of
            those, saved and current values, and sets what JAX can be set to.
        ArgumentTypeError: Not a mapping of str, or a value of another type than
            `manifest` writes.
        ArgumentValueError: The format, the scheme or a canary is missing, or the format
            is newer than this keystream.

    Example:
        >>> import jax, keystream as ks
        >>> saved = ks.manifest() | {"devices": 4096}
        >>> ks.check_manifest(saved)["devices"].changes
        'nothing'
        >>> with jax.enable_x64(True):
        ...     try:
        ...         ks.check_manifest(saved)
        ...     except ks.ManifestError as error:
        ...         print(str(error).rpartition(": ")[2])
        jax.config.update("jax_enable_x64", False).
    """
    saved = _checked(manifest)
    found = _differences(saved, _here())
    if any(each.changes in ("keys", "draws") for each in found.values()):
        wanted = "the keys and draws of this program"
        got = Words(_told(found))
        raise error(
            ManifestError, "check_manifest", "manifest", wanted, got, _cure(found), must="describe"
        )
    return found


def _here() -> dict[str, Any]:
    return {**settings.read(), **canaries.made(CANARIES)}


def _differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Difference]:
    found = {}
    for name in (*here, *(each for each in saved if each not in here)):
        then, now = saved.get(name), here.get(name)
        # What isn't known here is never compared: it may be anything.
        if then is not now and (name not in here or then != now):
            found[name] = Difference(then, now, _changes(name, then, now))
    return found


def _changes(name: str, saved: Any, now: Any) -> Changes:
    if name in CANARIES:
        return canaries.change(CANARIES[name], saved, now)
    return settings.change(name, saved, now)


def _checked(manifest: object) -> dict[str, Any]:
    """Return a manifest as a dict whose known entries can be compared, or refuse it."""
    if not isinstance(manifest, Mapping):
        cure = "For its text: ks.check_manifest(json.loads(manifest))."
        cure = cure if isinstance(manifest, (str, bytes)) else "To make one: ks.manifest()."
        wanted = "a dict, as ks.manifest() returns"
        raise error(ArgumentTypeError, "check_manifest", "manifest", wanted, manifest, cure)
    saved = dict(manifest)
    for name in (*REQUIRED, *CANARIES):
        if name not in saved:
            wanted, got = f"the entry {name!r}", Words("none")
            raise error(ArgumentValueError, "check_manifest", "manifest", wanted, got, must="hold")
    for name, value in saved.items():
        if not isinstance(name, str):
            wanted = "entries named by str"
            raise error(ArgumentTypeError, "check_manifest", "manifest", wanted, name, must="hold")
        if not _fits(name, value):
            wanted = f"{name!r} as ks.manifest() returns it"
            raise error(ArgumentTypeError, "check_manifest", "manifest", wanted, value, must="hold")
    if not 1 <= saved["manifest"] <= FORMAT:
        wanted, got = f"of format {FORMAT}", Words(f"format {saved['manifest']}")
        cure = "For one of this keystream: ks.manifest()."
        raise error(ArgumentValueError, "check_manifest", "manifest", wanted, got, cure)
    return saved


def _fits(name: str, value: Any) -> bool:
    if name not in CANARIES:
        return settings.fits(name, value)
    numbers = type(value) is list and all(type(each) in (int, float) for each in value)
    # Larger ones can't be compared with floats, nor be drawn.
    return value is None or (numbers and all(type(n) is float or abs(n) < 2**64 for n in value))


_WORDS = {"keys": "other keys", "draws": "other draws", "last digits": "perhaps other last digits"}


def _told(found: Mapping[str, Difference]) -> str:
    parts = []
    for changes, words in _WORDS.items():
        several = [
            f"{name} (saved {_shown(saved)}, now {_shown(now)})"
            for name, (saved, now, does) in found.items()
            if does == changes and not (changes == "last digits" and name in CANARIES)
        ]
        parts += [f"{words} by {', '.join(several)}"] if several else []
    return "; ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) <= _SHOWN:
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.9g}" if isinstance(value, float) else summary(value)


_SHOWN = 16


def _cure(found: Mapping[str, Difference]) -> str:
    updates = [
        f'jax.config.update("{name}", {_literal(SETTINGS[name].usual if saved is None else saved)})'
        for name, (saved, now, changes) in found.items()
        if name in SETTINGS and changes in ("keys", "draws") and now is not None
    ]
    if updates:
        return f"For what was saved: {'; '.join(updates)}."
    return "To go on with the numbers of here: manifest = ks.manifest()."


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
