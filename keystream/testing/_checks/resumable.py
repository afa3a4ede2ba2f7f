"""Check that a run that is saved and resumed equals one that never stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, path
from typing import Any, NamedTuple

from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error, public
from keystream.testing import _arguments
from keystream.testing._checks.saved import holds_objects, load_state, make_copier, save_state
from keystream.testing._compare import EXACT, Pair, Tolerance, first_difference, snapshot
from keystream.testing._failures import DifferenceError

__tracebackhide__ = True  # pytest shows the line that calls the check

CHECK = "check_resumable"


class Way(NamedTuple):
    """How to take a step, what a step is given, and what of a state is compared."""

    step: Callable[..., Any]
    xs: Sequence[Any] | None
    has_aux: bool
    view: Callable[[Any], Any]

    def turn(self, state: Any, i: int) -> tuple[Any, Any]:
        """Return the state after step i, and what else the step gave."""
        made = self.step(state) if self.xs is None else self.step(state, self.xs[i])
        if not self.has_aux:
            return made, None
        if not isinstance(made, tuple) or len(made) != 2:
            cure = "For a step that returns its state alone: has_aux=False."
            wanted = "a pair (state, aux)"
            raise error(ArgumentTypeError, "step", wanted, made, cure, must="return")
        return made


@public
def check_resumable(
    step: Callable[..., Any],
    state: Any,
    /,
    xs: Sequence[Any] | None = None,
    *,
    num_steps: int | None = None,
    save_at: Sequence[int] | None = None,
    save: Callable[[Any], Any] | None = None,
    load: Callable[[Any], Any] | None = None,
    has_aux: bool = False,
    ulps: float = 0,
    atol: float = 0.0,
) -> None:
    """Raise unless a run that is saved and resumed equals a run that never stopped.

    Reach for it with a training step, a Markov chain, a data loader: with its state as it
    lies in a checkpoint, and with the code that writes and reads yours. It finds a resume
    that repeats or skips a step's noise, state that isn't saved, and keys that don't survive
    the way through a file.

    `step(... load(save(step(state, x0))), x1)` is `step(step(state, x0), x1)`.

    Args:
        step: Takes the state, and with `xs` also what this step is given; returns the next
            state, or `(state, aux)` with `has_aux`. Everything that a resumed run needs is
            in the state: its keys or streams, and where it counts steps, the number.
        state: The state before the first step, any pytree. It isn't changed, also where
            `step` donates it. An object that JAX has no leaves of, such as a learner that
            changes itself, needs `save` and `load`: each run begins with what `load` makes
            of `save(state)`, and what `save` gives is compared in place of the object.
        xs: One item for each step, such as batches of data. Not saved: a resumed run is
            given the items that are left.
        num_steps: How many steps to run. `len(xs)` if not given, or 4 without `xs`.
        save_at: After how many steps to save, each of them a run of its own. If not given
            after each step but the last.
        save: Takes a state and returns what was saved, such as the name of a file. For a
            learner that is a plain object it must be the content, since that is compared.
        load: Takes what `save` returned, and returns a state. If neither is given, keys and
            streams go through `ks.dumps` and `ks.loads`, and arrays through bytes.
        has_aux: Does `step` return a pair, of the state and what else is to be compared?
        ulps: How many floats may lie between floats of both runs. The same steps are run,
            so that none is needed unless a file holds fewer digits.
        atol: Floats that are as near as this also pass.

    Key use:
        The steps use what is in the state, once for each run, which is what it is about.

    Guarantees:
        The state is compared just after it was loaded, and the state and `aux` after each
        step from there on. A run that isn't stopped is compared with itself first: where
        the steps themselves give other numbers the second time, the message says so. The
        resumed run is of this process; what is lost with a process, and not kept in the
        state, is seen where it makes a second run differ.

    Raises:
        DifferenceError: The first difference: after which step, resumed after which, where
            in the state, and both values.
        ArgumentTypeError: `step`, `save` or `load` can't be called, one of the two is
            missing, the state holds what can't be saved without them, or `save` gives no
            more than a name, or an object, of a state that is a plain object.
        ArgumentValueError: Fewer than two steps, or a number to save at that isn't between.

    Example:
        >>> import jax, keystream as ks
        >>> from keystream import testing
        >>> def step(state):
        ...     key, stream = state["stream"].next()
        ...     return {"x": state["x"] + jax.random.normal(key), "stream": stream}
        >>> state = {"x": jax.numpy.zeros(()), "stream": ks.Stream(ks.key(0))}
        >>> testing.check_resumable(step, state)
        >>> late = lambda text: {"x": ks.key(0), "stream": ks.loads(text).skip(1)}
        >>> try:
        ...     testing.check_resumable(
        ...         lambda state: {"x": state["x"], "stream": state["stream"].skip(1)},
        ...         {"x": ks.key(0), "stream": ks.Stream(ks.key(0))},
        ...         save=lambda state: ks.dumps(state["stream"]), load=late,
        ...     )
        ... except testing.DifferenceError as error:
        ...     print("just after it was loaded" in str(error))
        True
    """
    _arguments.check_function("step", step)
    near = Tolerance(*_arguments.tolerance(ulps, atol, False)[:2])
    length = _length(xs, num_steps)
    places = _places(save_at, length)
    write, read = _ways(save, load)
    objects = save is not None and holds_objects(state)

    def fresh_object() -> Any:
        return read(write(state))

    def view(state: Any) -> Any:
        return _content(write(state)) if objects else state

    fresh = fresh_object if objects else make_copier(state, needed=save is None)
    way = Way(step, xs, has_aux, view)

    straight = _trajectory(way, fresh(), 0, length)
    again = _trajectory(way, fresh(), 0, length)
    for i, (one, other) in enumerate(zip(straight, again, strict=True)):
        names = f"after step {i + 1} at first", "in a second run"
        _demand("the same when it is run twice from one state", one, other, EXACT, names)

    for place in places:
        begun = fresh()
        for i in range(place):
            begun, _ = way.turn(begun, i)
        loaded = read(write(begun))
        expected = straight[place - 1][0] if place else snapshot(view(fresh()))
        names = f"after step {place}", "just after it was loaded"
        _demand("what it was saved as", expected, snapshot(view(loaded)), near, names, "load")
        rest = _trajectory(way, loaded, place, length)
        for i, (one, other) in enumerate(zip(straight[place:], rest, strict=True), place):
            names = f"after step {i + 1}", f"resumed after step {place}"
            _demand("what a run gives that never stopped", one, other, near, names)


def _trajectory(way: Way, state: Any, start: int, end: int) -> list[tuple[Any, Any]]:
    """Return the states and what else was given, after each step, out of reach of donation."""
    found = []
    for i in range(start, end):
        state, aux = way.turn(state, i)
        found.append((snapshot(way.view(state)), snapshot(aux)))
    return found


def _content(saved: Any) -> Any:
    """Return what was saved of a state that is a plain object; refuse what hides it."""
    named = isinstance(saved, PathLike)
    if isinstance(saved, str):
        named = path.exists(saved)  # noqa: PTH110 - Path's raises where a text is too long
    if named or holds_objects(saved):
        wanted = "the content of a state that is a plain object, as arrays, keys, numbers or bytes"
        cure = "Of a file: save=lambda state: pathlib.Path(write(state)).read_bytes()."
        raise error(ArgumentTypeError, "save", wanted, saved, cure, must="return")
    return saved


def _demand(
    what: str, one: Any, other: Any, near: Tolerance, names: Pair, argument: str = "step"
) -> None:
    if argument == "step":
        told = first_difference(one[0], other[0], near, names, "state")
        told = told or first_difference(one[1], other[1], near, names, "aux")
    else:
        told = first_difference(one, other, near, names, "state")
    if told:
        must = "give" if argument == "step" else "return"
        raise error(DifferenceError, argument, what, Phrase(told), must=must)


def _length(xs: Sequence[Any] | None, num_steps: int | None) -> int:
    if num_steps is None:
        length = 4 if xs is None else len(xs)
    else:
        length = _arguments.count("num_steps", num_steps, least=2)
    if xs is not None and not 2 <= length <= len(xs):
        wanted = f"at least {max(2, length)} items, one for each step"
        raise error(ArgumentValueError, "xs", wanted, Phrase(f"{len(xs)}"), must="hold")
    return length


def _places(save_at: Sequence[int] | None, length: int) -> tuple[int, ...]:
    places = range(1, length) if save_at is None else save_at
    chosen = _arguments.counts("save_at", places, least=0)
    if max(chosen) >= length:
        wanted = f"numbers of steps below {length}, of which one is left"
        raise error(ArgumentValueError, "save_at", wanted, max(chosen))
    return chosen


def _ways(save: Any, load: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if save is None and load is None:
        return save_state, load_state
    for name, given, other in (("save", save, "load"), ("load", load, "save")):
        if given is None:
            wanted = f"given where {other} is"
            cure = f"For what comes back as it is: {name}=lambda x: x."
            raise error(ArgumentTypeError, name, wanted, None, cure)
        _arguments.check_function(name, given)
    return save, load
