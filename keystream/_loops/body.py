"""Check a loop's key and what its body returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keystream._checks.calls import call_function
from keystream._checks.key import check_key, check_key_in_context
from keystream._checks.tree import check_arrays
from keystream._errors import BodyError, Phrase, error, summary
from keystream._impl import is_key_dtype
from keystream._known import Impl

Body = Callable[..., Any]


def check_loop_key(key: Any, call: str) -> Impl:
    """Refuse all but one typed key, with the loop's call as it should be."""
    impl = check_key(key, call=call)
    check_key_in_context(impl, key)
    return impl


def check_pair(body: Body) -> Body:
    """Hold what a body returns against `(carry, y)` and the carry that it was given."""

    def checked(before: Any, *args: Any) -> tuple[Any, Any]:
        out = call_function("body(key, carry, x)", body, *args)
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            cure = "For a step without output: return carry, None."
            raise error(BodyError, "body", "(carry, y)", out, cure, must="return")
        carry, y = out
        _like("a carry", before, carry)
        check_arrays("body", y, cls=BodyError, must="return")
        return carry, y

    return checked


class Steps:
    """A body of a scan as a function of lists of arrays, for `program.run`."""

    def __init__(self, checked: Body, init: Any, xs: Any) -> None:
        self._checked = checked
        self.carry, self._carry_structure = jax.tree.flatten(init)
        self.xs, self._x_structure = jax.tree.flatten(xs)
        self._y_structure: Any = None

    def __call__(self, key: jax.Array, carry: list[Any], x: list[Any]) -> list[list[Any]]:
        """Call the body; return the leaves of the next carry and of its output."""
        before = jax.tree.unflatten(self._carry_structure, carry)
        after, y = self._checked(before, key, before, jax.tree.unflatten(self._x_structure, x))
        leaves, self._y_structure = jax.tree.flatten(y)
        return [jax.tree.leaves(after), leaves]

    def results(self, carry: list[Any], ys: list[Any]) -> tuple[Any, Any]:
        """Return the last carry and the outputs as pytrees again."""
        last = jax.tree.unflatten(self._carry_structure, carry)
        return last, jax.tree.unflatten(self._y_structure, ys)


def call_for_value(body: Body, form: str, /, *args: Any) -> Any:
    """Return what a body makes of the value that it is given last: one like it."""
    out = call_function(form, body, *args)
    _like("a value", args[-1], out)
    return out


def _like(returned: str, before: Any, after: Any) -> None:
    """Refuse a value that a loop can't carry on with: another structure, shape or dtype."""
    check_arrays("body", after, cls=BodyError, must="return")
    structures: list[Any] = [jax.tree.structure(tree) for tree in (before, after)]
    old, new = jax.tree.leaves(before), jax.tree.leaves(after)
    alike = structures[0] == structures[1]
    if not (alike and all(_fits(*pair) for pair in zip(old, new, strict=True))):
        wanted = f"{returned} like the one it was given ({_outline(before)})"
        raise error(BodyError, "body", wanted, Phrase(_outline(after)), must="return")


def _fits(before: Any, after: Any) -> bool:
    # A weakly typed first value takes the dtype that comes back, as in lax.scan.
    old, new = jax.typeof(before), jax.typeof(after)
    weak = old.weak_type and not is_key_dtype(new.dtype)
    return bool(old.shape == new.shape and (weak or old.dtype == new.dtype))


def _outline(tree: Any) -> str:
    types = jax.tree.map(lambda leaf: summary(jax.typeof(leaf)), tree)
    text = str(types).replace("'", "")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 200
"""Characters of a value's types that are shown."""
