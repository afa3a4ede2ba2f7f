"""Check that one key gives the same numbers again, compiled, and in lanes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._compare import EXACT, Pair, Tolerance, first_difference, snapshot
from keystream.testing._failures import CheckError, DifferenceError

__tracebackhide__ = True  # pytest shows the line that calls the check

FORMS = ("again", "jit", "vmap", "map")
CHECK = "check_reproducible"


@public
def check_reproducible(
    fun: Callable[..., Any],
    key: jax.Array,
    /,
    *args: Any,
    forms: Sequence[str] = ("again", "jit", "vmap"),
    lanes: int = 3,
    ulps: float = _arguments.ULPS,
    atol: float = 0.0,
    exact: bool = False,
) -> None:
    """Raise unless a function of a key gives the same in every way of running it.

    Reach for it with any function whose numbers should follow from its key: an
    initializer, a sampler, a training step, an augmentation. What takes a number of items
    is for `check_prefix_stable`, what runs on a mesh for `check_device_invariant`, what is
    saved and goes on for `check_resumable`.

    `fun(key, *args) == fun(key, *args) == jax.jit(fun)(key, *args)`, and lane i of
    `jax.vmap(fun)(keys)` is `fun(keys[i])`.

    Args:
        fun: Takes a key, then `args`; returns any pytree of arrays, keys and numbers, with
            `forms=("again",)` of str and other leaves with `==` too. One that `jax.jit`
            made is also called as it was before.
        key: One typed key, not traced.
        *args: The other arguments. Arrays in them are traced where `fun` is, everything
            else is static; all lanes get the same ones.
        forms: Which ways to try. `"again"`: called twice, and without touching the hidden
            states of `numpy.random` and `random`. `"jit"`: compiled against eager. `"vmap"`:
            over `lanes` keys against a Python loop. `"map"`: the same under `jax.lax.map`.
        lanes: How many keys the lanes have.
        ulps: How many floats may lie between a float and its equal in another form; see
            Guarantees.
        atol: Floats that are as near as this also pass: for results of sums that cancel,
            of which an ulp is tiny.
        exact: Floats must be equal bit for bit in all forms.

    Key use:
        Hands the key itself to `fun` several times, which is what it is about, and
        `ks.keys(ks.derive(key, "check_reproducible"), lanes)` to the lanes.

    Guarantees:
        A second call must be equal bit for bit. Keys, bits, integers, bools and str must
        be equal in every form, floats within `ulps` or `atol`: XLA emits other float code
        for other shapes. 64, the default, is above what JAX's samplers without rejection
        were seen to differ (see `docs/testing.md`) and far below what another key gives.
        A sampler that rejects may rarely give another value altogether in another form.
        NaN equals NaN, and the two zeros are equal unless `exact`.
        What a function that is compiled inside `fun` drew while it was traced, before this
        check, is seen by nobody: call `jax.clear_caches()` first.

    Raises:
        DifferenceError: The first difference, by tree path and index, with both values.
        CheckError: `fun` drew from a hidden state.
        KeyTypeError: Not one typed key, or a traced one.
        ArgumentTypeError: `fun` can't be called, or not be traced as a form asks for, or
            returns what can't be.
        ArgumentValueError: An unknown form, or a count or tolerance below zero.

    Example:
        >>> import jax, keystream as ks
        >>> from keystream import testing
        >>> testing.check_reproducible(jax.random.normal, ks.key(0), (3,))
        >>> turns = []
        >>> def hidden(key):
        ...     turns.append(0)
        ...     return jax.random.bits(key) + len(turns)
        >>> try:
        ...     testing.check_reproducible(hidden, ks.key(0))
        ... except testing.DifferenceError as error:
        ...     print(str(error).partition(", got")[0])
        check_reproducible: fun must give the same called again with the same key
    """
    _arguments.check_function("fun", fun)
    _arguments.check_key(key)
    near = _arguments.tolerance(ulps, atol, exact)
    lanes = _arguments.count("lanes", lanes, least=2)
    if isinstance(forms, str) or not forms or any(form not in FORMS for form in forms):
        wanted = f"one or more of {', '.join(map(repr, FORMS))}"
        raise error(ArgumentValueError, "forms", wanted, forms, 'For one: forms=("jit",).')

    # What a function returns may be a buffer that it writes again.
    first = snapshot(_call_watched(fun, key, args) if "again" in forms else fun(key, *args))
    if "again" in forms:
        names = "at first", "then"
        _demand("called again with the same key", first, fun(key, *args), EXACT, names)
    traced = [form for form in forms if form != "again"]
    odd = [leaf for leaf in jax.tree.leaves(first) if not _is_array(leaf) and not _is_number(leaf)]
    if traced and odd:
        wanted = f"arrays, keys and numbers for the form {traced[0]!r}"
        raise error(ArgumentTypeError, "fun", wanted, odd[0], _UNTRACED, must="return")
    plain = unjit(fun)
    if "jit" in forms:
        if plain is not fun:
            once = plain(key, *args)
            _demand("before it was compiled", once, first, near, ("eagerly", "under jit"))
        made = _run_traced("jit", lambda: jax.jit(close_over(plain, args))(key, arrays(args)))
        _demand("compiled anew", first, made, near, ("as it is", "under jit"))
    laned = [form for form in ("vmap", "map") if form in forms]
    if laned:
        _lanes(plain, key, args, lanes, laned, near)


def _lanes(
    fun: Callable[..., Any],
    key: jax.Array,
    args: tuple[Any, ...],
    lanes: int,
    forms: Sequence[str],
    near: Tolerance,
) -> None:
    keys = ks.keys(ks.derive(key, CHECK), lanes)
    loop = [snapshot(fun(keys[i], *args)) for i in range(lanes)]
    ways: dict[str, Callable[[], Any]] = {
        "vmap": lambda: jax.vmap(close_over(fun, args), (0, None))(keys, arrays(args)),
        "map": lambda: jax.lax.map(lambda key: close_over(fun, args)(key, arrays(args)), keys),
    }
    for form in forms:
        made = _run_traced(form, ways[form])
        for i, alone in enumerate(loop):
            lane = jax.tree.map(lambda leaf, i=i: leaf[i], made)
            names = f"for key {i} alone", f"in lane {i} of {form}"
            _demand(f"under {form} as in a loop", alone, lane, near, names)


def _demand(what: str, one: Any, other: Any, near: Tolerance, names: Pair) -> None:
    told = first_difference(one, other, near, names)
    if told:
        wanted = f"the same {what}"
        raise error(DifferenceError, "fun", wanted, Phrase(told), must="give")


def _call_watched(fun: Callable[..., Any], key: jax.Array, args: tuple[Any, ...]) -> Any:
    """Call a function, and refuse it if that moved a hidden state of NumPy or Python."""
    before = _states()
    made = fun(key, *args)
    for name, state in _states().items():
        if state != before[name]:
            wanted, got = "from its key alone", Phrase(f"a draw from the hidden state of {name}")
            cure = "For a draw of the key: jax.random.normal(key, shape)."
            raise error(CheckError, "fun", wanted, got, cure, must="draw")
    return made


def _states() -> dict[str, Any]:
    _, words, *rest = np.random.get_state(legacy=True)
    return {"numpy.random": (np.asarray(words).tobytes(), *rest), "random": random.getstate()}


def unjit(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return what `jax.jit` was given, or the function as it is."""
    while hasattr(fun, "lower") and hasattr(fun, "__wrapped__"):
        fun = fun.__wrapped__
    return fun


def arrays(args: tuple[Any, ...]) -> list[Any]:
    """Return the arrays among the arguments: what is traced."""
    return [leaf for leaf in jax.tree.leaves(args) if _is_array(leaf)]


def close_over(fun: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a function of the key and the arrays, anew: nothing of it is compiled yet."""
    leaves, treedef = jax.tree.flatten(args)

    def call(key: jax.Array, traced: list[Any]) -> Any:
        given = iter(traced)
        merged = [next(given) if _is_array(leaf) else leaf for leaf in leaves]
        return fun(key, *jax.tree.unflatten(treedef, merged))

    return call


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic))


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, complex))


_UNTRACED = 'For what can\'t be traced: forms=("again",).'
_UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _run_traced(form: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except _UNTRACEABLE as raised:
        wanted, got = f"traceable for {form!r}", Phrase(f"a {type(raised).__name__}")
        raise error(ArgumentTypeError, "fun", wanted, got, _UNTRACED) from raised
