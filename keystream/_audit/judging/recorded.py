"""Judge a recorded run: pairs of uses, single uses, and shards that draw from one key (KS12).

A use has a call path here in the place of a path of equations, and happens as often as it ran.
So replays, lanes that wait and branches that `vmap` runs both are told by the frames of JAX.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import Any

from keystream import _compat
from keystream._audit import jaxprs
from keystream._audit.failures import Failures
from keystream._audit.judging import single
from keystream._audit.judging.findings import Findings, Verdict
from keystream._audit.judging.pairs import Pairs
from keystream._audit.judging.view import KeyUse, View
from keystream._audit.places import Call, innermost_place, is_jax, is_ours, public_name
from keystream._audit.reading.lineage import Act, Lineage, Use
from keystream._audit.reading.records import Moment
from keystream._audit.recording.call_paths import BACKWARD, LANES_WAIT, MOVED_OUT, REPLAY, Frame
from keystream._devices import pmap, shard_map
from keystream._keys.batches import fill


class RunView(View):
    """Shows recorded uses as the user wrote them."""

    def __init__(self, lineage: Lineage) -> None:
        super().__init__(lineage)
        self._calls: dict[tuple[Frame, ...], Call] = {}
        self.call = self._call

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
        common = _common_length(first.frames, second.frames)
        if _are_branches(common, first.frames, second.frames):
            return True
        if first.frames == second.frames:
            return _is_in_batches(first.frames)
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
            # Twice in one line may be written there.
            if len(several) > 2 and not self.allows_both(*several[:2]):
                doubt = _use_same_keys(self.lineage, *several[:2])
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
        counts = [sum(map(_is_replay, each.frames)) for each in (one, other)]
        backward = [_is_backward(each.frames) for each in (one, other)]
        # A checkpoint in a loop is a checkpoint in both passes; inside of another one, in two.
        return any(counts) and any(backward) and (counts[0] != counts[1] or not all(backward))

    def is_doubtful(self, one: KeyUse, other: KeyUse) -> bool:
        """May two uses be branches that `vmap` runs both, or one noise made for a derivative?"""
        if _use_same_keys(self.lineage, one, other):
            return True
        return one.use.shape == other.use.shape and all(
            any(is_jax(frame.file) and _compat.is_derivative_rule(frame) for frame in frames)
            for frames in (one.use.where.frames, other.use.where.frames)
        )


_SAYING = (shard_map.__file__, pmap.__file__)
"""In `ks.shard_map` and `ks.pmap` shards that share a key are meant to."""
_FILL = fill.__code__


def _is_in_batches(frames: tuple[Frame, ...]) -> bool:
    """Are items made in batches? The last one begins earlier, to be as long as the others."""
    return any(
        frame.file == _FILL.co_filename and frame.function.partition(".")[0] == _FILL.co_name
        for frame in frames
    )


def _use_same_keys(lineage: Lineage, one: KeyUse, other: KeyUse) -> bool:
    """Do both use the same key array?

    What isn't chosen by a `cond` under `vmap` is run all the same, and a path doesn't tell.
    """
    first, second = one.use.handles, other.use.handles
    lanes = len(first) > 1 and len(first) == len(second)
    return lanes and bool((lineage.nodes(first) == lineage.nodes(second)).all())


def _is_backward(frames: tuple[Frame, ...]) -> bool:
    # Compiled, an equation tells; eagerly, the function of JAX that runs backward rules.
    return BACKWARD in frames or any(
        is_jax(frame.file) and (_compat.is_backward_rule(frame) or _compat.is_eager_replay(frame))
        for frame in frames
    )


def _is_moved_out(where: Moment) -> bool:
    """Was this moved out of a loop, or is it run outside of one while that is differentiated?"""
    return MOVED_OUT in where.frames or any(
        is_jax(frame.file) and _compat.moves_out_of_loops(frame) for frame in where.frames
    )


def _is_replay(frame: Frame) -> bool:
    # Run eagerly, a backward pass replays a checkpoint through a function of JAX's own.
    return frame == REPLAY or (is_jax(frame.file) and _compat.is_eager_replay(frame))


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
    view = RunView(lineage)
    findings = Findings(lineage, view, failures)
    used = lineage.mark_used(use.handles for use in uses)
    with failures.kept(lambda: "two uses of one key"):
        Pairs(lineage, uses, view, findings, used).judge_all()
    for use in uses:
        with findings.looking_at(use):
            if use.act is Act.DRAW and _is_moved_out(use.where):
                single.judge_moved_out(lineage, view, findings, use, _is_moved_out)
            single.judge_implementation(lineage, view, findings, use)
            single.judge_repeated_lanes(lineage, view, findings, use)
    with failures.kept(lambda: "keys that shards share"):
        _find_shared_shards(lineage, view, findings, uses)
    return findings.verdict()


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
                findings.add("KS12", [written], written.way, message=message, severity="warning")


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
    inner = frames[own[-1] + 1] if own[-1] + 1 < len(frames) else None
    function = public_name(inner.file, inner.function) if inner else ""
    mine = tuple((frames[i].file, frames[i].line, frames[i].function) for i in own)
    return Call(innermost_place(list(mine)), function, mine)
