"""Read the equations of a jaxpr: the lineage of its keys, and what is done with them.

The idea: run the program on handles of keys in the place of keys. Equations are read in their
order. For each variable that holds keys a `Body` has an array of handles of the same shape
(`Body.held`, see `lineage`); for each other one a mask of what it was made from (`Body.masks`),
which also tells over which loops and mesh axes it differs. A primitive has a rule if it does
something with keys (`draws`), calls a body (`calls`, `loops`, `meshes`), or moves keys about
(`moves`). Out of any other one come keys of unknown origin, and what went in counts as used.
Values that aren't keys are looked at where a key is folded or indexed (`equal_values`).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from keystream import _compat
from keystream._audit import failures
from keystream._audit.places import Path, call, describe
from keystream._audit.reading import equal_values
from keystream._audit.reading.equal_values import Binding
from keystream._audit.reading.lineage import (
    JOIN,
    PICK,
    SAME,
    WORDS,
    Handles,
    Lineage,
    Origin,
    Pairs,
    from_words,
    stand_for,
    to_words,
)
from keystream._audit.reading.uses import LOST, REBUILT, SOURCES, Act, Choice, Scope, Use
from keystream._checks.values import read_setting
from keystream._compat import bodies
from keystream._impl import IMPLS, is_key_dtype, kind_of

Value = tuple[int, "np.ndarray | None"]
"""What an operand was made from, and the handles of the keys in it."""

EquationRule = Callable[["Reader", "Body", Any], None]

Move = Callable[["Reader", "Body", Any], "list[np.ndarray | None] | None"]
"""From an equation to the handles of its results, where its operands hold keys."""


_SCOPES_FROM = SOURCES.bit_length()


class Body:
    """The equations of one function, with what it was called with."""

    def __init__(
        self,
        binding: Binding,
        where: Path | None,
        scopes: tuple[Scope, ...] = (),
        choices: tuple[Choice, ...] = (),
    ) -> None:
        self.binding = binding
        self.where = where
        self.scopes = scopes
        self.choices = choices
        self.reached = len({choice.token for choice in choices}) == len(set(choices))
        """Is there a way here, or do choices exclude each other?"""
        self.masks: dict[Any, int] = {}
        """What values were made from, and the scopes over which they differ."""
        self.held: dict[Any, np.ndarray] = {}
        """The handles of keys, and those of the words of keys."""
        self._paths: dict[Any, Path] = {}

    def mask(self, atoms: Any) -> int:
        """Return what any of these were made from."""
        found = 0
        for atom in atoms:
            if not hasattr(atom, "val"):
                found |= self.masks.get(atom, 0)
        return found

    def handles(self, atom: Any) -> np.ndarray | None:
        """Return the handles of an operand that holds keys, or words of keys."""
        return None if hasattr(atom, "val") else self.held.get(atom)

    def bit(self, depth: int = 0) -> int:
        """Return the mark of a scope inside this body."""
        return 1 << (_SCOPES_FROM + len(self.scopes) + depth)

    def path(self, eqn: Any) -> Path:
        """Return the way to an equation of this body."""
        if eqn not in self._paths:
            self._paths[eqn] = Path(self.where, eqn, self.binding.jaxpr)
        return self._paths[eqn]


class Mark(NamedTuple):
    """How much had been read when something began."""

    uses: int
    steps: int
    escaped: int


class Content(NamedTuple):
    """What a ref holds until it is written next."""

    mask: int
    handles: np.ndarray | None
    typed: bool
    """Are these the handles of typed keys, rather than of words?"""
    known: equal_values.Known


class Reader:
    """Reads equations, and remembers what it has seen of keys."""

    def __init__(self, rules: Mapping[str, EquationRule], moves: Mapping[str, Move]) -> None:
        self.rules, self.moves = rules, moves
        self.lineage = Lineage()
        self.uses: list[Use] = []
        self.equations = 0
        self.escaped: list[Handles] = []
        """Keys that were handed to what can't be read."""
        self.escapes: set[str] = set()
        self.cut: set[str] = set()
        """What wasn't followed since there is too much of it."""
        self.about_keys: dict[Any, bool] = {}
        """By jaxpr: is there anything about keys in it?"""
        self.constants: dict[int, tuple[int, np.ndarray | None]] = {}
        """By identity: from which step on the handles of constants that are keys hold, and they."""
        self.masks: dict[tuple[Path | None, Any], dict[Any, int]] = {}
        """Inside a mapped body, by call and jaxpr: what each value was made from."""
        self.settled: dict[Path, Any] = {}
        """By loop: what was found of its carries when it was last read."""
        self.mapped: dict[Path, Any] = {}
        """By mapped body: the `meshes.Shards` that it was last read with."""
        self.failures = failures.Failures()
        """What couldn't be read because of a mistake of ours."""
        self.rows: dict[int, tuple[Any, Pairs]] = {}
        """By step of symbols that a counter tells: of which loop, and the keys of its steps."""
        self.refs: dict[Any, Content] = {}
        """By `Binding.ref`: what refs hold where the reader stands."""
        self.unadvanced: dict[Path, set[int]] = collections.defaultdict(set)
        """By loop: keys that it carries without ever making another one of them."""
        self.pending: list[tuple[slice, Callable[[], None]]] = []
        """Of loops in loops: their uses, and what adds the keys that these are of, seen from
        outside. It waits for the outermost loop, which may have its body read again."""

    def mark(self) -> Mark:
        """Return how much has been read."""
        return Mark(len(self.uses), len(self.lineage.steps), len(self.escaped))

    def rewind(self, to: Mark) -> None:
        """Forget what was read since then."""
        del self.uses[to.uses :], self.escaped[to.escaped :]
        self.lineage.forget(to.steps)
        made = self.constants.items()
        self.constants = {const: each for const, each in made if each[0] < to.steps}
        self.rows = {step: each for step, each in self.rows.items() if step < to.steps}
        self.pending = [each for each in self.pending if each[0].start < to.uses]

    def catch_up(self) -> None:
        """Do what is pending, of the innermost loops first."""
        pending, self.pending = self.pending, []
        for _, tell in pending:
            tell()

    def read(self, body: Body) -> None:
        """Read all equations of a body."""
        eqns = body.binding.jaxpr.eqns
        self.equations += len(eqns)
        masks, held, rules = body.masks, body.held, self.rules
        for eqn in eqns:
            special = rules.get(eqn.primitive.name)
            if special is not None:
                try:
                    special(self, body, eqn)
                except failures.CAUGHT as problem:
                    self.fail(body, eqn, problem)
                continue
            mask, moved = 0, False
            for atom in eqn.invars:
                if not hasattr(atom, "val"):
                    mask |= masks.get(atom, 0)
                    moved = moved or atom in held
            if mask:
                for out in eqn.outvars:
                    masks[out] = mask
            if equal_values.reads_refs(eqn):
                self.lose_refs(body, eqn)
            if moved:
                self.try_to_move(body, eqn, mask)

    def try_to_move(self, body: Body, eqn: Any, mask: int) -> None:
        """Follow keys through an operation, if that can be read."""
        try:
            self.move(body, eqn, mask)
        except failures.CAUGHT as problem:
            self.fail(body, eqn, problem)

    def fail(self, body: Body, eqn: Any, problem: BaseException) -> None:
        """Go on after an equation that couldn't be read: its keys are out of sight."""
        self.failures.add(lambda: f"{describe(eqn)} in {call(body.path(eqn)).place}", problem)
        self.escape(body, eqn)
        mask = body.mask(eqn.invars)
        for scope in body.scopes:
            mask |= scope.bit
        for out in eqn.outvars:
            body.masks[out] = mask
            if is_key(out.aval) and out not in body.held:
                self.add_unknown(body, eqn, out)

    def values(self, body: Body, atoms: Sequence[Any]) -> list[Value]:
        """Return what is known of operands."""
        return [(body.mask([atom]), body.handles(atom)) for atom in atoms]

    def put(self, body: Body, var: Any, mask: int, handles: np.ndarray | None) -> None:
        """Remember what is known of a result."""
        if mask:
            body.masks[var] = mask
        if handles is not None and handles.size:
            body.held[var] = handles

    def use(
        self,
        act: Act,
        body: Body,
        eqn: Any,
        handles: Handles,
        shape: Any = (),
        width: int = 0,
        sources: int = 0,
    ) -> None:
        """Remember that something was done with keys."""
        if not body.reached or not handles.size:
            return
        where = body.path(eqn)
        scopes, choices = body.scopes, body.choices
        flat = handles.ravel()
        self.uses.append(
            Use(act, flat, where, scopes, choices, tuple(shape), width, sources, also=[])
        )

    def details(self, body: Body, eqn: Any, parents: Handles, mask: int = 0) -> dict[str, Any]:
        """Return what every step that is made from keys says of itself."""
        lineage = self.lineage
        varies = lineage.varies(parents) | scopes_of(mask)
        return {"varies": varies, "impl": lineage.impl(parents), "where": body.path(eqn)}

    def keys_of(self, body: Body, eqn: Any, atom: Any) -> Handles:
        """Return the handles of a key array, of unknown origin if need be."""
        found = body.handles(atom)
        return self.add_unknown(body, eqn, atom) if found is None else found

    def add_unknown(self, body: Body, eqn: Any, var: Any, phrase: str = "") -> Handles:
        """Add keys of which nothing is known."""
        mask = scopes_of(body.masks.get(var, 0))
        made = self.lineage.root(
            Origin.UNKNOWN,
            tuple(var.aval.shape),
            equal_values.new_token(),
            varies=mask,
            impl=impl_of(var.aval.dtype),
            where=body.path(eqn),
            phrase=phrase,
        )
        if made.size:
            body.held[var] = made
        return made

    def tell_steps(self, symbols: Handles, loop: Any, rows: Handles) -> None:
        """Say which keys some keys are in the steps of a loop, in the order of its steps."""
        if not self.lineage.varies(rows) & loop.scope.bit:
            told = stand_for(symbols.ravel(), np.moveaxis(rows, 0, -1))
            self.rows |= {step: (loop, keys) for step, keys in told.items()}

    def move(self, body: Body, eqn: Any, mask: int) -> None:
        """Follow keys through an operation that isn't about keys."""
        name = eqn.primitive.name
        found = self.moves[name](self, body, eqn) if name in self.moves else None
        made = found or [None] * len(eqn.outvars)
        for out, handles in zip(eqn.outvars, made, strict=True):
            if handles is not None and handles.shape == tuple(out.aval.shape):
                self.put(body, out, mask, handles)
            elif is_key(out.aval):
                self.add_unknown(body, eqn, out, f"a key that came out of {name}")
            elif name in _KEEPING:
                body.masks[out] = scopes_of(mask) | LOST
            elif jnp.issubdtype(out.aval.dtype, np.integer):
                body.masks[out] = mask | REBUILT
        if found is None:
            self.escape(body, eqn)

    def lose_refs(self, body: Body, eqn: Any) -> None:
        """Forget what refs hold that were handed to what can't be read."""
        for atom in eqn.invars:
            if _compat.is_ref(atom.aval):
                ref, new = body.binding.ref(atom), equal_values.Known(equal_values.new_token())
                held = self.refs.get(ref)
                if held is not None and held.handles is not None:
                    self.escaped.append(owners(held.handles, held.typed))
                    self.escapes.add(eqn.primitive.name)
                self.refs[ref] = Content(body.mask(eqn.invars), None, is_key(atom.aval), new)

    def escape(self, body: Body, eqn: Any) -> None:
        """Remember keys that were handed to what can't be read."""
        name = eqn.primitive.name
        for atom in eqn.invars:
            held = body.handles(atom)
            if held is None:
                continue
            typed = is_key(atom.aval)
            self.escaped.append(owners(held, typed))
            # Arithmetic on words, and what is only moved, is seen where a key is made of it again.
            keeps = name in _KEEPING or not typed
            if not keeps or "callback" in name or any(True for _ in bodies(eqn.params.values())):
                self.escapes.add(name)

    def join(self, body: Body, eqn: Any, mask: int, choice: int, *cases: Handles) -> Handles:
        """Return keys of which each is one of several; the same ones if they are all alike."""
        lineage, first = self.lineage, cases[0]
        nodes = [lineage.nodes(case) for case in cases]
        if all((each == nodes[0]).all() for each in nodes[1:]):
            return first
        token = equal_values.hash_number(tuple(each.tobytes() for each in nodes))
        index = np.arange(first.size, dtype=np.uint64).reshape(first.shape)
        details = self.details(body, eqn, np.stack(cases), mask)
        # What a key may be is made before it: so `Lineage.mark`, which goes back, comes to it.
        several = [self.guard(body, eqn, case, (choice, place)) for place, case in enumerate(cases)]
        made = lineage.grow(Origin.ONE_OF_SEVERAL, first, JOIN, index + token, **details)
        rows = np.stack([case.ravel() for case in several], axis=1)
        lineage.alternatives |= stand_for(made.ravel(), rows)
        return made

    def guard(self, body: Body, eqn: Any, keys: Handles, guard: tuple[int, int]) -> Handles:
        """Return the same keys, which are used where a choice falls on one branch alone."""
        details = self.details(body, eqn, keys) | {"guard": guard}
        return self.lineage.grow(Origin.SAME, keys, SAME, np.uint64(0), **details)

    def pick(
        self, body: Body, eqn: Any, handles: Handles, shape: Sequence[int], mask: int, token: int
    ) -> Handles:
        """Return elements of a key array of which it isn't known which ones."""
        lineage = self.lineage
        whole = equal_values.hash_number((lineage.nodes(handles).tobytes(), token))
        index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64)
        first = np.broadcast_to(handles.ravel()[:1], index.shape)
        details = self.details(body, eqn, handles, mask)
        self.escaped.append(handles.ravel())  # any of them may be used by that
        return lineage.grow(Origin.ELEMENT, first, PICK, index + whole, **details).reshape(shape)


