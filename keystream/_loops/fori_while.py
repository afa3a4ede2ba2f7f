"""Loop with a key for each turn: `fori_loop`, `while_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keystream._checks.calls import call_function
from keystream._checks.key import check_impl
from keystream._checks.numbers import check_start
from keystream._checks.static import is_integer_dtype, static_int
from keystream._checks.tree import check_arrays
from keystream._checks.values import check_not_donated, is_traced
from keystream._errors import ArgumentTypeError, ArgumentValueError, Phrase, error, public
from keystream._impl import is_typed_key
from keystream._keys import children, program
from keystream._keys.program import Function
from keystream._keys.scheme import Counter, advance, array_counter, narrow, widen
from keystream._known import Impl
from keystream._loops.body import call_for_value, check_loop_key
from keystream._types import C, Numbers, Position


@public
def fori_loop(
    lower: Position,
    upper: Position,
    body: Callable[[jax.Array, Any, C], C],
    init: C | Numbers,
    *,
    key: jax.Array,
) -> C:
    """Return the last value of a counted loop, turn i with child i of the key.

    Reach for it as for `lax.fori_loop`. With outputs per step use `scan`.

    Equal to `for i in range(lower, upper): val = body(ks.derive(key, i), i, val)`.

    Args:
        lower: First index, an integer scalar, static or traced.
        upper: One past the last index.
        body: `body(key, i, val) -> val`.
        init: The first value, a pytree of arrays.
        key: One typed key.

    Returns:
        The last value, a pytree like `init`.

    Key use:
        Consumes `key`; loops over disjoint ranges of indices are one consumption.

    Guarantees:
        A turn's key depends on `i` alone, so splitting the range changes nothing. Negative
        indices are the positions below zero that `derive` has, too, for threefry2x32.
        Differentiable in reverse, as in JAX, where `lower` and `upper` are static. Called
        eagerly, the body is traced each time and compiled once for equal programs and
        numbers of turns: another `lower` compiles nothing.

    Raises:
        KeyTypeError, KeyImplError: `key` isn't one typed key, or refused.
        ArgumentTypeError: A bound is not an integer scalar.
        ArgumentValueError: A negative static bound, for an implementation without a public
            cipher.
        BodyError: `body` doesn't return a value like `init`.

    Example:
        >>> import jax, keystream as ks
        >>> def turn(key, i, total):
        ...     return total + jax.random.randint(key, (), 0, 10)
        >>> ks.fori_loop(0, 5, turn, 0, key=ks.key(42)).shape
        ()
    """
    impl = check_loop_key(key, "ks.fori_loop(lower, upper, body, init, key=key)")
    check_arrays("init", init)
    lower, upper = _bound("lower", lower, impl), _bound("upper", upper, impl)
    # A Python int has the dtype of the array beside it, unless that is an unsigned one.
    kinds = [np.dtype(getattr(bound, "dtype", np.int32)) for bound in (lower, upper)]
    plain = any(isinstance(bound, int) for bound in (lower, upper))
    unsigned = any(kind.kind == "u" for kind in kinds)
    if kinds[0] != kinds[1] and (unsigned or not plain):
        wanted, got = "of lower's dtype", Phrase(f"{kinds[1]} for {kinds[0]}")
        raise error(ArgumentTypeError, "upper", wanted, got)
    turns = None
    if not is_traced(lower, upper):
        info = np.iinfo(jnp.result_type(int))
        lower, upper = int(lower), int(upper)
        turns = max(upper - lower, 0)
        if turns > info.max:
            wanted = f"at most {info.max} turns from lower"
            raise error(ArgumentValueError, "upper", wanted, upper)
    leaves, structure = jax.tree.flatten(init)

    def turn(key: jax.Array, i: Any, val: list[Any]) -> list[Any]:
        before = jax.tree.unflatten(structure, val)
        after = call_for_value(body, "body(key, i, val)", key, i, before)
        return jax.tree.leaves(after)

    made = program.run(_make_fori, [turn], key, lower, upper, leaves, turns=turns)
    last: C = jax.tree.unflatten(structure, made)
    return last


def _make_fori(
    functions: list[Function],
    key: jax.Array,
    lower: Any,
    upper: Any,
    init: list[Any],
    *,
    turns: int | None,
) -> list[Any]:
    """Count from `lower`; a static number of turns is what a loop is compiled for."""
    wide = check_impl(key).cipher

    def turn(i: Any, val: list[Any]) -> list[Any]:
        counter = array_counter(jnp.asarray(i))
        own = children.child(key, counter if wide else narrow(counter))
        made: list[Any] = functions[0](own, i, val)
        return made

    if turns is None:
        made = lax.fori_loop(lower, upper, turn, init)
    else:
        made = lax.fori_loop(0, turns, lambda i, val: turn(lower + i, val), init)
    return list(made)


@public
def while_loop(
    cond: Callable[[C], Any],
    body: Callable[[jax.Array, C], C],
    init: C | Numbers,
    *,
    key: jax.Array,
    start: Position = 0,
) -> C:
    """Return the last value of a conditional loop, turn i with child i of the key.

    Reach for it as for `lax.while_loop`: rejection, or iterating until converged.

    Equal to `while cond(val): val = body(ks.derive(key, start + turns), val)`.

    Args:
        cond: `cond(val) -> bool scalar`. It gets no key.
        body: `body(key, val) -> val`.
        init: The first value, a pytree of arrays.
        key: One typed key.
        start: Position of the first turn, an integer scalar, static or traced.

    Returns:
        The last value, a pytree like `init`.

    Key use:
        Consumes `key`.

    Guarantees:
        Turns are counted in 64 bits. Under `vmap` each lane has its own key and stops on
        its own, with the numbers of a loop on its own. Called eagerly, both functions are
        traced each time and compiled once for equal programs.

    Raises:
        KeyTypeError, KeyImplError: `key` isn't one typed key, or refused.
        ArgumentTypeError, ArgumentValueError: A bad `start`.
        BodyError: `body` doesn't return a value like `init`.

    Example:
        >>> import jax, keystream as ks
        >>> def roll(key, val):
        ...     return jax.random.randint(key, (), 1, 7)
        >>> int(ks.while_loop(lambda val: val != 6, roll, 0, key=ks.key(42)))
        6
    """
    impl = check_loop_key(key, "ks.while_loop(cond, body, init, key=key)")
    check_arrays("init", init)
    first = children.start_counter(check_start(start, 1, impl), 1, impl)
    first = first or Counter(None, np.uint32(0))

    leaves, structure = jax.tree.flatten(init)

    def more(val: list[Any]) -> list[Any]:
        return [call_function("cond(val)", cond, jax.tree.unflatten(structure, val))]

    def turn(key: jax.Array, val: list[Any]) -> list[Any]:
        before = jax.tree.unflatten(structure, val)
        return jax.tree.leaves(call_for_value(body, "body(key, val)", key, before))

    first = widen(first) if impl.cipher else first
    made = program.run(_make_while, [more, turn], key, first, leaves)
    last: C = jax.tree.unflatten(structure, made)
    return last


def _make_while(
    functions: list[Function], key: jax.Array, start: Counter, init: list[Any]
) -> list[Any]:
    more, turn = functions

    def cond(state: tuple[Counter, list[Any]]) -> Any:
        return more(state[1])[0]

    def body(state: tuple[Counter, list[Any]]) -> tuple[Counter, list[Any]]:
        counter, val = state
        out = turn(children.child(key, counter), val)
        return advance(counter, Counter(None, jnp.ones_like(counter.lo))), out

    counter = jax.tree.map(jnp.asarray, start)
    made: list[Any] = lax.while_loop(cond, body, (counter, init))[1]
    return made


def _bound(which: str, bound: Any, impl: Impl) -> Any:
    """Return a bound of a counted loop, a static one as a Python int."""
    number = static_int(bound)
    if number is None:
        array = isinstance(bound, (jax.Array, np.ndarray)) and not is_typed_key(bound)
        if not array or bound.shape or not is_integer_dtype(bound):
            raise error(ArgumentTypeError, which, "an integer scalar", bound)
        if is_traced(bound):
            return bound
        check_not_donated(which, bound)
        number = int(bound)
    if number < 0 and not impl.cipher:
        wanted = "zero or more for a key without a public cipher"
        raise error(ArgumentValueError, which, wanted, number)
    # Between static bounds JAX counts in its default integers, whatever the bounds are:
    # from 2**31 on a uint32 index would come out negative, and an int64 one cut.
    info = jnp.iinfo(jnp.result_type(int))
    if not info.min <= number <= info.max:
        wanted = f"an index that fits {info.dtype}"
        cure = "For positions up to 2**63: ks.while_loop(cond, body, init, key=key, start=lower)."
        raise error(ArgumentValueError, which, wanted, number, cure)
    return bound if hasattr(bound, "dtype") and not isinstance(bound, np.generic) else number
