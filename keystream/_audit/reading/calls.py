"""Read equations that call a body: jitted functions, rules of derivatives, branches."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from keystream import _compat
from keystream._audit.jaxprs import holds
from keystream._audit.reading import equal_values
from keystream._audit.reading.draws import constant_keys
from keystream._audit.reading.equal_values import Binding
from keystream._audit.reading.lineage import Origin, to_words
from keystream._audit.reading.reader import (
    Body,
    Content,
    EquationRule,
    Reader,
    Value,
    guess_impl,
    impl_of,
    is_key,
    on_keys,
)
from keystream._audit.reading.uses import Choice, Scope


def put_constants(reader: Reader, body: Body, inner: _compat.OpenJaxpr) -> None:
    """Put the handles of those of a body's constants that are keys."""
    for var, const in zip(inner.jaxpr.constvars, inner.consts, strict=False):
        if _compat.is_ref(var.aval):
            _put_outer_ref(reader, var.aval, const)
            continue
        # One constant is one root, in however many bodies it stands.
        if id(const) not in reader.constants:
            since = len(reader.lineage.steps)
            reader.constants[id(const)] = since, constant_handles(reader, const, body.where)
        _, handles = reader.constants[id(const)]
        if handles is not None:
            body.held[var] = handles


def _put_outer_ref(reader: Reader, aval: Any, ref: Any) -> None:
    """Note that a ref from outside of the program holds a value of which nothing is known."""
    if id(ref) in reader.refs:
        return
    token, inner = equal_values.new_token(), aval.inner_aval
    handles = None
    if is_key(inner):
        details = {"varies": 0, "impl": impl_of(inner.dtype), "where": None}
        handles = reader.lineage.root(Origin.OUTSIDE, tuple(inner.shape), token, **details)
    reader.refs[id(ref)] = Content(0, handles, is_key(inner), equal_values.Known(token))


def constant_handles(reader: Reader, const: Any, where: Any) -> np.ndarray | None:
    """Return the handles of a constant that is a key, or may be the words of one."""
    aval = jax.typeof(const)
    details = {"varies": 0, "where": where}
    if is_key(aval):
        impl = impl_of(aval.dtype)
        small = const.size <= equal_values.LARGEST
        words = equal_values.small_constant(jax.random.key_data(const)) if small else None
        if words is None or not words.size:
            return None
        return constant_keys(reader.lineage, words, impl=impl, **details)
    guess = guess_impl(aval)
    if guess is not None:
        known = equal_values.small_constant(const)
        if known is None or not known.size:
            return None
        made = constant_keys(reader.lineage, known, impl=guess, **details)
        return to_words(made, known.shape[-1])
    return None


def _is_about_keys(eqn: Any) -> bool:
    return eqn.primitive.name in _ABOUT_KEYS or any(is_key(var.aval) for var in eqn.outvars)


_ABOUT_KEYS = frozenset(("random_bits", "random_seed", "random_wrap", "threefry2x32", "axis_index"))


def enter(
    reader: Reader,
    body: Body,
    eqn: Any,
    closed: Any,
    values: Sequence[Value],
    links: Sequence[Any],
    scopes: tuple[Scope, ...] = (),
    choice: Choice | None = None,
) -> tuple[Body, list[Value]]:
    """Read a body that is called with `values`; `links` say where its arguments come from."""
    inner = _compat.open_jaxpr(closed)
    binding = Binding(inner.jaxpr, inner.consts)
    binding.links = dict(zip(inner.jaxpr.invars, links, strict=True))
    choices = (*body.choices, choice) if choice else body.choices
    made = Body(binding, body.path(eqn), (*body.scopes, *scopes), choices)
    for var, (mask, handles) in zip(inner.jaxpr.invars, values, strict=True):
        reader.put(made, var, mask, handles)
    put_constants(reader, made, inner)
    wanted = any(handles is not None for _, handles in values)
    if any(scope.kind == "axis" for scope in made.scopes):
        # What drawn numbers meet there is looked up later.
        reader.masks[made.where, inner.jaxpr], wanted = made.masks, True
    if wanted or holds(inner.jaxpr, _is_about_keys, reader.about_keys):
        reader.read(made)
        return made, reader.values(made, inner.jaxpr.outvars)
    mask = 0
    for each, _ in values:
        mask |= each
    return made, [(mask, None)] * len(inner.jaxpr.outvars)


