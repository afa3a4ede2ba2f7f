"""One function compiled twice: from JAX's own lowering, and from the accelerated one."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

import keystream as ks
from keystream._speed import accelerate as _accelerate
from keystream._speed import forms as _forms

MARK = "inlineable"
"""What only the accelerated form has in the text that XLA is handed."""


class Forms(NamedTuple):
    """Two compiled functions that should be one."""

    stock: Callable[..., Any]
    fast: Callable[..., Any]

    def differ(self, *args: Any) -> list[str]:
        """Say where the results differ, bit for bit, type for type."""
        return differences(self.stock(*args), self.fast(*args))


@contextlib.contextmanager
def switched(enabled: bool) -> Iterator[None]:
    """Have acceleration on, for small draws too, or off inside; then as it was before."""
    before, pays = bool(_accelerate._replaced), _forms._pays
    _forms._pays = lambda *_, **__: True
    assert ks.accelerate(enabled) is enabled
    try:
        yield
    finally:
        _forms._pays = pays
        ks.accelerate(before)


def forms(fun: Callable[..., Any], *args: Any, wrap: Callable[..., Any] = jax.jit) -> Forms:
    """Compile a function in both forms, each by its first call."""
    made = []
    for enabled in (False, True):

        def fresh(*operands: Any) -> Any:
            return fun(*operands)

        with switched(enabled):
            compiled = wrap(fresh)
            jax.block_until_ready(compiled(*args))
        made.append(compiled)
    return Forms(*made)


def lowered(fun: Callable[..., Any], enabled: bool | None, *args: Any, **options: Any) -> str:
    """Return the text that XLA is handed for a function, in a form or as it is switched now."""

    def fresh(*operands: Any) -> Any:
        return fun(*operands)

    with contextlib.nullcontext() if enabled is None else switched(enabled):
        return jax.jit(fresh).trace(*args).lower(**options).as_text()


def differences(one: Any, other: Any) -> list[str]:
    """Say which leaves of two results differ in their bits, dtypes or shapes."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return [f"leaf {i}" for i, (a, b) in enumerate(pairs) if content(a) != content(b)]


def content(leaf: Any) -> tuple[Any, ...]:
    """Return what makes up an array: NaNs and signs of zeros count too."""
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    held = np.asarray(leaf)
    return str(held.dtype), held.shape, held.tobytes()
