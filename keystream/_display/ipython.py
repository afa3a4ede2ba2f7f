"""`%load_ext keystream`: typed keys as HTML in a notebook.

Streams and reports bring their HTML along; a key is JAX's own class, so its form has to be
put into the one IPython that asks. Nothing is changed elsewhere, and unloading takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream._display.html import keys_to_html

FORM = "text/html"


class _OfArrays:
    """The form of arrays: ours for typed keys, for all others the one that was there before."""

    def __init__(self, before: Callable[[Any], str | None] | None) -> None:
        self.before = before

    def __call__(self, array: Any) -> str | None:
        found = keys_to_html(array)
        return self.before(array) if found is None and self.before is not None else found


def load_ipython_extension(shell: Any) -> None:
    """Show typed keys as HTML in this IPython from now on."""
    formatter = shell.display_formatter.formatters[FORM]
    before = formatter.for_type(jax.Array)
    if not isinstance(before, _OfArrays):
        formatter.for_type(jax.Array, _OfArrays(before))


def unload_ipython_extension(shell: Any) -> None:
    """Show typed keys as text again, unless somebody has taken another form since."""
    formatter = shell.display_formatter.formatters[FORM]
    ours = formatter.for_type(jax.Array)
    if isinstance(ours, _OfArrays):
        formatter.pop(jax.Array)
        if ours.before is not None:
            formatter.for_type(jax.Array, ours.before)
