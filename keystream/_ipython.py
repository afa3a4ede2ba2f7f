"""`%load_ext keystream`: typed keys as HTML in a notebook.

Streams and reports bring their HTML along; a key is JAX's own class, so its form has to be
put into the one IPython that asks. Nothing is changed elsewhere, and unloading takes it back.
"""

from __future__ import annotations

from typing import Any

import jax

from keystream._html import of_keys

FORM = "text/html"


def load_ipython_extension(shell: Any) -> None:
    """Show typed keys as HTML in this IPython from now on."""
    shell.display_formatter.formatters[FORM].for_type(jax.Array, of_keys)


def unload_ipython_extension(shell: Any) -> None:
    """Show typed keys as text again, unless somebody has taken another form since."""
    formatter = shell.display_formatter.formatters[FORM]
    if formatter.for_type(jax.Array) is of_keys:
        formatter.pop(jax.Array)
