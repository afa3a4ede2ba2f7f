"""Judge a recorded run: pairs of uses, single uses, and shards that draw from one key (KS12).

A use has a call path here in the place of a path of equations, and happens as often as it ran.
So replays, lanes that wait and branches that `vmap` runs both are told by the frames of JAX.
"""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from keystream import _compat
from keystream._audit import jaxprs
from keystream._audit.failures import Failures
from keystream._audit.judging import single
from keystream._audit.judging.findings import Findings, Verdict
from keystream._audit.judging.pairs import Pairs
from keystream._audit.judging.view import KeyUse, View
from keystream._audit.judging.windows import judge_windows
from keystream._audit.places import (
    Call,
    Replays,
    are_two_derivatives,
    first_mode,
    innermost_place,
    is_in_batches,
    is_installed,
    is_jax,
    is_ours,
    name_called,
)
from keystream._audit.reading.lineage import Lineage, Origin
from keystream._audit.reading.records import Moment
from keystream._audit.reading.uses import Act, Use
from keystream._audit.recording.call_paths import (
    BACKWARD,
    CHECKPOINT,
    LANES_WAIT,
    MOVED_OUT,
    REPLAY,
    Frame,
    choices_of,
)
from keystream._devices import pmap, shard_map


class RunView(View):
    """Shows recorded uses as the user wrote them."""

    def __init__(self, lineage: Lineage, uses: Iterable[Use]) -> None:
        super().__init__(lineage)
        self._calls: dict[tuple[Frame, ...], Call] = {}
        self.call = self._call
        self._seeded: dict[tuple[Frame, ...], set[int]] | None = None
        self.times = collections.Counter(use.where.frames for use in uses if use.act is Act.DRAW)
        """How often a line has drawn."""

    def _call(self, where: Moment) -> Call:
        if where.frames not in self._calls:
            self._calls[where.frames] = _call_of(where.frames)
        return self._calls[where.frames]

    def allows_both(self, one: KeyUse, other: KeyUse) -> bool:
        """May two uses of one key both stand: replays, lanes that wait, branches, samplers?"""
        first, second = one.use.where, other.use.where
        if self.is_replay(first, second):
            return True
        if LANES_WAIT in first.frames and first.frames == second.frames:
            return True
        apart = first.shard is not None and second.shard not in (None, first.shard)
        if apart and first.frames == second.frames:
            return True  # One line on several shards is looked at by itself.
        taken, others = choices_of(first.frames), choices_of(second.frames)
        if any(others.get(choice, branch) != branch for choice, branch in taken.items()):
            return True
        common = _common_length(first.frames, second.frames)
        if _are_branches(common, first.frames, second.frames):
            return True
        if first.frames == second.frames:
            return is_in_batches(first.frames)
        # They part inside of JAX, and no line of the user's comes after: in one sampler.
        tails = (*first.frames[common:], *second.frames[common:])
        inside = common > 0 and is_jax(first.frames[common - 1].file)
        return inside and first.program == second.program and all(is_jax(f.file) for f in tails)

    def drop_repeats(
        self, draws: list[KeyUse], tell: Callable[[KeyUse, KeyUse], None]
    ) -> list[KeyUse]:
        """Tell of draws that a loop makes again and again, and leave all but the first out."""
        lines: dict[Any, list[KeyUse]] = collections.defaultdict(list)
        for seen in draws:
            lines[seen.use.where.frames, seen.use.where.shard].append(seen)
        left: list[KeyUse] = []
        for several in lines.values():
            if len(several) > 2 and not self.allows_both(*several[:2]):
                doubt = all(itertools.starmap(self.is_doubtful, itertools.pairwise(several)))
                tell(several[0], several[1]._replace(maybe=doubt))
                left.append(several[0])
            else:
                left += several
        return left

    def is_backward(self, use: Use) -> bool:
        """Does a use stand in the backward pass of a gradient?"""
        return _is_backward(use.where.frames)

    def is_replay(self, one: Moment, other: Moment) -> bool:
        """Does one moment replay, for a gradient, what was done in the other?"""
        first, second = one.frames, other.frames
        if any(is_jax(frame.file) and _compat.is_eager_replay(frame) for frame in first + second):
            return True
        counts = [Replays(each.count(REPLAY), each.count(CHECKPOINT)) for each in (first, second)]
        return counts[0].repeats(counts[1])

    def is_doubtful(self, one: KeyUse, other: KeyUse) -> bool:
        """May two uses be meant, or be branches, or one noise made for a derivative?"""
        first, second = one.use.where.frames, other.use.where.frames
        if (
            are_two_derivatives(first, second)
            or (first == second and first_mode(_inside_loop(first)) == "jvp")
            or self._is_derived_anew(one, other)
            or (
                _may_be_branches(one.use.where, other.use.where)
                and _use_same_keys(self.lineage, one, other)
            )
        ):
            return True
        return one.use.shape == other.use.shape and all(
            any(is_jax(frame.file) and _compat.is_derivative_rule(frame) for frame in frames)
            for frames in (first, second)
        )

    def _is_derived_anew(self, one: KeyUse, other: KeyUse) -> bool:
        """Does Python come to one line again, and derive its key anew by the same lines?

        So the order of an epoch is made in each of its steps, and the noise of an evaluation in
        each epoch. Who hands one key on again, whatever is derived from it behind that, doesn't.
        """
        frames = one.use.where.frames
        if frames != other.use.where.frames or self.times[frames] <= 2:
            return False  # Twice in one line may be written there.
        pairs, _ = self.lineage.parting(one.handle, other.handle)
        if not pairs:
            return False
        first, second = pairs[0]
        if first.where is None or second.where is None or first.where.frames != second.where.frames:
            return False
        if first.origin is Origin.SEED and self._makes_one_key(first.where.frames):
            return True
        place = self.call(first.where).place
        mine = place is not None and not is_installed(place.file)
        return mine and first.origin in _ANEW and _is_by_python(first.where, one.use.where)

    def _makes_one_key(self, frames: tuple[Frame, ...]) -> bool:
        """Does a line make keys of one seed alone, rather than of seeds that data holds?"""
        if self._seeded is None:
            self._seeded = collections.defaultdict(set)
            for step in self.lineage.steps:
                if step.origin is Origin.SEED and step.where is not None:
                    self._seeded[step.where.frames] |= set(step.nodes.tolist())
        return len(self._seeded[frames]) == 1


