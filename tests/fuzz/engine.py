"""Many calls of one row, driven by hypothesis; what escaped, made smaller, each cause once."""

from __future__ import annotations

import collections
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import keystream as ks
from tests.fuzz import values
from tests.fuzz.judge import Trial, Verdict, judged
from tests.fuzz.row import Row


class Escape(NamedTuple):
    """A call that neither obeyed nor was refused in our words, and what came instead."""

    name: str
    call: str
    error: str
    message: str


class Tally(NamedTuple):
    """How many calls of each kind, and the escapes by their shapes."""

    counts: collections.Counter[str]
    escapes: dict[tuple[str, ...], Escape]


@st.composite
def trials(draw: st.DrawFn, row: Row) -> Trial:
    """Draw a call of a row: mostly right, with one argument hostile in most of them."""
    options = [name for name in row.options if draw(st.integers(0, 3)) == 0]
    sources = {**row.slots, **{name: row.options[name] for name in options}}
    places = list(sources)
    hostile = draw(st.sampled_from((0, 0, 1, 1, 1, 1, 1, 2))) if places else 0
    bad = {draw(st.sampled_from(places)) for _ in range(hostile)}
    texts = {
        name: draw(values.SUBJECTS.get(name, values.anything) if name in bad else source)
        for name, source in sources.items()
    }
    written = "".join(f", {name}={{{name}}}" for name in options)
    template = row.template.replace("{options}", written).replace("(, ", "(")
    return Trial(draw(st.sampled_from(row.contexts)), template, texts)


def fuzz(row: Row, inputs: int, at: int | None, before: Callable[[Trial], Any] = str) -> Tally:
    """Make calls of a row; `before` hears of each, so that a crash can be traced to it."""
    tally = Tally(collections.Counter(), {})
    speaks = row.speaks or (row.name,)

    @settings(
        max_examples=inputs,
        derandomize=at is None,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(trials(row))
    def drive(trial: Trial) -> None:
        before(trial)
        verdict = judged(trial, row.law, speaks)
        tally.counts[verdict.kind] += 1
        if verdict.kind == "escape" and (row.name, *verdict.shape) not in tally.escapes:
            trial, verdict = _smaller(row, speaks, trial, verdict)
            found = Escape(row.name, str(trial), verdict.error, verdict.message)
            tally.escapes[row.name, *verdict.shape] = found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (drive if at is None else seed(at)(drive))()
    ks.accelerate(False)
    return tally


def _smaller(
    row: Row, speaks: tuple[str, ...], trial: Trial, verdict: Verdict
) -> tuple[Trial, Verdict]:
    """Put plain expressions in an escape's places as long as the same thing escapes."""
    if verdict.error in ("Hang", "Endless", "Deleted"):
        return trial, verdict
    plain = ("eager", "in_jit")
    candidates = [trial._replace(context=context) for context in plain]
    for name in trial.given:
        written = f", {name}={{{name}}}"
        if name in row.options and written in trial.template:
            left = {place: code for place, code in trial.given.items() if place != name}
            candidates.append(Trial(trial.context, trial.template.replace(written, ""), left))
    kept = trial
    for candidate in candidates:
        smaller = _merged(kept, candidate, trial)
        again = judged(smaller, row.law, speaks)
        if again.kind == "escape" and again.shape == verdict.shape:
            kept, verdict = smaller, again
    for name in (name for name in kept.given if name not in values.SUBJECTS):
        for code in ("key", "2", "xs", "stream", "draw"):
            smaller = kept._replace(given={**kept.given, name: code})
            again = judged(smaller, row.law, speaks)
            if again.kind == "escape" and again.shape == verdict.shape:
                kept, verdict = smaller, again
                break
    return kept, verdict


def _merged(kept: Trial, candidate: Trial, trial: Trial) -> Trial:
    """Take over into what was kept what a candidate changed."""
    if candidate.context != trial.context or candidate.template == trial.template:
        return kept._replace(context=candidate.context)
    gone = [name for name in trial.given if name not in candidate.given]
    template, left = kept.template, dict(kept.given)
    for name in gone:
        template = template.replace(f", {name}={{{name}}}", "")
        left.pop(name, None)
    return kept._replace(template=template, given=left)