_KEEPING = frozenset(("all_to_all", "gather", "scatter", "sort", "pad")) | {
    "dynamic_slice",
    "dynamic_update_slice",
}
"""Operations that move words about and compute none, where it isn't known how."""


def on_keys(
    fun: Callable[..., Handles | None], typed: bool, *arrays: np.ndarray
) -> np.ndarray | None:
    """Do something to key arrays, or to what the words of legacy keys belong to."""
    if typed:
        return fun(*arrays)
    owners = [from_words(words) for words in arrays]
    if any(each is None for each in owners):
        return None
    made = fun(*owners)
    return None if made is None else to_words(made, arrays[0].shape[-1])


def scopes_of(mask: int) -> int:
    """Return the scopes in a mask, without what a value was made from."""
    return mask & ~SOURCES


def sources_of(mask: int) -> int:
    """Return what a value was made from, of a mask: `DRAWN`, `FLOAT`, `REBUILT`."""
    return mask & SOURCES & ~LOST


def is_key(aval: Any) -> bool:
    """Is this an array of typed keys?"""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and is_key_dtype(dtype)


def impl_of(dtype: Any) -> str:
    """Return the name of a key dtype's implementation."""
    return str(kind_of(dtype).impl)


def guess_impl(aval: Any) -> str | None:
    """Return whose words an array may hold: None if no key's, nothing if it isn't known whose."""
    if aval.dtype != np.uint32 or not aval.shape:
        return None
    default, width = str(read_setting("jax_default_prng_impl")), aval.shape[-1]
    if default in IMPLS and IMPLS[default].words == width:
        return default
    return {2: "threefry2x32", 4: ""}.get(width)


def owners(handles: np.ndarray, typed: bool) -> Handles:
    """Return the keys that a value of these handles holds, flat."""
    return handles.ravel() if typed else owners_of(handles)


def owners_of(words: np.ndarray) -> Handles:
    """Return the keys that any of these words belong to."""
    return np.unique(words[words >= 0] // WORDS)
