"""Names that people ask of streams, which have others, and what to write instead."""

from __future__ import annotations

from keystream._errors import UnknownNameError, Words, error
from keystream._value import members

_CURES = {
    "Stream": {
        "For a key: key, stream = stream.next().": ("key", "next_key", "get"),
        "For several keys: keys, stream = stream.take(3).": ("split", "keys", "spawn", "fork"),
        "For the key at a position: stream.at(3).": ("derive", "fold_in"),
    },
    "Streams": {
        "For that stream: streams[{0}].": (),
        "For a key: key, streams = streams.next({0}).": ("key", "next_key", "split", "make_rng"),
        "For one of them, as a stream of its own: streams[{0}].skip(3).": ("skip",),
        "For keys of one, as a stream of its own: keys, stream = streams[{0}].take(3).": ("take",),
        "For one of them: streams[{0}].position.": ("position", "words"),
        "For their names: streams.names. For a key of each: streams.at(3).": ("keys",),
        "By name: dict((name, streams[name]) for name in streams).": ("items", "values"),
        "For one of them: streams[{0}].": ("get",),
    },
}
"""By what they are good for; `{0}` stands for a name that there is."""


def stranger(value: object, name: str, names: tuple[str | bytes, ...] = ()) -> AttributeError:
    """Word the error of an attribute that a stream, or streams of these names, don't have."""
    kind = type(value).__name__
    cures = {each: cure for cure, known in _CURES[kind].items() for each in known}
    known: str | bytes = name
    if name in names:
        cure = next(iter(_CURES[kind]))
    elif name in cures and (names or kind == "Stream"):
        cure, known = cures[name], names[0] if names else ""
    else:
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=value)
    *others, last = members(value)
    wanted, got = f"{', '.join(others)} or {last}", Words(f"the name {name!r}")
    raised = error(UnknownNameError, kind, "attribute", wanted, got, cure.format(repr(known)))
    # Told its name, Python adds no proposal of its own behind ours.
    raised.name = name
    return raised
