"""The switch: which lowering of threefry2x32 JAX uses on CPU, in the whole process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import primitives
from jax.extend.random import threefry2x32_p
from jax.interpreters import mlir

from keystream import _check, _lowering
from keystream._errors import ArgumentTypeError, error

Rule = Callable[..., Sequence[Any]]

PLATFORM = "cpu"
COUNTERS_END = 2**32
"""Where the low word of a counter would need a high one; JAX's own rule knows how."""

CHOOSY = True
"""Whether small draws are left to JAX's loop; tests want the form for all of them."""
FEW = (5, 24)
NEW_XLA = jax.__version_info__ >= (0, 11)
"""XLA of jax 0.12 runs JAX's loop in one thread, that of 0.10 in several."""
THREADED_UNTIL = 8000 if NEW_XLA else 1500
"""For how many blocks JAX's loop is kept, see `_pays`."""

FLOATS_FROM = 2**20
"""Numbers from which on the first touch of fresh memory is what a draw waits for."""

_turn = threading.Lock()
_replaced: dict[Any, _Entries] = {}
"""The switch, and the only mutable state of keystream: what JAX's tables held before; empty
while acceleration is off."""


def accelerate(enabled: bool = True, *, clear_caches: bool = False) -> bool:
    """Make `jax.random` several times faster on CPU, with the same keys and bits.

    Reach for it once, at the start of a program that draws on CPU. For a program that one
    doesn't edit: `python -m keystream run --accelerate program.py`.

    It changes how XLA is told to compute threefry2x32, JAX's default generator, on CPU: in
    one pass over memory instead of one for each few rounds. Nothing else changes; other
    generators, GPU and TPU keep JAX's own form, in programs lowered for several platforms
    too.

    Args:
        enabled: Switch it on, or off again.
        clear_caches: Also call `jax.clear_caches()`, so that everything is compiled again
            at its next call. Without it, a function that was compiled before a switch
            keeps its form; one that is traced or lowered later, in any thread, gets the
            new one. Both forms give the same numbers.

    Returns:
        Whether the faster form is now in use. False after `accelerate()` means that this
        version of JAX doesn't let it be replaced; a RuntimeWarning has said so, and
        everything works as without keystream.

    Key use:
        None: it takes no key.

    Guarantees:
        Keys, raw bits and integers never change: typed and legacy keys, both settings of
        `jax_threefry_partitionable`, every shape and width, eager and inside every
        transform. Floats are computed from the same bits by the same code, so that they
        too are equal in every program that was tried; the documentation lists them.
        Idempotent and safe to call from threads. It starts no backend: it may stand before
        `jax.distributed.initialize`. Other threads that are just compiling may get either
        form.

    Raises:
        ArgumentTypeError: `enabled` or `clear_caches` is not a bool.

    Example:
        >>> import jax, keystream as ks
        >>> plain = jax.random.bits(ks.key(42), (3,))
        >>> ks.accelerate()
        True
        >>> bool((jax.random.bits(ks.key(42), (3,)) == plain).all())
        True
        >>> ks.accelerate(False)
        False

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), "Parallel random
        numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
    """
    _check_flag("enabled", enabled)
    _check_flag("clear_caches", clear_caches)
    with _turn:
        done = _switch_on() if enabled else _switch_off()
    if clear_caches:
        jax.clear_caches()
    return done


def _check_flag(argument: str, value: object) -> None:
    if not isinstance(value, (bool, np.bool_)):
        cure = "To switch it off again: ks.accelerate(False)."
        raise error(ArgumentTypeError, "accelerate", argument, "True or False", value, cure)


class _Form(NamedTuple):
    """How one primitive is lowered: as a JAX function of the words of its keys."""

    fun: Callable[..., Any]
    fits: Callable[..., bool]
    several: bool = False
    floats: Callable[..., Any] | None = None
    """The same for `jax.random.uniform`, which all float samplers stand on."""


def _switch_on() -> bool:
    if _replaced:
        return True
    try:
        before = {primitive: _stock(primitive) for primitive in FORMS}
        for primitive, entries in before.items():
            rule = _accelerated(FORMS[primitive], entries.rule)
            mlir.register_lowering(primitive, rule, platform=PLATFORM)
            _replaced[primitive] = entries
    except Exception as problem:  # whatever another version of JAX may raise here
        _warn(f"does nothing with jax {jax.__version__} ({problem!r})")
        return _switch_off()
    return True


def _switch_off() -> bool:
    while _replaced:
        primitive, entries = _replaced.popitem()
        entries.put_back(primitive)
    return False


class _Entries(NamedTuple):
    """What JAX's tables of lowerings hold for one primitive."""

    on_cpu: Any
    anywhere: Any

    @property
    def rule(self) -> Rule:
        """The rule that holds on CPU."""
        rule: Rule = (self.on_cpu or self.anywhere).rule
        return rule

    def put_back(self, primitive: Any) -> None:
        if self.on_cpu is None:
            mlir._platform_specific_lowerings[PLATFORM].pop(primitive, None)
        else:
            mlir._platform_specific_lowerings[PLATFORM][primitive] = self.on_cpu


