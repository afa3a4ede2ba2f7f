"""Find where in the user's code something happens, and whose code a file is."""

from __future__ import annotations

import functools
import linecache
import os
import pathlib
import site
import sysconfig
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jaxlib

from keystream import _compat, _errors
from keystream._audit.values import Place
from keystream._compat import Frame
from keystream._keys.batches import fill


def _below_folders(*folders: object) -> tuple[str, ...]:
    # As Python tells of a file and as it lies on the disk; and not what is only called alike,
    # as `jaxopt` beside `jax`.
    paths = [pathlib.Path(str(folder)) for folder in folders]
    return tuple({str(path) + os.sep for each in paths for path in (each, each.resolve())})


def _home(library: Any) -> pathlib.Path:
    return pathlib.Path(str(library.__file__)).parent


_PACKAGE = pathlib.Path(__file__).parents[1]
_JAX, _OURS, _DEMO = (
    _below_folders(_home(jax), _home(jaxlib)),
    _below_folders(_PACKAGE),
    _below_folders(_PACKAGE / "cli" / "_demo"),
)
_PATHS = sysconfig.get_paths()
_LIBRARIES = _below_folders(
    *(folder for name, folder in _PATHS.items() if name != "data"),
    *site.getsitepackages(),
    site.getusersitepackages(),
)


@functools.lru_cache(maxsize=4096)
def is_jax(file: str) -> bool:
    """Does a file belong to JAX?"""
    return file.startswith(_JAX)


@functools.lru_cache(maxsize=4096)
def is_ours(file: str) -> bool:
    """Does a file belong to keystream? The demo is a program as users write it."""
    return file.startswith(_OURS) and not file.startswith(_DEMO)


@functools.lru_cache(maxsize=4096)
def is_installed(file: str) -> bool:
    """Does a file belong to a library that somebody installed?"""
    return file.startswith(_LIBRARIES)


def path_in_library(file: str) -> pathlib.PurePath:
    """Return the path of an installed file from its package on: `flax/linen/module.py`."""
    parts = pathlib.PurePath(file).parts
    homes = [i for i, part in enumerate(parts[:-1]) if part.endswith("-packages")]
    return pathlib.PurePath(*parts[homes[-1] + 1 if homes else -1 :])


def package(file: str) -> str:
    """Return the name of the package that an installed file belongs to."""
    return path_in_library(file).parts[0].removesuffix(".py")


class _Equation(NamedTuple):
    outer: Path | None
    eqn: Any
    jaxpr: Any


class Path(_Equation):
    """An equation, the path to the one whose body it stands in, and the equations beside it."""

    @functools.cached_property
    def eqns(self) -> tuple[Any, ...]:
        """The equations around, the outermost first, and this one."""
        return (self.eqn,) if self.outer is None else (*self.outer.eqns, self.eqn)

    @functools.cached_property
    def name_stack(self) -> tuple[tuple[str, str], ...]:
        """The name stacks of all equations, one after the other."""
        outer = () if self.outer is None else self.outer.name_stack
        return (*outer, *_compat.name_stack(self.eqn.source_info))

    @functools.cached_property
    def is_in_batches(self) -> bool:
        """Does it stand in what makes items in batches?"""
        outer = self.outer is not None and self.outer.is_in_batches
        return outer or is_in_batches(_compat.frames(self.eqn.source_info.traceback))

    @functools.cached_property
    def is_sampler(self) -> bool:
        """Is the equation the call of a sampler?"""
        return _is_sampler(self.eqn)

    @functools.cached_property
    def written(self) -> tuple[Path, ...]:
        """The paths to the equations, the outermost first, as far as the first sampler.

        Derivatives give the user's frames to what is inside, too.
        """
        if self.outer is None:
            return (self,)
        outer = self.outer.written
        return outer if outer[-1].is_sampler else (*outer, self)

    @functools.cached_property
    def replays(self) -> Replays:
        """The checkpoints around the equation."""
        checkpoints = sum(bool(eqn.params.get("differentiated")) for eqn in self.eqns)
        return Replays(self.name_stack.count(_compat.RECOMPUTED), checkpoints)

    @functools.cached_property
    def loops(self) -> frozenset[str]:
        """The loops in which any of the equations is written."""
        outer = frozenset[str]() if self.outer is None else self.outer.loops
        return outer.union(_compat.written_in(self.eqn.source_info))

    @functools.cached_property
    def moved_out_of(self) -> frozenset[str]:
        """The loops in which the equation is written and no longer stands.

        Differentiation moves out of a loop what is the same in every step.
        """
        around = self.eqns[:-1] if self.loops else ()
        known = (_compat.loop_numbers(eqn.source_info, eqn.params) for eqn in around)
        return self.loops.difference(*known)


class Call(NamedTuple):
    """Who did something to a key, and by what call."""

    place: Place | None
    """The innermost line of the user's own code."""
    function: str
    """What is called there, as `jax.random.normal`."""
    frames: tuple[Frame, ...]
    """All of the user's frames, and those of libraries, the outermost first."""
    traceback: Any = None
    """JAX's own one of that line: a function that is called twice there has two."""

    @property
    def library(self) -> Place | None:
        """The line of a library that the user has called, where it happens in one."""
        inside = self.place is not None and self.frames and is_installed(self.frames[-1][0])
        found = place(self.frames[-1]) if inside else None
        return None if found == self.place else found


def call(path: Path) -> Call:
    """Return the user's call that an equation comes from.

    JAX cuts tracebacks where a jitted function begins, so that the frames of all equations
    on the path, one after the other, are the stack.
    """
    frames = [frame for each in path.written for frame in user_frames(each.eqn.source_info)]
    if not frames:
        return Call(None, describe(path.eqn), ())
    written = written_path(path).eqn
    function = _name_of_call(written, frames[-1])
    return Call(innermost_place(frames), function, tuple(frames), written.source_info.traceback)


