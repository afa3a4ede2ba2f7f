"""Switch the lowering of threefry2x32 that JAX uses on CPU, in the whole process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from keystream import _compat
from keystream._errors import ArgumentTypeError, error, public
from keystream._speed import forms
from keystream._speed.forms import FORMS, accelerated_rule

PLATFORM = "cpu"
_turn = threading.Lock()
_replaced: dict[Any, _compat.Lowering | None] = {}
"""The switch, the only state of keystream that changes what is computed: the rule of its own
that each primitive had on CPU before; empty while acceleration is off."""

above: list[Callable[[], None]] = []
"""What stands above these rules and must be put there again when they change: recordings that
are under way."""


@public
def accelerate(enabled: bool = True, *, clear_caches: bool = False) -> bool:
    """Make large draws 2 to 5 times faster on CPU, with the same keys and bits.

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
        too are equal in every program that was tried; the documentation lists them. Before
        jax 0.8 floats may differ in last digits, on several devices.
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
        for put_on_top in tuple(above):
            put_on_top()
    if clear_caches:
        jax.clear_caches()
    return done


def _check_flag(argument: str, value: object) -> None:
    if not isinstance(value, (bool, np.bool_)):
        cure = "To switch it off again: ks.accelerate(False)."
        raise error(ArgumentTypeError, argument, "True or False", value, cure)


def _switch_on() -> bool:
    if _replaced:
        return True
    try:
        before = {primitive: _rules(primitive) for primitive in FORMS}
        for primitive, rules in before.items():
            own = rules.get(PLATFORM)
            rule = accelerated_rule(FORMS[primitive], (own or rules[None]).rule)
            _replaced[primitive] = own
            mlir.register_lowering(primitive, rule, platform=PLATFORM)
    except Exception as problem:  # whatever another version of JAX may raise here
        _switch_off()
        forms.warn(f"does nothing with jax {jax.__version__} ({problem!r})")
        return False
    return True


def _switch_off() -> bool:
    while _replaced:
        primitive, own = _replaced.popitem()
        _compat.put_back(primitive, PLATFORM, own)
    return False


def _rules(primitive: Any) -> dict[str | None, _compat.Lowering]:
    return {row.platform: row for row in _compat.lowerings(primitive)}
