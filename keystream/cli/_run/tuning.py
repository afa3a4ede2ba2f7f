"""Find the settings of a process with which large draws on a CPU are faster on this machine.

A fresh array of 64 MiB costs more in page faults than in its numbers; with pages of 2 MiB it
doesn't. glibc and XLA read these settings when a process starts, so that `run` can give them to
one, and nobody to a process that runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROCESSOR = Path("/proc/cpuinfo")


class Setting(NamedTuple):
    """One variable of the environment, what is added to it, and why."""

    variable: str
    value: str
    """The whole value: what was there, and what is added."""
    why: str


def missing_settings(environment: Mapping[str, str], *, wide: bool = False) -> list[Setting]:
    """Return what this machine could have and an environment leaves unset.

    Args:
        environment: As `os.environ`.
        wide: Have XLA use vectors of 512 bits too, which may change last digits of floats.
    """
    return [*_huge_pages(environment), *(_wide_vectors(environment) if wide else ())]


def _huge_pages(environment: Mapping[str, str]) -> Iterator[Setting]:
    name, given = "glibc.malloc.hugetlb", environment.get("GLIBC_TUNABLES", "")
    if (
        name not in given
        and _glibc() >= (2, 35)
        and re.search(r"\[(madvise|always)\]", _read(PAGES))
    ):
        value = ":".join(filter(None, [given, f"{name}=1"]))
        yield Setting("GLIBC_TUNABLES", value, "huge pages for large arrays; changes no number")


def _wide_vectors(environment: Mapping[str, str]) -> Iterator[Setting]:
    name, given = "xla_cpu_prefer_vector_width", environment.get("XLA_FLAGS", "")
    if name not in given and re.search(r"^flags\b.*\bavx512f\b", _read(PROCESSOR), re.MULTILINE):
        value = " ".join(filter(None, [given, f"--{name}=512"]))
        yield Setting("XLA_FLAGS", value, "vectors of 512 bits; last digits of floats may change")


def _glibc() -> tuple[int, ...]:
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError):  # another system, or another C library
        return ()
    return tuple(map(int, re.findall(r"\d+", told))) if "glibc" in told else ()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
