"""Check what the demo claims of its simulations: each claim can also come out wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

import keystream as ks
from keystream.cli._demo.pricing import LEVEL, NORMAL, PATHS, WIDTH, Run

TOLERANCE = 1e-3
"""How far payoffs of about 10 may lie apart: floats differ in their last digits."""

ALARM = 1e-6
"""How often a check of coverage fails a right program: about once in a million seeds."""


@dataclass(frozen=True)
class Check:
    """A claim, whether it holds (None: these runs can't tell), and what was measured."""

    claim: str
    holds: bool | None
    measured: str


def check_same_keys(runs: Sequence[Run]) -> Check:
    """Check that every path used the same key on every device count."""
    digests = {run.digest for run in runs}
    claim = "keys: each path's own, the same on every device count"
    if len(runs) < 2:
        return Check(claim, None, "only one device count")
    found = f"SHA-256 {min(digests)[:12]}" if len(digests) == 1 else f"{len(digests)} versions"
    return Check(claim, len(digests) == 1, found)


def check_same_payoffs(runs: Sequence[Run]) -> Check:
    """Check that every path pays the same on every device count, to last digits."""
    claim = f"payoffs and estimates: the same to {TOLERANCE:g}"
    if len(runs) < 2:
        return Check(claim, None, "only one device count")
    apart = max(_spread([r.payoffs for r in runs]), _spread([r.estimates for r in runs]))
    return Check(claim, apart <= TOLERANCE, f"at most {apart:.1e} apart")


def _spread(values: Sequence[np.ndarray]) -> float:
    return float(np.max(np.ptp(np.stack(values), axis=0)))


def check_distinct(runs: Sequence[Run]) -> Check:
    """Check that no key was used by two paths of an experiment."""
    total = sum(len(run.estimates) * PATHS for run in runs)
    twice = total - sum(run.distinct for run in runs)
    return Check("keys: none is used for two paths", twice == 0, f"{twice:,} of {total:,} are")


def check_prefix(first: np.ndarray, rest: np.ndarray, whole: np.ndarray) -> Check:
    """Check that more paths leave the first ones as they are, and go on where these end."""
    holds = np.array_equal(np.concatenate([first, rest]), whole)
    return Check("more paths: the first ones keep their keys", holds, f"{len(whole):,} paths")


def check_names(before: Mapping[str, jax.Array], after: Mapping[str, jax.Array]) -> Check:
    """Check that a name that is new leaves the keys of the others as they are."""
    moved = [name for name in before if ks.fingerprint(before[name]) != ks.fingerprint(after[name])]
    found = f"'{', '.join(after.keys() - before.keys())}' moves {len(moved)} of {len(before)}"
    return Check("names: a new one moves no other's key", not moved, found)


def check_audit(right: Sequence[str], mistaken: Sequence[str], devices: int) -> Check:
    """Check that these rules found the mistake, and none anything in the right program."""
    claim = "ks.audit: finds the mistake before a path is drawn, and nothing else"
    if devices == 1:
        return Check(claim, None, "only one device")
    wrong, none = (", ".join(rules) or "nothing" for rules in (mistaken, right))
    holds = list(mistaken) == ["KS12"] and not right
    return Check(claim, holds, f"{wrong}, and in the right program {none}")


def expected_coverage(devices: int) -> float:
    """Return how often the mistaken intervals hold the price: too narrow by sqrt(devices)."""
    return 2 * NORMAL.cdf(WIDTH / math.sqrt(devices)) - 1


def likely_counts(trials: int, chance: float) -> range:
    """Return the successes that come with a binomial distribution, all but once in 1 / ALARM."""
    counts = np.arange(trials + 1)
    ways = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts
    ]
    odds = np.cumsum(
        np.exp(ways + counts * math.log(chance) + (trials - counts) * math.log1p(-chance))
    )
    first, last = np.searchsorted(odds, (ALARM / 2, 1 - ALARM / 2))
    return range(int(first), min(int(last), trials) + 1)


def check_coverage(runs: Sequence[Run]) -> Check:
    """Check that about 95 % of the intervals hold the exact price, on every device count."""
    claim = "error bars: 95 % of the intervals hold the exact price"
    trials = len(runs[0].estimates)
    likely = likely_counts(trials, LEVEL)
    counts = [int(run.hits.sum()) for run in runs]
    found = f"{min(counts)} of {trials}, {likely[0]} to {likely[-1]} expected"
    return Check(claim, all(count in likely for count in counts) if likely[0] else None, found)


def check_too_narrow(mistaken: Sequence[Run]) -> Check:
    """Check that the mistaken intervals miss the price as often as fewer paths make them."""
    run = max(mistaken, key=lambda each: each.devices)
    trials, count = len(run.estimates), int(run.hits.sum())
    claim = f"the mistake: the error bars are too narrow by sqrt({run.devices})"
    likely = likely_counts(trials, expected_coverage(run.devices))
    found = f"{count} of {trials}, {likely[0]} to {likely[-1]} expected"
    if likely[-1] >= likely_counts(trials, LEVEL)[0]:
        return Check(claim, None, f"{found}, which can't tell it from none")
    return Check(claim, count in likely, found)


def check_repeated(mistaken: Sequence[Run]) -> Check:
    """Check that the mistake shows in the keys: each is used once on every device."""
    run = max(mistaken, key=lambda each: each.devices)
    total = len(run.estimates) * PATHS
    claim = f"the mistake: only 1 of {run.devices} paths is a new one"
    if run.devices == 1:
        return Check(claim, None, "only one device")
    found = f"{run.distinct:,} of {total:,} are"
    return Check(claim, run.distinct * run.devices == total, found)
