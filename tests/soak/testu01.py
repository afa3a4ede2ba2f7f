"""TestU01's SmallCrush, Crush and BigCrush, where the machine has the library.

TestU01 (P. L'Ecuyer, R. Simard, 2007, doi:10.1145/1268776.1268777) is an outside tool with a
license of its own; nothing of it is here. This file is run as a program of its own, reads
words from standard input, and hands them to the library in blocks: the library's own reader
of binary files takes a pipe as well, so that no word goes through Python.

Written by the library's guide, and run with version 1.2.3 as Debian has it, by SmallCrush and
Crush; BigCrush is as untried as it is long.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

from tests.soak.batteries import Battery, Found, Test

CRUSHES = ("SmallCrush", "Crush", "BigCrush")
LIBRARIES = (
    ("testu01mylib", "mylib"),
    ("testu01probdist", "probdist"),
    ("testu01",),
)
"""As Debian calls them, and as their authors do; each needs those before it."""
BUFFER = 2**16
"""Bytes of the library's buffer."""
MOST_TESTS = 201
"""The size of the library's arrays of results."""
BY_DEFAULT = ("SmallCrush",)
"""The others read far more of each stream."""


class CrushBattery(Battery):
    """A battery that is there when the library is."""

    def there(self) -> bool:
        """Whether the three parts of the library are on this machine."""
        return all(map(found, LIBRARIES))


def found(names: tuple[str, ...]) -> str | None:
    """Return the file of a library that has several names."""
    return next(filter(None, map(ctypes.util.find_library, names)), None)


def batteries() -> list[Battery]:
    """Return one battery for each of the three sizes."""
    return [
        CrushBattery(
            crush.lower(),
            sys.executable,
            (Test(crush, (sys.executable, "-m", "tests.soak.testu01", crush), None),),
            read,
            lambda: "TestU01",
        )
        for crush in CRUSHES
    ]


def read(out: str) -> Found:
    """Read lines of `statistic: p-value`."""
    rows = [line.rpartition(": ") for line in out.splitlines() if line.startswith("p ")]
    if not rows:
        raise ValueError(f"TestU01 said something else: {out!r}")
    return [(name.removeprefix("p "), float(p)) for name, _, p in rows]


def main(crush: str) -> None:
    """Run one battery on standard input and print its p-values."""
    *_, library = [ctypes.CDLL(found(names), ctypes.RTLD_GLOBAL) for names in LIBRARIES]
    ctypes.c_int.in_dll(library, "swrite_Basic").value = 0
    library.ufile_CreateReadBin.restype = ctypes.c_void_p
    library.ufile_CreateReadBin.argtypes = [ctypes.c_char_p, ctypes.c_long]
    source = library.ufile_CreateReadBin(b"/dev/stdin", BUFFER)
    run = getattr(library, f"bbattery_{crush}")
    run.argtypes = [ctypes.c_void_p]
    run(source)
    p_values = (ctypes.c_double * MOST_TESTS).in_dll(library, "bbattery_pVal")
    names = (ctypes.c_char_p * MOST_TESTS).in_dll(library, "bbattery_TestNames")
    for number in range(ctypes.c_int.in_dll(library, "bbattery_NTests").value):
        name = names[number]
        if p_values[number] < 0:  # of a test that wasn't run
            continue
        print(f"p {number} {name.decode() if name else ''}: {p_values[number]!r}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
