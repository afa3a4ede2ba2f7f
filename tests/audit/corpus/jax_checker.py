"""What JAX's own checker, `jax_debug_key_reuse`, says of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax

from tests.audit.corpus.program import Program

Verdict = Literal["found", "nothing", "error"]


def verdict(program: Program) -> Verdict:
    """Run the program under the checker, as it is and then compiled; say what it finds.

    It looks at eager code while that runs, and at compiled code while that is traced, and says
    other things of the two: `found` is what either raises. Keys are made anew for each, since a
    typed key remembers that it has been used. `error`: the program stops for another reason.
    """
    eager = _one(program.fun, program)
    if eager != "nothing" or program.mode == "run":
        return eager
    return _one(jax.jit(program.fun), program)


def _one(fun: Callable[..., object], program: Program) -> Verdict:
    with jax.debug_key_reuse(True):
        try:
            jax.block_until_ready(fun(*program.args()))
        except jax.errors.KeyReuseError:
            return "found"
        except Exception:
            return "error"
    return "nothing"
