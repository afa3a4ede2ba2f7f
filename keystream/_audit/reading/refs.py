"""Read mutable arrays, which `jax.new_ref` makes: what they hold where the reader stands.

Equations are read in the order in which they run. So a ref is no variable, but the value that
was written into it last: whoever reads it gets that value, its handles and its number too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keystream._audit.reading.equal_values import Known, hashable_params, new_token
from keystream._audit.reading.moves import pick_elements
from keystream._audit.reading.reader import Body, Content, EquationRule, Reader, is_key, owners
from keystream._audit.reading.uses import LOST


def _content(reader: Reader, body: Body, ref: Any) -> Content:
    held = reader.refs.get(body.binding.ref(ref))
    return held or Content(body.mask([ref]), None, is_key(ref.aval), Known(new_token()))


def _new(reader: Reader, body: Body, eqn: Any) -> None:
    reader.refs[body.binding.ref(eqn.outvars[0])] = _written(body, eqn.invars[0])


def _written(body: Body, value: Any) -> Content:
    known = Known(body.binding.number(value), body.binding.constant(value))
    return Content(body.mask([value]), body.handles(value), is_key(value.aval), known)


def _is_whole(ref: Any, value: Any, others: Sequence[Any]) -> bool:
    return not others and tuple(value.aval.shape) == tuple(ref.aval.shape)


def _get(reader: Reader, body: Body, eqn: Any) -> None:
    ref, *places = eqn.invars
    _read(reader, body, eqn, ref, places)


def _read(reader: Reader, body: Body, eqn: Any, ref: Any, places: Sequence[Any]) -> None:
    out, held = eqn.outvars[0], _content(reader, body, ref)
    mask, handles, _, known = held
    if not _is_whole(ref, out, places):
        mask |= body.mask(places)
        token = hash((known.number, hashable_params(eqn.params), *map(body.binding.number, places)))
        known = Known(token)
        if handles is not None:
            shape = out.aval.shape
            handles = pick_elements(reader, body, eqn, handles, shape, body.mask(places), token)
    body.binding.links[out] = known
    reader.put(body, out, mask, handles)
    if handles is None and is_key(out.aval):
        reader.add_unknown(body, eqn, out, "a key that came out of a ref")


def _swap(reader: Reader, body: Body, eqn: Any) -> None:
    ref, value, *places = eqn.invars
    _read(reader, body, eqn, ref, places)
    new = _written(body, value)
    if new.handles is not None:
        reader.escaped.append(owners(new.handles, new.typed))
    if not _is_whole(ref, value, places):
        new = _changed(reader, body, eqn, ref, [value, *places])
    reader.refs[body.binding.ref(ref)] = new


def _changed(reader: Reader, body: Body, eqn: Any, ref: Any, operands: Sequence[Any]) -> Content:
    """Return what a ref holds of which a part was written, or to which something was added."""
    held, mask = _content(reader, body, ref), body.mask(operands)
    if held.handles is not None:
        mask |= LOST
        reader.escaped.append(owners(held.handles, held.typed))
        reader.escapes.add(eqn.primitive.name)
    numbers = map(body.binding.number, operands)
    known = Known(
        hash((eqn.primitive.name, hashable_params(eqn.params), held.known.number, *numbers))
    )
    return Content(held.mask | mask, None, held.typed, known)


def _add(reader: Reader, body: Body, eqn: Any) -> None:
    ref, value, *places = eqn.invars
    before = _content(reader, body, ref).known.constant
    new, added = _changed(reader, body, eqn, ref, [value, *places]), body.binding.constant(value)
    if before is not None and added is not None and _is_whole(ref, value, places):
        total = np.add(before, added, dtype=ref.aval.dtype)
        new = new._replace(known=Known(new.known.number, total))
    reader.refs[body.binding.ref(ref)] = new


RULES: dict[str, EquationRule] = {
    **dict.fromkeys(("new_ref", "ref", "mutable_array", "array_ref"), _new),
    "get": _get,
    "freeze": _get,
    "swap": _swap,
    "addupdate": _add,
}
