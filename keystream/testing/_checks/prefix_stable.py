"""Check that more items change no earlier one, and that `start` skips the items before it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._compare import Pair, Tolerance, first_difference, snapshot
from keystream.testing._failures import DifferenceError

__tracebackhide__ = True  # pytest shows the line that calls the check

CHECK = "check_prefix_stable"


@public
def check_prefix_stable(
    fun: Callable[..., Any],
    key: jax.Array,
    /,
    sizes: Sequence[int] = (1, 2, 5, 8),
    *,
    starts: Sequence[int] | None = None,
    axis: int = 0,
    ulps: float = _arguments.ULPS,
    atol: float = 0.0,
    exact: bool = False,
) -> None:
    """Raise unless running more items leaves the earlier ones as they were.

    Reach for it with what makes a number of items of one key: a data set, an ensemble, a
    rollout, a sampler in batches. Code that isn't prefix stable gives other numbers for the
    first epoch when a second one is asked for.

    `fun(key, n) == fun(key, m)[:n]` for n <= m, and `fun(key, n, start=s) ==
    fun(key, s + n)[s:]`.

    Args:
        fun: Takes the key and a number of items, and returns any pytree whose leaves have
            the items along `axis`; with `starts` also the keyword `start`.
        key: One typed key, not traced.
        sizes: Numbers of items to try, two or more; all are held against the largest one.
        starts: Positions to begin at, one item or more before the end of the largest size.
            Where it isn't given, `fun` is asked to begin at 1 and in the middle if its
            signature has a parameter named `start`, and else not at all.
        axis: Along which the items lie in all leaves.
        ulps: How many floats may lie between a float and its equal in a longer run.
        atol: Floats that are as near as this also pass.
        exact: Floats must be equal bit for bit.

    Key use:
        Hands the key itself to `fun` once for each size and start, which is what it is about.

    Guarantees:
        Keys, bits, integers and bools must be equal, floats within `ulps` or `atol`: XLA
        emits other float code for other lengths. `jax.random.normal(key, (n,))` itself is
        prefix stable under JAX's default settings; with another last axis, as in
        `(2, n)`, its rows are not.

    Raises:
        DifferenceError: The first item that changed, with both values; or another number
            of items than was asked for.
        KeyTypeError: Not one typed key, or a traced one.
        ArgumentTypeError: `fun` can't be called, or sizes or starts are no ints.
        ArgumentValueError: Fewer than two sizes, or one below 1.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> from keystream import testing
        >>> testing.check_prefix_stable(ks.keys, ks.key(0))
        >>> try:
        ...     testing.check_prefix_stable(jax.random.permutation, ks.key(0))
        ... except testing.DifferenceError as error:
        ...     print(str(error).partition(", got")[0])
        check_prefix_stable: fun must give the same first items whatever their number
    """
    _arguments.check_function("fun", fun)
    _arguments.check_key(key)
    near = _arguments.tolerance(ulps, atol, exact)
    lengths = sorted(set(_arguments.counts("sizes", sizes, several=2)))
    most = lengths[-1]
    if len(lengths) < 2:
        raise error(ArgumentValueError, "sizes", "of two different values", sizes)
    begins = _starts(fun, most) if starts is None else starts
    begins = _arguments.counts("starts", begins, least=0, several=0) if begins else ()

    whole = _run(fun, key, most, axis)
    for length in lengths[:-1]:
        part = _run(fun, key, length, axis)
        names = f"in a run of {most}", f"in a run of {length}"
        _demand("whatever their number", _cut(whole, 0, length, axis), part, near, names)
    for start in begins:
        length = max(1, most - start)
        longer = whole if start + length == most else _run(fun, key, start + length, axis)
        part = _run(fun, key, length, axis, start=start)
        names = f"in a run from 0, {start} items later,", f"in a run from start={start}"
        _demand("wherever the run starts", _cut(longer, start, length, axis), part, near, names)


def _starts(fun: Callable[..., Any], most: int) -> tuple[int, ...]:
    try:
        known = "start" in inspect.signature(fun).parameters
    except (TypeError, ValueError):
        known = False
    return tuple(sorted({1, most // 2} - {0})) if known else ()


def _run(fun: Callable[..., Any], key: jax.Array, count: int, axis: int, **start: int) -> Any:
    made = fun(key, count, **start)
    for path, leaf in jax.tree_util.tree_leaves_with_path(made):
        shape = np.shape(leaf)
        if not -len(shape) <= axis < len(shape) or shape[axis] != count:
            where = f"result{jax.tree_util.keystr(path)}"
            got = Phrase(f"shape {shape} at {where}")
            wanted = f"{count} items along axis {axis} for n={count}"
            cure = "For items along another axis: axis=1."
            raise error(DifferenceError, "fun", wanted, got, cure, must="give")
    if not jax.tree.leaves(made):
        raise error(ArgumentTypeError, "fun", "at least one array", made, must="return")
    return snapshot(made)


def _cut(made: Any, start: int, length: int, axis: int) -> Any:
    def cut(leaf: Any) -> Any:
        where = [slice(None)] * leaf.ndim
        where[axis] = slice(start, start + length)
        return leaf[tuple(where)]

    return jax.tree.map(cut, made)


def _demand(what: str, one: Any, other: Any, near: Tolerance, names: Pair) -> None:
    told = first_difference(one, other, near, names)
    if told:
        first = "first items" if "number" in what else "items"
        wanted = f"the same {first} {what}"
        raise error(DifferenceError, "fun", wanted, Phrase(told), must="give")