_ANEW = (Origin.SEED, Origin.FOLD_IN, Origin.NAME)


def _is_by_python(made: Moment, used: Moment) -> bool:
    """Did Python hand a key from where it was made to where it is used?"""
    return made.program == 0 or made.program != used.program


_SAYING = (shard_map.__file__, pmap.__file__)
"""In `ks.shard_map` and `ks.pmap` shards that share a key are meant to."""


def _inside_loop(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the frames inside of the innermost loop that is compiled."""
    loops = (at for at, frame in enumerate(frames) if _compat.is_loop(frame) and is_jax(frame.file))
    return frames[max(loops, default=len(frames)) :]


def _may_be_branches(one: Moment, other: Moment) -> bool:
    """Does `vmap` run both though one may be chosen: eagerly, or of two choices of one number?"""
    paths = one.frames, other.frames
    first, second = map(choices_of, paths)
    apart = first and second and not first.keys() & second.keys()
    return bool(apart) or any(_compat.runs_all_branches(f) for path in paths for f in path)


def _use_same_keys(lineage: Lineage, one: KeyUse, other: KeyUse) -> bool:
    """Do both use the same key array?"""
    first, second = one.use.handles, other.use.handles
    lanes = len(first) > 1 and len(first) == len(second)
    return lanes and bool((lineage.nodes(first) == lineage.nodes(second)).all())


def _is_backward(frames: tuple[Frame, ...]) -> bool:
    # Compiled, an equation tells; eagerly, the function of JAX that runs backward rules.
    return BACKWARD in frames or any(
        is_jax(frame.file) and _compat.is_backward_rule(frame) for frame in frames
    )


def _is_moved_out(where: Moment) -> bool:
    """Was this moved out of a loop, or is it run outside of one while that is differentiated?"""
    return MOVED_OUT in where.frames or any(
        is_jax(frame.file) and _compat.moves_out_of_loops(frame) for frame in where.frames
    )


def _common_length(one: tuple[Frame, ...], other: tuple[Frame, ...]) -> int:
    """Return how many frames two paths have in common, from the outermost one on."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _are_branches(common: int, one: tuple[Frame, ...], other: tuple[Frame, ...]) -> bool:
    """Are these branches of one choice, which `vmap` runs both?"""
    if not 0 < common < min(len(one), len(other)):
        return False
    if not _compat.runs_all_branches(one[common - 1]):
        return False
    first, second = one[common], other[common]
    same = first.file == second.file and first.function == second.function
    return not same or first.function.endswith("<lambda>")


def judge(lineage: Lineage, uses: list[Use], failures: Failures) -> Verdict:
    """Hold what was really done with keys against the rules."""
    view = RunView(lineage, uses)
    findings = Findings(lineage, view, failures)
    used = lineage.mark_used(use.handles for use in uses)
    with failures.kept(lambda: "two uses of one key"):
        Pairs(lineage, uses, view, findings, used).judge_all()
        judge_windows(lineage, uses, view, findings)
    for use in uses:
        with findings.looking_at(use):
            if use.act is Act.DRAW and _is_moved_out(use.where):
                single.judge_moved_out(view, findings, use, _is_moved_out)
            single.judge_implementation(lineage, view, findings, use)
            dropped = functools.partial(_looks_padded, lineage, use)
            single.judge_repeated_lanes(lineage, view, findings, use, dropped)
    with failures.kept(lambda: "keys that shards share"):
        _find_shared_shards(lineage, view, findings, uses)
    return findings.verdict()


def _looks_padded(lineage: Lineage, use: Use, count: int) -> bool:
    """Do the keys of some items follow, of which some come again to fill the lanes up?

    That is how items are padded, by the first ones or by the last one. Whether what is drawn for
    these is dropped isn't recorded.
    """
    nodes, items = lineage.nodes(use.handles), use.handles[:count].tolist()
    rest = nodes[count:]
    if len(rest) >= count or not (
        (rest == nodes[: len(rest)]).all() or (rest == nodes[count - 1]).all()
    ):
        return False
    parents = {lineage.parent(item) for item in items}
    numbers = np.asarray([lineage.number(item) for item in items], np.uint64)
    in_order = bool((np.diff(numbers) == 1).all()) and len(parents) == 1
    return in_order or parents == {None}


def _find_shared_shards(
    lineage: Lineage, view: RunView, findings: Findings, uses: Iterable[Use]
) -> None:
    """Find lines at which several shards drew from one key."""
    seen: dict[Any, Any] = collections.defaultdict(dict)
    for use in uses:
        where = use.where
        if use.act is not Act.DRAW or where.shard is None or _is_shared_on_purpose(where):
            continue
        for node, handle in zip(lineage.nodes(use.handles).tolist(), use.handles, strict=True):
            before = seen[where.frames].setdefault(node, where.shard)
            if before != where.shard:
                written = view.as_written(KeyUse(use, int(handle)))
                message = "several shards draw from one key"
                findings.add("KS12", [written], message=message, severity="warning")


def _is_shared_on_purpose(where: Moment) -> bool:
    return any(frame.file in _SAYING for frame in where.frames)


def _call_of(frames: tuple[Frame, ...]) -> Call:
    # Above a call that is audited nothing was recorded.
    begun = max((i for i, frame in enumerate(frames) if frame.file == jaxprs.__file__), default=0)
    own = [
        place
        for place, frame in enumerate(frames)
        if place >= begun and frame.line and not is_jax(frame.file) and not is_ours(frame.file)
    ]
    if not own:
        return Call(None, "", ())
    function = name_called(frames[own[-1] + 1 :])
    mine = tuple((frames[i].file, frames[i].line, frames[i].function) for i in own)
    return Call(innermost_place(list(mine)), function, mine)
