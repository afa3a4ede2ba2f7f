"""Read loops: the body once, with symbols for the keys of all its steps.

A symbol is a key that stands for the key of each step. When the body has been read, all that
was done with a symbol is done again with each key that it stands for (`leave`), so that uses in
different steps, or inside and outside of the loop, are compared like any others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from keystream import _compat
from keystream._audit.places import call, is_sampler
from keystream._audit.reading import equal_values
from keystream._audit.reading.calls import enter, finish
from keystream._audit.reading.lineage import (
    CARRIED,
    EACH,
    Handles,
    Meaning,
    Origin,
    from_words,
    stand_for,
)
from keystream._audit.reading.reader import (
    Body,
    Content,
    EquationRule,
    Reader,
    Value,
    is_key,
    on_keys,
)
from keystream._audit.reading.uses import Scope

VIEWS = 2**4
"""As how many arrays of keys one use is followed through the loops around it. Each loop doubles
them: the key of all steps, and that of each step; the innermost loops come first, so that four
of them are followed whole."""

MOST = 1 << 24
"""Keys up to which those of all steps of a loop are told apart."""

COUNTED, MOST_COUNTED = 1 << 12, 1 << 18
"""Steps of one loop, and keys of loops in loops, up to which counters tell them apart."""


def leave(
    reader: Reader,
    inside: slice,
    *meanings: Meaning,
    without: int = 0,
    choose: Callable[[Handles, Handles], Handles] = lambda _, keys: keys,
) -> None:
    """Add to each of the uses inside a loop the keys that it is of, seen from outside.

    What is done with a symbol, or with what was made of it, is done with each key that it
    stands for. `choose` gets each symbol and such a key, and returns the keys that count.
    """
    uses = reader.uses[inside]
    views = [(use, each) for use in uses for each in use.handles_everywhere()[:VIEWS]]
    for meant in filter(None, meanings if views else ()):
        found = reader.lineage.follow([each for _, each in views], meant, without)
        for (use, handles), (which, keys) in zip(views, found, strict=True):
            if keys.size:
                use.also.append(choose(handles[which], keys))
                if len(use.also) == VIEWS:
                    reader.cut.add("a key in each step of loops that stand in four others")


def _counter_step(jaxpr: Any, before: Any, after: Any) -> int | None:
    """Return the number that a body adds to an integer that it carries; None for another carry."""
    if not jnp.issubdtype(before.aval.dtype, np.integer):
        return None
    makers = [eqn for eqn in jaxpr.eqns if any(after is out for out in eqn.outvars)]
    if not makers or makers[0].primitive.name not in ("add", "sub"):
        return None
    one, other = makers[0].invars
    if one is not before:
        one, other = other, one
    if one is not before or not equal_values.is_literal(other):
        return None
    return -int(other.val) if makers[0].primitive.name == "sub" else int(other.val)


class Carries(NamedTuple):
    """What the carries of a loop are known to be."""

    fixed: frozenset[int] = frozenset()
    """Those that are the same in every step."""
    bits: Mapping[int, int] = MappingProxyType({})
    """What the others are made from."""
    refs: Mapping[Any, int] = MappingProxyType({})
    """The refs that are written in the loop, and what they are made from."""


class Loop:
    """One loop, while its body is read."""

    def __init__(self, reader: Reader, body: Body, eqn: Any, kind: str) -> None:
        self.reader, self.body, self.eqn = reader, body, eqn
        self.scope = Scope(kind, None, body.bit(), body.path(eqn))
        self.since = reader.mark()
        self.meant: Meaning = {}
        """What the symbols of this loop stand for."""
        self.carried: list[list[Handles | None]] = []
        """Of each carry its symbol, the keys that come in, and what the body hands on."""
        self.left: list[Meaning] = []
        """As what the keys leave the loop that come out of it."""
        self.written: set[Any] = set()
        """Refs that its body writes."""

    def element(self, value: Value, typed: bool) -> Value:
        """Return what stands for one row of an operand in every step."""
        bits, handles = value

        def symbol(keys: Handles) -> Handles | None:
            if keys.ndim == 0:
                return None
            made = self._symbol(Origin.EACH_STEP, keys[0], EACH)
            self.meant |= stand_for(made.ravel(), np.moveaxis(keys, 0, -1))
            return made

        made = None if handles is None else on_keys(symbol, typed, handles)
        return bits | self.scope.bit, made

    def row(self, xs: Any, number: Callable[[], int]) -> equal_values.Known:
        """Return what is known of the rows of an operand."""
        known = self.body.binding.constant(xs) if self.eqn.params["length"] <= COUNTED else None
        if known is None:
            return equal_values.Known(number)
        return self._in_steps(known[::-1] if self.eqn.params["reverse"] else known, number)

    def carry(self, value: Value, typed: bool) -> Value:
        """Return what stands for a carry in every step."""
        bits, handles = value
        if handles is None:
            return value

        def symbol(keys: Handles) -> Handles:
            return self._symbol(Origin.CARRIED, keys, CARRIED)

        return bits, on_keys(symbol, typed, handles)

    def _symbol(self, origin: Origin, keys: Handles, kind: np.uint64) -> Handles:
        details = self.reader.details(self.body, self.eqn, keys, self.scope.bit)
        return self.reader.lineage.grow(
            origin, keys, kind, equal_values.fresh_numbers(keys.shape), **details
        )

    def _count(
        self, binding: equal_values.Binding, first: Any, step: int | None
    ) -> equal_values.Known:
        """Return what is known of a carry: of one that counts, which number it is when."""
        length = self.eqn.params.get("length", COUNTED + 1)
        begin, number = binding.constant(first), functools.partial(binding.carried, first, step)
        if begin is None or begin.size != 1 or step is None or length > COUNTED:
            return equal_values.Known(number)
        numbers = begin + np.arange(length).reshape(length, *[1] * begin.ndim) * step
        return self._in_steps(numbers.astype(begin.dtype), number)

    def _in_steps(self, values: np.ndarray, number: Callable[[], int]) -> equal_values.Known:
        return equal_values.Known(number, None, equal_values.Steps(self, [values]))

    def settle(
        self, closed: Any, values: list[Value], links: list[Any], carries: range
    ) -> tuple[Body, list[Value]]:
        """Read the body until what it carries is known to be what it is taken for.

        A carry is taken to differ from step to step, unless the body hands it on as it is.
        What else it was made from is known after two passes. A loop in a loop is read again
        in each pass of the outer one, and goes on from what it settled on in the last.
        """
        inner, where = _compat.open_jaxpr(closed).jaxpr, self.scope.where
        typed = [is_key(var.aval) for var in inner.invars]
        found = {p for p in carries if inner.outvars[p - carries.start] is inner.invars[p]}
        before = self.reader.settled.get(where, Carries())
        fixed, loose = found | before.fixed, set[int]()
        for p in set(carries) - found:
            step = _counter_step(inner, inner.invars[p], inner.outvars[p - carries.start])
            binding, first = links[p]  # of the carry, where it comes in
            links[p] = self._count(binding, first, step)
            values[p] = (values[p][0] | self.scope.bit | before.bits.get(p, 0), values[p][1])
        entered, written = self.reader.refs, dict(before.refs)
        while True:
            since = self.reader.mark()
            self.reader.refs = entered | {
                ref: self._step_content(entered[ref], mask)
                for ref, mask in written.items()
                if ref in entered
            }
            held = dict(self.reader.refs)
            given = [
                self.carry(value, typed[p]) if p in carries and p not in fixed else value
                for p, value in enumerate(values)
            ]
            made, outs = enter(
                self.reader, self.body, self.eqn, closed, given, links, scopes=(self.scope,)
            )
            handed = {p: outs[p - carries.start] for p in carries}
            kept = {p for p in carries if p in found or _are_same(handed[p][1], given[p][1])}
            more = {p for p in handed if p not in kept and handed[p][0] & ~values[p][0]}
            # What was found before, for other keys, may not hold for these.
            loose |= fixed - kept
            late = self._written_late(entered, held, written)
            if kept - loose == fixed and not more and not late:
                break
            fixed = kept - loose
            for p in more:
                values[p] = (values[p][0] | handed[p][0], values[p][1])
            self.reader.rewind(since)
        self.reader.settled[where] = Carries(
            frozenset(fixed), {p: values[p][0] for p in set(carries) - found}, written
        )
        self.written = entered.keys() & written.keys()
        for ref in self.written:
            last = self.reader.refs[ref]
            three = held[ref].handles, entered[ref].handles, last.handles
            self.carried.append([_keys(each, last.typed) for each in three])
        for p in carries:
            three = given[p][1], values[p][1], outs[p - carries.start][1]
            trio = [_keys(each, typed[p]) for each in three]
            if p in fixed and trio[1] is not None:
                self.reader.unadvanced[self.scope.where] |= set(trio[1].ravel().tolist())
            elif p not in fixed:
                self.carried.append(trio)
        return made, outs

    def _step_content(self, first: Content, mask: int) -> Content:
        """Return what stands for what a ref holds at the beginning of every step."""
        value = self.carry((first.mask | mask | self.scope.bit, first.handles), first.typed)
        return Content(*value, first.typed, equal_values.Known(equal_values.new_token()))

    def _written_late(
        self, entered: dict[Any, Content], held: dict[Any, Content], written: dict[Any, int]
    ) -> bool:
        """Were refs written in the body that hold more than they were taken for?"""
        late = False
        for ref, content in self.reader.refs.items():
            if ref not in held:
                if isinstance(ref, int):  # One from outside, which was met here first.
                    entered[ref], late = content, True
            elif content is not held[ref] and (
                ref not in written or content.mask & ~held[ref].mask
            ):
                written[ref] = written.get(ref, 0) | content.mask
                late = True
        return late

    def _stand_for(self, symbol: Any, first: Any, last: Any) -> None:
        # In the first step a carried key is the one that came in, in each later step the
        # one that the step before handed on; in the second both are known. A sampler may have
        # loops of two algorithms, which meet only there.
        if symbol is None or first is None or last is None or symbol.shape != last.shape:
            return
        symbols, lineage = symbol.ravel(), self.reader.lineage
        whose, keys = [symbols, symbols], [first.ravel(), last.ravel()]
        if not is_sampler(call(self.scope.where)):
            [(which, second)] = lineage.follow(keys[1:], stand_for(symbols, first))
            whose.append(symbols[which])
            keys.append(second)
        self.meant |= stand_for(np.concatenate(whose), np.concatenate(keys))

    def after_loop(self, value: Value, typed: bool) -> Value:
        """Return what a carry is when the loop has ended."""
        bits, handles = value
        left = None
        if handles is not None:
            left = on_keys(lambda keys: self._outside_keys(Origin.AFTER_LOOP, keys), typed, handles)
        return bits & ~self.scope.bit, left

    def leave(self) -> None:
        """Note what refs hold after the loop, and what was done with the keys of all steps."""
        reader = self.reader
        for ref in self.written:
            mask, handles, typed, _ = reader.refs[ref]
            value = self.after_loop((mask, handles), typed)
            known = equal_values.Known(equal_values.new_token())
            reader.refs[ref] = Content(*value, typed, known)
        counted = {step: keys for step, (loop, keys) in reader.rows.items() if loop is self}
        reader.rows = {step: each for step, each in reader.rows.items() if step not in counted}
        inside = slice(self.since.uses, len(reader.uses))
        reader.pending.append((inside, functools.partial(self._tell_uses, inside, counted)))
        if not self.body.scopes:
            reader.catch_up()

    def _tell_uses(self, inside: slice, counted: Meaning) -> None:
        for carry in self.carried:
            self._stand_for(*carry)
        uses = self.reader.uses[inside]
        most = max((keys.size for use in uses for keys in use.handles_everywhere()), default=0)
        if most * self.eqn.params.get("length", 0) > MOST_COUNTED:
            counted = {}
        leave(self.reader, inside, self.meant | counted, *self.left)

    def stack_rows(self, value: Value, typed: bool, length: int) -> Value:
        """Return what the rows of a result are, one of each step."""
        bits, handles = value
        left = None
        if handles is not None and length * handles.size > MOST:
            self.reader.cut.add(f"which keys come out of a loop of {length:,} steps")
        elif handles is not None:
            rows = np.broadcast_to(handles, (length, *handles.shape))
            left = on_keys(lambda keys: self._outside_keys(Origin.STACKED, keys), typed, rows)
        return bits & ~self.scope.bit, left

    def _outside_keys(self, origin: Origin, keys: Handles) -> Handles:
        lineage = self.reader.lineage
        if not lineage.varies(keys) & self.scope.bit:
            return keys
        details = self.reader.details(self.body, self.eqn, keys)
        details["varies"] &= ~self.scope.bit
        made = lineage.grow(origin, keys, EACH, equal_values.fresh_numbers(keys.shape), **details)
        self.left.append(stand_for(keys.ravel(), made.ravel()))
        return made


def _keys(handles: np.ndarray | None, typed: bool) -> Handles | None:
    return handles if typed or handles is None else from_words(handles)


def _are_same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def _scan(reader: Reader, body: Body, eqn: Any) -> None:
    params, closed = eqn.params, eqn.params["jaxpr"]
    inner = _compat.open_jaxpr(closed).jaxpr
    # How many constants and carries there are is said in other words by each version of JAX;
    # an operand of each step has one dimension more outside than inside.
    stepped = _has_steps(eqn.invars, inner.invars)
    carries = _has_steps(eqn.outvars, inner.outvars).count(False)
    first = stepped.count(False) - carries
    values = reader.values(body, eqn.invars)
    loop = Loop(reader, body, eqn, "scan")
    if params["length"] == 0:
        rest = len(eqn.outvars) - carries
        finish(reader, body, eqn, [*values[first : first + carries], *[(0, None)] * rest])
        return
    links: list[Any] = [(body.binding, atom) for atom in eqn.invars]
    for place in range(first + carries, len(values)):
        number = functools.partial(body.binding.element, eqn.invars[place])
        links[place] = loop.row(eqn.invars[place], number)
        values[place] = loop.element(values[place], is_key(eqn.invars[place].aval))
    _, outs = loop.settle(closed, values, links, range(first, first + carries))
    typed = [is_key(var.aval) for var in eqn.outvars]
    results = [loop.after_loop(*pair) for pair in zip(outs[:carries], typed, strict=False)]
    results += [
        loop.stack_rows(value, key, params["length"])
        for value, key in zip(outs[carries:], typed[carries:], strict=True)
    ]
    loop.leave()
    finish(reader, body, eqn, results)


def _has_steps(outer: Sequence[Any], inner: Sequence[Any]) -> list[bool]:
    return [len(a.aval.shape) == len(b.aval.shape) + 1 for a, b in zip(outer, inner, strict=True)]


def _while(reader: Reader, body: Body, eqn: Any) -> None:
    params = eqn.params
    tests, first = eqn.invars[: params["cond_nconsts"]], params["body_nconsts"]
    inputs = eqn.invars[len(tests) :]
    values = reader.values(body, inputs)
    links: list[Any] = [(body.binding, atom) for atom in inputs]
    loop = Loop(reader, body, eqn, "while")
    made, outs = loop.settle(params["body_jaxpr"], values, links, range(first, len(inputs)))
    state = _compat.open_jaxpr(params["body_jaxpr"]).jaxpr.invars[first:]
    asked = reader.values(body, tests) + reader.values(made, state)
    asked_links = [(body.binding, atom) for atom in tests]
    asked_links += [(made.binding, var) for var in state]
    enter(reader, body, eqn, params["cond_jaxpr"], asked, asked_links, scopes=(loop.scope,))
    typed = [is_key(var.aval) for var in eqn.outvars]
    results = list(map(loop.after_loop, outs, typed))
    loop.leave()
    finish(reader, body, eqn, results)


RULES: dict[str, EquationRule] = {"scan": _scan, "while": _while}
