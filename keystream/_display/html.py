"""Show streams and keys as HTML in notebooks: fingerprints and positions, never a key's words.

Colors and fonts are the notebook's own, light or dark: a card sets none but gray with
transparency. What stands in it is escaped by the standard library.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from keystream._checks.values import is_traced
from keystream._deriving.seed import format_fingerprint
from keystream._errors import summary
from keystream._impl import accepted_impl, concrete_words, is_typed_key
from keystream._streams.stream import Stream
from keystream._streams.streams import Streams
from keystream._value import to_html

SHOWN = 8
"""How many keys of an array are shown."""

COPIED = 2**16
"""Above so many keys none is shown: for the first few, all of them are copied to the host."""

NAMES = 100
"""How many names of streams are shown."""

_CARD = (
    "display: inline-block; border: 1px solid rgba(128, 128, 128, .45); border-radius: .4em; "
    "padding: .4em .8em; margin: .2em 0; text-align: left; max-width: 100%; overflow-x: auto"
)
_CELL = "text-align: left; padding: .1em 1.2em .1em 0; border: 0; background: none; color: inherit"
_CODE = (
    "font-family: ui-monospace, Menlo, Consolas, monospace; "
    "background: none; color: inherit; padding: 0"
)
_FAINT = "opacity: .72"


@to_html.register
def _(stream: Stream) -> str:
    """Return a stream as a card: its position, and its key."""
    return _card("Stream", "", ("position", "key"), [_cells(stream)])


@to_html.register
def _(streams: Streams) -> str:
    """Return streams as a card, a row for each name."""
    names = streams.names[:NAMES]
    rows = [(repr(n), *_cells(s)) for n, s in zip(names, streams._streams, strict=False)]
    note = f"{len(streams.names)} name{'s' * (len(streams.names) != 1)}"
    return _card("Streams", note, ("name", "position", "key"), rows, len(streams.names) - NAMES)


def keys_to_html(keys: object) -> str | None:
    """Return typed keys as a card, a row for each of the first few; None for anything else."""
    if not is_typed_key(keys):
        return None
    impl = summary(keys) if is_traced(keys) else str(jax.random.key_impl(keys))
    note = impl if not keys.shape else f"{impl}, shape {keys.shape}"
    prints = _prints(keys)
    if isinstance(prints, str):
        return _card("key" if not keys.shape else "keys", note, (), [(prints,)])
    places = len(keys.sharding.device_set)
    note += f", on {places} devices" if places > 1 else ""
    if not keys.shape:
        return _card("key", note, ("fingerprint",), [(prints[0],)])
    at = (", ".join(map(str, i)) for i in itertools.islice(np.ndindex(keys.shape), SHOWN))
    rows = list(zip(at, prints, strict=False))
    return _card("keys", note, ("index", "fingerprint") * bool(rows), rows, keys.size - SHOWN)


def _cells(stream: Any) -> tuple[str, str]:
    """Return the position and the key of a stream, or of what JAX put in its place."""
    key = stream._key if isinstance(stream, Stream) else stream
    if not is_typed_key(key):
        return "…", summary(key)
    prints = _prints(key)
    if isinstance(prints, str):
        return "…", prints
    if key.shape:
        return "…", f"several, {summary(key)}"
    place = repr(stream).rpartition("position=")[2].rstrip(")") if stream is not key else "…"
    return place, f"{jax.random.key_impl(key)}:{prints[0]}"


def _prints(keys: jax.Array) -> list[str] | str:
    """Return the digits of the first few fingerprints, or why there are none."""
    if is_traced(keys):
        return f"{summary(keys)}, traced: known when the program runs"
    if keys.is_deleted():
        return "donated: nothing is left of it"
    if accepted_impl(keys.dtype) is None:
        return "of an implementation that keystream refuses"
    if not keys.is_fully_addressable:
        return "a part of it is on other processes"
    if keys.size > COPIED:
        return "many; for one of them: ks.fingerprint(keys[i])"
    held = concrete_words(keys)
    if is_traced(held):  # Closed over in an eager mapped body even concrete words are.
        return "inside a mapped body: known outside of it"
    words = np.asarray(held)
    words = words.reshape(keys.size, words.shape[-1])
    kind = str(jax.random.key_impl(keys))
    return [format_fingerprint(kind, each).rpartition(":")[2] for each in words[:SHOWN]]


def _card(
    title: str, note: str, head: Sequence[str], rows: Iterable[Sequence[str]], more: int = 0
) -> str:
    top = _tag("strong", _text(title)) + (note and _tag("span", _text(f" {note}"), _FAINT))
    names = [_tag("th", _text(each), f"{_CELL}; font-weight: normal; {_FAINT}") for each in head]
    lines = [names, *([_tag("td", _tag("code", _text(c), _CODE), _CELL) for c in r] for r in rows)]
    body = "".join(_tag("tr", "".join(line), "background: none") for line in lines)
    table = _tag("table", body, "border: 0; border-collapse: collapse; margin: .2em 0 0")
    rest = _tag("div", f"and {more:,} more", _FAINT) if more > 0 else ""
    return _tag("div", _tag("div", top) + table + rest, _CARD)


def _tag(name: str, inside: str, style: str = "") -> str:
    return f'<{name} style="{style}">{inside}</{name}>' if style else f"<{name}>{inside}</{name}>"


def _text(text: str) -> str:
    # Control characters and lone surrogates have no place in HTML.
    return html.escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), quote=False)