def _stock(primitive: Any) -> _Entries:
    # The one place that reads what JAX doesn't publish: there is no public way to ask for
    # a lowering rule, and none to take one back (jax 0.10.2 and 0.12.0).
    on_cpu = mlir._platform_specific_lowerings[PLATFORM].get(primitive)
    found = _Entries(on_cpu, mlir._lowerings.get(primitive))
    if not callable(found.rule):
        raise TypeError(f"the lowering of {primitive} is no function")
    return found


def _accelerated(form: _Form, stock: Rule) -> Rule:
    """Return the rule that lowers a primitive by a form, where that one fits."""

    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        try:
            if not form.fits(*ctx.avals_in, **params):
                return stock(ctx, *operands, **params)
            # Without shardings and varying axes: the form is the same computation in every
            # place, and each device makes its own part.
            words = [_plain(aval) for aval in ctx.avals_in]
            module = ctx.module_context.module
            fun = (
                form.floats
                if form.floats and _for_floats(module, *ctx.avals_in, **params)
                else form.fun
            )
            lower = mlir.lower_fun(fun, multiple_results=form.several)
            made: Sequence[Any] = lower(ctx.replace(avals_in=words), *operands, **params)
        except Exception as problem:  # whatever another version of JAX may raise here
            _warn(f"left a draw as it was with jax {jax.__version__} ({problem!r})")
            return stock(ctx, *operands, **params)
        return made

    return rule


def _for_floats(module: Any, keys: Any, *, bit_width: int, shape: tuple[int, ...]) -> bool:
    large = bit_width >= 32 and _check.size_of((*keys.shape, *shape)) >= FLOATS_FROM
    return large and _being_lowered(module).startswith("_uniform")


def _being_lowered(module: Any) -> str:
    """Return the name of the innermost function that is being lowered, or nothing.

    A hint for speed alone. JAX names functions after what they were traced from, and one
    that is called stands behind the one that calls it.
    """
    try:
        for fun in reversed(list(module.body.operations)):
            last = [*fun.regions[0].blocks[-1].operations][-1:]
            if not last or last[0].operation.name != "func.return":
                return str(fun.attributes["sym_name"].value)
    except Exception:  # another version of MLIR's bindings
        pass
    return ""


def _warn(what: str) -> None:
    cure = "The numbers are the same, at JAX's own speed. To stop trying: ks.accelerate(False)."
    warnings.warn(f"accelerate: {what}. {cure}", RuntimeWarning, stacklevel=4)


def _plain(aval: Any) -> Any:
    if _is_threefry(aval):
        return jax.core.ShapedArray((*aval.shape, 2), np.dtype(np.uint32))
    return jax.core.ShapedArray(aval.shape, aval.dtype)


def _is_threefry(aval: Any) -> bool:
    return bool(aval.dtype == _KEY.dtype)


_KEY = jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))


def _fits_block(*operands: Any) -> bool:
    if not all(_is_static(aval.shape) for aval in operands):
        return False
    shape = np.broadcast_shapes(*[aval.shape for aval in operands])
    return _pays(_check.size_of(shape), lanes=bool(operands[0].shape))


def _fits_fold(keys: Any, data: Any) -> bool:
    if not (_is_threefry(keys) and _is_static(keys.shape) and _is_static(data.shape)):
        return False
    shape = np.broadcast_shapes(keys.shape, data.shape)
    return _pays(_check.size_of(shape), lanes=True)


def _fits_count(keys: Any, *, shape: tuple[int, ...], bit_width: int = 32) -> bool:
    del bit_width
    # The other setting has other counters, and no prefixes.
    plain = bool(_check.setting("jax_threefry_partitionable")) and _is_threefry(keys)
    if not (plain and _is_static(keys.shape) and _is_static(shape)):
        return False
    blocks = _check.size_of((*keys.shape, *shape))
    return _check.size_of(shape) < COUNTERS_END and _pays(blocks, lanes=bool(keys.shape))


def _pays(blocks: int, *, lanes: bool) -> bool:
    """Whether the form is no slower for so many blocks, each with a key of its own or not.

    XLA decides by a count of operations, in which a loop's body counts once, whether a
    program runs in the calling thread (below about 1,000) and whether an expression is
    given to several threads (from about 200,000 on). Either costs some 30 microseconds,
    more than JAX's loop takes for these few blocks.
    """
    if not CHOOSY:
        return True
    if FEW[0] <= blocks < FEW[1]:
        return False
    first = 800 if lanes else 1200
    return not first <= blocks < (THREADED_UNTIL if NEW_XLA or lanes else first)


def _is_static(shape: Sequence[Any]) -> bool:
    return all(isinstance(size, int) for size in shape)


FORMS = {
    threefry2x32_p: _Form(_lowering.two_words, _fits_block, several=True),
    primitives.random_bits_p: _Form(_lowering.bits, _fits_count, floats=_lowering.float_bits),
    primitives.random_split_p: _Form(_lowering.split, _fits_count),
    primitives.random_fold_in_p: _Form(_lowering.fold_in, _fits_fold),
}
"""The cipher itself, and the three operations on typed keys that stand on it: knowing what
is asked for, they need no counters from memory."""