def read_call(reader: Reader, body: Body, eqn: Any, closed: Any) -> None:
    """Read a body in the place of its call."""
    links = [(body.binding, atom) for atom in eqn.invars]
    values = reader.values(body, eqn.invars)
    made, outs = enter(reader, body, eqn, closed, values, links)
    if equal_values.reads_refs(eqn):  # Another call may return another value.
        inner = made.binding
        for var, result in zip(eqn.outvars, inner.jaxpr.outvars, strict=True):
            body.binding.links[var] = (inner, result)
    finish(reader, body, eqn, outs)


def finish(reader: Reader, body: Body, eqn: Any, outs: Iterable[Value]) -> None:
    """Put what is known of the results of an equation."""
    for var, (mask, handles) in zip(eqn.outvars, outs, strict=True):
        fits = handles is not None and handles.shape == tuple(var.aval.shape)
        reader.put(body, var, mask, handles if fits else None)
        if not fits and is_key(var.aval):
            reader.add_unknown(body, eqn, var)


def _call(reader: Reader, body: Body, eqn: Any) -> None:
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        closed = eqn.params.get(name)
        if closed is not None and len(_compat.open_jaxpr(closed).jaxpr.invars) == len(eqn.invars):
            read_call(reader, body, eqn, closed)
            return
    read_unknown(reader, body, eqn)


def _call_expanded(reader: Reader, body: Body, eqn: Any) -> None:
    closed = _compat.expand_call(eqn.params.get("_prim"))
    if closed is None:
        read_unknown(reader, body, eqn)
    else:
        read_call(reader, body, eqn, closed)


def read_unknown(reader: Reader, body: Body, eqn: Any) -> None:
    """Read a call of which the body isn't known: it may use its keys, and returns new ones."""
    reader.escape(body, eqn)
    reader.lose_refs(body, eqn)
    mask = body.mask(eqn.invars)
    finish(reader, body, eqn, [(mask, None)] * len(eqn.outvars))


def _cond(reader: Reader, body: Body, eqn: Any) -> None:
    index, *operands = eqn.invars
    values, links = reader.values(body, operands), [(body.binding, atom) for atom in operands]
    token, chosen = body.binding.number(index), body.mask([index])
    taken, before, left = [], reader.refs, []
    for place, branch in enumerate(eqn.params["branches"]):
        reader.refs = dict(before)
        choice = Choice(token, place)
        taken.append(enter(reader, body, eqn, branch, values, links, choice=choice)[1])
        left.append(reader.refs)
    join = functools.partial(_join, reader, body, eqn, chosen, token)
    outs = [
        join([value[0] for value in cases], [value[1] for value in cases], is_key(var.aval))
        for var, cases in zip(eqn.outvars, zip(*taken, strict=True), strict=True)
    ]
    reader.refs = {ref: _after_branches(join, [each[ref] for each in left]) for ref in before}
    finish(reader, body, eqn, outs)


def _join(
    reader: Reader,
    body: Body,
    eqn: Any,
    chosen: int,
    token: int,
    masks: Sequence[int],
    handles: Sequence[np.ndarray | None],
    typed: bool,
) -> Value:
    """Return what is one of several values."""
    mask = functools.reduce(operator.or_, masks, chosen)
    known = [each for each in handles if each is not None]
    if len(known) < len(handles):
        return mask, None
    return mask, on_keys(functools.partial(reader.join, body, eqn, mask, token), typed, *known)


def _after_branches(join: Callable[..., Value], cases: list[Content]) -> Content:
    """Return what a ref holds after one of several branches."""
    first = cases[0]
    if all(case is first for case in cases[1:]):
        return first
    value = join([case.mask for case in cases], [case.handles for case in cases], first.typed)
    number = hash(tuple(case.known.number for case in cases))
    return Content(*value, first.typed, equal_values.Known(number))


RULES: dict[str, EquationRule] = {
    "jit": _call,
    "pjit": _call,
    "closed_call": _call,
    "core_call": _call,
    "eval_jaxpr": _call,
    "call_hi_primitive": _call_expanded,
    "custom_jvp_call": _call,
    "custom_vjp_call": _call,
    "custom_vjp_call_jaxpr": _call,
    "custom_vmap_call": _call,
    "remat2": _call,
    "checkpoint": _call,
    "remat": _call,
    "custom_lin": _call,
    "cond": _cond,
}
