"""The switch: which lowering of threefry2x32 JAX uses on CPU, in the whole process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.interpreters import mlir

from keystream import _forms
from keystream._errors import ArgumentTypeError, error
from keystream._forms import FORMS, Rule, accelerated

PLATFORM = "cpu"
_turn = threading.Lock()
_replaced: dict[Any, _Entries] = {}
"""The switch, the only state of keystream that changes what is computed: what JAX's tables
held before; empty while acceleration is off."""

above: list[Callable[[], None]] = []
"""What stands above these rules and must be put there again when they change: recordings that
are under way."""


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
        for put_on_top in tuple(above):
            put_on_top()
    if clear_caches:
        jax.clear_caches()
    return done


def _check_flag(argument: str, value: object) -> None:
    if not isinstance(value, (bool, np.bool_)):
        cure = "To switch it off again: ks.accelerate(False)."
        raise error(ArgumentTypeError, "accelerate", argument, "True or False", value, cure)


def _switch_on() -> bool:
    if _replaced:
        return True
    try:
        before = {primitive: _stock(primitive) for primitive in FORMS}
        for primitive, entries in before.items():
            rule = accelerated(FORMS[primitive], entries.rule)
            _replaced[primitive] = entries
            mlir.register_lowering(primitive, rule, platform=PLATFORM)
    except Exception as problem:  # whatever another version of JAX may raise here
        _switch_off()
        _forms.warn(f"does nothing with jax {jax.__version__} ({problem!r})")
        return False
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
    return _Entries(on_cpu, mlir._lowerings.get(primitive))
