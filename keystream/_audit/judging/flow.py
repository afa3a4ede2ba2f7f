"""Where drawn numbers go: to be handed back as they are, or into a computation with others."""

from __future__ import annotations

from typing import Any

import numpy as np

from keystream._audit.path import Path, user_frames


def is_initializer(draw: Path, until: Path | None = None) -> bool:
    """Are numbers handed back as they were drawn, or scaled, and in their own shape?

    That is how weights are initialized that all lanes or shards are to share; they may meet
    data as well. Noise only meets data, and what lanes take for their own grows by their
    number.
    """
    path: Path | None = draw
    while path is not None and not user_frames(path.eqn.source_info):
        path = path.outer  # What a sampler does inside is one draw.
    if path is None:
        return False
    places = list(range(len(path.eqn.outvars)))
    while path is not None and path is not until and path != until:
        found = _reached(path.jaxpr, [path.eqn.outvars[place] for place in places])
        if not found:
            return False
        places, path = found, path.outer
        if path is not None and path.eqn.primitive.name in ("scan", "while", "cond"):
            return False
    return True


def _reached(jaxpr: Any, drawn: list[Any]) -> list[int]:
    """Return which results of a body are made of drawn numbers alone."""
    ours, constant = set(drawn), set(jaxpr.constvars)
    largest = max(int(np.prod(var.aval.shape)) for var in drawn)
    for eqn in jaxpr.eqns:
        variables = [atom for atom in eqn.invars if not hasattr(atom, "val")]
        if all(var in constant for var in variables):
            constant.update(var for var in eqn.outvars if var not in ours)
        elif all(var in ours or var in constant for var in variables):
            ours.update(v for v in eqn.outvars if int(np.prod(v.aval.shape)) <= largest)
    return [place for place, var in enumerate(jaxpr.outvars) if var in ours]
