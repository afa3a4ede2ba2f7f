"""Streams <-> flax `nnx.Rngs`: both count, so the keys are the same."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from keystream._checks.key import check_key
from keystream._checks.neighbor import instance, neighbor
from keystream._checks.values import is_traced
from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, complete, error, public
from keystream._impl import concrete_words
from keystream._known import NARROW_END
from keystream._streams.stream import Stream
from keystream._streams.streams import Streams

if TYPE_CHECKING:
    from flax import nnx

_PACKAGE = "flax>=0.12"


@public
def to_nnx(streams: Streams, /) -> nnx.Rngs:
    """Return the `nnx.Rngs` that hands out the keys of these streams, from here on.

    For modules of flax nnx. Key i of a name is that of the streams: nnx folds a count into
    the key of a name, and so does `Stream`. Fresh ones need no conversion:
    `nnx.Rngs(**ks.split(key, names))` is `to_nnx(ks.Streams(key, names))`.

    Args:
        streams: Streams whose names are str and whose positions lie below 2**32.

    Returns:
        An `nnx.Rngs` with a stream for each name and no `default`.

    Key use:
        Hands the streams on: who goes on with both gets the same keys twice. The way back
        is `from_nnx`.

    Guarantees:
        Works inside `jit`, where positions can't be looked at: one above 2**32 is cut. nnx
        counts in 32 bits and starts again at 0 behind 2**32 - 1, silently. A name that isn't
        there is an AttributeError of nnx, as there is no `default` to fall back on, unless
        that is one of the names.

    Raises:
        ArgumentTypeError: No `Streams`, or one with a name in bytes.
        ArgumentValueError: A position of 2**32 or above, or a name that `nnx.Rngs` has for a
            method or another use of its own, as "normal" or "split".
        KeyTypeError: Several `Streams` at once.
        NeighborMissingError: flax isn't installed.

    Warns:
        RuntimeWarning: Two names have one key, as streams that came `from_nnx` may.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> streams = ks.Streams(ks.key(42), ("params", "dropout"))
        >>> rngs = interop.to_nnx(streams)  # doctest: +SKIP
        >>> bool(rngs.dropout() == streams.next("dropout")[0])  # doctest: +SKIP
        True
    """
    cure = "For fresh ones: ks.Streams(key, ('params', 'dropout'))."
    instance("streams", streams, Streams, "ks.Streams", cure)
    for name in streams.names:
        if isinstance(name, bytes):
            wanted, cure = "streams whose names are str", "For its text: name.decode()."
            raise error(ArgumentTypeError, "streams", wanted, name, cure)
    module = neighbor("flax.nnx", _PACKAGE)
    keys: dict[str, tuple[jax.Array, Any]] = {}
    for name, stream in zip(map(str, streams.names), streams._streams, strict=True):
        _refuse_taken(module, name)
        cure = (
            "For streams of their own: ks.Streams(ks.derive(key, 'more'), ('params', 'dropout'))."
        )
        keys[name] = narrow(f"streams[{name!r}]", stream, NARROW_END, cure)
    rngs: nnx.Rngs = module.Rngs({name: key for name, (key, _) in keys.items()})
    for name, (_, count) in keys.items():
        rngs[name].count[...] = count
    warn_shared("to_nnx", "streams", {name: key for name, (key, _) in keys.items()})
    return rngs


@public
def from_nnx(rngs: nnx.Rngs | nnx.RngStream, /) -> Streams:
    """Return the streams that hand out the keys of an `nnx.Rngs`, from here on.

    Also of one of its streams, which is what a module such as `nnx.Dropout` keeps.

    To save the random state of an nnx module by `ks.dumps`, to carry it through a plain
    `jax.lax.scan`, or to look up what key a step had: `interop.from_nnx(rngs).at(step)`.

    Args:
        rngs: An `nnx.Rngs` whose streams hold one key each (not split over lanes), or an
            `nnx.RngStream`, as `module.rngs` is: streams of one name, its tag.

    Returns:
        Streams by the same names, at nnx's counts. Each has the key that nnx has for that
        name, so item i is `ks.derive(rngs[name].key[...], i)`.

    Key use:
        Hands the streams on: who goes on with both gets the same keys twice. `rngs` isn't
        changed.

    Guarantees:
        Works inside `jit`, where equal keys can't be seen.

    Raises:
        ArgumentTypeError: Neither an `nnx.Rngs` nor an `nnx.RngStream`.
        KeyTypeError: A stream holds an array of keys.
        KeyImplError: Keys of an implementation that keystream refuses.
        NeighborMissingError: flax isn't installed.

    Warns:
        RuntimeWarning: Two names have one key. nnx takes seeds as they are and puts no name
        into them, so `nnx.Rngs(params=0, dropout=0)` draws the same numbers for both, and
        `nnx.Rngs(0, params=0)` for `params` and every name that isn't given.

    Example:
        >>> import keystream as ks
        >>> from flax import nnx  # doctest: +SKIP
        >>> from keystream import interop
        >>> rngs = nnx.Rngs(**ks.split(ks.key(42), ("params", "dropout")))  # doctest: +SKIP
        >>> text = ks.dumps(interop.from_nnx(rngs))  # doctest: +SKIP
    """
    module = neighbor("flax.nnx", _PACKAGE)
    cure = "For fresh ones: nnx.Rngs(**ks.split(key, ('params', 'dropout')))."
    if isinstance(rngs, module.RngStream):
        named = [(rngs.tag, rngs)]
    else:
        instance("rngs", rngs, module.Rngs, "an nnx.Rngs", cure)
        named = list(rngs.items())
    found: dict[str, Stream] = {}
    keys: dict[str, jax.Array] = {}
    for name, stream in named:
        keys[name] = stream.key[...]
        each = "jax.vmap(interop.from_nnx)(rngs)"
        check_key(keys[name], argument=f"rngs[{name!r}]", each=each)
        found[name] = Stream(keys[name]).skip(stream.count[...])
    warn_shared("from_nnx", "rngs", keys)
    return Streams.tree_unflatten(tuple(found), tuple(found.values()))


def _refuse_taken(module: Any, name: str) -> None:
    if name in dir(module.Rngs) or name.startswith("_pytree__"):
        wanted = "streams whose names nnx.Rngs doesn't have for something else"
        cure = f"By another name: ks.Streams(key, ({'stream_' + name!r},))."
        raise error(ArgumentValueError, "streams", wanted, name, cure)


def narrow(argument: str, stream: Stream, end: int, cure: str) -> tuple[jax.Array, Any]:
    """Return a stream's key and its position in one word; refuse one that needs more."""
    instance(argument, stream, Stream, "a ks.Stream", "")
    each = "jax.vmap(interop.{caller})(several)"
    check_key(stream._key, argument=f"the key of {argument}", each=each)
    if not is_traced(stream.words) and stream.position >= end:
        wanted = f"at a position below 2**{end.bit_length() - 1}"
        got = Phrase(f"one at {stream.position}")
        raise error(ArgumentValueError, argument, wanted, got, cure)
    key, words = jax.tree.leaves(stream.skip(0))  # a copy: the stream's own can be donated
    return key, words[1]


def warn_shared(caller: str, argument: str, keys: dict[str, jax.Array]) -> None:
    """Warn where two names have one key, if their words can be looked at."""
    if is_traced(*keys.values()):
        return
    held = {name: concrete_words(key) for name, key in keys.items()}
    if is_traced(*held.values()):  # in an eager mapped body even those are
        return
    words = {name: (str(keys[name].dtype), np.asarray(held[name]).tobytes()) for name in keys}
    for one, other in itertools.combinations(words, 2):
        if words[one] == words[other]:
            wanted = "a key of its own for each name"
            got = Phrase(f"one key for {one!r} and {other!r}, which draw the same numbers")
            cure = f"For keys of their own: nnx.Rngs(**ks.split(key, ({one!r}, {other!r})))."
            told = error(ArgumentValueError, argument, wanted, got, cure, must="hold")
            warnings.warn(str(complete(told, caller)), RuntimeWarning, stacklevel=3)