def written_path(path: Path) -> Path:
    """Return the equation on a path that is the user's call: a sampler, not what is inside it."""
    last = path.written[-1]
    own = [each for each in path.written if user_frames(each.eqn.source_info)]
    return last if own and last.is_sampler else (own or [path])[-1]


def is_sampler(found: Call) -> bool:
    """Is it a function of jax.random that draws?"""
    library, _, name = found.function.rpartition(".")
    return library == "jax.random" and name not in _DERIVING


_DERIVING = frozenset(("split", "fold_in", "key", "clone", "wrap_key_data", "key_data", "PRNGKey"))


def innermost_place(frames: list[tuple[str, int, str]]) -> Place:
    """Return the innermost line that is no installed library's, or else the innermost."""
    own = [frame for frame in frames if not is_installed(frame[0])] or frames
    return place(own[-1])


def place(frame: tuple[str, int, str]) -> Place:
    """Return a frame as a place, with its source line if that can still be read."""
    file, line, function = frame
    return Place(file, line, function, linecache.getline(file, line).strip())


@functools.lru_cache(maxsize=4096)
def user_frames(source_info: Any) -> tuple[tuple[str, int, str], ...]:
    """Return the frames outside of JAX and of keystream, the outermost first."""
    return tuple(frame for frame in _compat.user_frames(source_info) if not is_ours(frame[0]))


def _name_of_call(eqn: Any, frame: tuple[str, int, str]) -> str:
    frames = _compat.frames(eqn.source_info.traceback)
    if frame not in frames:
        return describe(eqn)
    return name_called(frames[: frames.index(frame)][::-1]) or describe(eqn)


def name_called(inner: Iterable[tuple[str, int, str]]) -> str:
    """Name what a line calls, by the frames inside of it, the outermost first."""
    # A public function is called by what completes its errors.
    called = next((frame for frame in inner if frame[0] != _errors.__file__), None)
    return public_name(called[0], called[2]) if called else ""


def public_name(file: str, function: str) -> str:
    """Name a function of JAX's or keystream's as people call it; nothing for any other one."""
    name = function.rpartition(".")[2]
    if is_ours(file):
        return "" if name.startswith("_") else f"ks.{name}"
    return f"jax.random.{name}" if name in _SAMPLERS and is_jax(file) else ""


def _is_sampler(eqn: Any) -> bool:
    if str(eqn.params.get("name", "")).lstrip("_") not in _SAMPLERS or "jaxpr" not in eqn.params:
        return False
    # Whose function it is stands where JAX publishes nothing; a name alone may be the user's.
    jaxpr = getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"])
    return is_jax(_compat.function_file(jaxpr))


def describe(eqn: Any) -> str:
    """Name an equation as people know it."""
    name = eqn.primitive.name
    if name in _PUBLIC:
        return _PUBLIC[name]
    inner = str(eqn.params.get("name", "")).lstrip("_")
    return f"jax.random.{inner}" if inner in _SAMPLERS else inner or str(name)


_PUBLIC = {
    "random_bits": "jax.random.bits",
    "random_split": "jax.random.split",
    "random_fold_in": "jax.random.fold_in",
    "random_seed": "jax.random.key",
    "random_wrap": "jax.random.wrap_key_data",
    "random_gamma": "jax.random.gamma",
}


_SAMPLERS = frozenset(name for name in dir(jax.random) if not name.startswith("_"))


def frames_of(path: Path, below: Path | None = None) -> list[tuple[str, int, str]]:
    """Return the frames of all equations on a path, whoever's they are, the outermost first."""
    inside = path.eqns[len(below.eqns) if below else 0 :]
    pieces = (_compat.frames(eqn.source_info.traceback) for eqn in inside)
    return [frame for piece in pieces for frame in reversed(piece)]


def are_two_derivatives(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Is one function differentiated in two places, in one of them at least in forward mode?

    So products are made with matrices of derivatives, which need the same noise at one point.
    """
    pairs = enumerate(zip(one, other, strict=False))
    common = next((place for place, (first, second) in pairs if first != second), len(one))
    tails = one[common:], other[common:]
    first, second = ([frame for frame in tail if not is_jax(frame[0])] for tail in tails)
    modes = {*map(first_mode, tails)}
    return (
        "jvp" in modes <= {"jvp", "vjp"} and first[-1:] == second[-1:] and first[1:] == second[1:]
    )


def first_mode(frames: Iterable[Frame]) -> str:
    """Return in which mode a function is differentiated first on a way, or nothing."""
    modes = (_compat.derivative_mode(frame) for frame in frames if is_jax(frame[0]))
    return next(filter(None, modes), "")


def is_in_batches(frames: Iterable[tuple[str, int, str]]) -> bool:
    """Are items made in batches? The last one begins earlier, to be as long as the others."""
    return any(
        file == _FILL.co_filename and function.partition(".")[0] == _FILL.co_name
        for file, _, function in frames
    )


_FILL = fill.__code__


class Replays(NamedTuple):
    """In how many checkpoints, and replays of checkpoints, an equation stands.

    A checkpoint in a loop is one in the forward pass, too. Inside of another one both passes
    stand in the replay of that one, its own replay in two checkpoints.
    """

    replays: int
    checkpoints: int

    def repeats(self, other: Replays) -> bool:
        """Is this the replay of what stands there, or that of this?

        In derivatives of derivatives there are replays of replays, which aren't told apart.
        """
        fewest, most = sorted((self.replays, other.replays))
        return fewest > 1 or (most > 0 and self != other)
