"""The error classes, how a message is worded, and who is named in it."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

__tracebackhide__ = True  # pytest shows the line that calls a public function


class KeystreamError(Exception):
    """Base of every error that keystream raises on purpose."""

    caller: str | None = None
    """The public function that was called; empty until it is known."""


class KeyTypeError(KeystreamError, TypeError):
    """Not one typed key, or not a key array, where that was asked for."""


class KeyImplError(KeystreamError, ValueError):
    """A key of an implementation for which the helper's law can't hold."""


class ArgumentTypeError(KeystreamError, TypeError):
    """An argument of a type that would be cut, rounded or guessed at."""


class ArgumentValueError(KeystreamError, ValueError):
    """An argument of the right type with a value that has no meaning here."""


class ImmutableError(KeystreamError, AttributeError):
    """A value that doesn't change was assigned to."""


class UnknownNameError(KeystreamError, KeyError, AttributeError):
    """A name that isn't among those that were given before, or that keystream doesn't have."""

    # KeyError shows its argument quoted.
    __str__ = Exception.__str__


class BodyError(KeystreamError, TypeError):
    """A body that returned no arrays, or what a loop can't carry on with."""


class MeshAxisError(KeystreamError, ValueError, NameError):
    """An axis name that the mesh or the mapped body in context doesn't have."""


class KeysEqualError(KeystreamError, ValueError):
    """Keys that should differ are equal."""


class KeysDifferError(KeystreamError, ValueError):
    """Keys that should be equal differ."""


class SeedsDifferError(KeystreamError, ValueError):
    """Processes that should start from one seed were given several."""


class PeerError(KeystreamError, TimeoutError):
    """Other processes didn't answer, are elsewhere, or the connection to them broke."""


class SavedError(KeystreamError, ValueError):
    """Saved keys that are damaged, of another version, or not of the structure asked for."""


class ManifestError(KeystreamError, ValueError):
    """Here other numbers come than where the manifest was made."""


class RecordingError(KeystreamError, RuntimeError):
    """A recording that was begun where it can't be, or asked for what it doesn't know yet."""


class KeyAuditError(KeystreamError, AssertionError):
    """An audit that found something.

    Attributes:
        report: The whole report; the message shows what was asked for of it.
    """

    report: Any = None


class Phrase(str):
    """A phrase for the `got` of `error`, printed as it is."""

    __slots__ = ()


E = TypeVar("E", bound=KeystreamError)
P = ParamSpec("P")
R = TypeVar("R")


def error(
    cls: type[E], argument: str, requirement: str, got: object, cure: str = "", *, must: str = "be"
) -> E:
    """Word the message of every error: what was asked for, what came, the cure.

    `public` puts the name of the function that was called in front, and for `{caller}`, and what
    stands before its last dot for `{beside}`: `host.split` is beside `ks.{beside}keys`.
    """
    text = f"{argument} must {must} {requirement}, got {summary(got)}."
    return _without_caller(cls, f"{text} {cure}" if cure else text)


def _without_caller(cls: type[E], text: str) -> E:
    raised = cls(text)
    raised.caller = ""
    return raised


def public(fun: Callable[P, R], name: str = "") -> Callable[P, R]:
    """Return a public function whose errors begin with its name."""
    caller = name or fun.__qualname__.removesuffix(".__init__")

    @functools.wraps(fun)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return fun(*args, **kwargs)
        except KeystreamError as raised:
            complete(raised, caller)
            raise

    return call


def complete(raised: E, caller: str) -> E:
    """Return an error with the name of the function that was called, unless it has one."""
    if raised.caller == "":
        raised.caller = caller
        beside = caller[: caller.rfind(".") + 1]
        text = raised.args[0].replace("{caller}", caller).replace("{beside}", beside)
        raised.args = (f"{caller}: {text}",)
    return raised


def unknown_name(what: str, got: str | bytes, known: Sequence[str | bytes]) -> UnknownNameError:
    """Word the error of a name that isn't there: which there are, and the nearest of them."""
    texts = {
        each.decode(errors="replace") if isinstance(each, bytes) else each: each for each in known
    }
    text = got.decode(errors="replace") if isinstance(got, bytes) else got
    nearest = [summary(texts[near]) for near in difflib.get_close_matches(text, texts, 1)]
    shown = [*map(summary, known[:8]), *([f"{len(known)} in all"] * (len(known) > 8))]
    listed = ", ".join(shown) or "none"
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    told = f"no {what} named {summary(got)}; there are {listed}.{hint}"
    return _without_caller(UnknownNameError, told)


def summary(value: object, depth: int = 0) -> str:
    """Describe a value in a few words: safe under tracing, never an array's contents."""
    if isinstance(value, Phrase):
        return value
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        value = value.item()
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"an int of {value.bit_length()} bits"
    if value is None or isinstance(value, (bool, int, float, complex)):
        return _short(repr(value))
    if isinstance(value, (str, bytes)):
        return _short(repr(value))
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and isinstance(shape, tuple):
        return f"{getattr(dtype, 'name', dtype)}[{','.join(map(str, shape))}]"
    if isinstance(value, (tuple, list)):
        return _sequence(value, depth)
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__name__", None)
        return name if isinstance(name, str) else type(value).__name__
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


_SHOWN_BITS = 4096
"""Above about 14,000 bits Python refuses to write an int in decimal."""


_SHOWN_DEPTH, _SHOWN_LENGTH = 3, 200
"""A sequence that is deeper or longer is told by its length."""


def _sequence(value: Sequence[Any], depth: int) -> str:
    kind = type(value).__name__
    if len(value) > 8 or depth > _SHOWN_DEPTH:
        return f"a {kind} of {len(value)}"
    inner = ", ".join(summary(v, depth + 1) for v in value)
    if len(inner) > _SHOWN_LENGTH:
        return f"a {kind} of {len(value)}"
    if isinstance(value, list):
        return f"[{inner}]"
    return f"({inner},)" if len(value) == 1 else f"({inner})"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
