"""Describe the machine, the versions and the settings that a measurement belongs to."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import keystream as ks
from keystream._saving.settings import read_settings
from keystream.cli._bench.makers import MAKERS

CPU_INFO = Path("/proc/cpuinfo")
DISTRIBUTIONS = ("keystream", "jax", "jaxlib", "numpy")


def machine() -> dict[str, Any]:
    """Return what is known of the machine; this starts JAX's backend."""
    return {
        "cpu": cpu_model(CPU_INFO.read_text() if CPU_INFO.exists() else ""),
        "cores": os.cpu_count(),
        "cores for this process": _own_cores(),
        "system": platform.platform(),
        "backend": jax.default_backend(),
        "load at the start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def cpu_model(text: str) -> str:
    """Return the model's name out of what Linux tells of its processors."""
    named = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return named[0] if named else platform.processor() or platform.machine()


def _own_cores() -> int | None:
    # Only Linux knows it.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def versions() -> dict[str, str]:
    """Return the version of everything that is measured."""
    peers = dict.fromkeys(each.distribution for each in MAKERS)
    return {
        "python": platform.python_version(),
        "scheme": str(ks.SCHEME),
        **{name: _version(name) for name in dict.fromkeys([*DISTRIBUTIONS, *peers])},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "run from its source" if distribution == ks.__name__ else "not installed"


def settings() -> dict[str, str]:
    """Return every setting that can change what is measured."""
    return {reading.name: str(reading.value) for reading in read_settings()}


def unusual() -> list[str]:
    """Return the settings that are not what they usually are."""
    odd = [reading for reading in read_settings() if reading.odd]
    return [f"{reading.name} = {reading.value}" for reading in odd]
