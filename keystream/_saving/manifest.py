"""Record what a run's numbers depend on, and compare: `manifest`, `check_manifest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keystream._deriving.derive import derive
from keystream._deriving.seed import key
from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ManifestError,
    Phrase,
    error,
    public,
    summary,
)
from keystream._saving import canaries
from keystream._saving.canaries import Canary, Changes, draw
from keystream._saving.settings import FACTS, FORMAT, REQUIRED, SETTINGS, Fact, Setting


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
    'ks.derive(key, "a name")': Canary(lambda k: derive(k, "a name"), "keys"),
    "ks.derive(key, 2**32 + 7)": Canary(lambda k: derive(k, 2**32 + 7), "keys"),
    'ks.key("a seed")': Canary(lambda _: key("a seed"), "keys"),
}
CANARIES = {**OWN, **canaries.CANARIES}
READ: dict[str, Fact | Setting] = {**FACTS, **SETTINGS}
ENTRIES: dict[str, Fact | Setting | Canary] = {**READ, **CANARIES}


@public
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


@public
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
        Consumes nothing of yours: the canaries have a key of their own.

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
        ArgumentTypeError: Not a mapping, or a value of another type than `manifest`
            writes.
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
    saved = _check(manifest)
    found = _differences(saved, _here())
    if any(each.changes in ("keys", "draws") for each in found.values()):
        wanted = "the keys and draws of this program"
        got = Phrase(_describe(found))
        raise error(ManifestError, "manifest", wanted, got, _cure(found), must="describe")
    return found


def _here() -> dict[str, Any]:
    return {**{name: entry.read(name) for name, entry in READ.items()}, **draw(CANARIES)}


def _differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Difference]:
    found = {}
    for name, entry in ENTRIES.items():
        then, now = saved.get(name), here[name]
        if then != now:
            found[name] = Difference(then, now, entry.change(then, now))
    # What isn't known here is never compared: it may be anything.
    unknown = [name for name in saved if name not in ENTRIES and saved[name] is not None]
    return found | {name: Difference(saved[name], None, "nothing") for name in unknown}


def _check(manifest: object) -> dict[str, Any]:
    """Return a manifest as a dict whose known entries can be compared, or refuse it."""
    if not isinstance(manifest, Mapping):
        wanted = "a dict, as ks.manifest() returns"
        cure = "For its text: ks.check_manifest(json.loads(manifest))."
        raise error(ArgumentTypeError, "manifest", wanted, manifest, cure)
    for name in (*REQUIRED, *CANARIES):
        if name not in manifest:
            wanted, got = f"the entry {name!r}", Phrase("none")
            raise error(ArgumentValueError, "manifest", wanted, got, must="hold")
    for name, value in manifest.items():
        if name in ENTRIES and not ENTRIES[name].fits(value):
            wanted = f"{name!r} as ks.manifest() returns it"
            raise error(ArgumentTypeError, "manifest", wanted, value, must="hold")
    if not 1 <= manifest["manifest"] <= FORMAT:
        wanted, got = f"of format {FORMAT}", Phrase(f"format {manifest['manifest']}")
        cure = "For one of this keystream: ks.manifest()."
        raise error(ArgumentValueError, "manifest", wanted, got, cure)
    return dict(manifest)


_WORDS = {"keys": "other keys", "draws": "other draws", "last digits": "perhaps other last digits"}


def _describe(found: Mapping[str, Difference]) -> str:
    parts = []
    for changes, words in _WORDS.items():
        several = [
            f"{name} (saved {summary(saved)}, now {summary(now)})"
            for name, (saved, now, does) in found.items()
            if does == changes and not (changes == "last digits" and name in CANARIES)
        ]
        parts += [f"{words} by {', '.join(several)}"] if several else []
    return "; ".join(parts)


def _cure(found: Mapping[str, Difference]) -> str:
    updates = [
        f'jax.config.update("{name}", {SETTINGS[name].usual if saved is None else saved!r})'
        for name, (saved, now, changes) in found.items()
        if name in SETTINGS and changes in ("keys", "draws") and now is not None
    ]
    if updates:
        return f"For what was saved: {'; '.join(updates)}."
    return "To go on with the numbers of here: manifest = ks.manifest()."
