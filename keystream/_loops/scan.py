"""Loop over arrays with a key for each step: `scan`, `scan_carried`, `map`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from keystream._checks.calls import call_for_arrays
from keystream._checks.key import check_draws_in_lanes
from keystream._checks.numbers import check_batch_size, check_count, check_size, check_start
from keystream._checks.tree import check_arrays
from keystream._errors import ArgumentValueError, error, public
from keystream._keys import children, program
from keystream._keys.batches import fill
from keystream._keys.program import Function, Leaves
from keystream._keys.scheme import Counter, advance
from keystream._loops.body import Steps, check_loop_key, check_pair
from keystream._types import C, Numbers, Position, X, Y


@public
def scan(
    body: Callable[[jax.Array, C, X], tuple[C, Y]],
    init: C | Numbers,
    xs: X | Numbers = None,
    *,
    key: jax.Array,
    length: int | None = None,
    start: Position = 0,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
) -> tuple[C, Y]:
    """Scan a body over items, item i with child i of the key; return `(carry, ys)`.

    Reach for it as for `lax.scan` when every step draws. Where the surviving key is
    wanted back use `scan_carried`; without a carry `map`.

    `ks.scan(body, init, xs, key=key)` equals
    `lax.scan(lambda c, x: body(x[0], c, x[1]), init, (ks.keys(key, n), xs))`, whose keys
    are `jax.random.split(key, n)` under JAX's default settings.

    Args:
        body: `body(key, carry, x) -> (carry, y)`.
        init: The first carry, a pytree of arrays.
        xs: A pytree of arrays with one leading length, or None.
        key: One typed key.
        length: How many steps; needed where `xs` has no arrays.
        start: Position of item 0, an integer scalar, static or traced.
        reverse: Process the last item first. Item i keeps child i and its place in `ys`.
        unroll: As in `lax.scan`; so is `_split_transpose`.

    Returns:
        `(carry, ys)`, the last carry and the stacked `y`, as `lax.scan` does.

    Key use:
        Consumes `key`; scans over disjoint ranges of positions are one consumption.

    Guarantees:
        A longer scan begins with the shorter one; starting at `s` gives what a full scan
        gives from `s` on. Neither `unroll` nor `reverse` changes an item's key. Works
        inside every transform, and for every accepted implementation. Holds one key per
        step in memory. Called eagerly, the body is traced each time, so that it sees what has
        changed, and compiled once for equal programs: new seeds, starts, numbers and lambdas
        compile nothing.

    Raises:
        KeyTypeError, KeyImplError: `key` isn't one typed key, or refused.
        ArgumentTypeError: `xs` holds something that is no array, a bad `length` or `start`.
        ArgumentValueError: No length; a start out of range.
        BodyError: `body` doesn't return `(carry, y)` with a carry like `init`.

        For all else, as lengths that differ, `lax.scan` has errors of its own.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> def step(key, carry, x):
        ...     return carry + x, jax.random.bits(key)
        >>> carry, ys = ks.scan(step, 0, jnp.arange(4), key=ks.key(42))
        >>> int(carry), ys.shape
        (6, (4,))
    """
    impl = check_loop_key(key, "ks.scan(body, init, xs, key=key)")
    check_arrays("init", init)
    steps = _length(xs, length)
    first = children.start_counter(check_start(start, steps, impl), steps, impl)
    step = Steps(check_pair(body), init, xs)
    made = program.run(
        _make_scan,
        [step],
        key,
        children.two_words(key, first),
        step.carry,
        step.xs,
        length=steps,
        reverse=reverse,
        unroll=unroll,
        _split_transpose=_split_transpose,
    )
    return step.results(*made)


def _make_scan(
    functions: list[Function],
    key: jax.Array,
    start: Counter | None,
    init: list[Any],
    xs: list[Any],
    *,
    length: int,
    **loop: Any,
) -> tuple[Any, Any]:
    keys = children.row(key, (length,), start)

    def step(carry: list[Any], item: tuple[jax.Array, list[Any]]) -> tuple[Any, Any]:
        carry, y = functions[0](item[0], carry, item[1])
        return carry, y

    made: tuple[Any, Any] = lax.scan(step, init, (keys, xs), **loop)
    return made


@public
def scan_carried(
    body: Callable[[jax.Array, C, X], tuple[C, Y]],
    init: C | Numbers,
    xs: X | Numbers = None,
    *,
    key: jax.Array,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
) -> tuple[jax.Array, C, Y]:
    """Scan with the key riding in the carry; return `(key, carry, ys)`.

    Reach for it to match a loop that people write by hand, or to go on with the key that
    comes back. `scan` numbers its items, so prefer it where nothing forces a chain.

    Equal to `for x in xs: key, use = ks.split(key); carry, y = body(use, carry, x)`, in
    the order of processing.

    Args:
        body: `body(key, carry, x) -> (carry, y)`.
        init: The first carry, a pytree of arrays.
        xs: A pytree of arrays with one leading length, or None.
        key: One typed key.
        length: How many steps; needed where `xs` has no arrays.
        reverse: Process the last item first: it then gets the first key of the chain.
        unroll: As in `lax.scan`; so is `_split_transpose`.

    Returns:
        `(key, carry, ys)`: the surviving key, never drawn from, then as `lax.scan` does.

    Key use:
        Consumes `key` and hands back the one that goes on. With zero steps that is `key`.

    Guarantees:
        Running n steps and then m with the key that came back equals running n + m.
        Items can't be reached out of order, and a chain is a random map: it repeats after
        an expected 5.4e9 steps, a counter never does. Called eagerly, the body is traced
        each time and compiled once for equal programs.

    Raises:
        KeyTypeError, KeyImplError: `key` isn't one typed key, or refused.
        ArgumentTypeError: `xs` holds something that is no array, or a bad `length`.
        ArgumentValueError: No length.
        BodyError: `body` doesn't return `(carry, y)` with a carry like `init`.

        For all else, as lengths that differ, `lax.scan` has errors of its own.

    Example:
        >>> import jax, keystream as ks
        >>> def step(key, carry, _):
        ...     return carry + 1, jax.random.bits(key)
        >>> key, carry, ys = ks.scan_carried(step, 0, key=ks.key(42), length=3)
        >>> key.shape, int(carry), ys.shape
        ((), 3, (3,))
    """
    check_loop_key(key, "ks.scan_carried(body, init, xs, key=key)")
    check_arrays("init", init)
    steps = _length(xs, length)
    step = Steps(check_pair(body), init, xs)
    key, *made = program.run(
        _make_scan_carried,
        [step],
        key,
        step.carry,
        step.xs,
        length=steps,
        reverse=reverse,
        unroll=unroll,
        _split_transpose=_split_transpose,
    )
    carry, ys = step.results(*made)
    return key, carry, ys


def _make_scan_carried(
    functions: list[Function], key: jax.Array, init: list[Any], xs: list[Any], **loop: Any
) -> tuple[jax.Array, Any, Any]:
    def step(carried: tuple[jax.Array, Any], x: Any) -> tuple[tuple[jax.Array, Any], Any]:
        following, use = children.row(carried[0], (2,), None)
        carry, y = functions[0](use, carried[1], x)
        return (following, carry), y

    (key, carry), ys = lax.scan(step, (key, init), xs, **loop)
    return key, carry, ys


@public
def map(  # noqa: A001 - the name that JAX users look for, as in `lax.map`
    body: Callable[[jax.Array, X], Y],
    xs: X | Numbers,
    *,
    key: jax.Array,
    batch_size: int | None = None,
    start: Position = 0,
) -> Y:
    """Apply a body to one item after the other, item i with child i of the key.

    Reach for it as for `lax.map`: `vmap` is faster and holds everything at once,
    `batch_size` lies between. For draws without inputs use `sample`.

    `ks.map(body, xs, key=key)[i] == body(ks.derive(key, i), xs[i])`.

    Args:
        body: `body(key, x) -> y`.
        xs: A pytree of arrays with one leading length.
        key: One typed key.
        batch_size: How many items `vmap` takes at once; None for one at a time.
        start: Position of item 0, an integer scalar, static or traced.

    Returns:
        The stacked `y`, a pytree of arrays with the length of `xs` in front.

    Key use:
        Consumes `key`; maps over disjoint ranges of positions are one consumption.

    Guarantees:
        `batch_size` changes no key and no raw bit; floats agree to last digits. Where it
        doesn't divide the length, the last batch overlaps the one before, and a callback in
        the body runs twice for the items in both. Called eagerly, the body is traced each
        time and compiled once for equal programs.

    Raises:
        KeyTypeError, KeyImplError: `key` isn't one typed key, or refused; an rbg key
            together with `batch_size`, as `vmap` over rbg keys draws something else.
        ArgumentTypeError, ArgumentValueError: Bad `xs`, `batch_size` or `start`.
        BodyError: `body` returns no arrays.

    Example:
        >>> import jax, jax.numpy as jnp, keystream as ks
        >>> def noisy(key, x):
        ...     return x + jax.random.randint(key, (), 0, 10)
        >>> ks.map(noisy, jnp.zeros(6, int), key=ks.key(42), batch_size=4).shape
        (6,)
    """
    impl = check_loop_key(key, "ks.map(body, xs, key=key)")
    steps = _length(xs, None, "For draws without inputs: ks.sample(sampler, key, n).")
    if batch_size is not None:
        check_draws_in_lanes(impl, key)
        batch_size = check_batch_size(batch_size)
    first = children.start_counter(check_start(start, steps, impl), steps, impl)

    first = children.two_words(key, first)

    def one(key: jax.Array, x: Any) -> Any:
        return call_for_arrays("body(key, x)", body, key, x)

    if batch_size is None:
        step = Steps(lambda _, key, carry, x: (carry, one(key, x)), (), xs)
        made = program.run(_make_scan, [step], key, first, [], step.xs, length=steps)
        scanned: Y = step.results(*made)[1]
        return scanned
    inputs, structure = jax.tree.flatten(xs)
    if any(len(x) != steps for x in inputs):  # else the slices would be clamped
        raise error(ArgumentValueError, "xs", "of one leading length", xs)
    item = Leaves(lambda key, x: one(key, jax.tree.unflatten(structure, x)))
    made = program.run(_make_map, [item], key, first, inputs, length=steps, batch=batch_size)
    ys: Y = jax.tree.unflatten(item.structure, made)
    return ys


def _make_map(
    functions: list[Function],
    key: jax.Array,
    start: Counter | None,
    xs: list[Any],
    *,
    length: int,
    batch: int,
) -> list[jax.Array]:
    def draw(first: Any, size: int) -> list[jax.Array]:
        place = Counter(None, lax.convert_element_type(first, np.uint32))
        offset = place if start is None else advance(start, place)
        keys = children.row(key, (size,), offset)
        items = [lax.dynamic_slice_in_dim(x, first, size, 0) for x in xs]
        made: list[jax.Array] = jax.vmap(functions[0])(keys, items)
        return made

    return draw(0, length) if batch >= length else fill(draw, length, batch)


_WITHOUT_XS = "For steps without inputs: ks.{caller}(body, init, key=key, length=n)."


def _length(xs: Any, length: Any, cure: str = _WITHOUT_XS) -> int:
    """Return how many steps to make; JAX holds that against the arrays."""
    check_arrays("xs", xs)
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(xs)]
    if () in shapes or (length is None and not shapes):
        raise error(ArgumentValueError, "xs", "of arrays with a leading length", xs, cure)
    steps = shapes[0][0] if length is None else check_count("length", length)
    check_size((steps,), argument="length")
    return steps
