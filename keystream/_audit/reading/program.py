"""Read a whole program, from its arguments to the keys that it returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keystream import _compat
from keystream._audit.reading import calls, draws, loops, meshes, refs
from keystream._audit.reading.equal_values import Binding, new_token
from keystream._audit.reading.lineage import Handles, Origin, from_words, to_words
from keystream._audit.reading.moves import MOVES
from keystream._audit.reading.reader import Body, Reader, guess_impl, impl_of, is_key, owners_of
from keystream._audit.reading.uses import FLOAT

_RULES = {**draws.RULES, **calls.RULES, **loops.RULES, **meshes.RULES, **refs.RULES}
"""What each primitive does to keys; `MOVES` are those that move them about."""


class Program(NamedTuple):
    """A program that was read."""

    reader: Reader
    returned: Handles
    """The keys among the results, flat."""
    shown: Handles
    """Those of which the words alone are among the results."""


def read(closed: Any, names: tuple[str, ...]) -> Program:
    """Read a closed jaxpr; `names` are those of its arguments."""
    reader, inner = Reader(_RULES, MOVES), _compat.open_jaxpr(closed)
    binding = Binding(inner.jaxpr, inner.consts)
    body = Body(binding, None)
    for name, var in zip(names, inner.jaxpr.invars, strict=True):
        binding.links[var] = new_token()
        _put_argument(reader, body, var, name)
    with reader.failures.kept(lambda: "the constants of the program"):
        calls.put_constants(reader, body, inner)
    reader.read(body)
    return Program(reader, *_returned_keys(body))


def _put_argument(reader: Reader, body: Body, var: Any, name: str) -> None:
    aval, lineage = var.aval, reader.lineage
    details = {"varies": 0, "where": None}
    phrase = f"argument {name}"
    if is_key(aval):
        impl = impl_of(aval.dtype)
        made = lineage.root(
            Origin.ARGUMENT, tuple(aval.shape), new_token(), impl=impl, phrase=phrase, **details
        )
        reader.put(body, var, 0, made)
    elif (guess := guess_impl(aval)) is not None:
        # A legacy key, or an array of them, if it is ever used as one.
        phrase += ", if it is a key"
        shape = tuple(aval.shape[:-1])
        made = lineage.root(
            Origin.WORDS_ARGUMENT, shape, new_token(), impl=guess, phrase=phrase, **details
        )
        reader.put(body, var, 0, to_words(made, aval.shape[-1]))
    else:
        reader.put(body, var, FLOAT if np.issubdtype(aval.dtype, np.inexact) else 0, None)


def _returned_keys(body: Body) -> tuple[Handles, Handles]:
    keys, shown = [_NONE], [_NONE]
    for var in body.binding.jaxpr.outvars:
        handles = body.handles(var)
        if handles is None:
            continue
        whole = handles if is_key(var.aval) else from_words(handles)
        if whole is None:
            shown.append(owners_of(handles))
        else:
            (keys if is_key(var.aval) else shown).append(whole.ravel())
    return np.concatenate(keys), np.concatenate(shown)


_NONE = np.empty(0, np.int64)
