"""Say first what is gained: ten lines, each of one number."""

from __future__ import annotations

from collections.abc import Iterable

from keystream.cli._bench import eager, orders, whole
from keystream.cli._bench.build import ACCELERATED
from keystream.cli._bench.catalogue import LANES
from keystream.cli._bench.floors import NUMPY
from keystream.cli._bench.makers import ITERATOR, SPLIT
from keystream.cli._bench.reach import FASTER
from keystream.cli._bench.result import Result

SPLITS, PATHS = f"{SPLIT} / {ITERATOR}", f"{eager.BY_PATH} / {eager.ON_HOST}"
THREE, ORDERS = f"{eager.BY_JAX} / {eager.BY_KS}", f"{orders.PERMUTATION} / {orders.PLACES}"

GAINS = (
    ("bits of {:,}, under run --accelerate", "k", "bits", whole.FASTER),
    ("uniform of {:,}, under run --accelerate", "k", "uniform", whole.FASTER),
    ("normal of {:,}, accelerated", "c", "normal", FASTER),
    ("bernoulli of {:,}, accelerated", "c", "bernoulli", FASTER),
    ("a normal for each of {:,} keys, accelerated", "c", LANES, FASTER),
    ("normal of {:,}, accelerated, beside NumPy's", "g", "normal", f"{NUMPY} / {ACCELERATED}"),
    ("{:,} keys in a Python loop, ks.iter_keys", "d", eager.STEADY, SPLITS),
    ("ks.split(key, {:,})", "d", eager.THREE, THREE),
    ("{:,} key of three parts, host.derive beside ks.derive", "d", eager.PATH, PATHS),
    ("{:,} places in a random order, beside a permutation", "i", orders.WHOLE, ORDERS),
)
"""What is told, with its size, and of which case and piece it is which ratio."""


def lines(results: Iterable[Result]) -> list[str]:
    """Return a line for each gain that was measured, in the largest size."""
    found = {(each.case, each.what): each for each in sorted(results, key=lambda each: each.size)}
    told = []
    for text, case, what, pair in GAINS:
        each = found.get((case, what))
        if each is not None and pair in each.ratios:
            gain = each.ratios[pair].median
            told.append(f"  {gain:7.1f} times as fast: {text.format(each.size)}")
    return told
