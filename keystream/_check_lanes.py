"""The questions asked of what is mapped: has each array that axis? is there one number of lanes?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from keystream import _check_tree
from keystream._check import is_symbolic
from keystream._errors import ArgumentValueError, Words, error


class Mapped(NamedTuple):
    """What `vmap` is called with; words the errors, with an `in_axes` that fits."""

    axes: tuple[Any, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    axis_size: int | None

    def no_axis(self, axis: int, leaf: Any) -> ArgumentValueError:
        """Word the error of an array without the axis to map over."""
        wanted = f"arrays with an axis {axis} to map over"
        return error(ArgumentValueError, "vmap", "args", wanted, leaf, self._cure())

    def unlike(self, sizes: set[int]) -> ArgumentValueError:
        """Word the error of several numbers of lanes."""
        got = Words(" and ".join(map(str, sorted(sizes, key=_number))))
        wanted = "of one number of lanes"
        return error(ArgumentValueError, "vmap", "args", wanted, got, self._cure())

    def _cure(self) -> str:
        """Propose no axis for what has other lanes than axis_size, or the first to say, tells."""
        found = [_sizes(*pair) for pair in zip(self.axes, self.args, strict=True)]
        named = {name: _sizes(0, value) for name, value in self.kwargs.items()}
        told = [each for each in (*found, *named.values()) if len(each) == 1 and None not in each]
        lanes = {self.axis_size} if self.axis_size is not None else told[0] if told else set()
        if not lanes:
            rest = "".join([", *args"] * bool(self.args) + [", **kwargs"] * bool(self.kwargs))
            return f"For draws without inputs: ks.sample(fun, key, n{rest})."
        odd = [name for name, each in named.items() if not each <= lanes]
        if odd:
            return f"For one value in all lanes: functools.partial(fun, {odd[0]}={odd[0]})."
        pairs = zip(self.axes, found, strict=True)
        axes = _check_tree.whole_axes(tuple(a if each <= lanes else None for a, each in pairs))
        if len(repr(axes)) > _SHOWN:
            return "For one value in all lanes, None is its axis."
        given = "" if self.axis_size is None else f", axis_size={self.axis_size}"
        return f"For one value in all lanes: ks.vmap(fun, in_axes={axes}{given})(key, *args)."


def _number(size: int) -> int:
    return -1 if is_symbolic(size) else size


_SHOWN = 60
"""Characters of axes that are shown."""


def _sizes(axis: Any, arg: Any) -> set[int | None]:
    """Return how many lanes the arrays of an argument have; None for one without that axis."""
    try:
        pairs = _check_tree.axis_pairs(axis, arg)
    except ValueError:  # no prefix; said when its turn comes
        return set()
    shapes = [(int(where), jax.typeof(leaf).shape) for where, leaf in pairs if where is not None]
    return {shape[where] if -len(shape) <= where < len(shape) else None for where, shape in shapes}
