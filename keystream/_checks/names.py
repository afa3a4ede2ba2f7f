"""Validate names: text or bytes, distinct, not empty."""

from __future__ import annotations

from collections.abc import Iterable

from keystream._errors import (
    ArgumentTypeError,
    ArgumentValueError,
    Phrase,
    error,
    summary,
)


def check_name(value: object, *, argument: str = "name", what: str = "name") -> str | bytes:
    """Return a name: a non-empty str that UTF-8 can encode, or non-empty bytes."""
    if not isinstance(value, (str, bytes)):
        raise error(ArgumentTypeError, argument, "a str or bytes", value)
    if not value:
        raise error(ArgumentValueError, argument, f"a {what} that is not empty", value)
    if isinstance(value, bytes):
        return bytes(value)
    try:
        # The plain text of a str of whatever class, such as an enum's.
        return value.encode().decode()
    except UnicodeEncodeError:
        cure = f"For its bytes: {value.encode('utf-8', 'surrogatepass')!r}."
        raise error(
            ArgumentValueError, argument, "text that UTF-8 can encode", value, cure
        ) from None


def check_names(values: Iterable[object], *, argument: str = "names") -> tuple[str | bytes, ...]:
    """Return names, each a name and none given twice."""
    names = tuple(check_name(v, argument=argument) for v in values)
    seen: set[str | bytes] = set()
    for each in names:
        if each in seen:
            got = Phrase(f"{summary(each)} twice")
            cure = "For each of them once: ks.{caller}(key, tuple(dict.fromkeys(names)))."
            raise error(ArgumentValueError, argument, "distinct", got, cure)
        seen.add(each)
    return names
