"""Read the distribution that draws are compared with, as a map to the unit interval.

Where X follows a continuous F, F(X) is uniform; where F has steps, F(X-) + V P(X) is, with V
uniform and independent. So whatever the distribution, all statistics are those of uniform
numbers, and their p-values don't depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error
from keystream.testing._statistics.sampler import Form

Uniform = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Reference(NamedTuple):
    """A distribution, as the checks need it."""

    name: str
    uniform: Uniform
    """Rows of draws and of uniform numbers that break ties -> uniform numbers; NaN for what
    the distribution never gives."""
    cuts: np.ndarray
    """The edges in [0, 1] of the cells of chi-squared; no atom lies on both sides of one."""
    discrete: bool
    quantile: Callable[[float], Any] | None


def read_reference(given: Any, form: Form, cells: int) -> Reference:
    """Read a frozen distribution of scipy.stats, or a function that is a CDF."""
    even = np.linspace(0, 1, cells + 1)
    if isinstance(given, (stats.rv_continuous, stats.rv_discrete)):
        got = Phrase(f"scipy.stats.{given.name} without its parameters")
        cure = f"For its standard form: scipy.stats.{given.name}()."
        raise error(ArgumentTypeError, "reference", _WANTED, got, cure)
    if hasattr(given, "cov_object") and hasattr(given, "mean"):
        return Reference("multivariate normal", _whiten(given, form), even, False, None)
    if hasattr(given, "cdf") and hasattr(given, "support"):
        name = getattr(getattr(given, "dist", None), "name", type(given).__name__)
        if isinstance(getattr(given, "dist", None), stats.rv_discrete):
            cuts = _atom_cuts(given, cells) if np.shape(given.ppf(0.5)) == () else even
            return Reference(name, _steps(given), cuts, True, getattr(given, "ppf", None))
        smooth = _smooth_map(given, form)
        return Reference(name, smooth, even, False, getattr(given, "ppf", None))
    if callable(given):
        if not jnp.issubdtype(form.dtype, jnp.floating):
            got = Phrase(f"a CDF for draws of {np.dtype(form.dtype).name}")
            cure = "For one: scipy.stats.rv_discrete(values=(numbers, chances))()."
            wanted = "a discrete distribution of scipy.stats where draws are no floats"
            raise error(ArgumentTypeError, "reference", wanted, got, cure)
        name = getattr(given, "__name__", "the CDF")
        return Reference(name, _check_cdf(given), even, False, None)
    cure = "For draws of another sampler: check_same_distribution(sampler, other, key)."
    raise error(ArgumentTypeError, "reference", _WANTED, given, cure)


_WANTED = "a frozen distribution of scipy.stats, a CDF, or an array of draws"


def _smooth_map(given: Any, form: Form) -> Uniform:
    cdf, (low, high) = _check_cdf(given.cdf), given.support()
    # A bound such as 0.1 isn't a float32: draws may end one step beyond it.
    step = 4 * _spacing(form.dtype)
    low = low - step * np.where(np.isfinite(low), np.abs(low), 0)
    high = high + step * np.where(np.isfinite(high), np.abs(high), 0)

    def uniform(draws: np.ndarray, ties: np.ndarray) -> np.ndarray:
        impossible = ~np.isfinite(draws) | (draws < low) | (draws > high)
        return np.where(impossible, np.nan, cdf(draws, ties))

    return uniform


def _spacing(dtype: Any) -> float:
    return {2: 2.0**-7, 4: 2.0**-23}.get(np.dtype(dtype).itemsize, 2.0**-52)


def _steps(given: Any) -> Uniform:
    cdf = _check_cdf(given.cdf)

    def uniform(draws: np.ndarray, ties: np.ndarray) -> np.ndarray:
        mass = given.pmf(draws)
        high = cdf(draws, ties)
        return np.where(mass > 0, np.clip(high - mass * (1 - ties), 0, 1), np.nan)

    return uniform


def _check_cdf(cdf: Callable[..., Any]) -> Uniform:
    def uniform(draws: np.ndarray, ties: np.ndarray) -> np.ndarray:
        del ties
        try:
            found = np.asarray(cdf(draws), np.float64)
        except Exception as told:
            lines = str(told).splitlines() or [""]
            got = Phrase(f"one that raises {type(told).__name__}: {lines[0][:100]}")
            cure = "For another sampler: check_same_distribution(sampler, other, key)."
            raise error(ArgumentTypeError, "reference", _CDF, got, cure) from told
        if found.shape != draws.shape:
            got = Phrase(f"one that turns shape {draws.shape} into {found.shape}")
            raise error(ArgumentValueError, "reference", _CDF, got)
        known = ~np.isnan(draws)
        values = found[known]
        if not (values >= -1e-6).all() or not (values <= 1 + 1e-6).all():
            got = Phrase("one with values that aren't probabilities")
            raise error(ArgumentValueError, "reference", _CDF, got)
        column, rises = draws[:, 0], found[:, 0]
        order = np.argsort(column[known[:, 0]])
        if (np.diff(rises[known[:, 0]][order]) < -1e-6).any():
            got = Phrase("one that falls")
            raise error(ArgumentValueError, "reference", _CDF, got)
        return np.where(known, np.clip(found, 0, 1), np.nan)

    return uniform


_CDF = "a CDF: a rising function from arrays to probabilities of the same shape"


def _whiten(given: Any, form: Form) -> Uniform:
    size = np.size(given.mean)
    if form.shape != (size,) or given.cov_object.rank < size:
        wanted = f"of full rank and of {form.size} dimensions, as the draws are"
        got = Phrase(f"one of {size} dimensions and rank {given.cov_object.rank}")
        raise error(ArgumentValueError, "reference", wanted, got)

    def uniform(draws: np.ndarray, ties: np.ndarray) -> np.ndarray:
        del ties
        found = special.ndtr(given.cov_object.whiten(draws - given.mean))
        return np.where(np.isfinite(draws).all(1, keepdims=True), found, np.nan)

    return uniform


def _atom_cuts(given: Any, cells: int) -> np.ndarray:
    """Return cells whose edges are steps of the CDF, none less likely than one of `cells`."""
    atoms = np.unique(given.ppf((np.arange(4096) + 0.5) / 4096))
    high = given.cdf(atoms)
    kept = [0.0]
    for edge in np.unique(np.concatenate([high - given.pmf(atoms), high])):
        if edge - kept[-1] >= 1 / cells and 1 - edge >= 1 / cells:
            kept.append(float(edge))
    return np.array([*kept, 1.0])
