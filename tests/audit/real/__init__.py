"""Code that nobody here wrote, as installed: one typical use of each library, audited."""

from __future__ import annotations

from tests.audit.corpus import programs
from tests.audit.real import environments, networks, samplers, solvers

REAL = tuple(
    each for file in (samplers, networks, environments, solvers) for each in programs(file)
)
