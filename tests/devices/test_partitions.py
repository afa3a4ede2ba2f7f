"""Law 2: however items are parted among processes and devices, each keeps its key and its bits."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import keystream as ks
from tests.oracle import all_words, children, words

pytestmark = pytest.mark.slow

STARTS = (0, 3, 2**31 - 4, 2**32 - 5)
IDS = np.array([0, 7, 2**31, 2**32 + 7, -1, 2**40, 5, 2**62])


@st.composite
def parts(draw: Any) -> list[tuple[int, int]]:
    """Part eight devices among up to four processes: for each its devices and rows per device."""
    free, found = 8, []
    while free and len(found) < 4:
        devices = draw(st.sampled_from([n for n in (1, 2, 4) if n <= free]))
        found.append((devices, draw(st.integers(1, 2))))
        free -= devices
    return found


def held(parted: list[tuple[int, int]], start: int, *, lie: int = 0) -> list[np.ndarray]:
    """Return the words and bits of all processes together, each drawn on devices of its own."""
    keys, bits, device, first = [], [], 0, start
    for devices, rows in parted:
        own = jax.devices()[device : device + devices]
        mesh = jax.make_mesh((devices,), ("rows",), devices=own, axis_types=(AxisType.Auto,))
        place: Any = {"start": first, "out_sharding": NamedSharding(mesh, P("rows"))}
        keys.append(words(ks.keys(ks.key(42), devices * rows, **place)))
        drawn = ks.sample(jax.random.bits, ks.key(42), devices * rows, (2,), **place)
        bits.append(np.asarray(drawn))
        device, first = device + devices, first + devices * rows - lie
    return [np.concatenate(keys), np.concatenate(bits)]


def whole(parted: list[tuple[int, int]], start: int) -> list[np.ndarray]:
    """Return what a Python loop over the items makes."""
    count = sum(devices * rows for devices, rows in parted)
    keys = children(jax.random.key(42), range(start, start + count))
    return [all_words(keys), np.stack([np.asarray(jax.random.bits(key, (2,))) for key in keys])]


def same(made: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    """Are these the same words and the same bits?"""
    return all(np.array_equal(one, other) for one, other in zip(made, wanted, strict=True))


@settings(max_examples=25)
@given(parts(), st.sampled_from(STARTS))
def test_any_partition_draws_the_same(parted: list[tuple[int, int]], start: int) -> None:
    """Parts of the items, on any number of processes and devices, together are the whole."""
    assert same(held(parted, start), whole(parted, start))


def test_a_part_that_starts_too_early_is_noticed() -> None:
    """Processes of which each begins at the last item of the one before don't pass."""
    parted = [(2, 1), (2, 1)]
    assert same(held(parted, 0), whole(parted, 0))
    assert not same(held(parted, 0, lie=1), whole(parted, 0))


@given(st.permutations(range(len(IDS))), st.integers(0, len(IDS)), st.integers(0, len(IDS)))
def test_any_order_of_ids_derives_the_same(order: list[int], one: int, other: int) -> None:
    """Ids in any order and any parts get the keys that each of them gets alone."""
    alone = all_words(children(jax.random.key(42), [int(i) for i in IDS]))
    shuffled = IDS[order]
    cuts = sorted((one, other))
    pieces = np.split(shuffled, cuts)
    derived = np.concatenate([words(ks.derive(ks.key(42), piece)) for piece in pieces])
    assert np.array_equal(derived, alone[order])
    if order != sorted(order):
        assert not np.array_equal(derived, alone)
