"""The batteries: which programs are run with which options, and what their output means.

A test of a battery gives a name and a p-value for each statistic. Where the tool gives none,
it is computed here from the figures that the tool prints and their known distribution.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

Found = list[tuple[str, float]]


class Test(NamedTuple):
    """One run of a program."""

    name: str
    command: tuple[str, ...]
    most: int | None
    """Bytes that it is given; None for as many as it asks for."""


class Battery(NamedTuple):
    """Tests that one program runs."""

    name: str
    program: str
    tests: tuple[Test, ...]
    read: Callable[[str], Found]
    version: Callable[[], str]

    def there(self) -> bool:
        """Whether its program is on this machine."""
        return shutil.which(self.program) is not None


def _told(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr


def _package(name: str) -> str:
    if not shutil.which("dpkg-query"):
        return "of unknown version"
    return _told("dpkg-query", "-W", "-f=${Version}", name).strip()


# The list that `dieharder -l` prints calls OPSO, OQSO and DNA (5, 6, 7) suspect, and says of
# sums (14) not to use it; all others are good by it.
PLAIN = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102, 204)
LONG = (205, 206, 207, 208, 209)
"""Tests of one long sample each."""
SIZED = {200: (1, 2, 4, 8), 201: (2, 3, 4, 5), 202: (2, 3, 4, 5), 203: (0, 1, 3, 7, 15, 31)}
"""Tests that are run with several sizes; sums are lagged by as many words."""
FIELDS = 8 + 16 + 32 + 64 + 128 + 65536
"""Name, size, samples, p-samples, p-value, and each p-sample, in the words of `dieharder -F`."""


def dieharder(psamples: int) -> Battery:
    """Return dieharder's sound tests, each with `psamples` p-values in place of 100."""
    base = "dieharder", "-g", "200", "-k", "2", "-c", ",", "-D", str(FIELDS)

    def test(number: int, count: int = psamples, size: int | None = None) -> Test:
        name = f"d{number}" if size is None else f"d{number}n{size}"
        more = () if size is None else ("-n", str(size))
        return Test(name, (*base, "-p", str(count), "-d", str(number), *more), None)

    def version() -> str:
        found = re.search(r"dieharder version ([0-9.]+)", _told("dieharder", "-l"))
        return f"dieharder {found[1] if found else ''}, {psamples} p-samples"

    tests = [test(number) for number in PLAIN]
    tests += [test(number, psamples, size) for number, sizes in SIZED.items() for size in sizes]
    tests += [test(number, 1) for number in LONG]
    return Battery("dieharder", "dieharder", tuple(tests), read_dieharder, version)


def read_dieharder(out: str) -> Found:
    """Turn the p-samples of each statistic into one p-value, by an exact Kolmogorov-Smirnov test.

    Dieharder's own is biased when there are few: it holds them against i / (n + 1), so that
    of ten p-samples 16 % give a p-value above 0.99.
    """
    found: list[tuple[str, list[float]]] = []
    for cells in ([cell.strip() for cell in line.split(",")] for line in out.splitlines()):
        if len(cells) == 5 and cells[2].isdigit():
            found.append((f"{cells[0]} {cells[1]} {len(found)}", []))
        elif len(cells) == 3 and not cells[0] and found:
            found[-1][1].append(float(cells[1]))
    if not found or not all(samples for _, samples in found):
        raise ValueError(f"dieharder said something else: {out!r}")
    return [(name, _uniform(samples)) for name, samples in found]


def _uniform(samples: list[float]) -> float:
    if len(samples) == 1:
        return samples[0]
    return float(stats.kstest(samples, "uniform", method="exact").pvalue)


ENT_BYTES = 2**28


def ent() -> Battery:
    """Return `ent` on 256 MiB."""
    test = Test("bytes", ("ent", "-t"), ENT_BYTES)
    return Battery("ent", "ent", (test,), read_ent, lambda: f"ent {_package('ent')}")


def read_ent(out: str) -> Found:
    """Turn ent's figures of bytes into p-values."""
    rows = [line.split(",") for line in out.splitlines() if line.startswith("1,")]
    if len(rows) != 1:
        raise ValueError(f"ent said something else: {out!r}")
    size, _, chi, mean, pi, serial = map(float, rows[0][1:])
    points = size // 6  # of two coordinates of 24 bits
    share = np.pi / 4
    z = {
        "mean": (mean - 127.5) / np.sqrt((256**2 - 1) / 12 / size),
        "pi": (pi / 4 - share) / np.sqrt(share * (1 - share) / points),
        "serial": serial * np.sqrt(size),
    }
    return [
        ("chi-squared", float(stats.chi2.sf(chi, 255))),
        *((name, float(stats.norm.sf(value))) for name, value in z.items()),
    ]


FIPS_BLOCKS = 20_000
RATES = {
    "Monobit": 2 * float(stats.binom.cdf(9725, 20000, 0.5)),
    "Poker": float(stats.chi2.cdf(2.16, 15) + stats.chi2.sf(46.17, 15)),
    "Long run": 19975 / 2**26,
}
"""How often a sound block of 20,000 bits fails; of the runs it isn't known in closed form."""


def fips() -> Battery:
    """Return the tests of FIPS 140-2 on 20,000 blocks of 20,000 bits."""
    test = Test("blocks", ("rngtest", "-c", str(FIPS_BLOCKS)), None)

    def version() -> str:
        return " ".join(_told("rngtest", "--version").split()[:2])

    return Battery("fips", "rngtest", (test,), read_fips, version)


def read_fips(out: str) -> Found:
    """Turn how many blocks failed into p-values, by the binomial distribution.

    Of a count that is found, half of its probability counts: no failure at all, of two that
    are expected, is no alarm.
    """
    counts = dict(re.findall(r"FIPS 140-2(?:\([-0-9]+\))? ([A-Za-z ]+): ([0-9]+)", out))
    blocks = int(counts["successes"]) + int(counts["failures"])
    found = []
    for name, rate in RATES.items():
        failures = stats.binom(blocks, rate)
        count = int(counts[name])
        found.append((name, float(failures.sf(count) + failures.pmf(count) / 2)))
    return found
