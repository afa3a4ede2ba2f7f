"""Hold the audit of a program against its words, and name where the two may differ."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import keystream as ks
from keystream._audit.judging.view import MANY
from tests.audit.fuzz import words
from tests.audit.fuzz.words import Made, Record

STEP = 7_777
"""What is folded in as a number that only a run knows: no other number of a program is as large."""


class Pair(NamedTuple):
    """Two uses of which the numbers are equal, or made of each other."""

    what: str
    """`same`: two draws of one key. `block`: a draw of a block that a used child is made of.
    `beside`: a draw beside children that share no block with it, or that nobody uses."""
    one: Record
    other: Record
    child: Made | None = None
    """Of a block, the child."""

    @property
    def lines(self) -> set[int]:
        """Return the lines of the draws."""
        draws = (each for each in (self.one, self.other) if each.act == "draw")
        return {self.one.line} if self.child else {each.line for each in draws}


def pairs_of(records: list[Record]) -> list[Pair]:
    """Return all pairs of uses of one key that are no good together."""
    draws = [each for each in records if each.act == "draw"]
    by_words: dict[Any, list[Record]] = {}
    for draw in draws:
        alike = by_words.setdefault(draw.key.words, [])
        if sum(each.line == draw.line for each in alike) < 3:  # a loop tells no more
            alike.append(draw)
    found = [
        Pair("same", *pair)
        for several in by_words.values()
        for pair in itertools.combinations(several, 2)
    ]
    for used in draws:
        for made in used.key.way:
            for draw in by_words.get(made.parent, ()) if made.act in ("split", "fold") else ():
                what = "block" if made.number < draw.count else "beside"
                found.append(Pair(what, draw, used, made))
    for use in (each for each in records if each.act != "draw"):
        unused = Made(use.act, use.count, use.known, use.line)
        found += [Pair("beside", d, use, unused) for d in by_words.get(use.key.words, ())]
    return found


class Disagreement(NamedTuple):
    """What one of the two says and the other doesn't."""

    kind: str
    """`alarm`: an error where no numbers are equal. `missed`: equal numbers, and no finding.
    `crash`: the audit failed."""
    text: str
    detail: str


JUDGED = {f"KS0{number}" for number in range(1, 10)} | {"KS13"}
"""Rules about equal words. KS10, KS14 and KS15 are about what a caller does, or nobody; KS11,
KS12 and KS16, which the words show as equal draws of lanes and shards, count as findings."""


def names() -> dict[str, Any]:
    """Return what a program calls, of JAX."""
    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    return {"jax": jax, "jnp": jnp, "lax": lax, "R": jax.random, "P": jax.P, "mesh": mesh}


def load(text: str, file: str) -> Callable[..., Any]:
    """Return a program as a function."""
    namespace = names()
    exec(words.compiled(text, file), namespace)
    program: Callable[..., Any] = namespace["program"]
    return program


ARGUMENTS = (jax.ShapeDtypeStruct((), "bool"), jax.ShapeDtypeStruct((), "int32"))


def judge(text: str, file: str = "<program>") -> list[Disagreement]:
    """Return all in which the audit of a program and its words differ, but for the exceptions."""
    try:
        report = ks.audit(load(text, file), jax.eval_shape(lambda: ks.key(0)), *ARGUMENTS)
    except Exception as problem:
        return [Disagreement("crash", text, repr(problem))]
    found = [Disagreement("crash", text, each) for each in report.unseen if "failed" in each]
    runs = [words.run(text, file, flag, STEP) for flag in (False, True)]
    pairs = [pair for records in runs for pair in pairs_of(records)]
    told: set[int] = set()
    for finding in report.findings:
        lines = {place.line for place in finding.places}
        if finding.severity != "note":
            told |= lines
        if finding.severity == "error" and finding.rule in JUDGED:
            backed = any(pair.lines <= lines for pair in pairs)
            if not backed and not any(reason(text, finding, pairs) for reason in ALARMS.values()):
                found.append(Disagreement("alarm", text, f"{finding.rule} in lines {lines}"))
    for pair in pairs:
        if pair.what == "beside" or pair.lines & told:
            continue
        if not any(reason(text, pair, runs[True]) for reason in MISSES.values()):
            detail = f"{pair.what}: lines {pair.one.line} and {pair.other.line}, {pair.child}"
            found.append(Disagreement("missed", text, detail))
    return found


def by_unknown_numbers(_: str, pair: Pair, __: list[Record]) -> bool:
    """Say that equal numbers are folded in of which the program alone doesn't tell it."""
    ways = zip(pair.one.key.way, pair.other.key.way, strict=False)
    differing = [*itertools.chain(*(two for two in ways if two[0] != two[1]))]
    return any(not made.known for made in (*differing, *([pair.child] if pair.child else [])))


def in_steps_of_picked_keys(_: str, pair: Pair, __: list[Record]) -> bool:
    """Say that a key is one of several in each step or lane, and only some of them differ."""
    picked = any(made.act == "pick" for made in (*pair.one.key.way, *pair.other.key.way))
    return picked and bool(pair.one.inside or pair.other.inside)


def after_later_steps(_: str, pair: Pair, __: list[Record]) -> bool:
    """Say that a loop has made a key in its third step or later, or handed it on at its end."""
    ways = (pair.one.key.way, pair.other.key.way)
    return any(max(Counter(made.line for made in way).values(), default=0) > 2 for way in ways)


def alike_in_all_lanes(_: str, pair: Pair, records: list[Record]) -> bool:
    """Say that nothing else is drawn in these lanes, as where they are to share weights."""
    steps = zip(pair.one.inside, pair.other.inside, strict=False)
    differing = [one for one, other in steps if one[::2] != other[::2]]
    if [what for what, _, _ in differing] not in (["lane"], ["shard"]):
        return False
    [(what, which, _)] = differing
    inside = [r for r in records if r.act == "draw" and (what, which) in {i[:2] for i in r.inside}]
    return len({each.key.words for each in inside}) < len(inside)


def after_many_others(_: str, pair: Pair, records: list[Record]) -> bool:
    """Say that so much is drawn from the key that not all is held against each other."""
    draws = (r for r in records if r.act == "draw" and r.key.words == pair.one.key.words)
    first_steps = [each for each in draws if not any(inside[2] for inside in each.inside)]
    return len(first_steps) > MANY


MISSES: dict[str, Callable[[str, Pair, list[Record]], bool]] = {
    "numbers that only a run knows": by_unknown_numbers,
    "third steps of loops, and what comes after them": after_later_steps,
    "numbers that all lanes are to share": alike_in_all_lanes,
    "picked keys in loops and lanes": in_steps_of_picked_keys,
    "what comes after eight draws from one key": after_many_others,
}
"""Why the audit may say nothing of equal numbers; docs/how-tested.md explains each."""

ALARMS: dict[str, Callable[[str, Any, list[Pair]], bool]] = {}
"""Why the audit may say "error" where no numbers are equal."""
