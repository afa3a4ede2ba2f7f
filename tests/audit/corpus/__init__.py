"""Small programs that are wrong with their keys in one known way, and right ones beside them."""

from __future__ import annotations

from types import ModuleType

from tests.audit.corpus import (
    accumulation,
    anew,
    augmentation,
    branches,
    devices,
    differentiated,
    diffusion,
    equal_numbers,
    equinox,
    exact,
    haiku,
    helpers,
    implementations,
    keystream_helpers,
    lanes,
    legacy,
    linen,
    loops,
    mapped,
    mcmc,
    moved,
    nnx,
    numpyro,
    optax,
    padding,
    plain,
    ranges,
    refs,
    rl,
    roots,
    run_only,
    samplers,
    second_order,
    shared_draws,
    transforms,
    windows,
)
from tests.audit.corpus.program import Program as Program

FILES = (
    plain,
    loops,
    branches,
    lanes,
    devices,
    roots,
    implementations,
    samplers,
    transforms,
    differentiated,
    legacy,
    linen,
    nnx,
    haiku,
    equinox,
    numpyro,
    optax,
    rl,
    mcmc,
    diffusion,
    accumulation,
    augmentation,
    keystream_helpers,
    equal_numbers,
    helpers,
    refs,
    ranges,
    padding,
    run_only,
    shared_draws,
    second_order,
    exact,
    mapped,
    moved,
    anew,
    windows,
)


def programs(file: ModuleType) -> list[Program]:
    """Return the programs of a file, in its order."""
    return [value for value in vars(file).values() if isinstance(value, Program)]


PROGRAMS = tuple(program for file in FILES for program in programs(file))
