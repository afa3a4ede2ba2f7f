"""Test the draws of one sampler against a known distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import special

import keystream as ks
from keystream.testing._statistics import tally
from keystream.testing._statistics.reference import Reference
from keystream.testing._statistics.rule import Reading
from keystream.testing._statistics.sampler import Form, chunks, labels, rows_at_once


class OneSample(NamedTuple):
    """What stays the same over the looks at one sampler."""

    sampler: Callable[..., Any]
    args: Any
    form: Form
    against: Reference
    num: int
    """The draws of the first look, which set cells and tails for all."""
    independent: bool

    @property
    def names(self) -> list[str]:
        """What each column is called: coordinates, and what is made of several."""
        several = self.independent and self.form.size > 1
        made = [" of the sum of all coordinates", " of all coordinates together"]
        return labels(self.form.shape) + (made if several else [])

    def look(self, key: jax.Array, num: int) -> Reading:
        """Draw, and return the p-values of all statistics of all columns."""
        far, names = tally.far_tail(self.num), self.names
        seen = self._tally(key, num, far)
        p = tally.p_values(seen, far, self.against.cuts)

        def say(i: int) -> str:
            row, column = divmod(i, len(names))
            told = tally.describe(seen, row, column, far, self.against.cuts, self._at)
            return f"{tally.NAMES[row]}{names[column]}: {told}"

        return Reading(p.ravel(), say, np.repeat(tally.NAMES, len(names)).tolist())

    def _tally(self, key: jax.Array, num: int, far: float) -> tally.Tally:
        size, total = rows_at_once(self.num, self.form), None
        draws, ties = ks.derive(key, "draws"), ks.derive(key, "ties")
        for part, rows in enumerate(chunks(self.sampler, draws, num, self.args, self.form, size)):
            u = self.against.uniform(rows, self._ties(ties, part, rows.shape))
            z = tally.scores(u)
            if self.independent and self.form.size > 1:
                along = z.sum(1, keepdims=True) / np.sqrt(self.form.size)
                u = np.concatenate([u, special.ndtr(along)], 1)
                z = np.concatenate([z, along], 1)
            seen = tally.tally(u, far, self.against.cuts, z)
            total = seen if total is None else total + seen
        assert total is not None
        several = self.independent and self.form.size > 1
        return total.together(self.form.size) if several else total

    def _ties(self, key: jax.Array, part: int, shape: tuple[int, ...]) -> np.ndarray:
        if not self.against.discrete:
            return np.empty(0)
        drawn = jax.random.uniform(ks.derive(key, part), shape)
        return np.asarray(drawn, np.float64) + 2.0**-24

    def _at(self, level: float, column: int) -> str:
        made = column >= self.form.size
        find = None if made else self.against.quantile
        text = f"the reference's quantile {level:.5g}"
        if find is None:
            return text
        place = np.asarray(find(level))
        value = place.ravel()[column] if place.size == self.form.size else place.ravel()[0]
        return f"{value:.5g} ({text})"
